"""Spans of a run: their names, attributes, ids and parents. Pure; replayed. Nothing here sends them anywhere.

A span tells codes, names of models, counts and classes of errors: never a prompt, an input, a reply or a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipelex.errors import PipelexError
from pipelex.language.pipes import Pipe
from pipelex.pipes.port import PipeCall
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ModelSetting,
    Reply,
    Request,
    SearchRequest,
    TextRequest,
    handle_of,
)

AttributeValue = str | int | float | bool
Attributes = Mapping[str, AttributeValue]
SpanKind = Literal["internal", "client"]
State = Literal["done", "failed", "canceled"]

RUN_ID = "pipelex.run.id"
WORKFLOW_ID = "pipelex.workflow.id"
PIPE_CODE = "pipelex.pipe.code"
PIPE_DOMAIN = "pipelex.pipe.domain"
PIPE_KIND = "pipelex.pipe.kind"
ITEM_INDEX = "pipelex.item.index"
ITEM_TOTAL = "pipelex.item.total"
STATE = "pipelex.state"
ACTIVITY = "pipelex.activity"
ATTEMPT = "pipelex.attempt"
COST = "pipelex.cost_usd"
IS_SIMULATED = "pipelex.is_simulated"
PAGES = "pipelex.pages"
IMAGES = "pipelex.images"
SEARCHES = "pipelex.searches"
ERROR_TYPE = "error.type"
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
TEMPERATURE = "gen_ai.request.temperature"
MAX_TOKENS = "gen_ai.request.max_tokens"
OUTPUT_TYPE = "gen_ai.output.type"
TOOL = "gen_ai.tool.name"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
"""Those in `gen_ai` and `error` are of the semantic conventions of OpenTelemetry; the others are ours."""

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Which span of which trace, in hexadecimal digits; `is_sampled` False means that nobody keeps the trace."""

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @classmethod
    def read(cls, traceparent: object) -> TraceContext | None:
        """Read a W3C `traceparent`; None when it is none."""
        found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if found is None or not int(found[1], 16) or not int(found[2], 16):
            return None
        return cls(found[1], found[2], bool(int(found[3], 16) & 1))

    @property
    def traceparent(self) -> str:
        """As W3C writes it, for headers."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


@dataclass(frozen=True, slots=True)
class Span:
    """One span that ended. `error` is the code of what went wrong; times are nanoseconds since the epoch."""

    name: str
    context: TraceContext
    parent_id: str | None
    kind: SpanKind
    started_ns: int
    ended_ns: int
    attributes: Attributes
    error: str | None


@dataclass(frozen=True)
class Tracer:
    """Where the spans of a process go and what tells their time; `provider_of` names the backend that serves a model.

    In replayed code `emit` lets nothing through that was told before.
    """

    emit: Callable[[Span], None]
    now_ns: Callable[[], int]
    provider_of: Callable[[ModelSetting], str | None] = lambda _: None


class OpenSpan:
    """A span that has begun. Without a tracer nothing is noted, and so it is under it."""

    __slots__ = ("_attributes", "_began", "_ended", "_kind", "_name", "_parent_id", "_started_ns", "_tracer", "context")

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: Attributes,
        kind: SpanKind,
        parent: TraceContext | None,
        seed: str,
        *,
        is_sampled: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Begin a span; a `seed` that no other child of its parent has makes its id, the same at each replay.

        Without a parent it begins a trace, and `is_sampled` says by the id of the trace whether it is kept.
        """
        # The parent's id is in the seed: two parents may count their children alike.
        seed = f"{parent.traceparent if parent else ''}/{seed}"
        digits = hashlib.sha256(seed.encode()).hexdigest()
        trace_id = parent.trace_id if parent else digits[:32]
        is_kept = parent.is_sampled if parent else is_sampled(trace_id)
        self.context: TraceContext | None = TraceContext(trace_id, digits[32:48], is_kept)
        self._tracer: Tracer | None = tracer
        self._name = name
        self._attributes = dict(attributes)
        self._kind = kind
        self._parent_id = parent.span_id if parent else None
        self._started_ns = tracer.now_ns()
        self._began = 0
        self._ended = False

    @classmethod
    def off(cls) -> OpenSpan:
        """A span of which nothing is kept."""
        span = object.__new__(cls)
        span._tracer = span.context = None
        return span

    def pipe(self, call: PipeCall, pipe: Pipe | None) -> OpenSpan:
        """Begin the span of a pipe that this one calls."""
        return self if self._tracer is None else self._begin(*pipe_told(call, pipe), "internal")

    def attempt(self, request: Request[Any], number: int) -> OpenSpan:
        """Begin the span of one attempt at a request of this pipe."""
        if self._tracer is None:
            return self
        name, attributes = call_told(request, number, self._tracer)
        return self._begin(name, attributes, "client")

    def note(self, reply: Reply) -> None:
        """Note what the call consumed."""
        if self._tracer is not None:
            self._attributes |= consumed(reply)

    @contextlib.contextmanager
    def running(self) -> Iterator[OpenSpan]:
        """End the span with the block, as the block ends."""
        try:
            yield self
        except BaseException as error:
            self.end(error)
            raise
        self.end()

    def end(self, error: BaseException | None = None, *, code: str | None = None) -> None:
        """End the span, once: `error` is what ended it, if anything did; `code` what it is known by."""
        if self._tracer is None or self._ended or self.context is None:
            return
        self._ended = True
        state: State = "done" if error is None else "canceled" if is_cancellation(error) else "failed"
        failed = (code or error_code(error)) if error is not None and state == "failed" else None
        attributes = {**self._attributes, STATE: state, **({ERROR_TYPE: failed} if failed else {})}
        if self.context.is_sampled:
            span = Span(
                name=self._name,
                context=self.context,
                parent_id=self._parent_id,
                kind=self._kind,
                started_ns=self._started_ns,
                ended_ns=self._tracer.now_ns(),
                attributes=attributes,
                error=failed,
            )
            self._tracer.emit(span)

    def _begin(self, name: str, attributes: Attributes, kind: SpanKind) -> OpenSpan:
        assert self._tracer is not None
        self._began += 1
        return OpenSpan(self._tracer, name, attributes, kind, self.context, str(self._began))


