"""The record of a durable run says what the record of the same run in this process says, however the run ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import MODEL, Bench, Scripted, ask, batch, call_function, crate, parallel, sequence, text, texts
from temporalio.client import Client

from pipelex.errors import (
    ConfigError,
    InputError,
    PipelexError,
    ProviderDownError,
    RequestRefusedError,
    RunCancelledError,
)
from pipelex.inprocess.host import InProcessHost
from pipelex.inprocess.settings import InProcessSettings
from pipelex.language.pipes import Step
from pipelex.library.library import Library
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.record import PipeRecord, RunRecord
from pipelex.pipes.requests import TextReply, TextRequest, Usage
from pipelex.temporal.client import attach
from pipelex.temporal.converter import data_converter
from pipelex.temporal.histories import record_of
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

TEXT = Slot("native.Text")
TEXTS = Slot("native.Text", is_list=True)
FAN_OUT = {"execution": {"child_workflows": "fan_out"}}

METHOD = crate(
    say=ask("Say $word", word=TEXT),
    twice=sequence(Step(pipe="d.say", result="said"), Step(pipe="d.again", result="more"), word=TEXT),
    again=ask("Again $said", said=TEXT),
    clean=call_function("clean", word=TEXT),
    both=parallel(
        Step(pipe="d.say", result="said"),
        Step(pipe="d.clean", result="clean"),
        output=Slot("native.Composite"),
        word=TEXT,
    ),
    all=batch("d.say", "words", "word"),
    deep=sequence(Step(pipe="d.twice", batch_over="words", batch_as="word", result="x"), words=TEXTS, output=TEXTS),
)
"""One method with every way that pipes call pipes."""


def priced(request: Any) -> Any:
    """Every text costs something, so that usage tells one call from another."""
    if isinstance(request, TextRequest):
        count = len(request.prompt)
        return TextReply(text=f"<{request.prompt}>", usage=Usage(calls=1, input_tokens=count, cost_usd=count / 8))
    return Scripted.echo(request)


def failing(prompt: str, *errors: PipelexError) -> Callable[[Any], Any]:
    """Answers as `priced`; the first calls with that prompt fail."""
    left = list(errors)

    def answer(request: Any) -> Any:
        if isinstance(request, TextRequest) and request.prompt == prompt and left:
            raise left.pop(0)
        return priced(request)

    return answer


def plain(record: PipeRecord) -> Any:
    """What both hosts must agree on: all but times, queues, workers and workflow ids."""
    calls = [
        (call.activity, call.handle, call.attempts, call.state, call.usage, call.error and call.error.code)
        for call in record.calls
    ]
    item = record.item and (record.item.index, record.item.total)
    error = record.error and (record.error["code"], record.error.get("pipe_path"))
    children = [plain(child) for child in record.children]
    return (record.pipe, record.kind, item, record.state, record.usage, error, calls, children, record.omitted)


async def in_process(answer: Callable[[Any], Any], pipe: str, inputs: dict[str, Value], **plan: Any) -> RunRecord:
    models = {found.key: MODEL for found in model_asks(METHOD).values()}

    async def no_pause(_: float) -> None: ...

    made = Plan.model_validate({"models": models, **plan})
    host = InProcessHost(Library.of(METHOD), made, Scripted(answer), InProcessSettings(attempts=3), sleep=no_pause)
    with contextlib.suppress(PipelexError):
        await host.run_pipe(PipeCall(pipe=f"d.{pipe}", run=RunInfo(run_id="r"), memory=Memory(root=inputs)))
    return host.record()


async def durably(
    bench: Bench, answer: Callable[[Any], Any], pipe: str, inputs: dict[str, Value], temporal: Any = None, **plan: Any
) -> RunRecord:
    quick = {"worker_config": {"retry_policy_config": {"initial_interval": "10ms", "maximum_attempts": 3}}}
    async with bench.worker(Scripted(answer)):
        run = await bench.start(METHOD, pipe, inputs, settings=bench.settings(**quick, **(temporal or {})), **plan)
        with contextlib.suppress(PipelexError):
            await run.result()
    return await run.record()


WORD = {"word": text("a")}
WORDS = {"words": texts("a", "bb", "ccc")}
DOWN = ProviderDownError("no answer", retryable=True)
REFUSED = RequestRefusedError("no such thing")


@pytest.mark.parametrize(
    ("pipe", "inputs", "answers", "plan"),
    [
        ("twice", WORD, lambda: priced, {}),
        ("both", WORD, lambda: priced, {}),
        ("all", WORDS, lambda: priced, {}),
        ("deep", WORDS, lambda: priced, {}),
        ("deep", WORDS, lambda: priced, {"batch_chunk": 2}),
        ("twice", WORD, lambda: failing("Say a", DOWN), {}),
        ("twice", WORD, lambda: failing("Again <Say a>", REFUSED), {}),
        ("twice", WORD, lambda: failing("Say a", DOWN, DOWN, DOWN), {}),
        ("deep", {"words": texts("a")}, lambda: failing("Say a", REFUSED), {}),
    ],
    ids=["sequence", "parallel", "batch", "nested", "parts", "retried", "failed", "given-up", "failed-item"],
)
async def test_both_hosts_tell_the_same(
    bench: Bench, pipe: str, inputs: dict[str, Value], answers: Callable[[], Callable[[Any], Any]], plan: dict[str, Any]
) -> None:
    expected = await in_process(answers(), pipe, inputs, **plan)
    found = await durably(bench, answers(), pipe, inputs, **plan)
    assert plain(found.root) == plain(expected.root)
    assert (found.host, expected.host) == ("temporal", "in_process")
    for record in found.root.walk():
        assert record.started is not None
        assert record.ended is not None
        assert record.ended >= record.started
        assert record.workflow_id is not None


async def test_a_call_is_told_with_its_queue_worker_and_attempts(bench: Bench) -> None:
    record = await durably(bench, failing("Say a", DOWN), "twice", WORD)
    first, second = [call for child in record.root.children for call in child.calls]
    assert (first.attempts, second.attempts) == (2, 1)
    assert (first.queue, first.handle, first.activity) == (bench.queue, "small", "act_llm_gen_text")
    assert first.worker
    assert first.scheduled is not None
    assert first.started is not None
    assert first.ended is not None
    assert first.scheduled <= first.started <= first.ended


@pytest.mark.parametrize("chunk", [None, 2])
async def test_pipes_run_inline_are_told_by_their_calls(bench: Bench, chunk: int | None) -> None:
    record = await durably(bench, failing("Say bb", DOWN), "deep", WORDS, FAN_OUT, batch_chunk=chunk)
    codes = sorted(child.code for child in record.root.children)
    assert codes == ["again", "again", "again", "say", "say", "say"]
    assert {child.workflow_id for child in record.root.children} == {None}
    assert {child.kind for child in record.root.children} == {"PipeLLM"}
    assert sorted(call.attempts for child in record.root.children for call in child.calls) == [1, 1, 1, 1, 1, 2]
    whole = await in_process(failing("Say bb", DOWN), "deep", WORDS)
    assert record.root.usage == whole.root.usage


async def test_the_items_of_an_inline_part_keep_their_index(bench: Bench) -> None:
    record = await durably(bench, priced, "all", WORDS, FAN_OUT, batch_chunk=2)
    assert [child.item and child.item.index for child in record.root.children] == [0, 1, 2]
    assert {child.item and child.item.total for child in record.root.children} == {3}


async def test_a_failed_inline_pipe_is_told_with_its_error(bench: Bench) -> None:
    record = await durably(bench, failing("Again <Say a>", REFUSED), "twice", WORD, FAN_OUT)
    assert record.root.state == "failed"
    assert [child.state for child in record.root.children] == ["done", "failed"]
    failed = record.root.children[1]
    assert failed.error is not None
    assert failed.error["code"] == "request-refused"
    assert record.root.usage.calls == 1


async def test_a_run_under_way_then_cancelled(bench: Bench) -> None:
    reached = asyncio.Event()
    tries = 0

    async def wait() -> Any:
        reached.set()
        await asyncio.Event().wait()

    def answer(request: Any) -> Any:
        nonlocal tries
        if request.prompt.startswith("Say"):
            return priced(request)
        tries += 1
        if tries == 1:
            raise DOWN
        return wait()

    quick = {"worker_config": {"retry_policy_config": {"initial_interval": "10ms"}}}
    async with bench.worker(Scripted(answer)):
        run = await bench.start(METHOD, "twice", WORD, settings=bench.settings(**quick))
        await asyncio.wait_for(reached.wait(), 30)
        found = (await run.record()).root
        said, again = found.children
        assert (found.state, said.state, again.state) == ("running", "done", "running")
        assert (again.calls[0].state, again.calls[0].attempts) == ("running", 2)
        assert again.calls[0].error is not None
        assert again.calls[0].error.code == "provider-down"
        assert again.calls[0].worker
        assert found.usage == said.usage
        await run.cancel()
        with pytest.raises(RunCancelledError):
            await run.result()
    ended = (await run.record()).root
    assert [ended.state, *(child.state for child in ended.children)] == ["canceled", "done", "canceled"]
    assert ended.children[1].calls[0].state == "canceled"
    assert (ended.error, ended.children[1].error) == (None, None)


async def test_a_run_without_workers_waits(bench: Bench) -> None:
    run = await bench.start(METHOD, "twice", WORD)
    found = (await run.record()).root
    assert (found.pipe, found.kind, found.state, found.children) == ("d.twice", "PipeSequence", "running", ())
    await bench.client.get_workflow_handle(run.workflow_id).terminate("enough")
    ended = (await run.record()).root
    assert (ended.state, ended.error and ended.error["code"]) == ("canceled", "run-cancelled")


async def test_values_stored_outside_of_the_history_are_read_there(bench: Bench) -> None:
    record = await durably(bench, priced, "twice", {"word": text("long " * 20_000)})
    said, again = record.root.children
    assert said.usage.by_model["small"].input_tokens == len("Say ") + 5 * 20_000
    assert (said.calls[0].handle, again.calls[0].handle) == ("small", "small")
    assert record.root.kind == "PipeSequence"


async def test_histories_past_the_bound_are_told_by_their_parents(bench: Bench) -> None:
    async with bench.worker(Scripted(priced)):
        run = await bench.start(METHOD, "deep", WORDS)
        await run.result()
    whole = (await run.record()).root
    found = (await record_of(bench.client, run.workflow_id, most_workflows=2)).root
    assert [child.is_partial for child in found.children] == [False, True, True]
    assert [(child.pipe, child.item, child.state, child.usage) for child in found.children] == [
        (child.pipe, child.item, child.state, child.usage) for child in whole.children
    ]
    assert not any(child.children for child in found.children[1:])


async def test_an_unknown_run_is_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match="there is no run 'nowhere'"):
        await attach(bench.client, "nowhere").record()


def elsewhere(bench: Bench, folder: Path) -> Client:
    """The client of a machine whose payload store is another folder."""
    config = bench.client.config()
    config["data_converter"] = data_converter(folder)
    return Client(**config)


async def test_what_the_payload_store_no_longer_has_is_left_out(bench: Bench, tmp_path: Path) -> None:
    async with bench.worker(Scripted(priced)):
        run = await bench.start(METHOD, "twice", WORD | {"other": text("long " * 20_000)})
        await run.result()
        small = await bench.start(crate(say=ask("Say $word " + "x" * 90_000, word=TEXT)), "say", WORD)
        await small.result()
    client = elsewhere(bench, tmp_path / "none")
    found = (await attach(client, small.run_id).record()).root
    assert (found.pipe, found.kind, found.state, [call.state for call in found.calls]) == (
        "d.say",
        "",
        "done",
        ["done"],
    )
    # Of this one not even the call is there.
    with pytest.raises(ConfigError, match="is not in"):
        await attach(client, run.run_id).record()


async def test_the_pipes_of_a_run_that_cannot_be_read_here_are_told(bench: Bench, tmp_path: Path) -> None:
    run = await bench.start(crate(say=ask("Say $word " + "x" * 90_000, word=TEXT)), "say", WORD)
    call, pipes = await run.started_with()
    assert (call.pipe, list(pipes.pipes)) == ("d.say", ["d.say"])
    with pytest.raises(ConfigError, match="is not in"):
        await attach(elsewhere(bench, tmp_path / "none"), run.run_id).started_with()
    await bench.client.get_workflow_handle(run.workflow_id).terminate("enough")
