"""What the wire may not change: structures from Python classes that no worker has, and data that is deeply nested."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parity_hosts import End, Hosts, ends_of, hosts
from parity_methods import ask, call, pipe, step, steps
from temporalio.client import Client

from pipelex import StructuredContent, WorkingMemory, pipe_func
from pipelex.testing.provider_stub import StubAnswer, StubProvider, prompt_of

pytestmark = pytest.mark.server

HEAD = 'domain = "d"\nmain_pipe = "main"\n'


def deep(levels: int) -> Any:
    data: Any = 1
    for _ in range(levels):
        data = {"a": data}
    return data


@pipe_func
def dig(working_memory: WorkingMemory) -> Any:
    return deep(int(working_memory.get_stuff_as_str("note")))


@pipe_func
def grams(working_memory: WorkingMemory) -> str:
    tin: Any = working_memory.get_stuff("tin").content
    return f"{type(tin).__name__} {sum(leaf.grams for leaf in tin.leaves)}"


class Leaf(StructuredContent):
    grams: int


class Tin(StructuredContent):
    leaves: list[Leaf]


def answer(asked: dict[str, Any], before: int) -> StubAnswer | None:
    prompt = prompt_of(asked)
    levels = prompt.rpartition(" ")[2]
    return StubAnswer(text=json.dumps({"json_obj": deep(int(levels))})) if levels.isdigit() else None


@pytest.fixture(scope="module")
async def opened(client: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hosts]:
    folder: Path = tmp_path_factory.mktemp("wires")
    async with StubProvider(answer) as stub:
        environ = {"OPENAI_BASE_URL": stub.base_url, "OPENAI_API_KEY": "stub"}
        async with hosts(folder, client, environ, (dig, grams)) as found:
            yield found


async def agreed(found: Hosts, text: str, inputs: dict[str, Any]) -> End:
    ends = await ends_of(found, HEAD + text, inputs)
    assert ends == dict.fromkeys(ends, ends["in process"])
    return ends["in process"]


async def test_workers_need_no_structure_class(opened: Hosts) -> None:
    """Only those that submit know the classes: the fields are in the crate."""
    knowing = {
        name: replace(each, functions=(*each.functions, Tin), _performer=None, _classes=None)
        for name, each in opened.durable.items()
    }
    text = (
        '[concept]\nTin = "A tin"\n'
        + steps("main", 'wish = "Text"', "Text", step("make", "tin"), step("weigh", "weight"))
        + ask("make", 'wish = "Text"', "Tin", "Make a tin of $wish")
        + call("weigh", "grams", 'tin = "Tin"', "Text")
    )
    try:
        end = await agreed(Hosts(knowing), text, {"wish": "tea"})
    finally:
        for each in knowing.values():
            await each.aclose()
    assert end.error is None, end.error
    assert list(end.memory.root["tin"].data) == ["leaves"]
    assert end.data["text"].startswith("Tin ")


SHOW = pipe("show", "PipeCompose", 'it = "JSON"', "Text", "template = '{{ it.json_obj | length }}'")
GIVEN = steps("main", 'it = "JSON"', "Text", step("show", "shown")) + SHOW
MADE = steps("main", 'note = "Text"', "Text", step("make", "it"), step("show", "shown")) + SHOW
FROM_FUNCTION = MADE + call("make", "dig", 'note = "Text"', "JSON")
FROM_MODEL = MADE + ask("make", 'note = "Text"', "JSON", "Nested to $note")


@pytest.mark.parametrize(
    ("text", "inputs", "error"),
    [
        (GIVEN, {"it": deep(100)}, None),
        (GIVEN, {"it": deep(101)}, "InputError"),
        (FROM_FUNCTION, {"note": "100"}, None),
        (FROM_FUNCTION, {"note": "101"}, "FunctionError"),
        (FROM_MODEL, {"note": "99"}, None),
        (FROM_MODEL, {"note": "100"}, "ReplyError"),
    ],
    ids=["given", "given, too deep", "function", "function, too deep", "model", "model, too deep"],
)
async def test_hosts_agree_on_how_deep_data_may_be(
    opened: Hosts, text: str, inputs: dict[str, Any], error: str | None
) -> None:
    end = await agreed(opened, text, inputs)
    if error is None:
        assert end.error is None, end.error
        assert end.data == {"text": "1"}
        return
    assert end.error is not None
    assert end.error[0] == error
    assert "nested deeper than 100 levels" in end.error[1]
