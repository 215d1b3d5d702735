from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.mock import mock
from pipelex.values.schema import json_schema, slot_schema
from pipelex.values.slots import Slot


def test_a_structure_requires_what_its_concept_requires(concepts: Concepts) -> None:
    assert json_schema("tea.Note", concepts) == {
        "title": "Note",
        "description": "About Note",
        "type": "object",
        "properties": {
            "aroma": {"description": "a text", "type": "string"},
            "score": {"description": "a integer", "type": ["integer", "null"]},
            "grade": {"description": "a text", "type": ["string", "null"], "enum": ["low", "high", None]},
        },
        "required": ["aroma"],
        "additionalProperties": False,
    }


def test_nested_concepts_are_definitions(concepts: Concepts) -> None:
    schema: Any = json_schema("tea.Tasting", concepts)
    properties = schema["properties"]
    assert list(schema["$defs"]) == ["Note", "Cup", "Leaf"]
    assert properties["notes"]["items"] == {"$ref": "#/$defs/Note"}
    assert properties["cup"]["anyOf"] == [{"$ref": "#/$defs/Cup"}, {"type": "null"}]
    assert properties["stars"]["enum"] == [1, 2, 3, None]
    assert properties["day"] == {"description": "a date", "type": ["string", "null"], "format": "date"}
    assert properties["weights"]["additionalProperties"] == {"type": "number"}
    assert properties["loose"]["items"] == {"type": "string"}


def test_concepts_of_the_same_code_do_not_mix() -> None:
    def nested(ref: str) -> Field:
        return Field(description="x", type=FieldType.CONCEPT, concept=ref, required=True)

    both = Concept(ref="a.Both", description="d", fields={"one": nested("a.Cup"), "two": nested("b.Cup")})
    own = [both, Concept(ref="a.Cup", description="of a"), Concept(ref="b.Cup", description="of b")]
    schema: Any = json_schema("a.Both", Concepts({concept.ref: concept for concept in own}))
    assert {name: found["description"] for name, found in schema["$defs"].items()} == {"Cup": "of a", "Cup_2": "of b"}
    assert schema["properties"]["two"]["anyOf"] == [{"$ref": "#/$defs/Cup_2"}]


def test_lists_say_their_count(concepts: Concepts) -> None:
    schema: Any = slot_schema(Slot.parse("tea.Tasting[3]"), concepts)
    assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 3, 3)
    assert "$defs" in schema
    assert "$defs" not in schema["items"]
    assert slot_schema(Slot.parse("tea.Note"), concepts) == json_schema("tea.Note", concepts)
    assert "minItems" not in slot_schema(Slot.parse("tea.Note[]"), concepts)


@pytest.mark.parametrize("ref", list(Concepts({})))
def test_every_native_has_a_valid_schema(concepts: Concepts, ref: str) -> None:
    schema = json_schema(ref, concepts)
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.validator_for(schema).validate(mock(schema))


def test_open_concepts_take_any_keys(concepts: Concepts) -> None:
    schema = jsonschema_rs.validator_for(json_schema("native.Composite", concepts))
    assert schema.is_valid({"any": {"thing": 1}})
    assert not schema.is_valid("text")
    assert jsonschema_rs.validator_for(json_schema("native.Anything", concepts)).is_valid("text")
