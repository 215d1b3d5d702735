"""Why nothing happens in a run: queues without a worker, workers that cannot go on, calls that fail. Submitter side.

A run is looked at from its first workflow down, in a bounded number of requests: it is asked every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState, WorkflowExecutionStatus
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)
from temporalio.client import Client
from temporalio.exceptions import FailureError
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import InternalError, PipelexError
from pipelex.temporal.failures import raised
from pipelex.temporal.observability import shortened
from pipelex.temporal.queues import Polling, Work, polling

_TASK_FAILURES = 3
"""A workflow task at this attempt did not fail by chance."""
_WORKFLOWS = 10
_QUEUES = 8
_MESSAGE_BYTES = 300
_WORKFLOW: Work = "workflow"
_ACTIVITY: Work = "activity"


async def described(client: Client, workflow_id: str) -> DescribeWorkflowExecutionResponse:
    """What the server knows of a workflow. The raw answer: the SDK's `describe()` raises for a paused workflow."""
    return await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
    )


async def cause_of(client: Client, failure: Failure) -> BaseException:
    """What a failure was, decrypted and fetched as the client's converter does; without keys, an error that says so."""
    try:
        return await client.data_converter.decode_failure(failure)
    except (PipelexError, FailureError, RuntimeError, ValueError, OSError) as error:
        told = raised(error)
        return InternalError(f"its error cannot be read here: {told.message}", hint=told.hint)


async def waiting_reason(client: Client, workflow_id: str, queues: Sequence[str] = ()) -> str | None:
    """A sentence that says why a running workflow, or one under it, does not go on; None when all seems well.

    `queues` are those where its calls may go. Raises the SDK's RPCError.
    """
    look = _Look(client)
    async for found in _family(client, workflow_id):
        if (reason := await look.at(found)) is not None:
            return reason
        info = found.workflow_execution_info
        if info.execution.workflow_id == workflow_id and info.HasField("close_time"):
            return None
    for queue in queues:
        if (
            reason := await look.unserved(queue, _ACTIVITY, ", where some calls of this run go", _start(queue))
        ) is not None:
            return reason
    return None


async def _family(client: Client, workflow_id: str) -> AsyncIterator[DescribeWorkflowExecutionResponse]:
    """A workflow, then the running ones under it, level by level, as many as it is worth asking about."""
    ids, left = [workflow_id], _WORKFLOWS
    while ids and left > 0:
        asked, left = ids[:left], left - len(ids)
        answers = await asyncio.gather(*(described(client, found) for found in asked), return_exceptions=True)
        ids = []
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, BaseException):
                if name != workflow_id and isinstance(answer, RPCError) and answer.status == RPCStatusCode.NOT_FOUND:
                    continue  # a child that has not started, or that is gone
                raise answer
            yield answer
            ids += [child.workflow_id for child in answer.pending_children]


class _Look:
    """One look at a run: what is known of a queue is asked once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._polled: dict[tuple[str, Work], Polling] = {}

    async def at(self, found: DescribeWorkflowExecutionResponse) -> str | None:
        """Why this workflow does not go on; None when it does, or ended."""
        info, queue = found.workflow_execution_info, found.execution_config.task_queue.name
        if info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED:
            return f"the workflow {info.execution.workflow_id} is paused; {_unpause(info.execution.workflow_id)}"
        if info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
            return None
        if (reason := await self.unserved(queue, _WORKFLOW, "", "start one with: pipelex worker")) is not None:
            return reason
        if found.pending_workflow_task.attempt >= _TASK_FAILURES:
            return (
                f"the worker of the task queue {queue!r} cannot go on with the workflow {info.execution.workflow_id},"
                f" after {found.pending_workflow_task.attempt - 1} attempts: its log says why"
            )
        for call in found.pending_activities:
            if (reason := await self._of_call(call, queue, f" (workflow {info.execution.workflow_id})")) is not None:
                return reason
        return None

    async def _of_call(self, call: PendingActivityInfo, workflow_queue: str, place: str) -> str | None:
        queue = call.activity_options.task_queue.name or workflow_queue
        name = f"{call.activity_type.name} on the task queue {queue!r}"
        if call.paused:
            return f"{name} is paused{place}; go on with: temporal activity unpause"
        is_started = call.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        if not is_started:
            waits = f", where {call.activity_type.name} waits"
            if (reason := await self.unserved(queue, _ACTIVITY, waits, _start(queue))) is not None:
                return reason
        if call.attempt <= 1:
            return None
        failed = call.attempt - 1
        cause = await cause_of(self._client, call.last_failure)
        message = shortened(getattr(cause, "message", ""), _MESSAGE_BYTES) or "no reason was given"
        of = f" of {call.maximum_attempts}" if call.maximum_attempts else ""
        if is_started:
            now = f"attempt {call.attempt}{of} is under way"
        else:
            # Told as it stays until the attempt: a countdown would be a new reason at each look.
            wait = call.current_retry_interval.ToTimedelta().total_seconds()
            now = f"attempt {call.attempt}{of} follows {f'{wait:.3g} s later' if wait else 'at once'}"
        return f"{name} failed {failed} time{'s' if failed > 1 else ''}: {message}; {now}{place}"

    async def unserved(self, queue: str, work: Work, what: str, fix: str) -> str | None:
        """Why nobody takes work from a queue; None when somebody does. Beyond some queues, it is taken for granted."""
        if (queue, work) not in self._polled:
            if len(self._polled) >= _QUEUES:
                return None
            self._polled[queue, work] = await polling(self._client, queue, work)
        found = self._polled[queue, work]
        if not found.is_polled:
            return f"no worker polls the task queue {queue!r}{what}; {fix}"
        if found.is_left:
            return (
                f"nobody takes work from the task queue {queue!r}{what}: its workers are gone, or hold as much as they"
                f" take; {fix}"
            )
        if found.waiting_builds:
            builds = ", ".join(found.waiting_builds)
            return (
                f"the workers of the task queue {queue!r}{what}{',' if what else ''} have build ids of which none is"
                f" current: {builds}; `pipelex doctor` names the command that makes one so"
            )
        return None


def _start(queue: str) -> str:
    return f"start one with: pipelex worker --task-queue {queue}"


def _unpause(workflow_id: str) -> str:
    return f"go on with: temporal workflow unpause --workflow-id {workflow_id}"
