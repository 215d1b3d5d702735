from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipelex.errors import PipeError
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import Library, library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import Host, PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting, ReplyT, Request
from pipelex.pipes.run import run_pipe
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.value import Absence, Memory, Value

SOURCE = """
domain = "t"
main_pipe = "main"

[pipe.each]
type = "PipeLLM"
description = "One"
inputs = { word = "Text", tone = "Text" }
output = "Text"
prompt = "$tone $word"

[pipe.all]
type = "PipeBatch"
description = "All"
inputs = { words = "Text[]", tone = "Text" }
output = "Text[]"
branch_pipe_code = "each"
input_list_name = "words"
input_item_name = "word"

[pipe.main]
type = "PipeSequence"
description = "Steps"
inputs = { words = "Text[]", tone = "Text" }
output = "Text[]"
steps = [{ pipe = "each", batch_over = "words", batch_as = "word", result = "said" }]

[pipe.compare]
type = "PipeLLM"
description = "One among all"
inputs = { word = "Text", words = "Text[]" }
output = "Text"
prompt = "{{ word }} of {{ words | length }}"

[pipe.compare_all]
type = "PipeBatch"
description = "All"
inputs = { words = "Text[]" }
output = "Text[]"
branch_pipe_code = "compare"
input_list_name = "words"
input_item_name = "word"

[pipe.pick]
type = "PipeCondition"
description = "Only some"
inputs = { word = "Text", tone = "Text" }
output = "Text?"
expression = "word.text in ('w1', 'w3')"
outcomes = { True = "each" }
default_outcome = "continue"

[pipe.pick_all]
type = "PipeBatch"
description = "All"
inputs = { words = "Text[]", tone = "Text" }
output = "Text[]"
branch_pipe_code = "pick"
input_list_name = "words"
input_item_name = "word"

[pipe.spread]
type = "PipeLLM"
description = "Several for one"
inputs = { word = "Text" }
output = "Text[]"
prompt = "$word"

[pipe.spread_all]
type = "PipeSequence"
description = "A list of lists, then one result for each inner list"
inputs = { words = "Text[]" }
output = "Text[]"
steps = [
  { pipe = "spread", batch_over = "words", batch_as = "word", result = "groups" },
  { pipe = "join", batch_over = "groups", batch_as = "group", result = "joined" },
]

[pipe.join]
type = "PipeCompose"
description = "Join"
inputs = { group = "Text[]" }
output = "Text"
template = "{{ group | join('+') }}"
"""


def words(count: int) -> Value:
    return Value(concept="native.Text", data=[{"text": f"w{index}"} for index in range(count)])


TONE = Value(concept="native.Text", data={"text": "calm"})


def echo(request: Any) -> str:
    return f"<{request.prompt}>"


@pytest.mark.parametrize("pipe", ["all", "main"])
async def test_the_results_come_in_the_order_of_the_items(run: Any, pipe: str) -> None:
    ran = await run(SOURCE, echo, {"words": words(3), "tone": TONE}, pipe=pipe)
    assert [item["text"] for item in ran.data] == ["<calm w0>", "<calm w1>", "<calm w2>"]
    assert ran.result.usage.calls == 3


async def test_an_empty_list_gives_an_empty_list(run: Any) -> None:
    ran = await run(SOURCE, (), {"words": words(0), "tone": TONE}, pipe="all")
    assert ran.result.outcome == Value(concept="native.Text", data=[])


async def test_the_branch_may_also_take_the_whole_list(run: Any) -> None:
    ran = await run(SOURCE, echo, {"words": words(2)}, pipe="compare_all")
    assert ran.prompts == ["w0 of 2", "w1 of 2"]


async def test_a_branch_is_given_no_more_than_it_reads(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Value]] = []

    run_under = InProcessHost.run_under

    async def watched(self: InProcessHost, *told: Any) -> PipeResult:
        given.append(told[-1].memory.root)
        return await run_under(self, *told)

    monkeypatch.setattr(InProcessHost, "run_under", watched)
    source = SOURCE.replace('inputs = { word = "Text", tone = "Text" }', 'inputs = { tone = "Text" }', 1)
    await run(source.replace("$tone $word", "$tone"), echo, {"words": words(2), "tone": TONE}, pipe="all")
    assert [list(memory) for memory in given] == [["words", "tone"], ["tone"], ["tone"]]


async def test_absent_results_contribute_no_item(run: Any) -> None:
    ran = await run(SOURCE, echo, {"words": words(4), "tone": TONE}, pipe="pick_all")
    assert [item["text"] for item in ran.data] == ["<calm w1>", "<calm w3>"]


