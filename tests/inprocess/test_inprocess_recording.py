"""The record that the host in this process keeps: whole for what people run, bounded for what machines do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from inprocess_method import SOURCE

from pipelex.errors import PipelexError, ProviderDownError, RequestRefusedError
from pipelex.inprocess import recording
from pipelex.inprocess.host import InProcessHost, Performs
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.record import PipeRecord, RunRecord, Texts, without_texts
from pipelex.pipes.requests import ModelSetting, TextReply, Usage
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.value import Memory, Value

COST = Usage(calls=1, input_tokens=8, cost_usd=0.25)


class Clock:
    """A clock that goes on by one second whenever it is looked at."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def make(performer: Performs, **plan: Any) -> InProcessHost:
    library, _ = library_from_texts({"t.mthds": SOURCE})
    models = {ask.key: ModelSetting(handle="m") for ask in model_asks(library.crate).values()}

    async def no_pause(_: float) -> None: ...

    return InProcessHost(library, Plan(models=models, **plan), performer, now=Clock(), sleep=no_pause)


def main(count: int) -> PipeCall:
    words = Value(concept="native.Text", data=[{"text": f"w{index}"} for index in range(count)])
    return PipeCall(pipe="t.main", run=RunInfo(run_id="r"), memory=Memory(root={"words": words}))


def priced(request: Any) -> TextReply:
    return TextReply(text=f"<{request.prompt}>", usage=COST)


async def test_a_run_is_told_pipe_by_pipe() -> None:
    host = make(ScriptedPerformer(_script(ProviderDownError("down", retryable=True, status=503))))
    await host.run_pipe(main(1))
    record = host.record()
    assert (record.run_id, record.host) == ("r", "in_process")
    assert [(found.pipe, found.kind, found.state) for found in record.root.walk()] == [
        ("t.main", "PipeSequence", "done"),
        ("t.wrap", "PipeSequence", "done"),
        ("t.each", "PipeLLM", "done"),
    ]
    [wrap] = record.root.children
    assert wrap.item is not None
    assert (wrap.item.index, wrap.item.total) == (0, 1)
    [call] = wrap.children[0].calls
    assert (call.activity, call.handle, call.attempts, call.state, call.error) == (
        "act_llm_gen_text",
        "m",
        2,
        "done",
        None,
    )
    assert call.usage == COST
    assert record.root.usage == COST.under("m")
    times = [record.root.started, wrap.started, call.scheduled, call.started, call.ended, wrap.ended, record.root.ended]
    assert times == sorted(times, key=lambda time: time or 0.0)
    assert RunRecord.model_validate_json(record.model_dump_json(exclude_defaults=True)) == without_texts(record)
    assert call.texts == Texts(given={"prompt": "w0"}, made="<w0>")
    assert wrap.texts == Texts(given={"word": "w0"}, made="<w0>")
    assert "w0" not in record.model_dump_json() + repr(record)


def _script(*first: Exception) -> Any:
    left = list(first)
    return lambda request: left.pop(0) if left else priced(request)


async def test_a_failed_run_is_told_up_to_its_error() -> None:
    host = make(ScriptedPerformer(_script(RequestRefusedError("no"))))
    with pytest.raises(RequestRefusedError):
        await host.run_pipe(main(1))
    failed = list(host.record().root.walk())
    assert [found.state for found in failed] == ["failed"] * 3
    assert [found.error and found.error["pipe_path"] for found in failed] == [["main", "wrap", "each"]] * 3
    [call] = failed[2].calls
    assert (call.state, call.attempts, call.error and call.error.code) == ("failed", 1, "request-refused")


async def test_a_cancelled_run_is_told_as_such() -> None:
    reached = asyncio.Event()

    class Slow:
        async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
            reached.set()
            await asyncio.Event().wait()

    host = make(Slow())
    running = asyncio.ensure_future(host.run_pipe(main(1)))
    await reached.wait()
    assert {found.state for found in host.record().root.walk()} == {"running"}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {(found.state, found.error is None) for found in host.record().root.walk()} == {("canceled", True)}


async def test_items_are_told_in_their_order_also_when_a_batch_is_run_in_parts() -> None:
    host = make(ScriptedPerformer(priced), batch_chunk=2)
    await host.run_pipe(main(5))
    children = host.record().root.children
    assert [child.item and child.item.index for child in children] == [0, 1, 2, 3, 4]
    assert {child.item and child.item.total for child in children} == {5}


async def test_a_long_run_keeps_its_counts_and_its_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_PIPES", 6)
    host = make(ScriptedPerformer(priced))
    await host.run_pipe(main(20))
    root = host.record().root
    kept = sum(1 for _ in root.walk()) - 1
    assert kept == 6
    assert len(root.children) + root.omitted == 20
    assert root.usage.calls == 20

    def refuse(request: Any) -> Any:
        return RequestRefusedError("no") if request.prompt == "w19" else priced(request)

    host = make(ScriptedPerformer(refuse), batch_window=1)
    with pytest.raises(PipelexError):
        await host.run_pipe(main(20))
    root = host.record().root
    failed = [found for found in root.walk() if found.state == "failed"]
    assert [found.pipe for found in failed] == ["t.main", "t.wrap", "t.each"]
    assert len(root.children) + root.omitted == 20
    assert root.usage.calls == 19


async def test_before_it_starts_a_run_has_an_unnamed_pipe() -> None:
    assert make(ScriptedPerformer()).record().root == PipeRecord(pipe="")
