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


def test_verdicts_say_their_limits(concepts: Concepts) -> None:
    rating: Any = json_schema("native.Rating", concepts)["properties"]
    assert rating["level"] == {
        "description": "The index of the level, from 0 up",
        "type": "integer",
        "minimum": 0,
    }
    shares: Any = {"type": "number", "minimum": 0, "maximum": 1}
    assert rating["probabilities"] == {
        "description": "The probability of each level by its index, from 0 to 1",
        "type": ["object", "null"],
        "propertyNames": {"pattern": "^[0-9]+$"},
        "additionalProperties": shares,
    }
    choice: Any = json_schema("native.Choice", concepts)
    assert choice["required"] == ["choice"]
    assert choice["properties"]["probabilities"]["additionalProperties"] == shares


def test_an_answer_has_documents_for_sources(concepts: Concepts) -> None:
    schema: Any = json_schema("native.SearchResult", concepts)
    assert schema["required"] == ["answer", "sources"]
    assert schema["properties"]["sources"]["items"] == {"$ref": "#/$defs/Document"}
    valid = jsonschema_rs.validator_for(schema)
    assert valid.is_valid({"answer": "x", "sources": [{"url": "u", "title": None}]})
    assert not valid.is_valid({"answer": "x", "sources": [{"name": "u"}]})


@pytest.mark.parametrize(
    ("type", "good", "bad"),
    [
        ("date", "2031-02-03", "2031-02-30"),
        ("datetime", "2031-02-03T10:00:00Z", "2031-02-03"),
        ("time", "10:00:00Z", "10 o'clock"),
    ],
)
def test_formats_are_those_of_json_schema(type: str, good: str, bad: str) -> None:
    field = Field(description="d", type=FieldType(type), required=True)
    schema = json_schema("a.A", Concepts({"a.A": Concept(ref="a.A", description="d", fields={"it": field})}))
    valid = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    assert valid.is_valid({"it": good})
    assert not valid.is_valid({"it": bad})
