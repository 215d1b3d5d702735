from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from temporal_bench import MODEL, Bench, Scripted, ask, batch, crate, sequence, text, texts
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.converter import PayloadConverter

from pipelex.errors import RunCancelledError
from pipelex.language.pipes import Step
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.tracing import Span, TraceContext, Tracer
from pipelex.temporal.client import submit
from pipelex.temporal.routing import routes_for
from pipelex.temporal.workflow_spans import HEADER, carried, received
from pipelex.values.slots import Slot
from pipelex.values.value import Memory

TEXT = Slot("native.Text")
METHOD = crate(
    main=sequence(Step(pipe="d.wrap", result="said"), note=TEXT),
    wrap=sequence(Step(pipe="d.say", result="said"), note=TEXT),
    say=ask("Say $note", note=TEXT),
    many=batch("d.each", "items", "item"),
    each=ask("Each $item", item=TEXT),
)
NO_CACHE = {
    "default_profile": "small",
    "profiles": {"small": {"max_cached_workflows": 0}},
}


class Kept:
    """Keeps the spans that a worker tells."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.tracer = Tracer(emit=self.spans.append, now_ns=time.time_ns)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def check(self) -> None:
        """One trace without doubles, in which only the first span has a parent elsewhere."""
        assert max(Counter(span.context.span_id for span in self.spans).values()) == 1
        assert len({span.context.trace_id for span in self.spans}) == 1
        known = {span.context.span_id for span in self.spans}
        assert len([span for span in self.spans if span.parent_id not in known]) == 1


@pytest.mark.parametrize("child_workflows", ["every_pipe", "fan_out"])
async def test_asking_a_run_that_ended_tells_no_span_again(bench: Bench, child_workflows: str) -> None:
    kept = Kept()
    settings = bench.settings(worker_runtime_profiles=NO_CACHE, execution={"child_workflows": child_workflows})
    async with bench.serving(settings, tracer=kept.tracer):
        run = await bench.start(METHOD, "main", {"note": text("a")}, settings=settings)
        await run.result()
        assert [span.name for span in kept.spans] == ["chat small", "pipe say", "pipe wrap", "pipe main"]
        assert (await run.progress()).state == "done"
        assert len(kept.spans) == 4
    kept.check()
    # Nobody traced its start: it begins a trace of its own.
    assert kept.named("pipe main")[0].parent_id is None


async def test_parts_of_a_batch_are_spans_between_it_and_its_items(bench: Bench) -> None:
    kept = Kept()
    settings = bench.settings()
    async with bench.serving(settings, tracer=kept.tracer):
        items = {"items": texts("a", "b", "c", "d")}
        run = await bench.start(METHOD, "many", items, settings=settings, batch_chunk=2)
        await run.result()
    kept.check()
    parts = {span.context.span_id for span in kept.named("batch each")}
    assert len(parts) == 2
    each = kept.named("pipe each")
    assert {span.parent_id for span in each} == parts
    assert sorted(span.attributes["pipelex.item.index"] for span in each) == [0, 1, 2, 3]


async def test_a_run_that_is_cancelled_is_no_error(bench: Bench) -> None:
    kept, asked = Kept(), asyncio.Event()

    async def wait(request: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    settings = bench.settings(worker_config={"default_activity_heartbeat_timeout": "2s"})
    async with bench.serving(settings, performer=Scripted(wait), tracer=kept.tracer):
        run = await bench.start(METHOD, "main", {"note": text("a")}, settings=settings)
        await asyncio.wait_for(asked.wait(), 30)
        await run.cancel()
        with pytest.raises(RunCancelledError):
            await run.result()
    kept.check()
    assert {span.attributes["pipelex.state"] for span in kept.spans} == {"canceled"}
    assert {span.error for span in kept.spans} == {None}


async def test_who_starts_a_run_with_the_tracing_of_temporal_is_its_parent(bench: Bench) -> None:
    kept, provider = Kept(), TracerProvider()
    theirs = provider.get_tracer("theirs")
    config = bench.client.config()
    config["interceptors"] = [TracingInterceptor(theirs)]
    settings = bench.settings()
    models = {found.key: MODEL for found in model_asks(METHOD).values()}
    call = PipeCall(pipe="d.main", run=RunInfo(run_id=f"theirs-{bench.queue}"), memory=Memory(root={"note": text("a")}))
    async with bench.serving(settings, tracer=kept.tracer):
        with theirs.start_as_current_span("request") as request:
            routes = routes_for(settings, METHOD, models)
            run = await submit(Client(**config), call, METHOD, Plan(models=models), routes, settings)
        await run.result()
    kept.check()
    assert kept.spans[0].context.trace_id == f"{request.get_span_context().trace_id:032x}"
    assert kept.named("pipe main")[0].parent_id is not None


async def test_a_worker_that_does_not_trace_runs_what_is_traced(bench: Bench) -> None:
    settings = bench.settings()
    models = {found.key: MODEL for found in model_asks(METHOD).values()}
    call = PipeCall(pipe="d.main", run=RunInfo(run_id=f"plain-{bench.queue}"), memory=Memory(root={"note": text("a")}))
    trace = TraceContext("ab" * 16, "cd" * 8)
    async with bench.serving(settings):
        routes = routes_for(settings, METHOD, models)
        run = await submit(bench.client, call, METHOD, Plan(models=models), routes, settings, trace=trace)
        await run.result()
    first = (await bench.history(run.workflow_id)).events[0].workflow_execution_started_event_attributes
    assert received(first.header.fields) == trace


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": b"binary/unknown"}, data=b"x"),
        Payload(metadata={"encoding": b"json/plain"}, data=b"{"),
        PayloadConverter.default.to_payload(["traceparent"]),
        PayloadConverter.default.to_payload({"traceparent": 7}),
    ],
)
def test_a_header_that_cannot_be_read_is_no_parent(payload: Payload) -> None:
    assert received({HEADER: payload}) is None


def test_a_header_is_read_as_it_is_written() -> None:
    context = TraceContext("ab" * 16, "cd" * 8, False)
    assert received(carried({}, context)) == context
    assert carried({}, None) == {}
