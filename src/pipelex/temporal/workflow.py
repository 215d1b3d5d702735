"""The one workflow, for the root and for every child: a pipe, and the host it runs against. Pure; replayed."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.worker.workflow_sandbox import (
    RestrictedWorkflowAccessError,
    SandboxedWorkflowRunner,
    SandboxRestrictions,
)

with workflow.unsafe.imports_passed_through():
    from pipelex.errors import InternalError, PipelexError
    from pipelex.language.pipes import PipeBatch, steps_of
    from pipelex.library.crate import CrateSlice, LibraryCrate
    from pipelex.library.library import Library
    from pipelex.pipes.models import model_asks
    from pipelex.pipes.port import Host, PipeCall, PipeResult, Plan
    from pipelex.pipes.requests import ReplyT, Request, credited, handle_of
    from pipelex.pipes.run import run_pipe
    from pipelex.pipes.tracing import OpenSpan
    from pipelex.temporal.failures import PAYLOADS_TOO_LARGE, application_error, raised, unexpected
    from pipelex.temporal.observability import (
        End,
        PipeProgress,
        Watch,
        activity_summary,
        child_id,
        details,
        final_attributes,
        search_attributes,
        summary,
    )
    from pipelex.temporal.routing import REPLIES, Retry, Routes, dispatched, needs, route
    from pipelex.temporal.workflow_spans import WorkflowSpans

WORKFLOW = "wf_pipe_run"
MOST_INLINE_EVENTS = 2000
"""Past this length of its history a workflow runs pipes inline no more; the SDK tells the same length on replay."""
PROGRESS = "progress"

PURE_MODULES = (
    "pipelex",
    "jinja2",
    "markupsafe",
    "markdown_it",
    "mdurl",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_inspection",
    "typing_extensions",
)
"""Shared by all workflows of a process: what they hold is constant, or a cache of pure functions."""


def workflow_runner() -> SandboxedWorkflowRunner:
    """Make the sandbox that workers and replayers give to `PipeWorkflow`."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES))


@workflow.defn(name=WORKFLOW, failure_exception_types=[PipelexError])
class PipeWorkflow:
    """One execution of one pipe."""

    @workflow.init
    def __init__(self, call: PipeCall, crate: LibraryCrate, plan: Plan, routes: Routes) -> None:
        self._watch = Watch.of(call, workflow.now().timestamp(), pipe=crate.pipes.get(call.pipe))
        self._labels = routes.search_attributes
        self.spans = WorkflowSpans(call, crate.pipes.get(call.pipe))

    @workflow.run
    async def run(self, call: PipeCall, crate: LibraryCrate, plan: Plan, routes: Routes) -> PipeResult:
        """Run the pipe; every error ends the run with a report, none makes the server try the same code again."""
        try:
            execution = _Execution(Library.of(crate), plan, routes, self._watch, self.spans)
            result = await run_pipe(call, execution.library, plan, execution.host(call, self._watch, self.spans.root))
        except (asyncio.CancelledError, FailureError) as error:
            failure = asyncio.CancelledError() if is_cancelled_exception(error) else raised(error)
            self._ended("failed" if isinstance(failure, PipelexError) else "canceled", failure)
            if not isinstance(failure, PipelexError):
                raise
            raise application_error(failure) from None
        except PipelexError as error:
            self._ended("failed", error)
            if isinstance(error, InternalError):
                workflow.logger.exception("unexpected error in %s", call.pipe)
            raise application_error(error) from None
        except RestrictedWorkflowAccessError as error:
            self._ended("failed", error)
            raise application_error(unexpected(error)) from None
        except workflow.NondeterminismError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug ends the run with a report, it does not retry for ever
            self._ended("failed", error)
            workflow.logger.exception("unexpected error in %s", call.pipe)
            raise application_error(unexpected(error)) from None
        self._ended("done")
        return result

    @workflow.query(name=PROGRESS)
    def progress(self) -> PipeProgress:
        """How far this pipe is; children that run in other workflows are named, to be asked in turn."""
        return self._watch.snapshot()

    def _ended(self, end: End, error: BaseException | None = None) -> None:
        self.spans.root.end(error)
        self._watch.state = "done" if end == "done" else "failed"
        self._watch.ended = workflow.now().timestamp()
        workflow.set_current_details(self._watch.live())
        # One event, and none for runs that are not labelled with how they end.
        if pairs := final_attributes(self._labels, end, self._watch.usage):
            workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in pairs])


