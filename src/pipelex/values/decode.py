"""Fit JSON data to a slot: check everything, normalise, name every bad field at once. Pure; replayed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import JsonValue

from pipelex.values.clock import read_date, read_datetime, read_time
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.natives import NATIVES
from pipelex.values.older import renewed
from pipelex.values.slots import Slot

LIGHT_KEYS: dict[str, str] = {
    "native.Text": "text",
    "native.Number": "number",
    "native.YesNo": "yes_no",
    "native.Choice": "choice",
    "native.Rating": "level",
    "native.Date": "date",
    "native.Time": "time",
    "native.Html": "inner_html",
    "native.Image": "url",
    "native.Document": "url",
}
"""The natives that may be given as a bare scalar, with the field that the scalar fills."""

_NOUNS = {
    FieldType.TEXT: "a text",
    FieldType.INTEGER: "a whole number",
    FieldType.NUMBER: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date such as 2031-02-03",
    FieldType.DATETIME: "a date and time such as 2031-02-03T14:30:00",
    FieldType.TIME: "a time such as 14:30",
}
_LIGHT_NOUNS = {
    "native.Choice": "the key of an option, or an object with a choice",
    "native.Rating": "the index of a level, or an object with a level",
    "native.Html": "a text of HTML, or an object with inner_html",
    "native.Image": "the url or path of an image, or an object with a url",
    "native.Document": "the url or path of a document, or an object with a url",
}
_PLAIN_NATIVES: dict[FieldType, tuple[str, ...]] = {
    FieldType.TEXT: ("native.Text", "native.Choice"),
    FieldType.INTEGER: ("native.Number", "native.Rating"),
    FieldType.NUMBER: ("native.Number", "native.Rating"),
    FieldType.BOOLEAN: ("native.YesNo",),
    FieldType.DATE: ("native.Date",),
    FieldType.TIME: ("native.Time",),
}
"""The natives whose contents are read as a plain value of that type, where one is declared."""
_ITEM = "Item of a list"
_NESTING_LIMIT = 32


class Mismatch(ValueError):
    """Data does not fit a slot. `problems` holds one `path: sentence` for each bad place, in the order of the data."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def decode(
    data: JsonValue, slot: Slot, concepts: Concepts, *, path: str = "", notes: list[str] | None = None
) -> JsonValue:
    """Return `data` normalised to what `slot` declares: every field present, in order of declaration, dates as ISO.

    A list slot takes an array (items that are arrays are fitted item by item; the count holds for the outer one) or
    `{"items": [...]}`. An optional slot takes null. `path` is where the data stands, for messages. With `notes`, older
    spellings are accepted, and unknown fields of structures left out; each is told there. Raises Mismatch.
    """
    decoder = _Decoder(concepts, notes)
    fitted = decoder.slot(data, slot, path)
    if decoder.problems:
        raise Mismatch(decoder.problems)
    return fitted


def describe(data: JsonValue) -> str:
    """Say in a few words what was given, long texts and objects cut short."""
    if data is None or isinstance(data, bool):
        return {None: "null", True: "true", False: "false"}[data]
    if isinstance(data, int | float):
        return f"the number {data}"
    if isinstance(data, str):
        return f'the text "{data}"' if len(data) <= 40 else f'the text "{data[:37]}..."'
    if isinstance(data, list):
        return "an empty list" if not data else f"a list of {len(data)} item{'s' if len(data) > 1 else ''}"
    return f"an object with the keys {_some(list(data))}" if data else "an empty object"


def from_text(text: str, field: Field) -> JsonValue:
    """Read a rendered text as the scalar that `field` declares; a text that cannot be read is returned as it is."""
    if field.type is FieldType.TEXT and not field.choices:
        return text
    stripped = text.strip()
    if not stripped and not field.required:
        return None
    if field.type is FieldType.BOOLEAN:
        return {"true": True, "false": False}.get(stripped.lower(), stripped)
    if field.type in (FieldType.INTEGER, FieldType.NUMBER):
        number = _number(stripped)
        return stripped if number is None else number
    return stripped


def numeric_choice(choice: str) -> int | float:
    """The number that a choice of a numeric field stands for. Raises ValueError when it is not one."""
    number = _number(choice)
    if number is None:
        raise ValueError(f"{choice!r} is not a number")
    return number


def is_wrapped_list(data: JsonValue) -> bool:
    """Whether this is a list written as `{"items": [...]}`."""
    return isinstance(data, dict) and list(data) == ["items"] and isinstance(data["items"], list)


def plain_value(data: JsonValue, type: FieldType) -> JsonValue:
    """The scalar inside a content of a native, where a scalar of that type is wanted; other data as it is."""
    if isinstance(data, dict):
        for native in _PLAIN_NATIVES.get(type, ()):
            key = LIGHT_KEYS[native]
            if data.get(key) is not None and data.keys() <= NATIVES[native].fields.keys():  # type: ignore[union-attr]
                return data[key]
    return data


