"""InProcessHost: runs every pipe of a run in this process, and performs its requests here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from pipelex.errors import PipelexError
from pipelex.inprocess.settings import InProcessSettings
from pipelex.inprocess.watch import Watch
from pipelex.library.library import Library
from pipelex.pipes.port import PipeCall, PipeResult, Plan
from pipelex.pipes.progress import Progress
from pipelex.pipes.requests import ReplyT, Request
from pipelex.pipes.run import run_pipe


class Performs(Protocol):
    """Whoever carries out requests, each once."""

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Carry out one request."""
        ...


class InProcessHost:
    """The host of one run. Requests that fail for a while are made again, as a durable run would.

    `clock` gives seconds and `sleep` waits for some; both are for tests.
    """

    def __init__(
        self,
        library: Library,
        plan: Plan,
        performer: Performs,
        settings: InProcessSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._library = library
        self._plan = plan
        self._performer = performer
        self._settings = settings or InProcessSettings()
        self._places = asyncio.Semaphore(self._settings.max_concurrency)
        self._clock = clock
        self._sleep = sleep
        self._watch: Watch | None = None

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        """Run the entry pipe of the run."""
        self._watch = Watch.of(call, self._clock)
        return await self.run_under(self._watch, call)

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Carry out a request; again after a pause, while its failure is one that may pass."""
        settings = self._settings
        interval = settings.initial_interval.total_seconds()
        for attempt in range(1, settings.attempts + 1):
            try:
                async with self._places:
                    return await self._performer.perform(request)
            except PipelexError as error:
                if not error.is_retryable or attempt == settings.attempts:
                    raise
                asked = getattr(error, "retry_after", None)
            await self._sleep(interval if asked is None else asked)
            interval = min(interval * settings.backoff, settings.maximum_interval.total_seconds())
        raise AssertionError("unreachable: the last attempt returns or raises")

    def progress(self) -> Progress:
        """How far the run is; before it starts, an unnamed pipe."""
        return Progress(pipe="", state="running") if self._watch is None else self._watch.snapshot()

    async def run_under(self, watch: Watch, call: PipeCall) -> PipeResult:
        """Run a pipe whose progress is told by `watch`, and under it that of the pipes it calls."""
        is_done = False
        try:
            result = await run_pipe(call, self._library, self._plan, _Caller(self, watch))
            is_done = True
        finally:
            watch.end(failed=not is_done)
        return result


class _Caller:
    """The host as one running pipe sees it: the pipes it calls are told under it."""

    def __init__(self, host: InProcessHost, watch: Watch) -> None:
        self._host = host
        self._watch = watch

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        return await self._host.run_under(self._watch.begin(call), call)

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        return await self._host.perform(request)
