"""The record of a durable run, read from the histories of its workflows after the fact. Submitter side.

Nothing is asked of workers: this works for runs that go on, failed, were stopped, or ended long ago.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.exceptions import ActivityError, FailureError, TerminatedError, TimeoutError, TimeoutType
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import InputError, InternalError, PipelexError
from pipelex.language.pipes import CONTROLLERS
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.excerpts import Excerpts, texts
from pipelex.pipes.port import Item, PipeCall
from pipelex.pipes.record import CallError, CallRecord, PipeRecord, RecordState, RunRecord, Texts, consumed, ordered
from pipelex.pipes.requests import Usage
from pipelex.temporal.failures import raised
from pipelex.temporal.inlined import Reads
from pipelex.temporal.waiting import cause_of

_AT_ONCE = 16
_PAGE_TIMEOUT = timedelta(seconds=30)
_CONTROLLERS = frozenset(kind.__name__ for kind in CONTROLLERS)
_ENDS: dict[str, RecordState] = {
    "completed": "done",
    "failed": "failed",
    "canceled": "canceled",
    "timed_out": "failed",
    "terminated": "canceled",
}


async def record_of(client: Client, workflow_id: str, *, most_workflows: int = 500) -> RunRecord:
    """Read what a run did. `workflow_id` is the run id.

    The histories of `most_workflows` workflows are read, outer ones first; of the others is told what their parents
    know. What a payload store no longer has is left out. Raises RPCError when the server has no such run, FailureError
    when not even its call can be read here.
    """
    reader = _Reader(client)
    root = await reader.history(workflow_id)
    if "run" not in root.call:
        # Without keys nothing of it is readable: that is worth a reason, not an empty picture.
        await started_with(client, workflow_id)
    level, left = [root], most_workflows - 1
    reader.pipes = root.pipes
    while level:
        waiting = [child for found in level for child in found.children]
        read, left = waiting[: max(left, 0)], left - len(waiting)
        await asyncio.gather(*(reader.open(child) for child in read))
        level = [child.opened for child in read if child.opened is not None]
    told = _Teller(root.pipes, reader.excerpts).pipe(root, None)
    return RunRecord(run_id=root.call.get("run", {}).get("run_id", workflow_id), host="temporal", root=told)


async def started_with(client: Client, workflow_id: str) -> tuple[PipeCall, LibraryCrate]:
    """Read what a run was started with: who reads its result, or draws it, needs no bundle.

    Raises RPCError when the server has no such run, FailureError when what it was given cannot be read here.
    """
    handle = client.get_workflow_handle(workflow_id)
    async for event in handle.fetch_history_events(page_size=1, rpc_timeout=_PAGE_TIMEOUT):
        given = event.workflow_execution_started_event_attributes.input.payloads[:2]
        if len(given) == 2:
            call, crate = await client.data_converter.decode(given, [PipeCall, LibraryCrate])
            return call, crate
        break
    raise InputError(f"the workflow {workflow_id!r} is no run of pipelex")


@dataclass
class _Thing:
    """Something with a beginning and an end in a history."""

    state: RecordState = "running"
    started: float | None = None
    ended: float | None = None
    report: dict[str, Any] | None = None
    usage: Usage | None = None
    made: str | None = None


@dataclass
class _Activity(_Thing):
    event: int = 0
    id: str = ""
    name: str = ""
    code: str = ""
    handle: str | None = None
    given: dict[str, str] = field(default_factory=dict)
    queue: str | None = None
    attempts: int = 0
    scheduled: float | None = None
    worker: str | None = None


@dataclass
class _Child(_Thing):
    event: int = 0
    workflow_id: str = ""
    run_id: str | None = None
    call: dict[str, Any] = field(default_factory=dict)
    opened: _History | None = None


@dataclass
class _History(_Thing):
    """One workflow as its history tells it; activities and children are in order of their events."""

    workflow_id: str = ""
    call: dict[str, Any] = field(default_factory=dict)
    pipes: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    activities: list[_Activity] = field(default_factory=list)
    children: list[_Child] = field(default_factory=list)


class _Reader:
    """Reads histories, a few at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.pipes: dict[str, Any] = {}
        self.excerpts = Excerpts()

    async def open(self, child: _Child) -> None:
        """Read the history of a child, if the server still has it."""
        if child.run_id is None:
            return
        try:
            async with self._places:
                child.opened = await self.history(child.workflow_id, child.run_id)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise

    async def history(self, workflow_id: str, run_id: str | None = None) -> _History:
        """Read one history."""
        found = _History(workflow_id=workflow_id)
        by_event: dict[int, _Thing] = {}
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        async for event in handle.fetch_history_events(rpc_timeout=_PAGE_TIMEOUT):
            name = (event.WhichOneof("attributes") or "").removesuffix("_event_attributes")
            attributes: Any = getattr(event, f"{name}_event_attributes") if name else None
            if name.startswith("activity_task_"):
                await self._activity(found, by_event, name.removeprefix("activity_task_"), event, attributes)
            elif name == "start_child_workflow_execution_failed":
                known = by_event[attributes.initiated_event_id]
                known.state, known.ended = "failed", _seconds(event.event_time)
                known.report = InternalError("the server did not start its workflow").report()
            elif "child_workflow_execution" in name:
                await self._child(found, by_event, name.partition("child_workflow_execution_")[2], event, attributes)
            elif name == "workflow_execution_started":
                found.started = _seconds(event.event_time)
                found.call = await self._call(event, attributes)
                if not self.pipes and len(attributes.input.payloads) > 1:
                    crate = await self._data(attributes.input.payloads[1])
                    found.pipes = crate.get("pipes", {}) if isinstance(crate, dict) else {}
            elif name.startswith("workflow_execution_"):
                await self._ends(found, name.removeprefix("workflow_execution_"), event, attributes)
        if found.state != "running":
            _stop(found)
        elif any(activity.state == "running" for activity in found.activities):
            await self._pending(found, run_id)
        return found

    async def _activity(
        self, found: _History, by_event: dict[int, _Thing], step: str, event: HistoryEvent, attributes: Any
    ) -> None:
        if step == "scheduled":
            summary = await self._data(event.user_metadata.summary)
            request = await self._data(*attributes.input.payloads[:1])
            activity = _Activity(
                event=event.event_id,
                id=attributes.activity_id,
                name=attributes.activity_type.name,
                code=_code_in(summary),
                handle=_handle_in(request),
                given=self.excerpts.asked(request) if isinstance(request, dict) else {},
                queue=attributes.task_queue.name,
                scheduled=_seconds(event.event_time),
            )
            by_event[event.event_id] = activity
            found.activities.append(activity)
            return
        known = by_event.get(attributes.scheduled_event_id)
        if not isinstance(known, _Activity):
            return
        if step == "started":
            known.started = _seconds(event.event_time)
            known.attempts, known.worker = attributes.attempt, attributes.identity
        else:
            await self._ends(known, step, event, attributes)

    async def _child(
        self, found: _History, by_event: dict[int, _Thing], step: str, event: HistoryEvent, attributes: Any
    ) -> None:
        if step == "initiated":
            call = await self._call(event, attributes)
            child = _Child(event=event.event_id, workflow_id=attributes.workflow_id, call=call)
            by_event[event.event_id] = child
            found.children.append(child)
            return
        known = by_event.get(attributes.initiated_event_id)
        if not isinstance(known, _Child):
            return
        if step == "started":
            known.started, known.run_id = _seconds(event.event_time), attributes.workflow_execution.run_id
        else:
            await self._ends(known, step, event, attributes)

    async def _ends(self, known: _Thing, step: str, event: HistoryEvent, attributes: Any) -> None:
        """Note an end; other steps, such as the request to cancel, are none."""
        if step not in _ENDS:
            return
        known.state, known.ended = _ENDS[step], _seconds(event.event_time)
        if step == "completed":
            result = await self._data(*attributes.result.payloads[:1])
            result = result if isinstance(result, dict) else {}
            known.usage = Usage.model_validate(result.get("usage", {}))
            is_reply = isinstance(known, _Activity)
            known.made = self.excerpts.reply(result) if is_reply else self.excerpts.outcome(result.get("outcome"))
            if isinstance(known, _History) and known.activities:
                known.stored = result.get("stored", {}).get("root", {})
        elif step == "terminated":
            known.report = raised(TerminatedError(getattr(attributes, "reason", ""))).report()
        elif step in ("failed", "timed_out"):
            known.report = (await self._error(known, getattr(attributes, "failure", None))).report()

    async def _error(self, known: _Thing, failure: Failure | None) -> PipelexError:
        exc: BaseException
        if failure is None or not failure.ByteSize():
            exc = TimeoutError("timed out", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=[])
        else:
            exc = await cause_of(self._client, failure)
        if isinstance(known, _Activity):
            call = ActivityError(
                "failed",
                scheduled_event_id=known.event,
                started_event_id=0,
                identity="",
                activity_type=known.name,
                activity_id=known.id,
                retry_state=None,
            )
            call.__cause__ = exc
            exc = call
        return raised(exc)

    async def _pending(self, found: _History, run_id: str | None) -> None:
        """Ask the server how the activities under way are: their attempts are in no history before they end."""
        execution = WorkflowExecution(workflow_id=found.workflow_id, run_id=run_id or "")
        request = DescribeWorkflowExecutionRequest(namespace=self._client.namespace, execution=execution)
        described = await self._client.workflow_service.describe_workflow_execution(request)
        pending = {activity.activity_id: activity for activity in described.pending_activities}
        for activity in found.activities:
            now = pending.get(activity.id)
            if now is None or activity.state != "running":
                continue
            is_started = now.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            activity.attempts = now.attempt if is_started else now.attempt - 1
            activity.started = _seconds(now.last_started_time) if now.HasField("last_started_time") else None
            activity.worker = now.last_worker_identity or None
            if now.HasField("last_failure"):
                activity.report = (await self._error(activity, now.last_failure)).report()

    async def _call(self, event: HistoryEvent, attributes: Any) -> dict[str, Any]:
        """The call that a workflow was started with; its pipe at least, where the payload is not to be had."""
        call = await self._data(*attributes.input.payloads[:1])
        if isinstance(call, dict) and "pipe" in call:
            return call
        summary = await self._data(event.user_metadata.summary)
        return {"pipe": str(summary or "").partition(" — ")[0]}

    async def _data(self, *payloads: Payload) -> Any:
        """A payload as plain data; None when there is none, or when it cannot be had here."""
        if not payloads or not payloads[0].ByteSize():
            return None
        try:
            return (await self._client.data_converter.decode(payloads))[0]
        except (PipelexError, FailureError, RuntimeError, ValueError, OSError):
            return None


