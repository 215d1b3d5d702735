from __future__ import annotations

import asyncio

import pytest

from pipelex.errors import RateLimitError
from pipelex.pipes.port import Batch, Item, PipeCall, RunInfo
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ModelSetting,
    ObjectRequest,
    PagesReply,
    Request,
    SearchRequest,
    TextRequest,
    Usage,
)
from pipelex.pipes.tracing import OFF, OpenSpan, Span, TraceContext, Tracer, call_told, pipe_told
from pipelex.values.slots import Slot
from pipelex.values.value import Memory

PARENT = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
CALL = PipeCall(pipe="d.p", run=RunInfo(run_id="r"))
MODEL = ModelSetting(handle="m", temperature=0.5, max_tokens=9)
SECRET = "canary-3391"


def tracer_to(spans: list[Span]) -> Tracer:
    times = iter(range(100))
    return Tracer(emit=spans.append, now_ns=lambda: next(times), provider_of=lambda _: "backend")


def opened(spans: list[Span], parent: TraceContext | None = PARENT, seed: str = "s") -> OpenSpan:
    return OpenSpan(tracer_to(spans), "run", {}, "internal", parent, seed)


def test_a_traceparent_is_read_as_it_is_written() -> None:
    assert TraceContext.read(PARENT.traceparent) == PARENT
    unsampled = TraceContext(PARENT.trace_id, PARENT.span_id, False)
    assert TraceContext.read(unsampled.traceparent) == unsampled


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "00-x-y-01", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{'a' * 32}-{'0' * 16}-01", "00-ab-cd-01"],
)
def test_what_is_no_traceparent_is_no_parent(text: object) -> None:
    assert TraceContext.read(text) is None


def test_the_same_steps_give_the_same_spans_and_others_give_others() -> None:
    def told(seed: str = "s") -> list[Span]:
        spans: list[Span] = []
        root = opened(spans, seed=seed)
        for _ in range(2):
            with root.pipe(CALL, None).running() as pipe:
                pipe.attempt(TextRequest(model=MODEL, prompt="x"), 1).end()
        root.end()
        root.end()
        return spans

    first = told()
    assert first == told()
    assert len({span.context.span_id for span in first}) == len(first) == 5
    assert not {span.context.span_id for span in first} & {span.context.span_id for span in told("other")}
    assert [span.name for span in first] == ["chat m", "pipe p", "chat m", "pipe p", "run"]
    assert first[0].parent_id == first[1].context.span_id
    assert first[1].parent_id == first[4].context.span_id
    assert first[4].parent_id == PARENT.span_id
    assert {span.context.trace_id for span in first} == {PARENT.trace_id}


def test_a_trace_that_nobody_keeps_is_not_told() -> None:
    spans: list[Span] = []
    root = opened(spans, TraceContext(PARENT.trace_id, PARENT.span_id, False))
    with root.pipe(CALL, None).running():
        pass
    root.end()
    assert spans == []
    assert root.context is not None
    assert root.context.traceparent.endswith("-00")


def test_without_a_tracer_nothing_is_noted() -> None:
    with OFF.pipe(CALL, None).running() as span:
        assert span is OFF
        assert span.attempt(TextRequest(model=MODEL, prompt="x"), 1) is OFF
        span.note(PagesReply(pages=[]))
    assert OFF.context is None


def test_an_error_is_told_by_its_code_and_a_cancellation_is_none() -> None:
    spans: list[Span] = []
    root = opened(spans)
    for error in (RateLimitError(SECRET), ValueError(SECRET), asyncio.CancelledError(SECRET)):
        with pytest.raises(type(error)), root.pipe(CALL, None).running():
            raise error
    assert [(span.error, span.attributes["pipelex.state"]) for span in spans] == [
        ("rate-limited", "failed"),
        ("ValueError", "failed"),
        (None, "canceled"),
    ]
    assert SECRET not in repr(spans)


def test_items_and_parts_of_a_batch_say_which_they_are() -> None:
    name, told = pipe_told(CALL.model_copy(update={"item": Item(index=3, total=9)}), None)
    assert (name, told["pipelex.item.index"], told["pipelex.item.total"]) == ("pipe p", 3, 9)
    name, told = pipe_told(CALL.model_copy(update={"batch": Batch(over="x", item="y", total=9, window=1)}), None)
    assert (name, told["pipelex.item.total"]) == ("batch p", 9)


@pytest.mark.parametrize(
    ("request_", "name", "output"),
    [
        (TextRequest(model=MODEL, prompt=SECRET, system=SECRET), "chat m", "text"),
        (ObjectRequest(model=MODEL, prompt=SECRET, name="X", output_schema={"title": SECRET}), "chat m", "json"),
        (ImageRequest(model=MODEL, prompt=SECRET), "generate_content m", "image"),
        (ExtractRequest(model=MODEL, url=f"https://{SECRET}/"), "extract m", None),
        (SearchRequest(model=MODEL, prompt=SECRET, include_domains=(SECRET,)), "search m", None),
        (DocumentRequest(format="pdf", html=SECRET, filename=SECRET), "make_document pdf", None),
        (
            FunctionRequest(function_name="f", memory=Memory(), output=Slot("native.Text"), concepts={}),
            "execute_tool f",
            None,
        ),
    ],
)
def test_a_call_is_named_by_what_it_does_and_never_tells_what_it_sends(
    request_: Request[PagesReply], name: str, output: str | None
) -> None:
    told_name, told = call_told(request_, 2, tracer_to([]))
    assert (told_name, told.get("gen_ai.output.type"), told["pipelex.attempt"]) == (name, output, 2)
    assert told["gen_ai.operation.name"] == name.partition(" ")[0]
    assert ("gen_ai.provider.name" in told) is name.endswith(" m")
    assert SECRET not in repr(told)


def test_a_call_tells_what_it_consumed_as_far_as_it_is_known() -> None:
    spans: list[Span] = []
    span = opened(spans).attempt(ExtractRequest(model=MODEL, url="x"), 1)
    span.note(PagesReply(pages=[{"text": SECRET}], usage=Usage(calls=1, pages=4, cost_usd=None)))
    span.end()
    assert spans[0].attributes["pipelex.pages"] == 4
    assert "pipelex.cost_usd" not in spans[0].attributes
    assert spans[0].attributes["gen_ai.request.temperature"] == 0.5
    assert SECRET not in repr(spans)
