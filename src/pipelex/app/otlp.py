"""Sends the spans of a process with the OpenTelemetry SDK. Imported only where tracing is on. Submitters and workers.

Only public classes of the SDK are used, and none of its global state is set.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from pipelex.pipes.requests import ModelSetting
from pipelex.pipes.tracing import PIPE_CODE, RUN_ID, OpenSpan, Span, TraceContext, Tracer

_log = logging.getLogger(__name__)
_FLUSH_SECONDS = 2.0
"""How long the end of a process waits for a collector that does not answer."""


class Tracing:
    """The spans of one process, on their way out."""

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        resource: Mapping[str, str],
        provider_of: Callable[[ModelSetting], str | None],
    ) -> None:
        """Begin to send to the URL `endpoint`; `resource` says what this process is. Nothing is sent yet."""
        self._endpoint = endpoint
        self._ids = _DecidedIds()
        self._sdk = TracerProvider(
            resource=Resource.create(dict(resource)), id_generator=self._ids, shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers) or None)
        # It tells each retry on a long line; what could not be sent in the end is enough.
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_is_final)
        self._sdk.add_span_processor(BatchSpanProcessor(exporter))
        self._sender = self._sdk.get_tracer("pipelex")
        # Workflows tell their spans from threads of their own.
        self._one_at_a_time = threading.Lock()
        self.tracer = Tracer(emit=self._emit, now_ns=time.time_ns, provider_of=provider_of)

    def run(self, code: str, run_id: str) -> OpenSpan:
        """Begin the span of a run: under the span that the caller is in, else a trace of its own."""
        name, told = f"pipelex run {code}", {PIPE_CODE: code, RUN_ID: run_id}
        current, seed = get_current_span().get_span_context(), secrets.token_hex()
        if current.is_valid:
            above = TraceContext(f"{current.trace_id:032x}", f"{current.span_id:016x}", current.trace_flags.sampled)
            return OpenSpan(self.tracer, name, told, "internal", above, seed)
        return OpenSpan(self.tracer, name, told, "internal", None, seed, is_sampled=self._is_sampled)

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        # The SDK would wait longer, and takes no limit here.
        closing = threading.Thread(target=self._sdk.shutdown, daemon=True)
        closing.start()
        closing.join(_FLUSH_SECONDS)
        if closing.is_alive():
            _log.warning(
                "the last spans of this process are lost: %s did not take them in %g s", self._endpoint, _FLUSH_SECONDS
            )

    def _is_sampled(self, trace_id: str) -> bool:
        decided = self._sdk.sampler.should_sample(None, int(trace_id, 16), "pipelex run")
        return decided.decision is Decision.RECORD_AND_SAMPLE

    def _emit(self, span: Span) -> None:
        # It is called in the code of workflows, where an exception would be tried again for ever.
        try:
            self._send(span)
        except Exception as error:  # noqa: BLE001 - a trace is not worth a failed run
            _log.warning("the span of %s is lost: %s", span.name, type(error).__name__)

    def _send(self, span: Span) -> None:
        above = Context()
        if span.parent_id is not None:
            above = set_span_in_context(NonRecordingSpan(_sampled(span.context.trace_id, span.parent_id)), above)
        with self._one_at_a_time:
            self._ids.context = span.context
            sent = self._sender.start_span(
                span.name,
                above,
                kind=SpanKind.CLIENT if span.kind == "client" else SpanKind.INTERNAL,
                attributes=dict(span.attributes),
                start_time=span.started_ns,
            )
        if span.error is not None:
            sent.set_status(Status(StatusCode.ERROR, span.error))
        sent.end(span.ended_ns)


class _DecidedIds(IdGenerator):
    """The ids of the span to send, which were decided when it began."""

    context: TraceContext

    def generate_trace_id(self) -> int:
        return int(self.context.trace_id, 16)

    def generate_span_id(self) -> int:
        return int(self.context.span_id, 16)


def _is_final(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _sampled(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
