from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Any, Literal, Optional
from uuid import uuid4

import pytest
from pydantic import Field as ModelField

from pipelex.errors import ConfigError
from pipelex.values.class_fields import ClassFields, class_fields
from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.contents import ImageContent, StructuredContent, TextContent
from pipelex.values.decode import decode
from pipelex.values.hydrate import hydrate, with_classes
from pipelex.values.slots import Slot
from pipelex.values.value import Value


class Grade(StrEnum):
    FINE = "fine"
    BROKEN = "broken"


class Leaf(StructuredContent):
    name: str


class Branch(StructuredContent):
    leaf: Leaf


class Every(StructuredContent):
    text: str = ModelField(description="The text")
    whole: int = 3
    number: float
    either: int | float
    yes: bool = False
    day: dt.date
    moment: dt.datetime | None = None
    hour: Optional[dt.time]  # noqa: UP045
    size: Literal["s", "m"]
    level: Literal[1, 2] | None = None
    grade: Grade = Grade.FINE
    remark: Annotated[str, ModelField(max_length=9)]
    things: list  # type: ignore[type-arg]
    anything: list[Any]
    names: list[str] = ModelField(default_factory=list)
    rows: list[dict[str, Any]] = []
    leaves: list[Leaf]
    leaf: Leaf | None = None
    photo: ImageContent
    notes: list[TextContent] | None = None
    table: dict  # type: ignore[type-arg]
    open: dict[str, Any]
    counts: dict[str, int]
    made: str = ModelField(default_factory=lambda: str(uuid4()))
    called: str = ModelField(alias="callsign")


EXPECTED: dict[str, dict[str, Any]] = {
    "text": {"description": "The text", "required": True},
    "whole": {"type": FieldType.INTEGER, "default": 3},
    "number": {"type": FieldType.NUMBER, "required": True},
    "either": {"type": FieldType.NUMBER, "required": True},
    "yes": {"type": FieldType.BOOLEAN, "default": False},
    "day": {"type": FieldType.DATE, "required": True},
    "moment": {"type": FieldType.DATETIME},
    "hour": {"type": FieldType.TIME},
    "size": {"choices": ("s", "m"), "required": True},
    "level": {"type": FieldType.INTEGER, "choices": ("1", "2")},
    "grade": {"choices": ("fine", "broken"), "default": "fine"},
    "remark": {"required": True},
    "things": {"type": FieldType.LIST, "required": True},
    "anything": {"type": FieldType.LIST, "required": True},
    "names": {"type": FieldType.LIST, "item_type": FieldType.TEXT, "default": []},
    "rows": {"type": FieldType.LIST, "item_type": FieldType.DICT, "default": []},
    "leaves": {"type": FieldType.LIST, "item_type": FieldType.CONCEPT, "concept": "Leaf", "required": True},
    "leaf": {"type": FieldType.CONCEPT, "concept": "Leaf"},
    "photo": {"type": FieldType.CONCEPT, "concept": "native.Image", "required": True},
    "notes": {"type": FieldType.LIST, "item_type": FieldType.CONCEPT, "concept": "native.Text"},
    "table": {"type": FieldType.DICT, "required": True},
    "open": {"type": FieldType.DICT, "required": True},
    "counts": {"type": FieldType.DICT, "value_type": FieldType.INTEGER, "required": True},
    "made": {},
    "callsign": {"description": "called", "required": True},
}


def test_every_type_has_its_field() -> None:
    found = class_fields(Every)
    assert found == {name: Field(**{"description": name} | more) for name, more in EXPECTED.items()}
    assert list(found) == list(EXPECTED)


def wrong(kind: Any) -> type[StructuredContent]:
    return type("Wrong", (StructuredContent,), {"__annotations__": {"it": kind}})


@pytest.mark.parametrize(
    "kind",
    [
        Any,
        bytes,
        complex,
        tuple[int, ...],
        set[str],
        str | int,
        list[list[str]],
        list[str | None] | int,
        list[Literal["a"]],
        dict[int, str],
        dict[str, Leaf],
        Literal["a", 1],
        Literal[True],
        StructuredContent,
    ],
)
def test_a_type_without_a_counterpart_is_told(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"the type of Wrong\.it has no counterpart") as caught:
        class_fields(wrong(kind))
    assert "a field is a str" in (caught.value.hint or "")


def test_only_classes_that_are_asked_for_are_read() -> None:
    known = ClassFields({"Branch": Branch, "Wrong": wrong(bytes)})
    assert list(known) == ["Branch", "Wrong"]
    assert known["Branch"]["leaf"].concept == "Leaf"
    # The class inside it is known from then on.
    assert known["Leaf"]["name"].required
    assert known.get("Root") is None
    with pytest.raises(ConfigError):
        known.get("Wrong")


def test_two_nested_classes_of_one_name_are_told() -> None:
    other = type("Leaf", (StructuredContent,), {"__annotations__": {"other": str}})
    with pytest.raises(ConfigError, match="two structure classes are named 'Leaf'"):
        ClassFields({"Branch": Branch, "Leaf": other})["Branch"]


class Tin(StructuredContent):
    name: str
    label: str = None  # type: ignore[assignment]
    grams: int = 50

    @property
    def shown(self) -> str:
        return f"{self.name}, {self.grams} g"


def test_contents_are_objects_of_a_class_that_is_known() -> None:
    concepts = {"d.Tin": Concept(ref="d.Tin", description="A tin", fields=class_fields(Tin), structure_class="Tin")}
    data = decode({"name": "Oolong"}, Slot("d.Tin"), Concepts(concepts))
    assert data == {"name": "Oolong", "label": None, "grams": 50}
    value = Value(concept="d.Tin", data=data)
    known = hydrate(value, with_classes(concepts, {"Tin": Tin}))
    assert isinstance(known, Tin)
    assert known.shown == "Oolong, 50 g"
    made = hydrate(value, with_classes(concepts, {}))
    assert not isinstance(made, Tin)
    assert made.model_dump() == data
