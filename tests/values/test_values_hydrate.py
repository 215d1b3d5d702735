from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import PurePosixPath
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.contents import (
    ChoiceContent,
    DocumentContent,
    DynamicContent,
    ImageContent,
    ListContent,
    NumberContent,
    PageContent,
    RatingContent,
    SearchResultContent,
    StructuredContent,
    TextAndImagesContent,
    TextContent,
    YesNoContent,
)
from pipelex.values.decode import decode
from pipelex.values.hydrate import content_class, dehydrate, hydrate
from pipelex.values.slots import Slot
from pipelex.values.value import Value


def made(ref: str, data: Any, concepts: Concepts) -> Any:
    slot = Slot(ref, is_list=isinstance(data, list))
    return hydrate(Value(concept=ref, data=decode(data, slot, concepts)), concepts)


def test_structures_hold_real_dates_and_contents(concepts: Concepts) -> None:
    data = {
        "title": "t",
        "day": "2031-02-03",
        "starts": "2031-02-03T10:00:00Z",
        "hour": "10:30",
        "notes": [{"aroma": "hay"}],
        "cup": "oolong",
    }
    tasting = made("tea.Tasting", data, concepts)
    assert isinstance(tasting, StructuredContent)
    assert type(tasting).__name__ == "Tasting"
    assert tasting.day == dt.date(2031, 2, 3)
    assert tasting.starts == dt.datetime(2031, 2, 3, 10, tzinfo=dt.UTC)
    assert tasting.hour == dt.time(10, 30)
    assert isinstance(tasting.cup, TextContent)
    assert isinstance(tasting.notes[0], content_class("tea.Note", concepts))
    assert tasting.leaf is None


def test_classes_are_made_once_for_a_library(concepts: Concepts) -> None:
    again = Concepts({ref: concepts[ref] for ref in concepts if not ref.startswith("native.")})
    assert content_class("tea.Note", concepts) is content_class("tea.Note", concepts)
    assert content_class("tea.Note", concepts) is not content_class("tea.Note", again)
    assert issubclass(content_class("tea.Verdict", concepts), content_class("tea.Note", concepts))
    assert content_class("tea.Dried", concepts) is ImageContent
    assert content_class("tea.Cup", concepts) is TextContent


def test_a_class_refuses_what_it_does_not_declare(concepts: Concepts) -> None:
    note = content_class("tea.Note", concepts)
    assert dehydrate(note.model_validate({"aroma": "hay"})) == {"aroma": "hay", "score": None, "grade": None}
    for wrong in ({"aroma": "hay", "grade": "mid"}, {"aroma": "hay", "extra": 1}, {}):
        with pytest.raises(ValidationError):
            note.model_validate(wrong)


