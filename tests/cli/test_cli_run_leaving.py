"""Ctrl-C while a run is waited for: once, twice, too late; without a terminal, and without waiting."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, cast

import pytest
import typer

from pipelex.app import RunHandle, RunResult
from pipelex.cli import leaving
from pipelex.cli.leaving import Presses, attended, presses, say_left
from pipelex.cli.run import Wish, _awaited
from pipelex.cli.run_end import Ending
from pipelex.errors import InputError, RunCancelledError
from pipelex.library.library import Library

RESULT = cast(RunResult, object())


class Run:
    """A run that ends when it is told to."""

    def __init__(self, workflow_id: str | None = "run-1", *, obeys: bool = True) -> None:
        self.workflow_id = workflow_id
        self.end: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()
        self.cancelled = 0
        self.left = 0
        self._obeys = obeys

    async def cancel(self) -> None:
        self.cancelled += 1
        if self._obeys:
            self.end.set_exception(RunCancelledError("the run was cancelled"))

    async def watch(self) -> RunResult:
        return await self.end

    def leave(self) -> None:
        self.left += 1

    def attended(self, pressed: Presses) -> Coroutine[Any, Any, RunResult]:
        return attended(cast(RunHandle, self), self.watch(), pressed, leave=self.leave)


async def says(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Wait until that has been said."""
    said = ""
    async with asyncio.timeout(10):
        while True:
            said += capsys.readouterr().err
            if text in said:
                return
            await asyncio.sleep(0)


async def begun(may_end: threading.Event, has_ended: threading.Event | None = None) -> asyncio.Task[None]:
    """A function that has begun in a thread, and ends when it may."""
    loop, has_begun = asyncio.get_running_loop(), asyncio.Event()

    def function() -> None:
        loop.call_soon_threadsafe(has_begun.set)
        may_end.wait(60)
        if has_ended is not None:
            has_ended.set()

    task = asyncio.create_task(asyncio.to_thread(function))
    await has_begun.wait()
    return task


async def test_one_press_leaves_a_durable_run_after_a_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "DETACH_SECONDS", 0.0)
    run, pressed = Run(), Presses()
    pressed.press()
    with pytest.raises(typer.Exit) as left:
        await run.attended(pressed)
    assert (left.value.exit_code, run.left, run.cancelled) == (130, 1, 0)
    assert capsys.readouterr().err == "detaching in 0 s, the run goes on; press Ctrl-C again to cancel it\n"


async def test_a_second_press_in_that_moment_cancels_it(capsys: pytest.CaptureFixture[str]) -> None:
    run, pressed = Run(), Presses()
    task = asyncio.ensure_future(run.attended(pressed))
    pressed.press()
    await says(capsys, "press Ctrl-C again to cancel it")
    pressed.press()
    with pytest.raises(RunCancelledError):
        await task
    assert (run.left, run.cancelled) == (0, 1)


@pytest.mark.parametrize("presses_more", [False, True])
async def test_a_run_that_does_not_end_is_left_to_its_workers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, presses_more: bool
) -> None:
    if not presses_more:
        monkeypatch.setattr(leaving, "CANCEL_SECONDS", 0.0)
    run, pressed = Run(obeys=False), Presses()
    for _ in range(3 if presses_more else 2):
        pressed.press()
    with pytest.raises(typer.Exit) as left:
        await run.attended(pressed)
    assert (left.value.exit_code, run.left, run.cancelled) == (130, 1, 1)
    assert "asked to stop: its workers have not ended it yet" in capsys.readouterr().err


@pytest.mark.parametrize("workflow_id", ["run-1", None])
async def test_a_result_that_comes_meanwhile_is_not_lost(
    capsys: pytest.CaptureFixture[str], workflow_id: str | None
) -> None:
    run, pressed = Run(workflow_id, obeys=False), Presses()
    task = asyncio.ensure_future(run.attended(pressed))
    pressed.press()
    await says(capsys, "press Ctrl-C again")
    run.end.set_result(RESULT)
    assert await task is RESULT
    assert run.left == 0


async def test_a_run_that_ended_cannot_be_cancelled_and_its_result_is_taken() -> None:
    run, pressed = Run(), Presses()

    async def refuses() -> None:
        run.end.set_result(RESULT)
        raise InputError("it ended")

    run.cancel = refuses  # type: ignore[method-assign]
    pressed.press()
    pressed.press()
    assert await run.attended(pressed) is RESULT


async def test_a_run_in_this_process_is_cancelled_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    run, pressed = Run(None), Presses()
    pressed.press()
    with pytest.raises(RunCancelledError):
        await run.attended(pressed)
    assert capsys.readouterr().err == "cancelling the run; press Ctrl-C again to leave at once\n"


async def test_what_hangs_in_this_process_is_left_at_the_second_press() -> None:
    run, pressed = Run(None, obeys=False), Presses()
    pressed.press()
    pressed.press()
    with pytest.raises(typer.Exit) as left:
        await run.attended(pressed)
    assert (left.value.exit_code, run.end.cancelled()) == (130, True)


async def test_ctrl_c_is_counted_and_given_back() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with presses() as pressed:
            signal.raise_signal(signal.SIGINT)
            await asyncio.wait_for(pressed.after(0), 10)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with presses() as pressed:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
        assert (pressed.count, signal.getsignal(signal.SIGINT)) == (0, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGINT, before)


async def test_what_never_gives_way_is_broken_off() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with presses() as pressed:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            await asyncio.wait_for(pressed.after(1), 10)
        assert pressed.count == 2
    finally:
        signal.signal(signal.SIGINT, before)


async def test_ctrl_c_is_given_back_before_what_a_failed_run_did_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")

    class Failed:
        workflow_id = None
        given_back = False

        async def result(self) -> RunResult:
            raise RunCancelledError("it was cancelled elsewhere")

        async def tell_failed(self, *_: object) -> None:
            self.given_back = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    failed, before = Failed(), signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(RunCancelledError), leaving.threads() as pool:
            await _awaited(cast(Wish, None), cast(RunHandle, failed), cast(Library, None), cast(Ending, failed), pool)
    finally:
        signal.signal(signal.SIGINT, before)
    assert failed.given_back


async def test_what_a_thread_still_does_is_waited_for_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    handle, may_end = cast(RunHandle, Run()), threading.Event()
    with leaving.threads() as pool:
        await asyncio.to_thread(int)
        await leaving.threads_ended(handle, pool)
        assert capsys.readouterr().err == ""
        (await begun(may_end)).cancel()
        waiting = asyncio.ensure_future(leaving.threads_ended(handle, pool))
        await says(capsys, "waiting for what is under way, which a thread runs to its end; press Ctrl-C")
        assert not waiting.done()
        may_end.set()
        await waiting
        assert not pool.under_way


def test_the_wait_for_a_thread_can_be_left(capsys: pytest.CaptureFixture[str]) -> None:
    """In a loop of its own, which closes while the function goes on."""
    may_end, has_ended = threading.Event(), threading.Event()

    async def leave() -> None:
        with leaving.threads() as pool:
            await begun(may_end, has_ended)
            waiting = asyncio.ensure_future(leaving.threads_ended(cast(RunHandle, Run()), pool))
            await says(capsys, "waiting for")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    asyncio.run(leave())
    assert not has_ended.is_set()
    may_end.set()
    assert has_ended.wait(10)


def test_the_commands_to_come_back_name_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    say_left("run-1", "prod")
    assert capsys.readouterr().err.splitlines() == [
        "the run goes on: run-1",
        "  follow it: pipelex runs tail run-1 --server prod",
        "  cancel it: pipelex runs cancel run-1 --server prod",
    ]
