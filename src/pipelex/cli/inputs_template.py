"""A template of inputs, made from what a pipe declares: something to fill in that already has the right shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import JsonValue

from pipelex.cli.toml_text import toml_key, toml_value
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.slots import Slot

IMAGE, DOCUMENT = "https://example.com/image.png", "https://example.com/document.pdf"

_SCALARS: dict[FieldType, JsonValue] = {
    FieldType.TEXT: "",
    FieldType.INTEGER: 0,
    FieldType.NUMBER: 0,
    FieldType.BOOLEAN: False,
    FieldType.DATE: "2025-01-31",
    FieldType.DATETIME: "2025-01-31T09:30:00",
    FieldType.TIME: "09:30:00",
    FieldType.LIST: [],
    FieldType.DICT: {},
}
_LIGHT: dict[str, JsonValue] = {
    "native.Text": "",
    "native.Number": 0,
    "native.YesNo": False,
    "native.Date": "2025-01-31",
    "native.Time": "09:30:00",
    "native.Html": "",
    "native.Anything": "",
    "native.Dynamic": "",
    "native.JSON": {},
    "native.Composite": {},
    "native.Image": IMAGE,
    "native.Document": DOCUMENT,
}
_FULL: dict[str, JsonValue] = {
    "native.Image": {"url": IMAGE},
    "native.Document": {"url": DOCUMENT},
    "native.YesNo": {"yes_no": False},
    "native.Date": {"date": "2025-01-31"},
    "native.Html": {"inner_html": ""},
    "native.Choice": {"choice": ""},
    "native.Rating": {"level": 0},
    "native.SearchResult": {"answer": "", "sources": []},
    "native.Composite": {},
    "native.Dynamic": {},
    "native.Anything": "",
}


def inputs_template(
    slots: Mapping[str, Slot], concepts: Concepts, *, is_explicit: bool = False
) -> dict[str, JsonValue]:
    """A value for each input: light ones (a text is a string), or explicit ones that say their concept.

    Lists have one item, or as many as the slot says.
    """
    return {name: _explicit(slot, concepts) if is_explicit else _light(slot, concepts) for name, slot in slots.items()}


def _light(slot: Slot, concepts: Concepts) -> JsonValue:
    root = concepts.root(slot.concept)
    value = _LIGHT[root] if root in _LIGHT else content(slot.concept, concepts)
    return [value] * (slot.count or 1) if slot.is_list else value


def _explicit(slot: Slot, concepts: Concepts) -> JsonValue:
    written = replace(slot, concept=slot.concept.removeprefix("native."), presence="plain")
    value = content(slot.concept, concepts)
    return {"concept": str(written), "content": [value] * (slot.count or 1) if slot.is_list else value}


def content(ref: str, concepts: Concepts) -> JsonValue:
    """A content of a concept with all its fields; of natives with many optional ones, those that matter."""
    root = concepts.root(ref)
    if root in _FULL:
        return _FULL[root]
    return {name: _value(field, concepts) for name, field in concepts.structure(ref).items()}


def _value(field: Field, concepts: Concepts) -> JsonValue:
    if field.default is not None:
        return field.default
    if field.choices:
        return field.choices[0] if field.type is FieldType.TEXT else json.loads(field.choices[0])
    if field.type is FieldType.CONCEPT:
        return _nested(field.concept, concepts)
    if field.type is FieldType.LIST:
        is_content = field.item_type is FieldType.CONCEPT
        return [_nested(field.concept, concepts) if is_content else _SCALARS[field.item_type or FieldType.TEXT]]
    return _SCALARS[field.type]


def _nested(ref: str | None, concepts: Concepts) -> JsonValue:
    ref = ref or "native.Anything"
    return "" if concepts.is_text(ref) else content(ref, concepts)


# TOML.


def as_toml(template: Mapping[str, JsonValue], slots: Mapping[str, Slot], concepts: Concepts) -> str:
    """The template as TOML, with what each input is; optional inputs are commented out."""
    plain = [name for name in template if not _is_table(template[name])]
    tables = [name for name in template if name not in plain]
    parts = ["\n".join(_lines(name, template[name], slots[name], concepts)) for name in (*plain, *tables)]
    return "\n\n".join(parts) + "\n"


def _is_table(value: JsonValue) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, dict) and item for item in items)


def _lines(name: str, value: JsonValue, slot: Slot, concepts: Concepts) -> Iterator[str]:
    is_optional = slot.presence == "optional"
    shown = replace(slot, concept=slot.concept.rpartition(".")[2], presence="plain")
    about = " ".join(concepts[slot.concept].description.split())
    yield f"# {shown}{' (optional)' if is_optional else ''}: {about}"
    mark = "# " if is_optional else ""
    if not _is_table(value):
        yield f"{mark}{toml_key(name)} = {toml_value(value)}"
        return
    header = f"[[{toml_key(name)}]]" if isinstance(value, list) else f"[{toml_key(name)}]"
    for item in value if isinstance(value, list) else [value]:
        yield mark + header
        for key, inner in item.items() if isinstance(item, dict) else ():
            yield f"{mark}{toml_key(key)} = {toml_value(inner)}"
