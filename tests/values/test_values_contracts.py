from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pipelex.values.concepts import Concept, Concepts
from pipelex.values.durations import Duration
from pipelex.values.slots import Slot
from pipelex.values.value import MAIN, Absence, Memory, Value


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("Text", Slot("Text")),
        (" a.b.Note[] ", Slot("a.b.Note", is_list=True)),
        ("Note[3]", Slot("Note", is_list=True, count=3)),
        ("Note[1]", Slot("Note")),
        ("Note?", Slot("Note", presence="optional")),
        ("Note!", Slot("Note", presence="forced")),
    ],
)
def test_slots_are_read_and_written(text: str, slot: Slot) -> None:
    assert Slot.parse(text) == slot
    assert Slot.parse(str(slot)) == slot


@pytest.mark.parametrize("text", ["", "Note[0]", "Note[]?", "Note[3]!", "Note[x]", "Note[][]", "A B", "Note??"])
def test_what_is_not_a_slot(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Slot.parse(text)


class Timed(BaseModel):
    wait: Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("1h30m", 5400),
        ("0:10:00", 600),
        ("PT10M", 600),
        (3, 3),
        ("250ms", 0.25),
        (1.5, 1.5),
        ("2d", 172800),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert Timed(wait=text).wait == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["soon", True, "10 minutes", ""])
def test_what_is_not_a_duration(text: Any) -> None:
    with pytest.raises(ValidationError):
        Timed(wait=text)


@pytest.mark.parametrize(
    ("expected", "actual", "fits"),
    [
        ("native.Text", "tea.Cup", True),
        ("native.Text", "native.Markdown", True),
        ("native.Text", "tea.Note", False),
        ("native.Image", "tea.Dried", True),
        ("tea.Leaf", "native.Image", False),
        ("tea.Note", "tea.Verdict", True),
        ("tea.Verdict", "tea.Note", False),
        ("native.Anything", "tea.Note", True),
        ("tea.Note", "native.Dynamic", True),
        ("tea.Note", "native.Anything", False),
        ("tea.Cup", "milk.Cup", False),
        ("native.Anything", "native.Composite", True),
    ],
)
def test_which_concept_may_stand_for_which(concepts: Concepts, expected: str, actual: str, fits: bool) -> None:
    assert concepts.accepts(expected, actual) is fits


def test_what_concepts_go_back_to(concepts: Concepts) -> None:
    assert concepts.ancestry("tea.Dried") == ("tea.Dried", "tea.Leaf", "native.Image")
    assert concepts.root("tea.Dried") == "native.Image"
    assert concepts.root("tea.Verdict") == "tea.Note"
    assert concepts.root("tea.Cup") == "native.Text"
    assert concepts.is_a("tea.Cup", "native.Text")
    assert list(concepts.structure("tea.Cup")) == ["text"]
    assert concepts.is_open("native.Composite")
    assert not concepts.is_open("tea.Cup")
    looped = Concepts({f"a.{x}": Concept(ref=f"a.{x}", description="d", refines=f"a.{y}") for x, y in ("XY", "YX")})
    assert looped.ancestry("a.X") == ("a.X", "a.Y")


def test_memory_keeps_a_value_or_an_absence_never_both() -> None:
    text = Value(concept="native.Text", data={"text": "x"})
    gone = Absence(variable="a", absent="skipped", reason="r")
    memory = Memory().with_entry("a", text).with_entry("a", gone)
    assert memory.get("a") == gone
    assert "a" not in memory.root
    again = memory.with_output("a", text)
    assert again.get(MAIN) == again.get("a") == text
    assert again.absences == {}
    assert again.merged(memory).get("a") == gone
    assert memory.merged(again).get("a") == text
    assert "b" not in again
    assert again.only(["a", "b"]) == Memory(root={"a": text})


def test_memory_is_plain_json() -> None:
    memory = Memory().with_output(None, Value(concept="native.Text", data=[{"text": "x"}]))
    assert Memory.model_validate_json(memory.model_dump_json(exclude_defaults=True)) == memory
    assert memory.get(MAIN) == memory.root["main_stuff"]