def _number(text: str) -> int | float | None:
    if "_" in text:
        return None  # Python reads 1_000, people do not write it
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _some(names: list[str], limit: int = 8) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


_HALF = "holds half a character, which no file can hold"


class _Decoder:
    """One decoding: walks the data, and collects problems instead of stopping at the first."""

    def __init__(self, concepts: Concepts, notes: list[str] | None = None) -> None:
        self.concepts = concepts
        self.notes = notes
        self.problems: list[str] = []

    def fail(self, path: str, sentence: str) -> None:
        self.problems.append(f"{path or 'value'}: {sentence}")

    def note(self, path: str, sentence: str) -> None:
        if self.notes is not None:
            self.notes.append(f"{path}: {sentence}")

    def expected(self, path: str, noun: str, data: JsonValue) -> None:
        self.fail(path, f"expected {noun}, found {describe(data)}")

    def slot(self, data: JsonValue, slot: Slot, path: str) -> JsonValue:
        if data is None and slot.presence == "optional":
            return None
        if not slot.is_list:
            return self.content(data, slot.concept, path)
        if isinstance(data, dict) and is_wrapped_list(data):
            data = data["items"]
        code = self.concepts[slot.concept].code
        if not isinstance(data, list):
            self.expected(path, f"a list of {code}", data)
            return None
        if slot.count is not None and len(data) != slot.count:
            self.expected(path, f"a list of exactly {slot.count} {code}", data)
        return [self.item(item, slot.concept, f"{path}[{index}]") for index, item in enumerate(data)]

    def item(self, data: JsonValue, ref: str, path: str, depth: int = 1) -> JsonValue:
        if not isinstance(data, list):
            return self.content(data, ref, path, depth)
        if depth > _NESTING_LIMIT:
            self.fail(path, f"lists are nested more than {_NESTING_LIMIT} deep")
            return None
        return [self.item(item, ref, f"{path}[{index}]", depth + 1) for index, item in enumerate(data)]

    def content(self, data: JsonValue, ref: str, path: str, depth: int = 0) -> JsonValue:
        if self.concepts.is_open(ref):
            return self.open_content(data, ref, path, depth)
        root = self.concepts.root(ref)
        fields = self.concepts.structure(ref)
        if self.notes is not None and isinstance(data, dict):
            data = renewed(data, root, lambda name, sentence: self.note(f"{path}.{name}".lstrip("."), sentence))
        if root == "native.JSON" and isinstance(data, dict) and list(data) != ["json_obj"]:
            data = {"json_obj": data}
        if isinstance(data, dict):
            return self.fields(data, fields, ref, path)
        key = LIGHT_KEYS.get(root)
        if key is not None:
            return self.light(data, fields, key, path, _LIGHT_NOUNS.get(root))
        self.expected(path, f"an object with the fields {_some(list(fields))}", data)
        return None

    def light(self, data: JsonValue, fields: dict[str, Field], key: str, path: str, noun: str | None) -> JsonValue:
        content: dict[str, JsonValue] = {name: field.default for name, field in fields.items()}
        content[key] = self.scalar(fields[key], data, path, noun)
        if key == "date" and isinstance(data, str):
            # A Date given as one text may tell the time too; as a field of an object it is a date and nothing else.
            moment = read_datetime(data)
            content["time"] = None if moment is None else moment.partition("T")[2]
        return content

    def open_content(self, data: JsonValue, ref: str, path: str, depth: int) -> JsonValue:
        if isinstance(data, dict):
            return self.free(data, path)
        if data is None or self.concepts.root(ref) == "native.Composite":
            self.expected(path, "an object of named components" if data is not None else "a content", data)
            return None
        if isinstance(data, list):
            return self.item(data, ref, path, depth + 1)
        key = "text" if isinstance(data, str) else "yes_no" if isinstance(data, bool) else "number"
        return {key: self.free(data, path)}

    def free(self, data: JsonValue, path: str) -> JsonValue:
        """Data that nothing describes: taken as it is, if a file can hold it."""
        waiting = [(data, path)]
        while waiting:
            part, at = waiting.pop()
            if isinstance(part, float) and not math.isfinite(part):
                self.expected(at, "a number that JSON knows", part)
            elif isinstance(part, str) and not _is_whole(part):
                self.fail(at, _HALF)
            elif isinstance(part, list):
                waiting += [(item, f"{at}[{index}]") for index, item in enumerate(part)]
            elif isinstance(part, dict):
                waiting += [(item, f"{at}.{name}") for name, item in part.items()]
                waiting += [(name, at) for name in part if not _is_whole(name)]
        return data

    def fields(self, data: Mapping[str, JsonValue], fields: dict[str, Field], ref: str, path: str) -> JsonValue:
        prefix = f"{path}." if path else ""
        content: dict[str, JsonValue] = {}
        for name, field in fields.items():
            given = data.get(name)
            if given is None:
                if field.required:
                    self.fail(f"{prefix}{name}", "is required and " + ("null" if name in data else "missing"))
                    continue
                given = field.default
            content[name] = None if given is None else self.value(field, given, f"{prefix}{name}")
        for name in data:
            if name not in fields:
                self.unknown(name, fields, ref, prefix)
        if self.concepts.root(ref) == "native.Image" and (content.get("width") is None) != (
            content.get("height") is None
        ):
            self.fail(f"{prefix}width", "width and height go together: give both or neither")
        return content

    def unknown(self, name: str, fields: dict[str, Field], ref: str, prefix: str) -> None:
        close = get_close_matches(name, fields, n=1)
        rest = f"did you mean {close[0]}?" if close else f"its fields are {_some(list(fields), 20)}"
        sentence = f"is not a field of {self.concepts[ref].code}; {rest}"
        if self.notes is None or self.concepts.root(ref).startswith("native."):
            self.fail(f"{prefix}{name}", sentence)
        else:
            self.note(f"{prefix}{name}", f"left out: {sentence.replace('is not', 'it is not', 1)}")

    def value(self, field: Field, data: JsonValue, path: str) -> JsonValue:
        """A value of a field, never null: the caller has dealt with absence."""
        match field.type:
            case FieldType.LIST:
                return self.list_value(field, data, path)
            case FieldType.DICT:
                return self.dict_value(field, data, path)
            case FieldType.CONCEPT if field.concept is not None:
                return self.content(data, field.concept, path)
            case _:
                return self.scalar(field, data, path)

    def list_value(self, field: Field, data: JsonValue, path: str) -> JsonValue:
        if isinstance(data, dict) and is_wrapped_list(data):
            data = data["items"]
        if not isinstance(data, list):
            self.expected(path, "a list", data)
            return None
        if field.item_type is None:
            return self.free(data, path)
        if field.item_type is FieldType.CONCEPT and field.concept is not None:
            return [self.content(item, field.concept, f"{path}[{index}]") for index, item in enumerate(data)]
        item = Field(description=_ITEM, type=field.item_type)
        return [self.value(item, given, f"{path}[{index}]") for index, given in enumerate(data)]

    def dict_value(self, field: Field, data: JsonValue, path: str) -> JsonValue:
        if not isinstance(data, dict):
            self.expected(path, "an object", data)
            return None
        if field.value_type is None:
            return self.free(data, path)
        for key in data:
            if field.key_pattern is not None and not re.fullmatch(field.key_pattern, key):
                self.fail(f"{path}.{key}", f"expected a key that matches {field.key_pattern}")
        item = Field(description=_ITEM, type=field.value_type, minimum=field.minimum, maximum=field.maximum)
        return {key: self.value(item, given, f"{path}.{key}") for key, given in data.items()}

    def scalar(self, field: Field, data: JsonValue, path: str, noun: str | None = None) -> JsonValue:
        data = plain_value(data, field.type)
        fitted = _choice(field, data) if field.choices else _plain(field.type, data)
        if fitted is None:
            wanted = noun or ("one of " + ", ".join(field.choices) if field.choices else _NOUNS[field.type])
            self.expected(path, wanted, data)
        elif isinstance(fitted, int | float):
            self.bounds(field, fitted, path)
        elif not _is_whole(fitted):
            self.fail(path, _HALF)
        return fitted

    def bounds(self, field: Field, number: float, path: str) -> None:
        if field.minimum is not None and number < field.minimum:
            self.fail(path, f"expected at least {field.minimum:g}, found {number}")
        if field.maximum is not None and number > field.maximum:
            self.fail(path, f"expected at most {field.maximum:g}, found {number}")


def _is_whole(text: str) -> bool:
    """Whether a text is UTF-8 once written: JSON can spell half of a character, `"\\ud83d"`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _choice(field: Field, data: JsonValue) -> str | int | float | None:
    if field.type is FieldType.TEXT:
        return data if isinstance(data, str) and data in field.choices else None
    if isinstance(data, bool) or not isinstance(data, str | int | float):
        return None
    given = _number(data) if isinstance(data, str) else data
    return next((number for number in map(numeric_choice, field.choices) if number == given), None)


def _plain(type: FieldType, data: JsonValue) -> str | int | float | bool | None:
    """The scalar normalised, or None when it is of another kind."""
    if type is FieldType.BOOLEAN:
        return data if isinstance(data, bool) else None
    if type in (FieldType.INTEGER, FieldType.NUMBER):
        if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
            return None
        if type is FieldType.NUMBER:
            return data
        return int(data) if data == int(data) else None
    if not isinstance(data, str):
        return None
    match type:
        case FieldType.DATE:
            return read_date(data)
        case FieldType.DATETIME:
            return read_datetime(data)
        case FieldType.TIME:
            return read_time(data)
        case _:
            return data
