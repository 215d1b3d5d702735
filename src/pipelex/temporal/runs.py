"""The runs a namespace has: found by visibility, told by what their workflows were started with. Submitter side.

Only raw answers are read: the SDK's `list_workflows()` and `describe()` raise for a paused workflow.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.exceptions import FailureError
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import InputError, PipelexError
from pipelex.inference.redaction import shown_url
from pipelex.temporal.client import refused
from pipelex.temporal.waiting import described
from pipelex.temporal.workflow import WORKFLOW

RunState = Literal["running", "paused", "done", "failed", "canceled", "terminated", "timed-out"]
_STATES: Mapping[int, RunState] = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING: "running",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED: "paused",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: "done",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: "failed",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: "canceled",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed-out",
}
_NAMES: Mapping[RunState, str] = {
    "running": "Running",
    "paused": "Paused",
    "done": "Completed",
    "failed": "Failed",
    "canceled": "Canceled",
    "terminated": "Terminated",
    "timed-out": "TimedOut",
}
_PAGE = 100
_MOST_READ = 1000
"""How many runs are looked at, at most, when the server cannot filter by what is asked for."""
_AT_ONCE = 10
_ROW = re.compile(r"^\| ([\w ]+) \| `(.*)` \|$", re.MULTILINE)


@dataclass(frozen=True)
class FoundRun:
    """One workflow of ours. `pipe` is its reference; empty when nothing tells it, as `user`."""

    run_id: str
    pipe: str
    state: RunState
    started: datetime
    ended: datetime | None
    user: str
    cost_usd: float | None
    tokens: int | None

    @property
    def is_over(self) -> bool:
        """Whether it ended, one way or another."""
        return self.state not in ("running", "paused")

    @property
    def duration(self) -> timedelta:
        """How long it took, or takes so far."""
        return (self.ended or datetime.now(UTC)) - self.started


@dataclass(frozen=True)
class RunFilter:
    """Which runs are wanted. `query` is more, in the language of Temporal's visibility."""

    state: RunState | None = None
    pipe: str | None = None
    user: str | None = None
    since: datetime | None = None
    query: str | None = None
    with_children: bool = False
    limit: int = 20

    def visibility(self, labels: Collection[str]) -> str:
        """The query to the server; pipe and user are in it when runs are labelled with them."""
        terms = [f"WorkflowType = '{WORKFLOW}'"]
        if not self.with_children:
            terms.append("ParentWorkflowId IS NULL")
        if self.state is not None:
            terms.append(f"ExecutionStatus = '{_NAMES[self.state]}'")
        if self.since is not None:
            terms.append(f"StartTime >= '{self.since.astimezone(UTC).isoformat().replace('+00:00', 'Z')}'")
        if self.pipe is not None and "PipeCode" in labels:
            terms.append(f"PipeCode = {_quoted(self.pipe.rpartition('.')[2])}")
        if self.user is not None and "UserId" in labels:
            terms.append(f"UserId = {_quoted(self.user)}")
        if self.query:
            terms.append(f"({self.query})")
        return " AND ".join(terms)

    def takes(self, run: FoundRun) -> bool:
        """Whether a run is wanted, as far as the server did not look at it."""
        if self.user is not None and run.user != self.user:
            return False
        return self.pipe is None or self.pipe in (run.pipe, run.pipe.rpartition(".")[2])


async def find_runs(client: Client, wanted: RunFilter, *, labels: Collection[str] = ()) -> list[FoundRun]:
    """The runs wanted, running ones first, then the latest. `labels` are the search attributes that runs carry."""
    found: list[FoundRun] = []
    places = asyncio.Semaphore(_AT_ONCE)
    try:
        async for page in _pages(client, wanted.visibility(labels), min(wanted.limit, _PAGE)):
            runs = await asyncio.gather(*(_told(client, info, places) for info in page))
            found += [run for run in runs if wanted.takes(run)]
            if len(found) >= wanted.limit:
                break
    except RPCError as error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            hint = "--query is written as for `temporal workflow list`; names in it must be known to the namespace"
            if "invalid search attribute" in error.message:
                hint = "`pipelex setup-temporal-namespace` adds the attributes that [temporal.search_attributes] names"
            raise InputError(f"the server refuses the query: {error.message}", hint=hint) from error
        raise refused(error, client, "") from error
    return found[: wanted.limit]