class _Teller:
    """Makes records of histories; `pipes` are those of the crate, as plain data."""

    def __init__(self, pipes: dict[str, Any], excerpts: Excerpts) -> None:
        self._kinds = {ref: str(pipe.get("type", "")) for ref, pipe in pipes.items()}
        self._reads = Reads(pipes)
        self._excerpts = excerpts

    def pipe(self, found: _History, item: Item | None) -> PipeRecord:
        """One workflow as the record of its pipe."""
        ref = str(found.call.get("pipe", ""))
        kind = self._kinds.get(ref, "")
        is_own = kind not in _CONTROLLERS
        calls = tuple(_call_of(activity) for activity in found.activities) if is_own else ()
        children, omitted = self.children(found, with_calls=not is_own)
        return PipeRecord(
            pipe=ref,
            kind=kind,
            item=item,
            state=found.state,
            started=found.started,
            ended=found.ended,
            usage=consumed(calls, children) if found.usage is None else found.usage,
            error=found.report,
            workflow_id=found.workflow_id,
            calls=calls,
            children=children,
            omitted=omitted,
            texts=self._texts(found.call, found),
        )

    def children(self, found: _History, *, with_calls: bool) -> tuple[tuple[PipeRecord, ...], int]:
        """The pipes that a workflow called, and how many are left out. Items of its parts count as its own."""
        told: list[PipeRecord] = []
        omitted = 0
        inline = list(self._inlined(found)) if with_calls else []
        things: list[tuple[int, PipeRecord | _Child]] = [*inline, *((child.event, child) for child in found.children)]
        for _, thing in sorted(things, key=lambda pair: pair[0]):
            if isinstance(thing, PipeRecord):
                told.append(thing)
            elif "batch" not in thing.call:
                told.append(self._child(thing))
            elif thing.opened is None:
                omitted += _length(thing.call)
            else:
                more, missing = self.children(thing.opened, with_calls=True)
                told += more
                omitted += missing
        return ordered(told), omitted

    def _child(self, child: _Child) -> PipeRecord:
        item = Item.model_validate(child.call["item"]) if child.call.get("item") else None
        if child.opened is not None:
            return self.pipe(child.opened, item)
        ref = str(child.call.get("pipe", ""))
        return PipeRecord(
            pipe=ref,
            kind=self._kinds.get(ref, ""),
            item=item,
            state=child.state,
            started=child.started,
            ended=child.ended,
            usage=child.usage or Usage(),
            error=child.report,
            workflow_id=child.workflow_id,
            is_partial=True,
            texts=self._texts(child.call, child),
        )

    def _texts(self, call: dict[str, Any], ended: _Thing) -> Texts | None:
        values = call.get("memory", {}).get("root", {})
        return texts(self._excerpts.inputs({name: value.get("data") for name, value in values.items()}), ended.made)

    def _inlined(self, found: _History) -> Iterator[tuple[int, PipeRecord]]:
        """The pipes that ran inside a workflow, by their calls: a pipe makes one call at most."""
        own = str(found.call.get("pipe", ""))
        refs = [self._ref(activity.code, own) for activity in found.activities]
        items = {ref: self._reads.items(ref, found.call, found.stored) for ref in refs}
        seen: Counter[str] = Counter()
        for ref, activity in zip(refs, found.activities, strict=True):
            call, index, batch = _call_of(activity), seen[ref], items[ref]
            seen[ref] += 1
            if batch is not None and index >= len(batch.data):
                batch = None
            inputs, unknown = self._reads.inputs(ref, found.call, found.stored, batch, index)
            yield (
                activity.event,
                PipeRecord(
                    pipe=ref,
                    kind=self._kinds.get(ref, ""),
                    item=Item(index=batch.first + index, total=batch.total) if batch is not None else None,
                    state=call.state,
                    started=call.scheduled,
                    ended=call.ended,
                    usage=call.usage.under(call.handle or ""),
                    error=activity.report if call.state == "failed" else None,
                    calls=(call,),
                    texts=Texts(given=self._excerpts.inputs(inputs), unknown=unknown) if inputs or unknown else None,
                ),
            )

    def _ref(self, code: str, own: str) -> str:
        """The operator of that code, in the domain of the workflow's own pipe if it is there."""
        near = f"{own.rpartition('.')[0]}.{code}"
        known = [
            ref for ref, kind in self._kinds.items() if ref.rpartition(".")[2] == code and kind not in _CONTROLLERS
        ]
        return near if near in known else known[0] if known else code


