from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from inprocess_method import SOURCE

from pipelex.errors import PipeError, PipelexError, ProviderDownError, RateLimitError, ReplyError
from pipelex.inprocess.host import InProcessHost, Performs
from pipelex.inprocess.settings import InProcessSettings
from pipelex.inprocess.watch import MOST_CHILDREN
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, PipeResult, Plan, RunInfo
from pipelex.pipes.progress import Progress, Spent
from pipelex.pipes.requests import ModelSetting, ReplyT, Request, TextReply, Usage
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.value import Memory, Value


class Clock:
    """A clock that goes on only when somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def make(performer: Performs, settings: InProcessSettings | None = None, **plan: Any) -> tuple[InProcessHost, Clock]:
    library, _ = library_from_texts({"t.mthds": SOURCE})
    models = {ask.key: ModelSetting(handle="m") for ask in model_asks(library.crate).values()}
    clock = Clock()
    host = InProcessHost(library, Plan(models=models, **plan), performer, settings, clock=clock, sleep=clock.sleep)
    return host, clock


async def run_main(host: InProcessHost, count: int) -> PipeResult:
    words = Value(concept="native.Text", data=[{"text": f"w{index}"} for index in range(count)])
    return await host.run_pipe(PipeCall(pipe="t.main", run=RunInfo(run_id="r"), memory=Memory(root={"words": words})))


async def test_a_fault_that_may_pass_is_tried_again_with_longer_pauses() -> None:
    down = ProviderDownError("down", retryable=True)
    host, clock = make(ScriptedPerformer([down, down, "ok"]))
    result = await run_main(host, 1)
    assert isinstance(result.outcome, Value)
    assert result.outcome.data == [{"text": "ok"}]
    assert clock.slept == [3.0, 6.0]


async def test_the_provider_says_how_long_to_wait() -> None:
    slow = RateLimitError("slow down", retryable=True, retry_after=0.25)
    host, clock = make(ScriptedPerformer([slow, "ok"]))
    await run_main(host, 1)
    assert clock.slept == [0.25]


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (ReplyError("cut", retryable=False), 1),
        (PipeError("no"), 1),
        (ProviderDownError("down", retryable=True), 4),
    ],
)
async def test_how_often_a_fault_is_tried(error: PipelexError, tries: int) -> None:
    settings = InProcessSettings(
        attempts=4, initial_interval=timedelta(seconds=4), maximum_interval=timedelta(seconds=5)
    )
    performer = ScriptedPerformer(lambda request: error)
    host, clock = make(performer, settings)
    with pytest.raises(type(error)) as caught:
        await run_main(host, 1)
    assert caught.value.pipe_path == ("main", "wrap", "each")
    assert len(performer.requests) == tries
    assert clock.slept == [4.0, 5.0, 5.0][: tries - 1]


class Gauge:
    """Counts how many requests are under way."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.script = ScriptedPerformer(lambda request: request.prompt)

    async def perform(self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Any = None) -> ReplyT:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return await self.script.perform(request)


async def test_requests_under_way_are_bounded() -> None:
    gauge = Gauge()
    host, _ = make(gauge, InProcessSettings(max_concurrency=4), batch_window=20)
    result = await run_main(host, 40)
    assert gauge.most == 4
    assert isinstance(result.outcome, Value)
    assert result.outcome.data == [{"text": f"w{index}"} for index in range(40)]


class Gate:
    """Lets requests through when told to."""

    def __init__(self) -> None:
        self.open = asyncio.Semaphore(0)
        self.script = ScriptedPerformer(lambda request: request.prompt)

    async def perform(self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Any = None) -> ReplyT:
        await self.open.acquire()
        return await self.script.perform(request)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_progress_is_a_tree_that_counts_items() -> None:
    gate = Gate()
    host, clock = make(gate, batch_window=2)
    assert host.progress() == Progress(pipe="", state="running")
    task = asyncio.ensure_future(run_main(host, 5))
    await settle()
    clock.now = 2.0
    gate.open.release()
    await settle()
    clock.now = 3.0
    progress = host.progress()
    assert (progress.pipe, progress.state, progress.elapsed_seconds) == ("main", "running", 3.0)
    (batch,) = progress.children
    assert (batch.pipe, batch.state, batch.done, batch.total) == ("wrap", "running", 1, 5)
    assert [(child.state, child.elapsed_seconds) for child in batch.children] == [
        ("done", 2.0), ("running", 3.0), ("running", 1.0),
    ]  # fmt: skip
    assert [child.item for child in batch.children] == [0, 1, 2]
    (each,) = batch.children[0].children
    assert each == Progress(pipe="each", state="done", elapsed_seconds=2.0, spent=each.spent)
    for _ in range(4):
        gate.open.release()
    await task
    progress = host.progress()
    assert (progress.state, progress.children[0].state, progress.children[0].done) == ("done", "done", 5)


async def test_a_large_batch_keeps_a_small_tree() -> None:
    host, _ = make(ScriptedPerformer(lambda request: "x"))
    await run_main(host, 400)
    (batch,) = host.progress().children
    assert (batch.done, batch.total, len(batch.children)) == (400, 400, MOST_CHILDREN)


async def test_a_failure_shows_in_the_tree() -> None:
    host, _ = make(ScriptedPerformer(lambda request: PipeError("no") if request.prompt == "w1" else "x"))
    with pytest.raises(PipeError):
        await run_main(host, 2)
    progress = host.progress()
    assert (progress.state, progress.children[0].state) == ("failed", "failed")


async def test_cancelling_a_run_cancels_what_is_under_way() -> None:
    before = asyncio.all_tasks()
    gate = Gate()
    host, _ = make(gate)
    task = asyncio.ensure_future(run_main(host, 3))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert host.progress().state == "failed"
    assert asyncio.all_tasks() <= before


async def test_a_call_that_is_made_again_is_told_until_it_goes_well() -> None:
    slow = RateLimitError("slow down", retryable=True, retry_after=2.0)
    reply = TextReply(text="x", usage=Usage(calls=1, input_tokens=10, output_tokens=2, cost_usd=0.5))
    host, clock = make(ScriptedPerformer([slow, reply]))
    heard: list[str | None] = []

    async def sleep(seconds: float) -> None:
        heard.append(host.waiting_reason())
        await clock.sleep(seconds)

    host._sleep = sleep
    await run_main(host, 1)
    assert heard == ["act_llm_gen_text failed 1 time: slow down; attempt 2 of 3 follows 2 s later"]
    assert host.waiting_reason() is None
    (batch,) = host.progress().children
    assert [batch.spent, host.progress().spent] == [Spent(tokens=12, cost_usd=0.5)] * 2
