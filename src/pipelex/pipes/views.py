"""Values as templates see them (MTHDS section 10.4): fields, real dates, texts that print. Pure; replayed.

Templates reach these objects through `sandbox.Sandbox` alone, which asks `read` instead of Python's attributes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from functools import partial
from typing import Any, Final

from jinja2.exceptions import FilterArgumentError, SecurityError
from markupsafe import Markup, escape
from pydantic import JsonValue

from pipelex.language.pipes import TemplatingStyle
from pipelex.pipes.requests import Attachment
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.render import render
from pipelex.values.value import Value

MISSING: Final = object()
"""What `read` gives for a name that the content does not have."""

_SCALARS = {
    "native.Text": "text",
    "native.Number": "number",
    "native.YesNo": "yes_no",
    "native.Date": "date",
    "native.Time": "time",
    "native.Html": "inner_html",
}
_GUESSES = {"text": "native.Text", "number": "native.Number", "yes_no": "native.YesNo"}
"""How a component of an open content, whose concept is not kept, is recognised: by its only field."""

_TEXT_FORMATS = ("plain", "markdown", "html", "json")


class Attachments:
    """The files that the templates of one request mention, in order; the same file is sent once (section 11.3)."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, Attachment]] = {}

    def token(self, kind: str, data: Mapping[str, Any]) -> str:
        """Attach a file and return what stands for it in the text."""
        key = (kind, str(data["url"]))
        if key not in self._found:
            number = 1 + sum(1 for other, _ in self._found if other == kind)
            attachment = Attachment.model_validate({"kind": kind, "url": key[1], "mime_type": data.get("mime_type")})
            self._found[key] = (number, attachment)
        return f"[{kind.capitalize()} {self._found[key][0]}]"

    def all(self) -> tuple[Attachment, ...]:
        """The files in order of first mention."""
        return tuple(attachment for _, attachment in self._found.values())


class Printer:
    """How the values of one rendering are printed. Without `attachments`, files print as their url."""

    def __init__(self, concepts: Concepts, style: TemplatingStyle, attachments: Attachments | None = None) -> None:
        self.concepts = concepts
        self.style = style
        self.attachments = attachments

    def text(self, value: object, text_format: str | None = None) -> str:
        """A view or a plain value as text, in the given format or in the one of the template."""
        chosen = self.style.text_format if text_format is None else text_format
        if chosen not in _TEXT_FORMATS:
            raise FilterArgumentError(f"there is no text format {chosen!r}: use {', '.join(_TEXT_FORMATS)}")
        if not isinstance(value, ContentView | ListView):
            return self._plain_text(value, chosen)
        if self.attachments is not None and chosen != "json" and (token := self._tokens(value)):
            return token
        # The view knows the concepts of its own components, which may be more than the library does.
        text = render(plain(value), value.concept, value.printer.concepts, chosen)
        return Markup(text) if chosen == "html" else text

    def _plain_text(self, value: object, text_format: str) -> str:
        if text_format == "json" or isinstance(value, dict):
            text = json.dumps(plain(value), ensure_ascii=False, indent=2)
        elif isinstance(value, list | tuple):
            mark = "- " if text_format == "markdown" else ""
            text = "\n".join(f"{mark}{'' if item is None else self.text(item, text_format)}" for item in value)
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, float) and value.is_integer():
            text = str(int(value))
        else:
            text = value if isinstance(value, str) else str(value)
        return escape(text) if text_format == "html" else text

    def kind(self, concept: str) -> str | None:
        """The kind of file a content of that concept is, if it is one."""
        if self.concepts.is_a(concept, "native.Image"):
            return "image"
        return "document" if self.concepts.is_a(concept, "native.Document") else None

    def _tokens(self, value: ContentView | ListView) -> str | None:
        kind = self.kind(value.concept)
        if kind is None or self.attachments is None:
            return None
        if isinstance(value, ContentView):
            return self.attachments.token(kind, value.data)
        return "\n".join(self._tokens(item) or "" for item in value if isinstance(item, ContentView | ListView))

    def with_images(self, value: ContentView | ListView) -> str:
        """A view as text where every image inside it is replaced by its token, and attached."""
        if self.attachments is None:
            raise FilterArgumentError("images are attached in prompts only")
        if self.kind(value.concept) is not None:
            raise FilterArgumentError("'with_images' is for values that hold images; write the image itself as $name")
        text, count = _with_images(value, self.attachments)
        if not count:
            raise FilterArgumentError("'with_images' found no image in the value")
        return text


