"""What goes wrong on a real server: the class that was raised comes back, retries are paced, cancellation arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporal_bench import TEXT, TEXTS, Bench, Scripted, ask, batch, call_function, crate, sequence, text, texts
from temporalio.client import WorkflowExecutionStatus

from pipelex.errors import (
    FunctionError,
    InputError,
    InternalError,
    PipelexError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
    RunCancelledError,
    RunTimeoutError,
)
from pipelex.language.pipes import Step
from pipelex.pipes.requests import TextReply
from pipelex.temporal.client import attach

pytestmark = pytest.mark.server

STEPS = crate(main=sequence(Step(pipe="d.one", result="a"), Step(pipe="d.two")), one=ask("1"), two=ask("2 $a", a=TEXT))


def raising(*errors: Exception) -> Callable[[Any], Any]:
    """Raise each of the errors once, then answer."""
    waiting = list(errors)

    def answer(request: Any) -> Any:
        if waiting:
            raise waiting.pop(0)
        return Scripted.echo(request)

    return answer


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestRefusedError("no", provider="acme", status=400), RequestRefusedError),
        (FunctionError("f raised ValueError"), FunctionError),
        (ReplyError("cut short", retryable=False), ReplyError),
        (ValueError("hunter2"), InternalError),
    ],
    ids=lambda found: found.__name__ if isinstance(found, type) else "",
)
async def test_the_class_that_was_raised_comes_back(
    bench: Bench, error: Exception, expected: type[PipelexError]
) -> None:
    async with bench.worker(performer := Scripted(raising(error))):
        run = await bench.start(STEPS, "main")
        with pytest.raises(expected) as caught:
            await run.result()
    assert type(caught.value) is expected
    assert caught.value.pipe_path == ("main", "one")
    assert len(performer.asked) == 1
    if isinstance(error, PipelexError):
        assert caught.value.message == error.message
    assert "hunter2" not in (await bench.history(run.workflow_id)).to_json()


async def test_a_failing_call_is_tried_three_times(bench: Bench) -> None:
    down = [ProviderDownError("down", retryable=True, retry_after=0.01) for _ in range(5)]
    async with bench.worker(performer := Scripted(raising(*down))):
        run = await bench.start(STEPS, "main")
        with pytest.raises(ProviderDownError) as caught:
            await run.result()
    assert len(performer.asked) == 3
    assert caught.value.is_retryable


async def test_the_provider_says_when_to_come_back(bench: Bench) -> None:
    settings = bench.settings(worker_config={"retry_policy_config": {"initial_interval": "1h"}})
    slow_down = RateLimitError("slow down", retryable=True, retry_after=0.05)
    async with bench.worker(performer := Scripted(raising(slow_down))):
        run = await bench.start(crate(tell=ask("x")), "tell", settings=settings)
        assert (await run.result()).outcome == text("<x>")
    assert len(performer.asked) == 2


async def test_a_type_named_not_retryable(bench: Bench) -> None:
    settings = bench.settings(
        worker_config={"retry_policy_config": {"non_retryable_error_types": ["ProviderDownError"]}},
    )
    async with bench.worker(performer := Scripted(raising(ProviderDownError("down", retryable=True)))):
        with pytest.raises(ProviderDownError):
            await (await bench.start(STEPS, "main", settings=settings)).result()
    assert len(performer.asked) == 1


async def test_an_item_that_fails_stops_the_batch(bench: Bench) -> None:
    def answer(request: Any) -> Any:
        if request.prompt == "b":
            raise RequestRefusedError("no b")
        return asyncio.Event().wait() if request.prompt in "cd" else Scripted.echo(request)

    found = crate(each=batch("d.tell", "things", "thing"), tell=ask("$thing", thing=TEXT))
    async with bench.worker(performer := Scripted(answer)):
        run = await bench.start(found, "each", {"things": texts("a", "b", "c", "d")})
        error = await error_of(run.result())
    assert isinstance(error, RequestRefusedError)
    assert (error.message, error.pipe_path) == ("no b", ("each", "tell"))
    assert [request.prompt for request in performer.asked].count("b") == 1


async def error_of(awaitable: Any) -> PipelexError:
    with pytest.raises(PipelexError) as caught:
        await awaitable
    return caught.value


async def test_cancelling_reaches_the_call(bench: Bench) -> None:
    entered, stopped = asyncio.Event(), asyncio.Event()

    async def hang(request: Any) -> Any:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    settings = bench.settings(queue_options={bench.queue: {"heartbeat_timeout": "1s"}})
    async with bench.worker(performer := Scripted(hang)):
        run = await bench.start(STEPS, "main", settings=settings)
        await entered.wait()
        await run.cancel()
        assert isinstance(await error_of(run.result()), RunCancelledError)
        status = (await bench.client.get_workflow_handle(run.workflow_id).describe()).status
        assert status == WorkflowExecutionStatus.CANCELED
        await stopped.wait()
    assert len(performer.asked) == 1


async def test_terminating_is_a_cancellation_too(bench: Bench) -> None:
    run = await bench.start(STEPS, "main")
    await bench.client.get_workflow_handle(run.workflow_id).terminate("enough")
    assert "terminated" in (await error_of(run.result())).message


async def test_a_child_cancelled_by_hand(bench: Bench) -> None:
    entered = asyncio.Event()

    async def hang(request: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    async with bench.worker(Scripted(hang)):
        run = await bench.start(STEPS, "main")
        await entered.wait()
        events = (await bench.history(run.workflow_id)).events
        child = next(
            event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
            for event in events
            if event.HasField("child_workflow_execution_started_event_attributes")
        )
        await bench.client.get_workflow_handle(child).cancel()
        error = await error_of(run.result())
    assert isinstance(error, RunCancelledError)
    assert child in error.message


async def test_a_call_that_takes_too_long(bench: Bench) -> None:
    settings = bench.settings(
        queue_options={
            bench.queue: {"start_to_close_timeout": "0.2s", "retry_policy_config": {"maximum_attempts": 1}},
        }
    )
    async with bench.worker(Scripted(lambda request: asyncio.Event().wait())):
        error = await error_of((await bench.start(STEPS, "main", settings=settings)).result())
    assert isinstance(error, RunTimeoutError)
    assert error.message == "act_llm_gen_text exceeded its start-to-close timeout"
    assert error.pipe_path == ("main", "one")


async def test_a_run_that_takes_too_long(bench: Bench) -> None:
    settings = bench.settings(worker_config={"workflow_execution_timeout": "1s"})
    run = await bench.start(STEPS, "main", settings=settings)
    error = await error_of(run.result())
    assert isinstance(error, RunTimeoutError)
    assert error.message == "the run exceeded its time"


async def test_a_reply_of_another_version(bench: Bench) -> None:
    async with bench.worker(Scripted(lambda request: {"text": "x", "brand_new": 1})):
        error = await error_of((await bench.start(crate(tell=ask("x")), "tell")).result())
    assert "TextReply cannot be read here" in error.message


async def test_a_bug_in_a_pipe_ends_the_run(bench: Bench) -> None:
    found = crate(tell=call_function("f"))
    async with bench.worker(Scripted(lambda request: 1 / 0)):
        error = await error_of((await bench.start(found, "tell")).result())
    assert type(error) is InternalError
    assert "ZeroDivisionError" in error.message


async def test_progress_descends_into_children(bench: Bench) -> None:
    gate, waiting = asyncio.Event(), asyncio.Event()

    async def answer(request: Any) -> Any:
        if request.prompt == "b":
            waiting.set()
            await gate.wait()
        return TextReply(text=request.prompt)

    found = crate(
        main=sequence(Step(pipe="d.each", result="all"), output=TEXTS, things=TEXTS),
        each=batch("d.tell", "things", "thing"),
        tell=ask("$thing", thing=TEXT),
    )
    async with bench.worker(Scripted(answer)):
        run = await bench.start(found, "main", {"things": texts("a", "b", "c")})
        await waiting.wait()
        while True:
            progress = await attach(bench.client, run.run_id).progress()
            each = progress.children[0]
            if each.children and each.children[0].done == 2:
                break
            await asyncio.sleep(0.02)
        details = await bench.client.get_workflow_handle(run.workflow_id).query(
            "__temporal_workflow_metadata", result_type=dict
        )
        gate.set()
        await run.result()
        finished = await run.progress()
    assert (progress.pipe, each.pipe, each.children[0].pipe) == ("d.main", "d.each", "d.tell")
    assert each.children[0].total == 3
    assert [child.pipe for child in each.children[0].children] == ["d.tell"]
    assert "each" in str(details)
    assert finished.state == "done"


async def test_attach(bench: Bench) -> None:
    async with bench.worker(Scripted()):
        run = await bench.start(crate(tell=ask("x")), "tell")
        again = attach(bench.client, run.run_id)
        assert (await again.result()).outcome == text("<x>")
        assert await again.waiting_reason() is None
    assert again.ui_url("http://localhost:8233/") == f"http://localhost:8233/namespaces/default/workflows/{run.run_id}"
    nobody = attach(bench.client, "no such run")
    assert isinstance(await error_of(nobody.result()), InputError)
    assert isinstance(await error_of(nobody.cancel()), InputError)
