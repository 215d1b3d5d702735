"""Start a run on a Temporal server, or find one again: wait for it, watch it, cancel it. Submitter side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import ConfigError, InputError, PipelexError, UnreachableError
from pipelex.inference.redaction import shown_url
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import PipeCall, PipeResult, Plan
from pipelex.pipes.progress import Progress, Spent
from pipelex.pipes.record import RunRecord
from pipelex.pipes.tracing import TraceContext
from pipelex.temporal.failures import raised
from pipelex.temporal.histories import record_of, started_with
from pipelex.temporal.observability import PipeProgress, details, search_attributes, summary
from pipelex.temporal.routing import Routes
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.spans import under
from pipelex.temporal.waiting import waiting_reason
from pipelex.temporal.workflow import PROGRESS, PipeWorkflow

_QUERY_TIMEOUT = timedelta(seconds=1.5)
_CANCEL_TIMEOUT = timedelta(seconds=10)
"""Who cancels a run waits for the answer; a server that is gone would hold them for as long as a connection lasts."""
_QUERY_LEVELS = 4
_QUERIES_PER_LEVEL = 12
_PATIENCE_SECONDS = 120.0
"""How long `result` bears with a server that went away before it gives up."""
_AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)


class DurableRun:
    """A run on a server. It goes on whether or not anybody holds this."""

    def __init__(
        self,
        client: Client,
        run_id: str,
        *,
        pipe: str = "",
        routes: Routes | None = None,
    ) -> None:
        self.run_id = run_id
        self.workflow_id = run_id
        self._client = client
        self._routes = routes or Routes()
        self._handle: WorkflowHandle[PipeWorkflow, PipeResult] = client.get_workflow_handle(
            self.workflow_id, result_type=PipeResult
        )
        self._known = PipeProgress(pipe=pipe, started=time.time())

    async def result(self) -> PipeResult:
        """Wait for the end. Raises the error the run failed with; a server that restarts meanwhile is waited for."""
        lost_at: float | None = None
        while True:
            asked_at = time.monotonic()
            try:
                return await self._handle.result()
            except (WorkflowFailureError, FailureError) as error:
                raise raised(error) from error
            except RPCError as error:
                # A poll that held for a while had found the server again.
                if lost_at is None or time.monotonic() - asked_at > _PATIENCE_SECONDS / 2:
                    lost_at = asked_at
                if error.status not in _AWAY or time.monotonic() - lost_at > _PATIENCE_SECONDS:
                    raise refused(error, self._client, self.run_id) from error
                await asyncio.sleep(1)

    async def progress(self) -> Progress:
        """Ask the run how far it is, and its running children a few levels down. Without workers, the last known."""
        if (found := await self._ask(self.workflow_id)) is not None:
            self._known = found
        answers: dict[str, PipeProgress] = {}
        asked = [self._known] if found is not None else []
        for _ in range(_QUERY_LEVELS):
            ids = [name for answer in asked for name in _elsewhere(answer)][:_QUERIES_PER_LEVEL]
            replies = await asyncio.gather(*(self._ask(name) for name in ids))
            fresh = {name: reply for name, reply in zip(ids, replies, strict=True) if reply is not None}
            answers.update(fresh)
            asked = list(fresh.values())
            if not asked:
                break
        return _told(self._known, answers, time.time())[0]

    async def _ask(self, workflow_id: str) -> PipeProgress | None:
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            found: PipeProgress = await handle.query(PROGRESS, result_type=PipeProgress, rpc_timeout=_QUERY_TIMEOUT)
        except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError, FailureError):
            return None
        return found

    async def record(self) -> RunRecord:
        """Read what the run did so far from its histories; no worker is needed."""
        try:
            return await record_of(self._client, self.workflow_id)
        except FailureError as error:
            raise raised(error) from error
        except ValidationError as error:
            raise ConfigError(
                f"the histories of the run {self.run_id!r} do not fit this version of pipelex",
                hint="look at it with the version of the workers that ran it",
            ) from error
        except RPCError as error:
            raise refused(error, self._client, self.run_id) from error

    async def started_with(self) -> tuple[PipeCall, LibraryCrate]:
        """Read the call and the pipes that the run was started with from its history."""
        try:
            return await started_with(self._client, self.workflow_id)
        except FailureError as error:
            raise raised(error) from error
        except RPCError as error:
            raise refused(error, self._client, self.run_id) from error

    async def cancel(self) -> None:
        """Ask the run to stop; its children and calls stop first, and `result` then raises RunCancelledError."""
        try:
            await self._handle.cancel(rpc_timeout=_CANCEL_TIMEOUT)
        except RPCError as error:
            raise refused(error, self._client, self.run_id) from error

    def ui_url(self, base: str) -> str:
        """The page of this run in the Web UI at `base`."""
        namespace = quote(self._client.namespace, safe="")
        return f"{base.rstrip('/')}/namespaces/{namespace}/workflows/{quote(self.workflow_id, safe='')}"

    async def waiting_reason(self) -> str | None:
        """Why nothing happens: no worker on a queue that is needed, a worker that cannot go on, a call that fails."""
        try:
            return await waiting_reason(self._client, self.workflow_id, _activity_queues(self._routes))
        except RPCError as error:
            return refused(error, self._client, self.run_id).message


async def submit(
    client: Client,
    call: PipeCall,
    crate: LibraryCrate,
    plan: Plan,
    routes: Routes,
    settings: TemporalSettings,
    *,
    trace: TraceContext | None = None,
) -> DurableRun:
    """Start a run, as a part of a trace if one is given; its workflow id is its run id.

    Raises InputError when that id is running, ConfigError or UnreachableError when the server refuses or is away.
    """
    config = settings.worker_config
    try:
        await under(client, trace).start_workflow(
            PipeWorkflow.run,
            args=[call, crate, plan, routes],
            id=call.run.run_id,
            task_queue=config.default_task_queue,
            execution_timeout=config.workflow_execution_timeout,
            run_timeout=config.run_timeout,
            task_timeout=config.task_timeout,
            start_delay=config.start_delay or None,
            rpc_timeout=config.rpc_timeout,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            # Children and calls inherit it.
            priority=Priority(**dict(routes.lane)),
            static_summary=summary(call.pipe, crate.pipes[call.pipe]),
            static_details=details(call, crate),
            search_attributes=search_attributes(routes.search_attributes, call, crate),
        )
    except WorkflowAlreadyStartedError as error:
        raise InputError(
            f"a run with the id {call.run.run_id!r} is under way",
            hint="give another run id, or wait for that run to end",
        ) from error
    except FailureError as error:
        raise raised(error) from error
    except RPCError as error:
        raise refused(error, client, call.run.run_id) from error
    return DurableRun(client, call.run.run_id, pipe=call.pipe, routes=routes)


def attach(client: Client, run_id: str) -> DurableRun:
    """Find a run again by its id; the server is asked at the first use."""
    return DurableRun(client, run_id)


def refused(error: RPCError, client: Client, run_id: str) -> PipelexError:
    """What a refusal of the server means to whoever submits."""
    address = shown_url(client.service_client.config.target_host)
    if error.status in _AWAY:
        return UnreachableError(
            f"the Temporal server at {address} does not answer",
            hint="a run that was started goes on by itself when the server is back",
        )
    if error.status == RPCStatusCode.NOT_FOUND:
        return InputError(
            f"there is no run {run_id!r} at {address}, in the namespace {client.namespace!r}, or it ended",
            hint="`pipelex runs list` shows the runs of this namespace; the server forgets those that ended long ago",
        )
    if "search attribute" in error.message.lower():
        return ConfigError(
            f"the namespace {client.namespace!r} lacks a search attribute: {error.message}",
            hint="run `pipelex setup-temporal-namespace`, or set [temporal.search_attributes] enabled = false",
        )
    return ConfigError(f"the Temporal server at {address} refuses: {error.message}")


def _activity_queues(routes: Routes) -> tuple[str, ...]:
    found = [*routes.by_activity.values(), *routes.by_handle.values()]
    return tuple(dict.fromkeys(route.task_queue for route in found if route.task_queue is not None))


def _elsewhere(progress: PipeProgress) -> Iterator[str]:
    """The workflows of running pipes that an answer names, itself excluded."""
    for child in progress.children:
        if child.state == "running" and child.workflow_id is not None:
            yield child.workflow_id
        yield from _elsewhere(child)


def _told(found: PipeProgress, answers: dict[str, PipeProgress], now: float) -> tuple[Progress, Spent]:
    """The tree, and what was spent under it that the workflow which named `found` does not know."""
    answer = answers.get(found.workflow_id or "")
    known = answer or found
    told = [_told(child, answers, now) for child in known.children]
    children = tuple(child for child, _ in told)
    beyond = sum((unknown for _, unknown in told), Spent())
    spent = known.spent + beyond
    done = known.done
    if done is not None:
        # Parts of a batch that are still running count what they have done; whole items count nothing before their end.
        parts = (child for child in children if child.pipe == found.pipe and child.state == "running")
        done += sum(part.done or 0 for part in parts)
    progress = Progress(
        pipe=found.pipe,
        state=known.state,
        elapsed_seconds=max(0.0, (known.ended or now) - found.started),
        item=found.item,
        done=done,
        total=known.total,
        spent=spent,
        children=children,
    )
    return progress, beyond if answer is None else spent