def test_a_field_wins_over_a_method_of_the_same_name() -> None:
    names = ["json", "copy", "items", "schema", "dict", "model_name"]
    fields = {name: Field(description="d", required=True) for name in [*names, "model_dump"]}
    concepts = Concepts({"a.Odd": Concept(ref="a.Odd", description="d", fields=fields)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        odd: Any = made("a.Odd", {name: name for name in fields}, concepts)
    assert [getattr(odd, name) for name in names] == names
    assert odd.model_dump_ == "model_dump"
    assert dehydrate(odd) == {name: name for name in fields}


def test_lists(concepts: Concepts) -> None:
    cups = made("tea.Cup", ["a", ["b", "c"]], concepts)
    assert isinstance(cups, ListContent)
    assert len(cups) == 2
    assert [type(cup) for cup in cups] == [TextContent, ListContent]
    assert cups[0] == TextContent(text="a")
    assert dehydrate(cups) == [{"text": "a"}, [{"text": "b"}, {"text": "c"}]]


def test_open_contents_are_read_as_attributes(concepts: Concepts) -> None:
    content = made("native.Composite", {"part": {"text": "x"}}, concepts)
    assert isinstance(content, DynamicContent)
    assert content.part == {"text": "x"}  # type: ignore[attr-defined]
    assert dehydrate(content) == {"part": {"text": "x"}}


def test_native_contents_print_and_check() -> None:
    assert [str(TextContent(text="x")), str(NumberContent(number=4)), str(YesNoContent(yes_no=True))] == [
        "x",
        "4",
        "yes",
    ]
    with pytest.raises(ValidationError):
        NumberContent(number=True)
    page = PageContent(text_and_images=TextAndImagesContent(text=TextContent(text="x"), images=[ImageContent(url="u")]))
    assert dehydrate(page)["text_and_images"]["images"][0]["url"] == "u"  # type: ignore[index,call-overload]


class Colour(Enum):
    GREEN = "green"


class Grade(IntEnum):
    LOW = 1


class Plain(BaseModel):
    day: dt.date
    nested: StructuredContent


class More(StructuredContent):
    score: int


@dataclass
class Point:
    at: dt.datetime
    colours: tuple[Colour, ...]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("x", "x"),
        (1.5, 1.5),
        (Colour.GREEN, "green"),
        (Grade.LOW, 1),
        (dt.date(2031, 2, 3), "2031-02-03"),
        (dt.time(10, 30), "10:30:00"),
        (PurePosixPath("a/b.png"), "a/b.png"),
        ({"a": (1, Colour.GREEN)}, {"a": [1, "green"]}),
        (Plain(day=dt.date(2031, 2, 3), nested=More(score=3)), {"day": "2031-02-03", "nested": {"score": 3}}),
        (Point(dt.datetime(2031, 2, 3, 10), (Colour.GREEN,)), {"at": "2031-02-03T10:00:00", "colours": ["green"]}),
        (ListContent[More](items=[More(score=1)]), [{"score": 1}]),
        ([Value(concept="native.Text", data={"text": "x"})], [{"text": "x"}]),
    ],
)
def test_results_become_json(given: Any, expected: Any) -> None:
    assert dehydrate(given) == expected


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({1, 2}, "an object of class set has no JSON form"),
        (Decimal("1.5"), "an object of class decimal.Decimal has no JSON form"),
        (b"x", "an object of class bytes has no JSON form"),
        (float("nan"), "nan is not a number that JSON can hold"),
        ({1: "x"}, "a key of an object must be a text, found 1"),
        (Colour, "has no JSON form"),
    ],
)
def test_what_has_no_json_form_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        dehydrate(given)


def test_every_native_field_is_in_its_class() -> None:
    concepts = Concepts({})
    for ref in concepts:
        if not concepts.is_open(ref):
            assert list(content_class(ref, concepts).model_fields) == list(concepts.structure(ref))
    assert concepts.structure("native.Image")["width"].type is FieldType.INTEGER


def test_verdicts_and_answers_are_contents_of_their_own(concepts: Concepts) -> None:
    choice = made("native.Choice", {"choice": "red", "probabilities": {"red": 0.75}}, concepts)
    rating = made("native.Rating", {"level": 2, "label": "good", "probabilities": {"2": 1}}, concepts)
    found = made("native.SearchResult", {"answer": "yes", "sources": [{"url": "u"}]}, concepts)
    assert isinstance(choice, ChoiceContent)
    assert choice.probabilities == {"red": 0.75}
    assert isinstance(rating, RatingContent)
    assert isinstance(found, SearchResultContent)
    assert found.sources == [DocumentContent(url="u")]
    assert [str(choice), str(rating), str(found), str(RatingContent(level=0))] == ["red", "good", "yes", "0"]


@pytest.mark.parametrize(
    ("cls", "given"),
    [
        (YesNoContent, {"yes_no": True, "probability": 1.1}),
        (ChoiceContent, {"choice": "a", "confidence": -0.1}),
        (ChoiceContent, {"choice": "a", "probabilities": {"a": 2}}),
        (RatingContent, {"level": -1}),
        (RatingContent, {"level": True}),
        (RatingContent, {"level": 1, "probabilities": {"good": 0.5}}),
    ],
)
def test_content_classes_keep_to_the_limits_of_natives(cls: type[BaseModel], given: Any) -> None:
    with pytest.raises(ValidationError):
        cls.model_validate(given)