class ContentView:
    """One content. A field always wins over an accessor of the same name."""

    __slots__ = ("_fields", "_read", "concept", "data", "name", "printer")

    def __init__(self, data: dict[str, Any], concept: str, printer: Printer, name: str | None = None) -> None:
        self.data = data
        self.concept = concept
        self.printer = printer
        self.name = name
        self._fields: dict[str, Field] | None = None
        self._read: dict[str, object] = {}

    @property
    def fields(self) -> dict[str, Field]:
        """The declared fields; empty when any key is allowed."""
        if self._fields is None:
            self._fields = self.printer.concepts.structure(self.concept)
        return self._fields

    @property
    def scalar(self) -> Any:
        """The one value that stands for the whole content of a Text, Number, YesNo, Date, Time or Html; else None."""
        key = _SCALARS.get(self.printer.concepts.root(self.concept))
        return None if key is None else self.data.get(key)

    def read(self, name: str) -> object:
        """What `content.name` gives in a template; MISSING if there is no such thing."""
        if name in self.fields or (name in self.data and not name.startswith("_")):
            if name not in self._read:
                self._read[name] = self._field(name)
            return self._read[name]
        accessor = _ACCESSORS.get(name)
        if accessor is not None:
            return partial(accessor, self)
        if name in _METADATA:
            return _METADATA[name](self)
        if name.startswith("_"):
            raise SecurityError(f"the private name {name!r} cannot be read in a template")
        return MISSING

    def names(self) -> list[str]:
        """The names of the fields, in order."""
        return list({**self.fields, **self.data}) if self.printer.concepts.is_open(self.concept) else list(self.fields)

    def _field(self, name: str) -> object:
        data = self.data.get(name)
        field = self.fields.get(name)
        return _component(data, self.printer) if field is None else _field_value(data, field, self.printer)

    def __str__(self) -> str:
        return self.printer.text(self)

    __repr__ = __str__

    def __bool__(self) -> bool:
        scalar = self.scalar
        return True if scalar is None else bool(scalar)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ContentView):
            return self.data == other.data
        return isinstance(other, str) and self.printer.concepts.is_text(self.concept) and self.scalar == other

    def __lt__(self, other: object) -> bool:
        theirs = other.scalar if isinstance(other, ContentView) else other
        if self.scalar is None or theirs is None:
            return NotImplemented
        return bool(self.scalar < theirs)

    def __hash__(self) -> int:
        if self.printer.concepts.is_text(self.concept):
            return hash(self.scalar)
        return hash(json.dumps(self.data, sort_keys=True))

    def __contains__(self, name: object) -> bool:
        return name in self.names()


class ListView(list[Any]):
    """A list of contents: an ordinary list in templates, which also prints itself and answers to `items`."""

    def __init__(self, items: Iterable[Any], concept: str, printer: Printer, name: str | None = None) -> None:
        super().__init__(items)
        self.concept = concept
        self.printer = printer
        self.name = name

    def __str__(self) -> str:
        return self.printer.text(self)

    __repr__ = __str__


View = ContentView | ListView


def view(data: JsonValue, concept: str, printer: Printer, name: str | None = None) -> Any:
    """What a template sees of content data; lists of lists are lists of views of lists."""
    if isinstance(data, list):
        return ListView((view(item, concept, printer) for item in data), concept, printer, name)
    if not isinstance(data, dict):
        return data
    if printer.concepts.is_open(concept) and len(data) == 1:
        ((key, scalar),) = data.items()
        if key in _GUESSES and not isinstance(scalar, dict | list):
            concept = _GUESSES[key]
    return ContentView(data, concept, printer, name)