async def find_run(client: Client, run_id: str) -> FoundRun:
    """The run of that id, or the workflow of a pipe under a run. Raises InputError when there is none."""
    try:
        answer = await described(client, run_id)
    except RPCError as error:
        raise unknown(error, client, run_id) from error
    info = answer.workflow_execution_info
    if info.type.name != WORKFLOW:
        hint = "`pipelex runs list` shows the runs of this namespace"
        raise InputError(f"{run_id!r} is a workflow of type {info.type.name!r}, not a run of pipelex", hint=hint)
    return _run_of(info, await _details(client, answer.execution_config.user_metadata))


async def cancel_run(client: Client, run_id: str) -> None:
    """Ask a run to stop. Raises InputError when it ended already, or is not there."""
    await _under_way(client, run_id)
    try:
        await client.get_workflow_handle(run_id).cancel()
    except RPCError as error:
        raise unknown(error, client, run_id) from error


async def terminate_run(client: Client, run_id: str, reason: str) -> None:
    """Stop a run at once, without its workers. Raises InputError when it ended already, or is not there."""
    await _under_way(client, run_id)
    try:
        await client.get_workflow_handle(run_id).terminate(reason=reason)
    except RPCError as error:
        raise unknown(error, client, run_id) from error


def unknown(error: RPCError, client: Client, run_id: str) -> PipelexError:
    """What a refusal means to whoever asks for one run."""
    if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
        return refused(error, client, run_id)
    address = shown_url(client.service_client.config.target_host)
    return InputError(
        f"there is no run {run_id!r} at {address}, in the namespace {client.namespace!r}",
        hint="`pipelex runs list` shows the runs; the server forgets them some time after their end",
    )


async def _under_way(client: Client, run_id: str) -> None:
    run = await find_run(client, run_id)
    if run.is_over:
        hint = f"see what became of it: pipelex runs show {run_id}"
        raise InputError(f"the run {run_id!r} is over: {run.state}", hint=hint)


async def _pages(client: Client, query: str, size: int) -> AsyncIterator[list[WorkflowExecutionInfo]]:
    token, read = b"", 0
    while read < _MOST_READ:
        answer = await client.workflow_service.list_workflow_executions(
            ListWorkflowExecutionsRequest(
                namespace=client.namespace, query=query, page_size=size, next_page_token=token
            )
        )
        yield list(answer.executions)
        token, read = answer.next_page_token, read + len(answer.executions)
        if not token:
            return


async def _told(client: Client, info: WorkflowExecutionInfo, places: asyncio.Semaphore) -> FoundRun:
    """A run of a list. Lists have no details: without search attributes each workflow is asked for its own."""
    if "PipeCode" in info.search_attributes.indexed_fields and "UserId" in info.search_attributes.indexed_fields:
        return _run_of(info, {})
    try:
        async with places:
            answer = await described(client, info.execution.workflow_id)
        return _run_of(info, await _details(client, answer.execution_config.user_metadata))
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return _run_of(info, {})  # deleted since it was listed


def _run_of(info: WorkflowExecutionInfo, rows: Mapping[str, str]) -> FoundRun:
    labels = {name: _label(payload) for name, payload in info.search_attributes.indexed_fields.items()}
    code = labels.get("PipeCode") or rows.get("Pipe", "")
    domain = labels.get("DomainCode") or rows.get("Domain", "")
    cost, tokens = labels.get("PipelexCostUsd"), labels.get("PipelexTokens")
    return FoundRun(
        run_id=info.execution.workflow_id,
        pipe=f"{domain}.{code}" if domain and code else code,
        # A workflow of ours never continues as another; a status of a later server is told as it was before.
        state=_STATES.get(info.status, "running"),
        started=info.start_time.ToDatetime(UTC),
        ended=info.close_time.ToDatetime(UTC) if info.HasField("close_time") else None,
        user=labels.get("UserId") or rows.get("User", ""),
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
        tokens=int(tokens) if isinstance(tokens, int | float) else None,
    )


async def _details(client: Client, metadata: UserMetadata) -> dict[str, str]:
    """The rows of the table that the workflow shows; none when they are encrypted with a key that is not here.

    Whoever has no keys can still list the runs, and stop them.
    """
    if not metadata.details.ByteSize():
        return {}
    try:
        (text,) = await client.data_converter.decode([metadata.details], [str])
    except FailureError:
        return {}
    return {name: value.replace("\\|", "|") for name, value in _ROW.findall(text)}


def _label(payload: Payload) -> Any:
    try:
        return json.loads(payload.data)
    except ValueError:
        return None


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
