from __future__ import annotations

from typing import Any

import pytest

from pipelex.values.concepts import Concepts
from pipelex.values.mock import mock
from pipelex.values.schema import json_schema, slot_schema
from pipelex.values.slots import Slot


def test_a_mock_is_readable(concepts: Concepts) -> None:
    assert mock(json_schema("tea.Cup", concepts)) == {"text": "mock cup"}
    found: Any = mock(json_schema("tea.Tasting", concepts))
    assert found["title"] == "mock title"
    assert found["tags"] == ["mock tags 1", "mock tags 2"]
    assert found["cup"] == {"text": "mock cup"}
    assert found["day"] == "2025-01-15"
    assert found["stars"] == 1
    assert found["notes"][0] == {"aroma": "mock aroma", "score": 1, "grade": "low"}
    assert found["leaf"]["url"] == "https://mock.invalid/leaf/url"


def test_a_seed_gives_other_values_always_the_same(concepts: Concepts) -> None:
    schema = json_schema("tea.Tasting", concepts)
    seeds = [mock(schema, seed=str(seed)) for seed in range(8)]
    assert seeds == [mock(schema, seed=str(seed)) for seed in range(8)]
    assert len({str(found) for found in seeds}) == 8
    assert len({found["stars"] for found in seeds}) > 1  # type: ignore[index,call-overload]


@pytest.mark.parametrize(("slot", "items", "count"), [("tea.Cup[]", 2, 2), ("tea.Cup[]", 0, 0), ("tea.Cup[3]", 2, 3)])
def test_the_length_of_lists(concepts: Concepts, slot: str, items: int, count: int) -> None:
    found: Any = mock(slot_schema(Slot.parse(slot), concepts), items=items)
    assert len(found) == count


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "maximum": -2.5}, -3),
        ({"type": "integer", "minimum": 2.5}, 3),
        ({"type": "integer", "minimum": 0, "maximum": 1}, 0),
        ({"type": "number", "minimum": 0, "maximum": 1}, 0.5),
        ({"type": "number"}, 1.5),
        ({"type": ["null", "boolean"]}, True),
        ({"enum": [None, "b"]}, "b"),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "null"}, {"type": "string", "format": "time"}]}, "09:30:00"),
        ({"type": "string", "format": "uri"}, "https://mock.invalid/file"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"key": 1}),
        ({"type": "null"}, None),
        ({"type": "object", "propertyNames": {"pattern": "^[0-9]+$"}}, {"0": "mock value"}),
    ],
)
def test_single_values(schema: Any, expected: Any) -> None:
    assert mock(schema) == expected


def test_a_schema_that_nests_itself_ends() -> None:
    node: Any = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}}
    forced: Any = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}
    wide: Any = {"type": "object", "properties": {"next": {"type": "array", "items": {"$ref": "#/$defs/N"}}}}
    for definition, items in ((node, 2), (forced, 2), (wide, 1)):
        found: Any = mock({"$ref": "#/$defs/N", "$defs": {"N": definition}}, items=items)
        assert "next" in found


def test_optional_fields_can_be_left_null(concepts: Concepts) -> None:
    assert mock(json_schema("tea.Note", concepts), fills_optional=False) == {
        "aroma": "mock aroma",
        "score": None,
        "grade": None,
    }
    found: Any = mock(json_schema("tea.Tasting", concepts), fills_optional=False)
    assert found["leaf"] is None
    assert len(found["notes"]) == 2


@pytest.mark.parametrize("seed", ["", "a", "b", "c"])
def test_natives_made_up_keep_to_their_limits(concepts: Concepts, seed: str) -> None:
    choice, rating, yes_no, found = (
        mock(json_schema(f"native.{code}", concepts), seed=seed)
        for code in ("Choice", "Rating", "YesNo", "SearchResult")
    )
    assert 0 <= yes_no["probability"] <= 1  # type: ignore[index,call-overload,operator]
    assert all(0 <= share <= 1 for share in choice["probabilities"].values())  # type: ignore[index,call-overload,union-attr,operator]
    assert rating["level"] >= 0  # type: ignore[index,call-overload,operator]
    assert all(index.isdigit() for index in rating["probabilities"])  # type: ignore[index,call-overload,union-attr]
    assert found["sources"][0]["url"].startswith("https://mock.invalid/")  # type: ignore[index,call-overload,union-attr]