class _Execution:
    """What the hosts of one workflow share: one when every pipe is a workflow, several when pipes run inline."""

    def __init__(self, library: Library, plan: Plan, routes: Routes, watch: Watch, spans: WorkflowSpans) -> None:
        self.library = library
        self.spans = spans
        self.plan = plan
        self.routes = routes
        self._watch = watch
        self._slices: dict[str, tuple[LibraryCrate, Plan, Routes]] = {}
        self._ids: set[str] = set()

    def host(self, call: PipeCall, watch: Watch, span: OpenSpan) -> Host:
        """The host for one pipe of this workflow."""
        return WorkflowHost(self, call, watch, span)

    def slice(self, pipe: str) -> tuple[LibraryCrate, Plan, Routes]:
        """What a child needs to run that pipe, and nothing more."""
        if pipe not in self._slices:
            crate = CrateSlice.of(self.library.slice(pipe))
            keys = dict.fromkeys(ask.key for ask in model_asks(crate).values())
            models = {key: self.plan.models[key] for key in keys if key in self.plan.models}
            needed = needs(crate, models)
            handles = frozenset(handle for found in needed.values() for handle in found)
            routes = self.routes.only(frozenset(needed), handles)
            self._slices[pipe] = (crate, self.plan.model_copy(update={"models": models}), routes)
        return self._slices[pipe]

    def is_child(self, call: PipeCall) -> bool:
        """Whether a call is a workflow of its own. With `fan_out`, only where one history could grow without bound."""
        if self.routes.child_workflows == "every_pipe" or call.batch is not None:
            return True
        if workflow.info().get_current_history_length() > MOST_INLINE_EVENTS:
            return True
        return (call.item is not None or call.is_branch) and self._has_batches(call.pipe)

    def _has_batches(self, pipe: str) -> bool:
        return any(
            isinstance(found, PipeBatch) or any(step.batch_over for step in steps_of(found))
            for found in self.slice(pipe)[0].pipes.values()
        )

    def child_id(self, pipe: str) -> str:
        """A workflow id that no other child of this workflow has."""
        while True:
            found = child_id(workflow.info().workflow_id, pipe, workflow.uuid4().hex[:8])
            if found not in self._ids:
                self._ids.add(found)
                return found

    def show(self) -> None:
        """Put the progress where the Web UI shows it; this is no event."""
        workflow.set_current_details(self._watch.live())


class WorkflowHost:
    """Runs pipes as child workflows, or inline, and requests as activities."""

    def __init__(self, execution: _Execution, call: PipeCall, watch: Watch, span: OpenSpan) -> None:
        self._execution = execution
        self._call = call
        self._watch = watch
        self._span = span

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        """Run a pipe as a child workflow; or here, when the routes ask for few workflows."""
        execution = self._execution
        is_child = execution.is_child(call)
        watch = self._watch.begin(call, workflow.now().timestamp(), execution.child_id(call.pipe) if is_child else None)
        execution.show()
        failed = True
        try:
            if watch.workflow_id is not None:
                result = await self._child(call, watch.workflow_id)
                watch.spend(result.usage)
            else:
                with self._span.pipe(call, execution.library.crate.pipes.get(call.pipe)).running() as span:
                    result = await run_pipe(call, execution.library, execution.plan, execution.host(call, watch, span))
            failed = False
        finally:
            self._watch.end(watch, workflow.now().timestamp(), failed=failed)
            execution.show()
        return result

    async def _child(self, call: PipeCall, workflow_id: str) -> PipeResult:
        crate, plan, routes = self._execution.slice(call.pipe)
        self._execution.spans.sends(call, self._span)
        try:
            return await workflow.execute_child_workflow(
                PipeWorkflow.run,
                args=[call, crate, plan, routes],
                id=workflow_id,
                cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
                parent_close_policy=workflow.ParentClosePolicy.TERMINATE,
                static_summary=summary(call.pipe, crate.pipes[call.pipe]),
                static_details=details(call, crate),
                search_attributes=search_attributes(routes.search_attributes, call, crate),
            )
        except FailureError as error:
            raise _told(error) from None

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Run a request as the activity of its kind, where and how its route says."""
        handle = handle_of(request)
        found = route(self._execution.routes, request.activity, handle)
        if found.layers:
            workflow.logger.info(dispatched(request.activity, handle, found))
        self._execution.spans.sends(request, self._span)
        try:
            reply: ReplyT = await workflow.execute_activity(
                request.activity,
                request,
                result_type=REPLIES[type(request)],
                task_queue=found.task_queue,
                start_to_close_timeout=found.start_to_close,
                schedule_to_close_timeout=found.schedule_to_close,
                schedule_to_start_timeout=found.schedule_to_start,
                heartbeat_timeout=found.heartbeat,
                retry_policy=_policy(found.retry),
                summary=activity_summary(request, self._call.pipe),
            )
        except FailureError as error:
            raise _told(error) from None
        reply = credited(request, reply)
        self._watch.spend(reply.usage)
        self._execution.show()
        return reply


def _told(error: FailureError) -> BaseException:
    """The error under a failure; or the cancellation, when it is we who cancelled."""
    task = asyncio.current_task()
    if is_cancelled_exception(error) and task is not None and task.cancelling():
        return asyncio.CancelledError()
    return raised(error)


def _policy(retry: Retry) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=retry.initial_interval,
        backoff_coefficient=retry.backoff_coefficient,
        maximum_interval=retry.maximum_interval,
        maximum_attempts=retry.maximum_attempts or 0,
        non_retryable_error_types=[*retry.non_retryable_error_types, PAYLOADS_TOO_LARGE],
    )
