"""What a caller gives, shaped to what a pipe declares (MTHDS section 14). Runs before submission; pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import PurePath

from pydantic import JsonValue

from pipelex.errors import InputError
from pipelex.values.concepts import Concepts
from pipelex.values.contents import NATIVE_CLASSES, ListContent, StuffContent
from pipelex.values.csv_rows import rows_from_csv
from pipelex.values.decode import Mismatch, decode, describe, is_wrapped_list
from pipelex.values.depth import TooDeep, check_depth
from pipelex.values.files import described, map_files
from pipelex.values.hydrate import dehydrate
from pipelex.values.natives import OLD_NATIVES
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Memory, Value
from pipelex.values.working_memory import Stuff

__all__ = ["map_files", "shape_inputs", "with_csv_rows"]

_ENVELOPE_KEYS = {"concept", "content", "stuff_name", "stuff_code"}
_ANY = ("native.Anything", "native.Dynamic")


def shape_inputs(
    given: Mapping[str, object],
    declared: Mapping[str, Slot],
    concepts: Concepts,
    *,
    domain: str,
    strict: bool = False,
) -> tuple[Memory, list[str]]:
    """Make the memory a pipe starts with from what the caller gives, and the warnings to show.

    Takes plain values shaped by the declared concept, `{"concept": ..., "content": ...}` envelopes, content objects
    and values. `domain` is the entry pipe's: bare concept names are looked up there. Unknown fields of structures,
    older spellings and lists where one is declared are warnings, with `strict` errors. Raises InputError with
    everything that is wrong.
    """
    shaper = _Shaper(concepts, domain, declared, strict)
    root: dict[str, Value] = {}
    absences: dict[str, Absence] = {}
    for name in given:
        if name not in declared:
            shaper.unknown(name)
    missing = []
    for name, slot in declared.items():
        if name in given:
            if (value := shaper.input(name, slot, given[name])) is not None:
                root[name] = value
        elif slot.presence == "optional":
            reason = f"the optional input {name} was not given"
            absences[name] = Absence(variable=name, absent="not_provided", reason=reason)
        else:
            missing.append(name)
    if missing:
        shaper.missing(missing)
    shaper.raise_problems()
    return Memory(root=root, absences=absences), shaper.warnings


def with_csv_rows(
    given: Mapping[str, object],
    declared: Mapping[str, Slot],
    concepts: Concepts,
    *,
    domain: str,
    read: Callable[[str], str],
) -> dict[str, object]:
    """The same inputs, with the path of a CSV file replaced by its rows where a list of structures is declared.

    `read` gives the text of the file at that path. Raises InputError with everything that is wrong in the files.
    """
    shaper = _Shaper(concepts, domain, declared)
    shaped = {
        name: shaper.rows(name, declared[name], item) if name in declared else item for name, item in given.items()
    }
    found = {name: item for name, item in shaped.items() if isinstance(item, _CsvFile)}
    for name, file in found.items():
        try:
            rows = rows_from_csv(read(file.path), file.concept, concepts)
            shaped[name] = {"concept": file.concept, "content": rows}
        except Mismatch as mismatch:
            for sentence in mismatch.problems:
                shaper.problem(f"input {name!r}, read from {file.path}: {sentence}", None)
    shaper.raise_problems()
    return shaped


@dataclass(frozen=True)
class _CsvFile:
    """A file of rows, each a content of that concept."""

    path: str
    concept: str


class _Refused(Exception):
    """One input cannot be shaped: what is wrong, and how to mend it."""

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


@dataclass
class _Shaper:
    """One call of `shape_inputs`: knows the declarations, collects what is wrong and what is doubtful."""

    concepts: Concepts
    domain: str
    declared: Mapping[str, Slot]
    strict: bool = False
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    # --- reporting

    def problem(self, sentence: str, hint: str | None) -> None:
        self.problems.append(sentence)
        if hint is not None and hint not in self.hints:
            self.hints.append(hint)

    def raise_problems(self) -> None:
        if not self.problems:
            return
        hint = "; ".join(self.hints) or None
        if len(self.problems) == 1:
            raise InputError(self.problems[0], hint=hint)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        raise InputError(f"{len(self.problems)} things are wrong with the inputs:{lines}", hint=hint)

    def short(self, ref: str) -> str:
        """A concept as the author of the method writes it."""
        domain, _, code = ref.rpartition(".")
        return code if domain in ("native", self.domain) else ref

    def spelled(self, slot: Slot) -> str:
        return str(Slot(self.short(slot.concept), slot.is_list, slot.count, slot.presence))

    def list_declared(self, names: Sequence[str]) -> str:
        return ", ".join(f"{name} ({self.spelled(self.declared[name])})" for name in names)

    def unknown(self, name: str) -> None:
        close = get_close_matches(name, self.declared, n=1)
        known = self.list_declared(list(self.declared))
        self.problem(
            f"there is no input {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            f"the pipe declares: {known}" if known else "the pipe declares no inputs",
        )

    def missing(self, names: list[str]) -> None:
        plural = "s are" if len(names) > 1 else " is"
        first = names[0]
        self.problem(
            f"{len(names)} input{plural} missing: {self.list_declared(names)}",
            f"give {first!r}, for instance {self.example(self.declared[first], first)}",
        )

    def example(self, slot: Slot, name: str) -> str:
        """What could be written in a JSON file of inputs."""
        root = self.concepts.root(slot.concept)
        scalars = {
            "native.Text": '"some text"',
            "native.Number": "3",
            "native.YesNo": "true",
            "native.Choice": '"some_option"',
            "native.Rating": "3",
            "native.Date": '"2031-02-03"',
            "native.Time": '"14:30"',
            "native.Image": '"photo.png"',
            "native.Document": '"report.pdf"',
            "native.Html": '"<p>some text</p>"',
            "native.Anything": '"some text"',
            "native.Dynamic": '"some text"',
        }
        one = scalars.get(root)
        if one is None:
            fields = self.concepts.structure(slot.concept)
            required = [key for key, found in fields.items() if found.required] or list(fields)[:1]
            one = "{" + ", ".join(f'"{key}": ...' for key in required) + "}"
        return f'{{"{name}": [{one}, ...]}}' if slot.is_list else f'{{"{name}": {one}}}'

    # --- shaping

    def input(self, name: str, slot: Slot, given: object) -> Value | None:
        """The value of one input, or None when it is refused (and the problem recorded)."""
        head = f"input {name!r} is declared as {self.spelled(slot)}"
        try:
            if given is None:
                advice = "leave the key out" if slot.presence == "optional" else f"write {self.example(slot, name)}"
                raise _Refused("null is not a value", advice)
            return self.value(name, slot, given)
        except _Refused as refused:
            self.problem(f"{head}: {refused.sentence}", refused.hint)
        except Mismatch as mismatch:
            hint = f"an input that fits: {self.example(slot, name)}"
            for sentence in mismatch.problems:
                self.problem(f"{head}: {sentence.removeprefix(f'{name}: ')}", hint)
        except TooDeep as error:
            self.problem(f"{head}: it is {error}", "give it as a text, or in flatter pieces")
        except TypeError as error:
            self.problem(f"{head}: {error}", _python_hint(given))
        return None

    def value(self, name: str, slot: Slot, given: object) -> Value:
        if isinstance(given, Value):
            kept = self.explicit(name, slot, given.concept, given.data)
            return kept.model_copy(update={"components": given.components})
        if isinstance(given, Stuff):
            return self.explicit(name, slot, given.concept, given.data)
        if isinstance(given, StuffContent) and slot.concept in _ANY:
            return self.content_object(name, slot, given)
        if isinstance(given, Mapping) and _is_envelope(given):
            return self.explicit(name, slot, given["concept"], dehydrate(given["content"]))
        items = given.items if isinstance(given, ListContent) else given
        is_any = slot.concept in _ANY
        if isinstance(items, list | tuple) and any(
            _is_told(item) or (is_any and isinstance(item, StuffContent)) for item in items
        ):
            return self.told_items(name, slot, items)
        return self.light(name, slot, given)

    def content_object(self, name: str, slot: Slot, given: StuffContent) -> Value:
        """A content object where anything goes: its class says which native it is."""
        data = dehydrate(given)
        classes = {cls: ref for ref, cls in self.concepts._classes.items()}
        classes |= {cls: ref for ref, cls in NATIVE_CLASSES.items() if ref not in (*_ANY, "native.Composite")}
        if slot.is_list and not isinstance(given, ListContent):
            data = [data]
        first = given.items[0] if isinstance(given, ListContent) and given.items else given
        concept = classes.get(type(first), "native.Dynamic")
        return self.fitted(name, Slot(concept, slot.is_list or isinstance(data, list), slot.count), data)

    def told_items(self, name: str, slot: Slot, items: Sequence[object]) -> Value:
        """A list of which some items say what they are: each is shaped on its own."""
        if not slot.is_list and slot.concept not in _ANY:
            raise _Refused(
                f"expected one {self.short(slot.concept)}, found a list of {len(items)}", "give one value, not an array"
            )
        self.check_count(slot, len(items))
        single = Slot(slot.concept)
        values = [self.item(f"{name}[{index}]", single, item) for index, item in enumerate(items)]
        told = {value.concept for value in values}
        return Value(concept=told.pop() if len(told) == 1 else slot.concept, data=[value.data for value in values])

    def item(self, name: str, slot: Slot, given: object) -> Value:
        try:
            return self.value(name, slot, given)
        except _Refused as refused:
            raise _Refused(f"{name}: {refused.sentence}", refused.hint) from None

    def explicit(self, name: str, slot: Slot, concept: object, content: JsonValue) -> Value:
        """A value that says its concept; it keeps it when it is more specific than the declared one."""
        told = self.resolve(concept)
        if not self.concepts.accepts(slot.concept, told.concept) and told.concept != "native.Anything":
            raise _Refused(
                f"a {self.short(told.concept)} was given, which is not a {self.short(slot.concept)}",
                f"give the content alone, or write {self.short(slot.concept)!r} as its concept",
            )
        kept = told.concept
        if kept in _ANY and slot.concept not in _ANY:
            kept = slot.concept  # nothing more is known: the content must fit what is declared
        if (
            is_wrapped_list(content)
            and isinstance(content, dict)
            and self.means_list(kept, is_list=slot.is_list or told.is_list)
        ):
            content = content["items"]
        if content is None:
            raise _Refused("its content is null", "leave the input out, or give a content")
        self.refuse_csv(Slot(kept, slot.is_list or told.is_list), content)
        if isinstance(content, list) and not slot.is_list and slot.concept not in _ANY:
            self.tell_list(name, slot, len(content))
            return self.fitted(name, Slot(kept, is_list=True, count=told.count), content)
        if slot.is_list and not isinstance(content, list):
            content = [content]
        if isinstance(content, list):
            self.check_count(slot, len(content))
            self.check_count(told, len(content))
        return self.fitted(name, Slot(kept, isinstance(content, list)), content)

    def tell_list(self, name: str, slot: Slot, count: int) -> None:
        """A list for one was a habit once: the whole list is passed on."""
        if self.strict:
            raise _Refused(
                f"expected one {self.short(slot.concept)}, found a list of {count}",
                f"give one value, or declare the input as {self.short(slot.concept)}[]",
            )
        self.warnings.append(
            f"input {name!r} is declared as one {self.spelled(slot)}, and is given a list of {count}: "
            f"the whole list is passed on; declare {self.short(slot.concept)}[] to say so"
        )

    def light(self, name: str, slot: Slot, given: object) -> Value:
        """A plain value: the declared concept says what it means."""
        data = dehydrate(given)
        self.refuse_csv(slot, data)
        if is_wrapped_list(data) and isinstance(data, dict) and self.means_list(slot.concept, is_list=slot.is_list):
            data = data["items"]
        if slot.concept in _ANY:
            return self.guessed(name, slot, data, given)
        if slot.is_list and not isinstance(data, list):
            data = [data]
        if isinstance(data, list) and not slot.is_list:
            raise _Refused(
                f"expected one {self.short(slot.concept)}, found {describe(data)}",
                f"give one value, or declare the input as {self.short(slot.concept)}[]",
            )
        if isinstance(data, list):
            self.check_count(slot, len(data))
        return self.fitted(name, Slot(slot.concept, slot.is_list), data)

    def guessed(self, name: str, slot: Slot, data: JsonValue, given: object) -> Value:
        """A plain value where anything goes: its own shape says what it is."""
        items: list[JsonValue] = data if isinstance(data, list) else [data]
        if slot.is_list:
            data = items
            self.check_count(slot, len(items))
        # Dates and times are texts in JSON; only what was given tells them apart.
        told = given if isinstance(given, list | tuple) else [given]
        kinds = told if len(told) == len(items) else items
        found = dict.fromkeys(
            _native_of(kind if isinstance(kind, dt.date | dt.time) else item, slot.concept)
            for kind, item in zip(kinds, items, strict=True)
        )
        concept = next(iter(found)) if len(found) == 1 else slot.concept
        return self.fitted(name, Slot(concept, isinstance(data, list)), data)

    def fitted(self, name: str, slot: Slot, data: JsonValue) -> Value:
        notes: list[str] = []
        check_depth(data)
        fitted = decode(data, slot, self.concepts, path=name, notes=None if self.strict else notes)
        self.warnings += [f"input {name!r}: {note.removeprefix(f'{name}: ')}" for note in notes]
        return Value(concept=slot.concept, data=described(fitted, slot.concept, self.concepts))

    def means_list(self, concept: str, *, is_list: bool) -> bool:
        """Whether `{"items": [...]}` is a list: not when the concept has such a field, or may have any."""
        if self.concepts.is_open(concept):
            return is_list
        return "items" not in self.concepts.structure(concept)

    def check_count(self, slot: Slot, count: int) -> None:
        if slot.count is not None and count != slot.count:
            raise _Refused(f"expected exactly {slot.count} items, found {count}", f"give an array of {slot.count}")

    # --- files of rows

    def rows(self, name: str, slot: Slot, given: object) -> object:
        """The CSV file that an input names, checked to be one that can be read; any other input as it is."""
        content = given
        if isinstance(given, Mapping) and _is_envelope(given):
            content = given["content"]
            try:
                told = self.resolve(given["concept"])
            except _Refused:
                return given  # shape_inputs says what is wrong with it
            slot = Slot(told.concept, slot.is_list or told.is_list)
        path = self.csv_path(slot, content)
        if path is None:
            return given
        if path.partition("://")[0].lower() in ("http", "https", "pipelex-storage", "s3", "ftp"):
            self.problem(f"input {name!r}: rows are read from local files only, found {path}", "download it first")
            return given
        return _CsvFile(path, slot.concept)

    def csv_path(self, slot: Slot, content: object) -> str | None:
        """The path of a CSV file, where a list of a structure of the library is declared."""
        root = self.concepts[self.concepts.root(slot.concept)]
        if not slot.is_list or root.fields is None or root.ref.startswith("native."):
            return None
        path = content["url"] if isinstance(content, Mapping) and list(content) == ["url"] else content
        path = str(path) if isinstance(path, PurePath) else path
        return path if isinstance(path, str) and path.lower().endswith(".csv") else None

    def refuse_csv(self, slot: Slot, data: JsonValue) -> None:
        if (path := self.csv_path(slot, data)) is not None:
            raise _Refused(f"the rows of {path} were not read", "give the rows as an array of objects")

    # --- names of concepts

    def resolve(self, concept: object) -> Slot:
        """The slot that an envelope tells: a qualified or bare concept, with `[]` or `[N]` if it likes."""
        if isinstance(concept, Mapping):  # the spelling of older working memories
            code, domain = concept.get("code"), concept.get("domain_code", concept.get("domain"))
            concept = f"{domain}.{code}" if domain and "." not in str(code) else code
        if not isinstance(concept, str):
            raise _Refused(
                f"its concept must be a text, found {describe(dehydrate(concept))}",
                'write for instance "concept": "Text"',
            )
        try:
            told = Slot.parse(concept)
        except ValueError as error:
            raise _Refused(str(error)) from None
        return Slot(self.find(told.concept), told.is_list, told.count)

    def find(self, name: str) -> str:
        old = OLD_NATIVES.get(name if "." in name else f"native.{name}")
        if name in self.concepts:
            return name
        if "." not in name:
            for ref in (f"native.{name}", f"{self.domain}.{name}"):
                if ref in self.concepts:
                    return ref
            found = [ref for ref in self.concepts if ref.rpartition(".")[2] == name]
            if len(found) == 1:
                return found[0]
            if found:
                raise _Refused(f"several concepts are called {name!r}", f"write one of: {', '.join(sorted(found))}")
        if old is not None and not self.strict:
            self.warnings.append(f"the concept {name!r} is an older one: write {self.short(old)!r}")
            return old
        spellings = {self.short(ref): ref for ref in self.concepts} | {ref: ref for ref in self.concepts}
        close = get_close_matches(name, spellings, n=1)
        raise _Refused(f"there is no concept {name!r}", f"did you mean {close[0]!r}?" if close else None)


def _is_envelope(given: Mapping[object, object]) -> bool:
    return {"concept", "content"} <= given.keys() <= _ENVELOPE_KEYS


def _is_told(item: object) -> bool:
    """Whether an item of a list says its concept itself."""
    return isinstance(item, Stuff | Value) or (isinstance(item, Mapping) and _is_envelope(item))


def _native_of(data: object, declared: str) -> str:
    if isinstance(data, bool):
        return "native.YesNo"
    if isinstance(data, dt.date | dt.time):
        return "native.Date" if isinstance(data, dt.date) else "native.Time"
    if isinstance(data, str):
        return "native.Text"
    if isinstance(data, int | float):
        return "native.Number"
    return "native.JSON" if isinstance(data, Mapping) and declared == "native.Anything" else declared


def _python_hint(given: object) -> str:
    if isinstance(given, bytes | bytearray):
        return "give a url, a path or a data: url instead of bytes"
    if isinstance(given, set | frozenset):
        return "give a list: a set has no order"
    return "give JSON values, content objects, pydantic models or dataclasses"
