"""A small library of concepts for the tests of this room."""

from __future__ import annotations

import pytest

from pipelex.values.concepts import Concept, Concepts, Field, FieldType


def field(type: str = "text", **more: object) -> Field:
    return Field(description=f"a {type}", type=FieldType(type), **more)  # type: ignore[arg-type]


def structure(code: str, **fields: Field) -> Concept:
    return Concept(ref=f"tea.{code}", description=f"About {code}", fields=fields)


OWN = [
    Concept(ref="tea.Cup", description="One cup of tea"),
    Concept(ref="tea.Leaf", description="A photographed leaf", refines="native.Image"),
    Concept(ref="tea.Dried", description="A dried leaf", refines="tea.Leaf"),
    structure("Note", aroma=field(required=True), score=field("integer"), grade=field(choices=("low", "high"))),
    Concept(ref="tea.Verdict", description="A final note", refines="tea.Note"),
    structure("Steep", minutes=field("number", required=True), again=field("boolean", default=False)),
    structure(
        "Tasting",
        title=field(required=True),
        day=field("date"),
        starts=field("datetime"),
        hour=field("time"),
        stars=field("integer", choices=("1", "2", "3")),
        tags=field("list", item_type=FieldType.TEXT),
        loose=field("list"),
        notes=field("list", item_type=FieldType.CONCEPT, concept="tea.Note", required=True),
        cup=field("concept", concept="tea.Cup"),
        leaf=field("concept", concept="tea.Leaf"),
        weights=field("dict", value_type=FieldType.NUMBER),
    ),
    Concept(ref="milk.Cup", description="One cup of milk"),
    Concept(ref="milk.Jug", description="A jug"),
]


@pytest.fixture(scope="session")
def concepts() -> Concepts:
    return Concepts({concept.ref: concept for concept in OWN})
