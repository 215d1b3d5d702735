"""Tracing of durable runs: spans of attempts, and the trace context at the start of a run. Workers and submitters."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import Client, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from pipelex.pipes.requests import Reply, Request
from pipelex.pipes.tracing import OpenSpan, TraceContext, Tracer, call_told
from pipelex.temporal.telemetry import failure_code
from pipelex.temporal.workflow_spans import EMIT, SpansInbound, carried, received


class CallSpans(Interceptor):
    """Makes a span of each pipe that a worker runs and of each attempt at a call."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap one activity."""
        return _Spanned(next, self._tracer)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """Give workflows a way to tell their spans."""
        input.unsafe_extern_functions[EMIT] = self._tracer.emit
        return SpansInbound


class _Spanned(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, tracer: Tracer) -> None:
        super().__init__(next)
        self._tracer = tracer

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        request, parent = input.args[0] if input.args else None, received(input.headers)
        if parent is None or not isinstance(request, Request):
            return await super().execute_activity(input)
        info = activity.info()
        name, attributes = call_told(request, info.attempt, self._tracer)
        seed = f"{info.workflow_run_id}/{info.activity_id}/{info.attempt}"
        span = OpenSpan(self._tracer, name, attributes, "client", parent, seed)
        try:
            reply = await super().execute_activity(input)
        except BaseException as error:
            span.end(error, code=failure_code(error) if isinstance(error, ApplicationError) else None)
            raise
        if isinstance(reply, Reply):
            span.note(reply)
        span.end()
        return reply


def under(client: Client, context: TraceContext | None) -> Client:
    """The client, with what it starts made part of a trace; over the same connection."""
    if context is None:
        return client
    config = client.config()
    config["interceptors"] = [*config["interceptors"], _Started(context)]
    return Client(**config)


class _Started(ClientInterceptor):
    def __init__(self, context: TraceContext) -> None:
        self._context = context

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Sent(next, self._context)


class _Sent(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, context: TraceContext) -> None:
        super().__init__(next)
        self._context = context

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        input.headers = carried(input.headers, self._context)
        return await super().start_workflow(input)
