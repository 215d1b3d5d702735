from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pipelex.errors import InputError
from pipelex.values.concepts import Concepts
from pipelex.values.contents import JSONContent, TextContent
from pipelex.values.depth import DEEPEST, TooDeep, check_depth
from pipelex.values.hydrate import dehydrate
from pipelex.values.inputs import shape_inputs
from pipelex.values.slots import Slot
from pipelex.values.value import Value

SAID = "nested deeper than 100 levels"


def deep(levels: int, *, lists: bool = False, inside: Any = 1) -> Any:
    data = inside
    for _ in range(levels):
        data = [data] if lists else {"a": data, "b": 2}
    return data


@pytest.mark.parametrize("lists", [False, True])
def test_the_limit_is_exact(lists: bool) -> None:
    check_depth(deep(DEEPEST, lists=lists))
    assert dehydrate(deep(DEEPEST, lists=lists)) == deep(DEEPEST, lists=lists)
    for data in (deep(DEEPEST + 1, lists=lists), deep(DEEPEST, lists=lists, inside=[]), deep(5000, lists=lists)):
        for check in (check_depth, dehydrate):
            with pytest.raises(TooDeep, match=SAID):
                check(data)


def test_scalars_and_wide_data_are_not_deep() -> None:
    for data in (None, "text", [], {}, [[number] for number in range(10_000)]):
        check_depth(data)


@dataclass
class Holder:
    content: object


@pytest.mark.parametrize(
    "given",
    [
        Value(concept="native.JSON", data=deep(101)),
        JSONContent.model_construct(json_obj=deep(5000)),
        Holder(deep(100)),
    ],
)
def test_objects_are_measured_by_their_data(given: object) -> None:
    with pytest.raises(TooDeep):
        dehydrate(given)


def test_data_that_holds_itself_is_too_deep() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TooDeep):
        dehydrate(endless)


@pytest.mark.parametrize(
    ("concept", "given"),
    [
        ("native.JSON", deep(101)),
        ("native.JSON", {"concept": "JSON", "content": {"json_obj": deep(101)}}),
        ("native.JSON", Value(concept="native.JSON", data={"json_obj": deep(101)})),
        ("native.Anything", deep(101)),
        ("native.Dynamic", JSONContent.model_construct(json_obj=deep(300))),
    ],
)
def test_an_input_that_is_too_deep_is_refused(concept: str, given: object) -> None:
    with pytest.raises(InputError, match=f"input 'it' .*it is {SAID}"):
        shape_inputs({"it": given}, {"it": Slot(concept)}, Concepts({}), domain="d")


def test_an_input_at_the_limit_is_taken() -> None:
    memory, _ = shape_inputs({"it": deep(100)}, {"it": Slot("native.JSON")}, Concepts({}), domain="d")
    assert memory.root["it"].data == {"json_obj": deep(100)}
    assert dehydrate([TextContent(text="x")]) == [{"text": "x"}]