async def test_lists_nest_and_are_handed_on_one_by_one(run: Any) -> None:
    ran = await run(SOURCE, lambda request: [request.prompt, "x"], {"words": words(2)}, pipe="spread_all")
    assert ran.result.stored.root["groups"].data == [
        [{"text": "w0"}, {"text": "x"}],
        [{"text": "w1"}, {"text": "x"}],
    ]
    assert [item["text"] for item in ran.data] == ["w0+x", "w1+x"]


async def test_an_absent_list_in_a_step_gives_an_empty_list(run: Any) -> None:
    source = SOURCE.replace(
        'inputs = { words = "Text[]", tone = "Text" }\noutput = "Text[]"\nsteps',
        'inputs = { words = "Text[]", tone = "Text?" }\noutput = "Text[]"\nsteps',
    )
    absent = Absence(variable="tone", absent="not_provided", reason="left out")
    ran = await run(source, (), {"words": words(2), "tone": absent})
    assert ran.data == []


async def test_the_failure_names_the_item_pipe(run: Any) -> None:
    def script(request: Any) -> Any:
        return PipeError(f"no {request.prompt}") if request.prompt[-1] in "12" else "fine"

    with pytest.raises(PipeError, match="no calm w1") as caught:
        await run(SOURCE, script, {"words": words(4), "tone": TONE}, pipe="all")
    assert caught.value.pipe_path == ("all", "each")


class CountingHost:
    """Runs everything here; notes every call, and how many items run at a time."""

    def __init__(self, library: Library, plan: Plan) -> None:
        self.library = library
        self.plan = plan
        self.calls: list[PipeCall] = []
        self.performer = ScriptedPerformer(echo)
        self.running = 0
        self.most = 0

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        self.calls.append(call)
        self.running += call.item is not None
        self.most = max(self.most, self.running)
        try:
            return await run_pipe(call, self.library, self.plan, self)
        finally:
            self.running -= call.item is not None

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        await asyncio.sleep(0)
        return await self.performer.perform(request)


async def run_counted(pipe: str, count: int, **plan: Any) -> tuple[CountingHost, PipeResult]:
    library, _ = library_from_texts({"t.mthds": SOURCE})
    models = {ask.key: ModelSetting(handle="m") for ask in model_asks(library.crate).values()}
    host = CountingHost(library, Plan(models=models, **plan))
    declared = library.pipe(library.entry(pipe)).inputs
    given = {name: value for name, value in {"words": words(count), "tone": TONE}.items() if name in declared}
    call = PipeCall(pipe=library.entry(pipe), run=RunInfo(run_id="r"), memory=Memory(root=given))
    checked: Host = host
    return host, await run_pipe(call, library, host.plan, checked)


@pytest.mark.parametrize("window", [1, 3, 7])
async def test_no_more_items_than_the_window_at_a_time(window: int) -> None:
    host, result = await run_counted("all", 20, batch_window=window)
    assert host.most == window
    assert len(host.calls) == 20
    assert [call.item.index for call in host.calls if call.item] == list(range(20))
    assert all(call.path == ("all",) and call.item and call.item.total == 20 for call in host.calls)
    assert isinstance(result.outcome, Value)


@pytest.mark.parametrize(("pipe", "count", "chunk", "window"), [
    ("all", 20, 20, 5), ("all", 21, 20, 5), ("all", 100, 10, 12), ("main", 100, 4, 50), ("all", 137, 3, 6),
    ("compare_all", 30, 7, 4),
])  # fmt: skip
async def test_many_items_are_shared_out_among_parts(pipe: str, count: int, chunk: int, window: int) -> None:
    whole, expected = await run_counted(pipe, count, batch_window=window)
    host, result = await run_counted(pipe, count, batch_window=window, batch_chunk=chunk)
    assert result == expected
    items = [call for call in host.calls if call.item is not None]
    parts = [call for call in host.calls if call.batch is not None]
    assert sorted(call.item.index for call in items if call.item) == list(range(count))
    assert {call.path for call in host.calls} == {call.path for call in whole.calls}
    assert bool(parts) == (count > chunk)
    assert host.most <= window
    for part in parts:
        assert part.batch is not None
        size = len(part.memory.root[part.batch.over].data)  # type: ignore[arg-type]
        made = [call for call in items if call.item and part.batch.first <= call.item.index < part.batch.first + size]
        assert len(made) == size
    # No call makes more calls of its own than a chunk.
    assert len([part for part in parts if part.batch and part.batch.first == 0]) <= 1 + count // chunk


async def test_the_order_of_calls_does_not_depend_on_who_ends_first() -> None:
    first, _ = await run_counted("main", 60, batch_window=8, batch_chunk=20)
    second, _ = await run_counted("main", 60, batch_window=8, batch_chunk=20)
    assert [call.model_dump() for call in first.calls] == [call.model_dump() for call in second.calls]
