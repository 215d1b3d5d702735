"""A started run as its caller holds it, wherever it runs. Submitter side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from pipelex.errors import RunCancelledError
from pipelex.inprocess.host import InProcessHost
from pipelex.pipes.port import PipeResult
from pipelex.pipes.progress import Progress
from pipelex.pipes.record import RunRecord
from pipelex.pipes.result import RunResult
from pipelex.pipes.tracing import OFF, OpenSpan

if TYPE_CHECKING:
    from pipelex.temporal.client import DurableRun


class RunHandle:
    """A started run: wait for it, watch it, cancel it. `workflow_id` and `ui_url` are those of a durable run."""

    def __init__(
        self,
        execution: LocalExecution | DurableRun,
        *,
        finish: Callable[[PipeResult], RunResult],
        run_id: str,
        workflow_id: str | None = None,
        ui_url: str | None = None,
        span: OpenSpan = OFF,
    ) -> None:
        self.run_id = run_id
        self.workflow_id = workflow_id
        self.ui_url = ui_url
        self._execution = execution
        self._finish = finish
        self._span = span
        self._closing: Callable[[], Awaitable[None]] | None = None

    async def result(self) -> RunResult:
        """Wait for the run to end. Raises what the run failed with."""
        try:
            with self._span.running():
                result = self._finish(await self._execution.result())
            if isinstance(self._execution, LocalExecution):
                result.record = await self._execution.record()
            return result
        finally:
            if self._closing is not None:
                await self._closing()

    async def leave(self) -> None:
        """Let go of a run whose result nobody here waits for; a durable one goes on."""
        self._span.end()
        if self._closing is not None:
            await self._closing()

    def on_end(self, closing: Callable[[], Awaitable[None]]) -> None:
        """Call `closing` once the result has been awaited, whatever it is."""
        self._closing = closing

    async def progress(self) -> Progress:
        """How far the run is: a tree of pipes."""
        return await self._execution.progress()

    async def record(self) -> RunRecord:
        """What the run did so far, or in all: pipes, calls, attempts, usage, errors; of a failed run too."""
        return await self._execution.record()

    async def cancel(self) -> None:
        """Ask the run to stop; `result()` then raises RunCancelledError."""
        await self._execution.cancel()

    async def waiting_reason(self) -> str | None:
        """A sentence when the run does not go on: no worker, or a call that fails and is made again; else None."""
        return await self._execution.waiting_reason()


class LocalExecution:
    """A run in a task of this process."""

    def __init__(self, coroutine: Coroutine[Any, Any, PipeResult], host: InProcessHost) -> None:
        self._task = asyncio.ensure_future(coroutine)
        self._host = host
        self._is_cancelled = False

    async def result(self) -> PipeResult:
        """Wait for the task; cancelling the wait cancels the run, which nothing else could go on with."""
        try:
            return await self._task
        except asyncio.CancelledError:
            if self._is_cancelled:
                raise RunCancelledError("the run was cancelled") from None
            raise

    async def progress(self) -> Progress:
        """What the host has seen so far."""
        return self._host.progress()

    async def record(self) -> RunRecord:
        """What the host has noted so far."""
        return self._host.record()

    async def waiting_reason(self) -> str | None:
        """The call that fails and is made again, if any."""
        return self._host.waiting_reason()

    async def cancel(self) -> None:
        """Cancel the task."""
        self._is_cancelled = True
        self._task.cancel()
