from __future__ import annotations

from typing import Any

import pytest

from pipelex.errors import InputError
from pipelex.values.earlier import inputs_from, is_full_output
from pipelex.values.slots import Slot

CUP = {"stuff_code": "abcde", "stuff_name": "cup", "concept": "tea.Cup", "content": {"text": "x"}}
NOTE = {"stuff_code": "fghij", "stuff_name": None, "concept": "tea.Note", "content": [{"aroma": "hay"}]}


def document(root: Any, **aliases: str) -> dict[str, Any]:
    return {"main_stuff": {"json": "{}"}, "working_memory": {"root": root, "aliases": aliases}}


def bound(given: dict[str, Any], **declared: str) -> dict[str, object]:
    return inputs_from(given, {name: Slot.parse(slot) for name, slot in declared.items()})


def envelope(stuff: dict[str, Any]) -> dict[str, Any]:
    return {"concept": stuff["concept"], "content": stuff["content"]}


def test_only_a_memory_tells_an_output_from_inputs() -> None:
    assert is_full_output(document({}))
    assert not is_full_output({"root": {}, "aliases": {}})
    assert not is_full_output([document({})])


def test_inputs_are_found_by_name_and_through_aliases() -> None:
    given = document({"cup": CUP, "note": NOTE, "more": CUP}, main_stuff="note", tasting="note")
    assert bound(given, cup="Cup", tasting="Note[]") == {"cup": envelope(CUP), "tasting": envelope(NOTE)}
    assert bound(given) == {}


@pytest.mark.parametrize("given", [document({"n": NOTE}, main_stuff="n"), document({"main_stuff": NOTE})])
def test_an_input_that_is_alone_takes_the_main_stuff(given: dict[str, Any]) -> None:
    assert bound(given, anything="Note[]") == {"anything": envelope(NOTE)}
    with pytest.raises(InputError, match="no value for: one, two"):
        bound(given, one="Note[]", two="Note")


def test_its_own_name_comes_before_the_main_stuff() -> None:
    assert bound(document({"cup": CUP, "n": NOTE}, main_stuff="n"), cup="Cup") == {"cup": envelope(CUP)}


def test_optional_inputs_may_be_missing() -> None:
    assert bound(document({"cup": CUP}), cup="Cup", note="Note?") == {"cup": envelope(CUP)}
    assert bound(document({}), note="Note?") == {}


def test_what_is_missing_is_told_with_what_was_there() -> None:
    with pytest.raises(InputError) as caught:
        bound(document({"cup": CUP, "note": NOTE}, main_stuff="note"), cup="Cup", leaf="Leaf")
    assert caught.value.message == "the other run has no value for: leaf"
    assert caught.value.hint == "it has cup (tea.Cup), note (tea.Note); the pipe takes cup (Cup), leaf (Leaf)"


@pytest.mark.parametrize("memory", [3, {"root": 3}, {"root": {}, "aliases": []}, None])
def test_a_memory_of_another_shape_is_refused(memory: Any) -> None:
    with pytest.raises(InputError, match="working_memory"):
        bound({"working_memory": memory}, cup="Cup")


def test_a_value_without_a_concept_is_refused() -> None:
    with pytest.raises(InputError, match="'cup' in the other run has no concept"):
        bound(document({"cup": {"content": "x"}}), cup="Cup")
