"""The spans of the pipes of one workflow, and the header that takes a trace on to calls and children. Pure; replayed.

Spans of pipes begin and end at the workflow's own times, and are told when they end, never again on a replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    StartActivityInput,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from pipelex.language.pipes import Pipe
from pipelex.pipes.port import PipeCall
from pipelex.pipes.tracing import OFF, OpenSpan, Span, TraceContext, Tracer, pipe_told

HEADER = "_tracer-data"
"""The header of the tracing that the SDKs of Temporal have: who starts a workflow with those is its parent."""
EMIT = "pipelex_emit_span"
"""The name under which a worker that traces gives its workflows a way to tell a span."""


class WorkflowSpans:
    """The span of the pipe of a workflow, under the one that the headers name; off where the worker does not trace."""

    def __init__(self, call: PipeCall, pipe: Pipe | None) -> None:
        self._senders: dict[int, TraceContext] = {}
        self.root = OFF
        emit = workflow.extern_functions().get(EMIT)
        if emit is None:
            return

        def tell(span: Span) -> None:
            # Leaving the cache counts as a replay, so a workflow that is only put away tells nothing.
            if not workflow.unsafe.is_replaying():
                with workflow.unsafe.sandbox_unrestricted():
                    emit(span)

        info = workflow.info()
        name, attributes = pipe_told(call, pipe, info.workflow_id)
        tracer = Tracer(emit=tell, now_ns=workflow.time_ns)
        self.root = OpenSpan(tracer, name, attributes, "internal", received(info.headers), info.run_id)

    def sends(self, sent: object, span: OpenSpan) -> None:
        """Note under which span a request, or a call, is about to be sent."""
        if span.context is not None:
            self._senders[id(sent)] = span.context

    def sender(self, arguments: Any) -> TraceContext | None:
        """The span under which arguments are sent, once."""
        return self._senders.pop(id(arguments[0]), None) if arguments else None


class SpansOutbound(WorkflowOutboundInterceptor):
    """Puts the header on what a workflow sends. It changes no command."""

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        """Tell an activity which span called it."""
        input.headers = carried(input.headers, workflow.instance().spans.sender(input.args))
        return super().start_activity(input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        """Tell a child which span called it."""
        input.headers = carried(input.headers, workflow.instance().spans.sender(input.args))
        return await super().start_child_workflow(input)


class SpansInbound(WorkflowInboundInterceptor):
    """What a worker that traces puts around its workflows."""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """Watch what the workflow sends."""
        super().init(SpansOutbound(outbound))


def carried(headers: Mapping[str, Payload], context: TraceContext | None) -> Mapping[str, Payload]:
    """The headers, with that span in them."""
    if context is None:
        return headers
    carrier = {"traceparent": context.traceparent}
    return {**headers, HEADER: PayloadConverter.default.to_payload(carrier)}


def received(headers: Mapping[str, Payload]) -> TraceContext | None:
    """The span that headers name; None when they name none that can be read."""
    if (payload := headers.get(HEADER)) is None:
        return None
    try:
        carrier = PayloadConverter.default.from_payload(payload)
    except Exception:  # noqa: BLE001 - whoever started the workflow wrote it: a trace is not worth a failed run
        return None
    return TraceContext.read(carrier.get("traceparent")) if isinstance(carrier, dict) else None