OFF = OpenSpan.off()
"""What stands for every span while tracing is off."""


def is_cancellation(error: BaseException) -> bool:
    """Whether somebody wanted this end."""
    return isinstance(error, asyncio.CancelledError) or (
        isinstance(error, PipelexError) and error.code == "run-cancelled"
    )


def error_code(error: BaseException) -> str:
    """What an error is known by: its code, or the name of its class. Its text may hold data."""
    return error.code if isinstance(error, PipelexError) else type(error).__name__


def pipe_told(call: PipeCall, pipe: Pipe | None, workflow_id: str | None = None) -> tuple[str, Attributes]:
    """The name and the attributes of the span of a pipe; of a whole batch of it, or a part of one."""
    domain, _, code = call.pipe.rpartition(".")
    told: dict[str, AttributeValue] = {PIPE_CODE: code, PIPE_DOMAIN: domain, RUN_ID: call.run.run_id}
    if pipe is not None:
        told[PIPE_KIND] = pipe.type
    if workflow_id is not None:
        told[WORKFLOW_ID] = workflow_id
    if call.item is not None:
        told |= {ITEM_INDEX: call.item.index, ITEM_TOTAL: call.item.total}
    if call.batch is not None:
        told[ITEM_TOTAL] = call.batch.total
    return f"{'pipe' if call.batch is None else 'batch'} {code}", told


def call_told(request: Request[Any], attempt: int, tracer: Tracer) -> tuple[str, Attributes]:
    """The name and the attributes of the span of one attempt at a request."""
    operation, output = _operation(request)
    about = request.format if isinstance(request, DocumentRequest) else handle_of(request) or ""
    told: dict[str, AttributeValue] = {OPERATION: operation, ACTIVITY: request.activity, ATTEMPT: attempt}
    if output is not None:
        told[OUTPUT_TYPE] = output
    if isinstance(request, FunctionRequest):
        told[TOOL] = request.function_name
    if isinstance(model := getattr(request, "model", None), ModelSetting):
        provider = model.backend or tracer.provider_of(model)
        given = {MODEL: model.handle, PROVIDER: provider, TEMPERATURE: model.temperature, MAX_TOKENS: model.max_tokens}
        told |= {name: value for name, value in given.items() if value is not None}
    return f"{operation} {about}".rstrip(), told


def _operation(request: Request[Any]) -> tuple[str, str | None]:
    """What a request does and makes, in the words of the conventions where they have some."""
    match request:
        case TextRequest():
            return "chat", "text"
        case ImageRequest():
            return "generate_content", "image"
        case FunctionRequest():
            return "execute_tool", None
        case ExtractRequest():
            return "extract", None
        case SearchRequest():
            return "search", None
        case DocumentRequest():
            return "make_document", None
        case _:
            return "chat", "json"


def consumed(reply: Reply) -> dict[str, AttributeValue]:
    """What a call consumed; what is not known is left out."""
    usage = reply.usage
    found: dict[str, AttributeValue | None] = {
        INPUT_TOKENS: usage.input_tokens,
        CACHED_TOKENS: usage.cached_tokens,
        OUTPUT_TOKENS: usage.output_tokens,
        PAGES: usage.pages,
        IMAGES: usage.images,
        SEARCHES: usage.searches,
        IS_SIMULATED: usage.is_simulated,
    }
    told = {name: value for name, value in found.items() if value}
    return told if usage.cost_usd is None else {**told, COST: usage.cost_usd}
