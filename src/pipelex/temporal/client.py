"""Start a run on a Temporal server, or find one again: wait for it, watch it, cancel it. Submitter side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import ConfigError, InputError, PipelexError, UnreachableError
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import PipeCall, PipeResult, Plan
from pipelex.pipes.progress import Progress
from pipelex.temporal.failures import raised
from pipelex.temporal.observability import PipeProgress, details, search_attributes, summary
from pipelex.temporal.routing import Routes
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.workflow import PROGRESS, PipeWorkflow

_QUERY_TIMEOUT = timedelta(seconds=1.5)
_QUERY_LEVELS = 4
_QUERIES_PER_LEVEL = 12
_PATIENCE_SECONDS = 120.0
"""How long `result` bears with a server that went away before it gives up."""
_POLLER_SECONDS = 75.0
"""A poll lasts 60 s at most: a poller not seen for longer is gone."""
_TASK_FAILURES = 3
"""A workflow task at this attempt did not fail by chance."""
_AWAY = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)


class DurableRun:
    """A run on a server. It goes on whether or not anybody holds this."""

    def __init__(
        self,
        client: Client,
        run_id: str,
        *,
        pipe: str = "",
        task_queue: str | None = None,
        routes: Routes | None = None,
    ) -> None:
        self.run_id = run_id
        self.workflow_id = run_id
        self._client = client
        self._task_queue = task_queue
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
                    raise _refused(error, self._client, self.run_id) from error
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
        return _told(self._known, answers, time.time())

    async def _ask(self, workflow_id: str) -> PipeProgress | None:
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            found: PipeProgress = await handle.query(PROGRESS, result_type=PipeProgress, rpc_timeout=_QUERY_TIMEOUT)
        except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError, FailureError):
            return None
        return found

    async def cancel(self) -> None:
        """Ask the run to stop; its children and calls stop first, and `result` then raises RunCancelledError."""
        try:
            await self._handle.cancel()
        except RPCError as error:
            raise _refused(error, self._client, self.run_id) from error

    def ui_url(self, base: str) -> str:
        """The page of this run in the Web UI at `base`."""
        namespace = quote(self._client.namespace, safe="")
        return f"{base.rstrip('/')}/namespaces/{namespace}/workflows/{quote(self.workflow_id, safe='')}"

    async def waiting_reason(self) -> str | None:
        """A sentence when a queue that this run needs has no worker, or its worker cannot go on; None otherwise."""
        try:
            described = await self._described()
            queue = self._task_queue or described.execution_config.task_queue.name
            if not await self._is_polled(queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW):
                return f"no worker polls the task queue {queue!r}; start one with: pipelex worker"
            for name in _activity_queues(self._routes):
                if not await self._is_polled(name, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
                    return (
                        f"no worker polls the task queue {name!r}, where some calls of this run go;"
                        f" start one with: pipelex worker --task-queue {name}"
                    )
            if described.pending_workflow_task.attempt >= _TASK_FAILURES:
                return f"the worker of the task queue {queue!r} cannot go on with this run: its log says why"
        except RPCError as error:
            return _refused(error, self._client, self.run_id).message
        return None

    async def _described(self) -> DescribeWorkflowExecutionResponse:
        # The raw call: the SDK's describe() raises for a paused workflow.
        return await self._client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=self.workflow_id)
            )
        )

    async def _is_polled(self, queue: str, kind: TaskQueueType.ValueType) -> bool:
        described = await self._client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
            )
        )
        oldest = time.time() - _POLLER_SECONDS
        return any(poller.last_access_time.ToDatetime().timestamp() >= oldest for poller in described.pollers)


async def submit(
    client: Client, call: PipeCall, crate: LibraryCrate, plan: Plan, routes: Routes, settings: TemporalSettings
) -> DurableRun:
    """Start a run; its workflow id is its run id.

    Raises InputError when that id is running, ConfigError or UnreachableError when the server refuses or is away.
    """
    config = settings.worker_config
    try:
        await client.start_workflow(
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
            static_summary=summary(call.pipe, crate.pipes[call.pipe]),
            static_details=details(call, crate),
            search_attributes=search_attributes(routes.search_attributes, call),
        )
    except WorkflowAlreadyStartedError as error:
        raise InputError(
            f"a run with the id {call.run.run_id!r} is under way",
            hint="give another run id, or wait for that run to end",
        ) from error
    except RPCError as error:
        raise _refused(error, client, call.run.run_id) from error
    return DurableRun(client, call.run.run_id, pipe=call.pipe, task_queue=config.default_task_queue, routes=routes)


def attach(client: Client, run_id: str) -> DurableRun:
    """Find a run again by its id; the server is asked at the first use."""
    return DurableRun(client, run_id)


def _refused(error: RPCError, client: Client, run_id: str) -> PipelexError:
    """What a refusal of the server means to whoever submits."""
    address = client.service_client.config.target_host
    if error.status in _AWAY:
        return UnreachableError(
            f"the Temporal server at {address} does not answer",
            hint="a run that was started goes on by itself when the server is back",
        )
    if error.status == RPCStatusCode.NOT_FOUND:
        return InputError(
            f"there is no run {run_id!r} at {address}, in the namespace {client.namespace!r}, or it ended"
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


def _told(found: PipeProgress, answers: dict[str, PipeProgress], now: float) -> Progress:
    known = answers.get(found.workflow_id or "", found)
    children = tuple(_told(child, answers, now) for child in known.children)
    done = known.done
    if done is not None:
        # Parts of a batch that are still running count what they have done; whole items count nothing before their end.
        parts = (child for child in children if child.pipe == found.pipe and child.state == "running")
        done += sum(part.done or 0 for part in parts)
    return Progress(
        pipe=found.pipe,
        state=known.state,
        elapsed_seconds=max(0.0, (known.ended or now) - found.started),
        done=done,
        total=known.total,
        children=children,
    )
