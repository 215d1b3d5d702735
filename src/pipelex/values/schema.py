"""JSON Schema of a concept, as shown to a model and checked against its reply. Pure; replayed.

An optional property may be left out or null: models do either. No `default`, no keyword beside a bare `$ref`.
"""

from __future__ import annotations

from pydantic import JsonValue

from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.decode import numeric_choice
from pipelex.values.slots import Slot

Schema = dict[str, JsonValue]

_SCALARS: dict[FieldType, tuple[str, str | None]] = {
    FieldType.TEXT: ("string", None),
    FieldType.INTEGER: ("integer", None),
    FieldType.NUMBER: ("number", None),
    FieldType.BOOLEAN: ("boolean", None),
    FieldType.DATE: ("string", "date"),
    FieldType.DATETIME: ("string", "date-time"),
    FieldType.TIME: ("string", "time"),
}


def json_schema(concept: str, concepts: Concepts) -> Schema:
    """The schema of one content of a concept; nested concepts stand under `$defs`, named by their codes."""
    writer = _Writer(concepts)
    schema = writer.content(concept)
    return {**schema, "$defs": writer.definitions} if writer.definitions else schema


def slot_schema(slot: Slot, concepts: Concepts) -> Schema:
    """The schema of what a slot holds: one content, or an array of them (of exactly `count` when there is one)."""
    if not slot.is_list:
        return json_schema(slot.concept, concepts)
    writer = _Writer(concepts)
    schema: Schema = {"type": "array", "items": writer.content(slot.concept)}
    if slot.count is not None:
        schema |= {"minItems": slot.count, "maxItems": slot.count}
    return {**schema, "$defs": writer.definitions} if writer.definitions else schema


class _Writer:
    """One schema being written, with the definitions met so far."""

    def __init__(self, concepts: Concepts) -> None:
        self.concepts = concepts
        self.definitions: Schema = {}
        self.names: dict[str, str] = {}

    def content(self, ref: str) -> Schema:
        concept = self.concepts[ref]
        head: Schema = {"title": concept.code, "description": concept.description}
        if self.concepts.is_open(ref):
            return head if self.concepts.root(ref) == "native.Anything" else {**head, "type": "object"}
        fields = self.concepts.structure(ref)
        properties: Schema = {name: self.property(field) for name, field in fields.items()}
        return {
            **head,
            "type": "object",
            "properties": properties,
            "required": [name for name, field in fields.items() if field.required],
            "additionalProperties": False,
        }

    def reference(self, ref: str) -> Schema:
        if ref not in self.names:
            code = name = self.concepts[ref].code
            taken = len([known for known in self.names.values() if known.partition("_")[0] == code])
            if taken:
                name = f"{code}_{taken + 1}"  # a code has no underscore, so that this name is free
            self.names[ref] = name
            self.definitions[name] = {}  # keeps its place before the concepts it nests
            self.definitions[name] = self.content(ref)
        return {"$ref": f"#/$defs/{self.names[ref]}"}

    def property(self, field: Field) -> Schema:
        schema = self.value(field.type, field)
        if field.choices:
            schema["enum"] = list(field.choices)
            if field.type is not FieldType.TEXT:
                schema["enum"] = [numeric_choice(choice) for choice in field.choices]
        if field.type is not FieldType.DICT:
            schema |= _bounds(field)
        if field.type is FieldType.CONCEPT:
            branches: list[JsonValue] = [schema] if field.required else [schema, {"type": "null"}]
            return {"anyOf": branches, "description": field.description}
        if not field.required:
            _allow_null(schema)
        return {"description": field.description, **schema}

    def value(self, type: FieldType, field: Field) -> Schema:
        match type:
            case FieldType.LIST:
                return {"type": "array", "items": self.item(field)}
            case FieldType.DICT:
                values: JsonValue = {**self.plain(field.value_type), **_bounds(field)} if field.value_type else True
                keys: Schema = {"propertyNames": {"pattern": field.key_pattern}} if field.key_pattern else {}
                return {"type": "object", **keys, "additionalProperties": values}
            case FieldType.CONCEPT:
                return self.reference(field.concept or "native.Anything")
            case _:
                return self.plain(type)

    def item(self, field: Field) -> Schema:
        # Without an item type authors mean texts; decode takes anything.
        if field.item_type is FieldType.CONCEPT:
            return self.reference(field.concept or "native.Anything")
        return self.plain(field.item_type or FieldType.TEXT)

    def plain(self, type: FieldType) -> Schema:
        if type is FieldType.LIST:
            return {"type": "array", "items": {"type": "string"}}
        if type is FieldType.DICT:
            return {"type": "object", "additionalProperties": True}
        name, format = _SCALARS[type]
        return {"type": name} if format is None else {"type": name, "format": format}


def _bounds(field: Field) -> Schema:
    bounds = {"minimum": field.minimum, "maximum": field.maximum}
    return {key: bound for key, bound in bounds.items() if bound is not None}


def _allow_null(schema: Schema) -> None:
    schema["type"] = [schema["type"], "null"]
    if isinstance(choices := schema.get("enum"), list):
        schema["enum"] = [*choices, None]
