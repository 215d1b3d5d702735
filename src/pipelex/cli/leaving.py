"""What Ctrl-C does to a run that is waited for: a durable one is left or cancelled, one in this process ends.

On the user's machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import typer

from pipelex.cli.session import say
from pipelex.errors import InputError

if TYPE_CHECKING:
    from pipelex.app import RunHandle, RunResult

P = ParamSpec("P")
T = TypeVar("T")

DETACH_SECONDS = 3.0
"""How long a durable run can still be cancelled with another Ctrl-C, before it is left alone."""
CANCEL_SECONDS = 20.0
"""How long the end of a run that was cancelled is waited for: its workers must stop what they do."""
THREAD_SECONDS = 0.3
"""How long what still runs in a thread is waited for without a word."""
MOST_UNSEEN = 2
"""After so many presses of which nothing was seen, what holds everything up is broken off where it is."""
INTERRUPTED = 130


class Presses:
    """The times that Ctrl-C was pressed. Any of them may be waited for; none is lost."""

    def __init__(self) -> None:
        self.count = 0
        self._pressed = asyncio.Event()

    def press(self) -> None:
        """Note one."""
        self.count += 1
        self._pressed.set()

    async def after(self, count: int) -> None:
        """Wait until there are more than that."""
        while self.count <= count:
            self._pressed.clear()
            await self._pressed.wait()


@contextlib.contextmanager
def presses() -> Iterator[Presses]:
    """Count Ctrl-C during the block. Where it is ignored, or not ours to take, nothing changes."""
    counted = Presses()
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        yield counted
        return
    loop, unseen = asyncio.get_running_loop(), 0

    def see() -> None:
        nonlocal unseen
        unseen -= 1
        counted.press()

    def note(*_: object) -> None:
        nonlocal unseen
        unseen += 1
        if unseen > MOST_UNSEEN:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(see)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield counted
    finally:
        signal.signal(signal.SIGINT, before)


class Threads(ThreadPoolExecutor):
    """Threads for plain functions, and what is under way in them."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="pipelex")
        self.under_way: set[Future[Any]] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread."""
        future = super().submit(fn, *args, **kwargs)
        self.under_way.add(future)
        future.add_done_callback(self.under_way.discard)
        return future


@contextlib.contextmanager
def threads() -> Iterator[Threads]:
    """Have this loop run plain functions in threads of which is known what is under way."""
    loop, pool = asyncio.get_running_loop(), Threads()
    loop.set_default_executor(pool)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # When it closes, a loop waits for its threads: without a word, and deaf to Ctrl-C. These are none.
        loop.set_default_executor(ThreadPoolExecutor())


async def threads_ended(handle: RunHandle, pool: Threads) -> None:
    """Wait for the functions that a run left in threads, where nothing can break them off; say so if it takes long.

    Ctrl-C, when it is no longer counted, ends the wait.
    """
    ended = asyncio.gather(*map(asyncio.wrap_future, tuple(pool.under_way)), return_exceptions=True)
    await asyncio.wait([ended], timeout=THREAD_SECONDS)
    if not ended.done():
        say(f"waiting for {await _left(handle)}, which a thread runs to its end; press Ctrl-C to leave at once")
    await ended


async def _left(handle: RunHandle) -> str:
    """What the run has begun that was not waited for."""
    from pipelex.pipes.requests import FunctionRequest

    pipes = list((await handle.record()).root.walk()) if handle.workflow_id is None else []
    functions = [(pipe, call) for pipe in pipes for call in pipe.calls if call.activity == FunctionRequest.activity]
    names = dict.fromkeys(pipe.code for pipe, call in functions if call.state == "canceled")
    return f"the function of {', '.join(names)}" if names else "what is under way"


async def attended(
    handle: RunHandle, watching: Coroutine[Any, Any, RunResult], pressed: Presses, *, leave: Callable[[], None]
) -> RunResult:
    """Wait for the result while Ctrl-C may be pressed.

    In this process the first one cancels the run, which then raises RunCancelledError, and the second one leaves at
    once. A durable run is left after a moment, with `leave` saying how to come back; a second one in that moment
    cancels it. A result that comes meanwhile is returned. Raises typer.Exit when the run is left.
    """
    watched = asyncio.ensure_future(watching)
    try:
        await _until(watched, pressed, 0)
        if not watched.done():
            await (_cancel_here if handle.workflow_id is None else _detach)(handle, watched, pressed, leave)
        return await watched
    finally:
        watched.cancel()
        await asyncio.gather(watched, return_exceptions=True)


async def _cancel_here(
    handle: RunHandle, watched: asyncio.Future[RunResult], pressed: Presses, _: Callable[[], None]
) -> None:
    say("cancelling the run; press Ctrl-C again to leave at once")
    await handle.cancel()
    await _until(watched, pressed, 1)
    if not watched.done():
        raise typer.Exit(INTERRUPTED)


async def _detach(
    handle: RunHandle, watched: asyncio.Future[RunResult], pressed: Presses, leave: Callable[[], None]
) -> None:
    say(f"detaching in {DETACH_SECONDS:g} s, the run goes on; press Ctrl-C again to cancel it")
    await _until(watched, pressed, 1, DETACH_SECONDS)
    if watched.done():
        return
    if pressed.count > 1:
        say("cancelling the run; press Ctrl-C again to leave it to its workers")
        with contextlib.suppress(InputError):  # it has just ended
            await handle.cancel()
        await _until(watched, pressed, 2, CANCEL_SECONDS)
        if watched.done():
            return
        say("asked to stop: its workers have not ended it yet")
    await _stopped(watched)
    leave()
    raise typer.Exit(INTERRUPTED)


def say_left(run_id: str, server: str | None) -> None:
    """Say that a durable run goes on by itself, and with which commands it is found again."""
    say(f"the run goes on: {run_id}")
    say(f"  follow it: {command('tail', run_id, server)}")
    say(f"  cancel it: {command('cancel', run_id, server)}")


def command(name: str, run_id: str, server: str | None) -> str:
    """A command of `pipelex runs` about that run, on the same server."""
    return f"pipelex runs {name} {run_id}{f' --server {server}' if server else ''}"


async def _until(watched: asyncio.Future[Any], pressed: Presses, count: int, seconds: float | None = None) -> None:
    """Wait for the result or for one more Ctrl-C, whichever is first."""
    press: asyncio.Future[Any] = asyncio.ensure_future(pressed.after(count))
    try:
        await asyncio.wait([watched, press], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        press.cancel()


async def _stopped(watched: asyncio.Future[RunResult]) -> None:
    """Take the tree off the screen before more is said."""
    watched.cancel()
    await asyncio.gather(watched, return_exceptions=True)
