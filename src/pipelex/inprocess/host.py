"""InProcessHost: runs every pipe of a run in this process, and performs its requests here."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from pipelex.errors import PipelexError
from pipelex.inference.attempts import Attempts
from pipelex.inference.checkpoint import Checkpoint
from pipelex.inprocess.recording import NotedCall, Notes, Recording
from pipelex.inprocess.settings import InProcessSettings
from pipelex.inprocess.watch import Watch
from pipelex.library.library import Library
from pipelex.pipes.port import PipeCall, PipeResult, Plan
from pipelex.pipes.progress import Progress
from pipelex.pipes.record import PipeRecord, RunRecord
from pipelex.pipes.requests import ReplyT, Request, attempted, credited
from pipelex.pipes.run import run_pipe
from pipelex.pipes.tracing import OFF, OpenSpan


class Performs(Protocol):
    """Whoever carries out requests, each once."""

    async def perform(
        self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Checkpoint | None = None
    ) -> ReplyT:
        """Carry out one request; attempts with the same key are one call to providers that honour it.

        A checkpoint is what the attempts leave to each other.
        """
        ...


class InProcessHost:
    """The host of one run. Requests that fail for a while are made again, as a durable run would.

    `clock` gives seconds, `now` seconds since the epoch, and `sleep` waits for some; all are for tests.
    """

    def __init__(
        self,
        library: Library,
        plan: Plan,
        performer: Performs,
        settings: InProcessSettings | None = None,
        *,
        span: OpenSpan = OFF,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._library = library
        self._plan = plan
        self._performer = performer
        self._settings = settings or InProcessSettings()
        self._places = asyncio.Semaphore(self._settings.max_concurrency)
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._span = span
        self._watch: Watch | None = None
        self._recording: Recording | None = None
        self._run_id = ""
        self._troubles: dict[str, str] = {}

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        """Run the entry pipe of the run."""
        self._watch = Watch.of(call, self._clock)
        self._recording = Recording(call, Notes(self._library, self._now))
        self._run_id = call.run.run_id
        return await self.run_under(self._watch, self._recording, self._span, call)

    def progress(self) -> Progress:
        """How far the run is; before it starts, an unnamed pipe."""
        return Progress(pipe="", state="running") if self._watch is None else self._watch.snapshot()

    def waiting_reason(self) -> str | None:
        """Which call has failed and is made again, the one that failed first; None when none is."""
        return next(iter(self._troubles.values()), None)

    def record(self) -> RunRecord:
        """What the run did so far; before it starts, an unnamed pipe."""
        root = PipeRecord(pipe="") if self._recording is None else self._recording.snapshot()
        return RunRecord(run_id=self._run_id, host="in_process", root=root)

    async def run_under(self, watch: Watch, recording: Recording, above: OpenSpan, call: PipeCall) -> PipeResult:
        """Run a pipe whose progress is told by `watch`, and under it that of the pipes it calls."""
        is_done = False
        try:
            with above.pipe(call, self._library.crate.pipes.get(call.pipe)).running() as span:
                result = await run_pipe(call, self._library, self._plan, _Caller(self, watch, recording, span))
            is_done = True
        except BaseException as error:
            recording.stopped(error)
            raise
        finally:
            watch.end(failed=not is_done)
        recording.done(result)
        return result

    async def perform(self, request: Request[ReplyT], noted: NotedCall, span: OpenSpan) -> ReplyT:
        """Carry out a request; again after a pause, while its failure is one that may pass."""
        reply: ReplyT | None = None
        is_cancelled = False
        try:
            reply = await self._attempts(request, noted, span)
            return credited(request, reply)
        except asyncio.CancelledError:
            is_cancelled = True
            raise
        finally:
            noted.end(self._now(), reply, is_cancelled=is_cancelled)

    async def _attempts(self, request: Request[ReplyT], noted: NotedCall, span: OpenSpan) -> ReplyT:
        attempts = Attempts(secrets.token_hex(16))
        try:
            return await self._tried(request, noted, span, attempts)
        finally:
            self._troubles.pop(attempts.key, None)

    async def _tried(self, request: Request[ReplyT], noted: NotedCall, span: OpenSpan, attempts: Attempts) -> ReplyT:
        settings = self._settings
        interval = settings.initial_interval.total_seconds()
        for attempt in range(1, settings.attempts + 1):
            try:
                async with self._places:
                    noted.try_at(self._now())
                    with span.attempt(request, attempt).running() as tried:
                        reply = await self._performer.perform(
                            attempted(request, attempt), key=attempts.key, checkpoint=attempts
                        )
                        tried.note(reply)
                    return attempts.counted(reply, attempt - 1)
            except PipelexError as error:
                noted.failed(error)
                attempts.failed(error)
                if not error.is_retryable or attempt == settings.attempts:
                    raise
                asked = getattr(error, "retry_after", None)
                pause = interval if asked is None else asked
                self._troubles[attempts.key] = _trouble(request, error, attempt, settings.attempts, pause)
            await self._sleep(pause)
            interval = min(interval * settings.backoff, settings.maximum_interval.total_seconds())
        raise AssertionError("unreachable: the last attempt returns or raises")


class _Caller:
    """The host as one running pipe sees it: the pipes it calls and its requests are told under it."""

    def __init__(self, host: InProcessHost, watch: Watch, recording: Recording, span: OpenSpan) -> None:
        self._host = host
        self._watch = watch
        self._recording = recording
        self._span = span

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        return await self._host.run_under(self._watch.begin(call), self._recording.begin(call), self._span, call)

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        reply = await self._host.perform(request, self._recording.ask(request), self._span)
        self._watch.spend(reply.usage)
        return reply


def _trouble(request: Request[Any], error: PipelexError, failed: int, of: int, pause: float) -> str:
    """The sentence that a durable run tells of the same thing."""
    wait = f"{pause:g} s later" if pause else "at once"
    times = f"{failed} time{'s' if failed > 1 else ''}"
    return f"{request.activity} failed {times}: {error.message}; attempt {failed + 1} of {of} follows {wait}"