def view_of(value: Value, printer: Printer, name: str | None = None) -> Any:
    """What a template sees of a value."""
    if value.components:
        typed = typed_components(printer.concepts, value.components)
        printer = Printer(typed, printer.style, printer.attachments)
    return view(value.data, value.concept, printer, name)


def typed_components(concepts: Concepts, components: Mapping[str, str]) -> Concepts:
    """The same concepts, but for a Composite that has these components as its fields and may have others."""
    composite = concepts["native.Composite"]
    fields = {
        name: Field(description=name, type=FieldType.CONCEPT, concept=ref)
        for name, ref in components.items()
        if ref in concepts
    }
    return Concepts({**concepts, composite.ref: composite.model_copy(update={"fields": fields})})


def plain(value: object) -> JsonValue:
    """The JSON data behind what a template sees."""
    if isinstance(value, ContentView):
        return value.data
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, date | time):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} is not data")


def _field_value(data: Any, field: Field, printer: Printer) -> object:
    if data is None:
        return None
    if field.type is FieldType.CONCEPT and field.concept is not None:
        return view(data, field.concept, printer)
    if field.type is FieldType.LIST and isinstance(data, list):
        if field.item_type is FieldType.CONCEPT and field.concept is not None:
            return view(data, field.concept, printer)
        return [_scalar(item, field.item_type) for item in data]
    if field.type is FieldType.DICT and isinstance(data, dict):
        return {key: _scalar(item, field.value_type) for key, item in data.items()}
    return _scalar(data, field.type)


def _scalar(data: Any, type: FieldType | None) -> object:
    if not isinstance(data, str):
        return data
    if type is FieldType.DATE:
        return date.fromisoformat(data)
    if type is FieldType.DATETIME:
        return datetime.fromisoformat(data)
    return time.fromisoformat(data) if type is FieldType.TIME else data


def _component(data: Any, printer: Printer) -> object:
    is_content = isinstance(data, dict) or (isinstance(data, list) and any(isinstance(item, dict) for item in data))
    return view(data, "native.Dynamic", printer) if is_content else data


def _get(content: ContentView, name: str, default: object = None) -> object:
    found = content.read(name) if name in content.names() else None
    return default if found is None else found


def _iter_items(content: ContentView) -> Iterator[tuple[str, object]]:
    return ((name, content.read(name)) for name in content.names())


_ACCESSORS: Mapping[str, Any] = {
    "get": _get,
    "iter_keys": lambda content: iter(content.names()),
    "iter_items": _iter_items,
    "iter_values": lambda content: (value for _, value in _iter_items(content)),
}


def _class_name(content: ContentView) -> str:
    root = content.printer.concepts.root(content.concept)
    return f"{root[7:]}Content" if root.startswith("native.") else content.concept.rpartition(".")[2]


def _stuff_code(content: ContentView) -> str:
    identity = json.dumps([content.name, content.concept, content.data], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:5]


_METADATA: Mapping[str, Any] = {
    "_stuff_name": lambda content: content.name,
    "_content_class": _class_name,
    "_concept_code": lambda content: content.concept.rpartition(".")[2],
    "_stuff_code": _stuff_code,
}


def _with_images(value: object, attachments: Attachments) -> tuple[str, int]:
    """The text of a value with its images as tokens, and how many there are."""
    if isinstance(value, list | tuple):
        parts = [_with_images(item, attachments) for item in value if item is not None]
        return "\n".join(text for text, _ in parts), sum(count for _, count in parts)
    if not isinstance(value, ContentView):
        return ("" if value is None else str(value)), 0
    if value.printer.kind(value.concept) == "image":
        return attachments.token("image", value.data), 1
    if value.scalar is not None or value.printer.kind(value.concept) is not None:
        return render(value.data, value.concept, value.printer.concepts, "plain"), 0
    lines, count = [], 0
    for name in value.names():
        found = value.read(name)
        if found is not None:
            text, inside = _with_images(found, attachments)
            lines.append(f"{name}: {text}")
            count += inside
    return "\n".join(lines), count
