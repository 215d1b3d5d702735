from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from pipelex.errors import AbsentValueError, InputError
from pipelex.values.concepts import Concepts
from pipelex.values.contents import ImageContent, ListContent, NumberContent, StructuredContent, TextContent
from pipelex.values.value import MAIN, Absence, Memory, Value
from pipelex.values.working_memory import WorkingMemory

NOTE = {"aroma": "hay", "score": 3, "grade": None}
MEMORY = Memory(
    root={
        "cup": Value(concept="tea.Cup", data={"text": "oolong"}),
        "note": Value(concept="tea.Note", data=NOTE),
        "notes": Value(concept="tea.Note", data=[NOTE, {**NOTE, "aroma": "rain"}]),
        "count": Value(concept="native.Number", data={"number": 4}),
        "leaf": Value(concept="tea.Leaf", data={"url": "leaf.png"}),
    },
    absences={"rest": Absence(variable="rest", absent="skipped", reason="the step before it was skipped")},
    main="note",
)


class Note(StructuredContent):
    aroma: str
    score: int
    grade: str = "none"


class Loose(BaseModel):
    aroma: str


class Wrong(BaseModel):
    colour: str


@pytest.fixture
def memory(concepts: Concepts) -> WorkingMemory:
    return WorkingMemory(MEMORY, concepts)


def test_values_are_found_by_name(memory: WorkingMemory) -> None:
    assert memory.list_keys() == ["cup", "note", "notes", "count", "leaf"]
    assert memory.get_stuff_as_str("cup") == memory.get_stuff_as_text("cup").text == memory.get_stuff("cup").as_str
    assert memory.get_stuff_as_number("count") == NumberContent(number=4)
    assert memory.get_stuff_as_image("leaf") == ImageContent(url="leaf.png")
    assert memory.main_stuff is memory.get_stuff("note") is memory.get_stuff(MAIN)
    assert memory.main_stuff.content.aroma == "hay"  # type: ignore[attr-defined]


def test_contents_are_read_as_the_callers_classes(memory: WorkingMemory) -> None:
    assert memory.main_stuff_as(Note) == Note(aroma="hay", score=3, grade="none")
    assert memory.get_stuff_as("note", StructuredContent) is memory.main_stuff.content
    notes = memory.get_stuff_as_list("notes", Note)
    assert isinstance(notes, ListContent)
    assert [note.aroma for note in notes] == ["hay", "rain"]
    assert [item.text for item in memory.get_stuff_as_list("cup", TextContent)] == ["oolong"]
    with pytest.raises(InputError, match="does not fit the class Wrong: colour: Field required"):
        memory.main_stuff_as(Wrong)
    assert memory.main_stuff.content_as(Loose).aroma == "hay"


def test_missing_and_absent_values(memory: WorkingMemory) -> None:
    assert memory.get_optional_stuff("rest") is None
    with pytest.raises(AbsentValueError, match="'rest' has no value: the step before it was skipped"):
        memory.get_stuff("rest")
    with pytest.raises(InputError, match="there is no value named 'coup'") as caught:
        memory.get_stuff("coup")
    assert caught.value.hint == "did you mean 'cup'?"


def test_main_stuff_as_text_and_list(concepts: Concepts) -> None:
    memory = WorkingMemory(MEMORY.with_output("final", Value(concept="native.Text", data={"text": "done"})), concepts)
    assert memory.main_stuff_as_str == memory.main_stuff_as_text.text == "done"
    listed = WorkingMemory(MEMORY.with_output(None, MEMORY.root["notes"]), concepts)
    assert [note.score for note in listed.main_stuff_as_list(Note)] == [3, 3]


def test_the_wire_form(memory: WorkingMemory, concepts: Concepts) -> None:
    wire = memory.to_wire()
    assert json.loads(json.dumps(wire)) == wire
    assert wire["aliases"] == {"main_stuff": "note"}
    note = wire["root"]["note"]  # type: ignore[index,call-overload]
    code = note.pop("stuff_code")  # type: ignore[union-attr]
    assert note == {"stuff_name": "note", "concept": "tea.Note", "content": NOTE}
    assert len(code) == 5  # type: ignore[arg-type]
    assert memory.get_stuff("note").stuff_code == code
    assert WorkingMemory(MEMORY, concepts).to_wire() == memory.to_wire() != memory.to_wire("run-1")


def test_a_main_stuff_without_a_name_is_its_own_entry(concepts: Concepts) -> None:
    wire = WorkingMemory(Memory().with_output(None, MEMORY.root["cup"]), concepts).to_wire()
    assert wire["aliases"] == {}
    assert list(wire["root"]) == ["main_stuff"]  # type: ignore[arg-type]


def test_an_absent_main_stuff_has_no_alias(concepts: Concepts) -> None:
    absent = MEMORY.with_output("rest", MEMORY.absences["rest"])
    assert WorkingMemory(absent, concepts).to_wire()["aliases"] == {}
    with pytest.raises(AbsentValueError):
        _ = WorkingMemory(absent, concepts).main_stuff


def test_verdicts_are_found_by_name(concepts: Concepts) -> None:
    nothing = {"confidence": None, "probabilities": None}
    root = {
        "ok": Value(concept="native.YesNo", data={"yes_no": True, "probability": None}),
        "colour": Value(concept="native.Choice", data={"choice": "red", **nothing}),
        "stars": Value(concept="native.Rating", data={"level": 2, "label": None, **nothing, "position": None}),
        "day": Value(concept="native.Date", data={"date": "2031-02-03", "time": None}),
        "found": Value(concept="native.SearchResult", data={"answer": "x", "sources": []}),
    }
    memory = WorkingMemory(Memory(root=root), concepts)
    assert memory.get_stuff_as_yes_no("ok").yes_no is True
    assert memory.get_stuff_as_choice("colour").choice == "red"
    assert memory.get_stuff_as_rating("stars").level == 2
    assert memory.get_stuff_as_date("day").date.year == 2031
    assert memory.get_stuff_as_search_result("found").answer == "x"