def _call_of(activity: _Activity) -> CallRecord:
    report = activity.report
    return CallRecord(
        activity=activity.name,
        handle=activity.handle,
        queue=activity.queue,
        attempts=activity.attempts,
        state=activity.state,
        scheduled=activity.scheduled,
        started=activity.started,
        ended=activity.ended,
        worker=activity.worker,
        usage=activity.usage or Usage(),
        error=CallError(code=report["code"], message=report["message"]) if report else None,
        texts=texts(activity.given, activity.made),
    )


def _stop(found: _History) -> None:
    """What was under way when a workflow ended, ended with it."""
    for thing in (*found.activities, *found.children):
        if thing.state == "running":
            thing.state, thing.ended = "canceled", found.ended


def _length(call: dict[str, Any]) -> int:
    """How many items a part of a batch has."""
    values = call.get("memory", {}).get("root", {}).get(call["batch"].get("over"), {})
    data = values.get("data") if isinstance(values, dict) else None
    return len(data) if isinstance(data, list) else 1


def _code_in(summary: Any) -> str:
    """The code of the pipe that an activity's summary names."""
    parts = str(summary or "").split(" · ")
    return next((part.removeprefix("pipe=") for part in parts if part.startswith("pipe=")), "")


def _handle_in(request: Any) -> str | None:
    """The handle of the model that a request names, or its function."""
    if not isinstance(request, dict):
        return None
    model = request.get("model")
    named = model.get("handle") if isinstance(model, dict) else request.get("function_name")
    return named if isinstance(named, str) else None


def _seconds(stamp: Timestamp) -> float:
    return stamp.seconds + stamp.nanos / 1e9
