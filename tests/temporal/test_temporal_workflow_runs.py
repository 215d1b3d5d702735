"""Runs on a real server: what they give, what they leave in the histories, and what people see of them."""

from __future__ import annotations

import asyncio
import re

import pytest
from temporal_bench import (
    TEXT,
    TEXTS,
    Bench,
    Scripted,
    ask,
    batch,
    call_function,
    crate,
    parallel,
    sequence,
    text,
    texts,
)
from temporalio.client import WorkflowExecution
from temporalio.common import SearchAttributeKey

from pipelex.errors import InputError
from pipelex.language.pipes import Step
from pipelex.pipes.requests import FunctionReply, TextReply
from pipelex.values.slots import Slot
from pipelex.values.value import Value

pytestmark = pytest.mark.server

THREE = crate(
    main=sequence(Step(pipe="d.one", result="a"), Step(pipe="d.two", result="b"), Step(pipe="d.three", result="c")),
    one=ask("1"),
    two=ask("2 $a", a=TEXT),
    three=ask("3 $b", b=TEXT),
)


async def run_family(bench: Bench, run_id: str) -> dict[str, WorkflowExecution]:
    """Every workflow of a run, once visibility has them all."""
    for _ in range(200):
        found = {
            item.id: item
            async for item in bench.client.list_workflows(
                f"WorkflowType = 'wf_pipe_run' AND WorkflowId STARTS_WITH '{run_id}'"
            )
        }
        if run_id in found and all(item.close_time for item in found.values()):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{run_id} is not listed")


async def test_one_text(bench: Bench) -> None:
    async with bench.worker(performer := Scripted()):
        run = await bench.start(crate(tell=ask("Tell $topic", topic=TEXT)), "tell", {"topic": text("stars")})
        result = await run.result()
    assert result.outcome == Value(concept="native.Text", data={"text": "<Tell stars>"})
    assert len(performer.asked) == 1
    events = (await bench.history(run.workflow_id)).events
    assert len(events) <= 11
    assert sum(event.ByteSize() for event in events) < 6_000


async def test_three_steps_are_four_workflows(bench: Bench) -> None:
    settings = bench.settings(search_attributes={"enabled": True})
    async with bench.worker(Scripted()):
        run = await bench.start(THREE, "main", settings=settings)
        assert (await run.result()).outcome == text("<3 <2 <1>>>")
    family = await run_family(bench, run.workflow_id)
    assert len(family) == 4
    children = sorted(set(family) - {run.workflow_id})
    codes = [re.fullmatch(rf"{run.workflow_id}_(\w+)-[0-9a-f]{{8}}", name)[1] for name in children]
    assert codes == ["one", "three", "two"]
    for workflow_id, execution in family.items():
        code = "main" if workflow_id == run.workflow_id else codes[children.index(workflow_id)]
        described = await bench.client.get_workflow_handle(workflow_id).describe()
        kinds = {
            name: SearchAttributeKey.for_keyword(name) for name in ("PipeCode", "DomainCode", "PipelineRunId", "UserId")
        }
        attributes = {name: execution.typed_search_attributes.get(key) for name, key in kinds.items()}
        assert attributes == {"PipeCode": code, "DomainCode": "d", "PipelineRunId": run.run_id, "UserId": "ada"}
        summary = "Steps in order" if code == "main" else f"Ask for {THREE.pipes[f'd.{code}'].prompt}"
        assert await described.static_summary() == f"{code} — {summary}"
        assert f"| Pipe | `{code}` |" in await described.static_details()


async def test_an_activity_says_what_it_is(bench: Bench) -> None:
    async with bench.worker(Scripted()):
        run = await bench.start(crate(tell=ask("x")), "tell")
        await run.result()
    scheduled = [
        event
        for event in (await bench.history(run.workflow_id)).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert len(scheduled) == 1
    assert scheduled[0].activity_task_scheduled_event_attributes.activity_type.name == "act_llm_gen_text"
    assert b"LLM text \xc2\xb7 pipe=tell \xc2\xb7 model=small" in scheduled[0].user_metadata.summary.data
    assert scheduled[0].activity_task_scheduled_event_attributes.heartbeat_timeout.ToSeconds() == 15


async def test_a_child_gets_its_slice_only(bench: Bench) -> None:
    async with bench.worker(Scripted()):
        run = await bench.start(THREE, "main")
        await run.result()
    events = (await bench.history(run.workflow_id)).events
    started = next(
        event for event in events if event.HasField("start_child_workflow_execution_initiated_event_attributes")
    )
    arguments = started.start_child_workflow_execution_initiated_event_attributes.input.payloads
    assert b"d.one" in arguments[1].data
    assert b"d.two" not in arguments[1].data
    assert len(arguments[1].data) < 600


@pytest.mark.parametrize(("count", "chunk"), [(60, 7), (5, 7), (0, 7)])
async def test_a_batch_keeps_its_order(bench: Bench, count: int, chunk: int) -> None:
    async def later(request: object) -> TextReply:
        await asyncio.sleep(0)
        return Scripted.echo(request)

    found = crate(each=batch("d.tell", "things", "thing"), tell=ask("$thing", thing=TEXT))
    names = [f"t{number}" for number in range(count)]
    async with bench.worker(performer := Scripted(later)):
        run = await bench.start(found, "each", {"things": texts(*names)}, batch_window=20, batch_chunk=chunk)
        result = await run.result()
    assert result.outcome == texts(*(f"<{name}>" for name in names))
    assert len(performer.asked) == count
    assert performer.most_at_once <= 20
    children = [
        event
        for event in (await bench.history(run.workflow_id)).events
        if event.HasField("start_child_workflow_execution_initiated_event_attributes")
    ]
    assert len(children) <= chunk


async def test_a_parallel(bench: Bench) -> None:
    found = crate(
        main=parallel(Step(pipe="d.one", result="a"), Step(pipe="d.two", result="b"), output=Slot("native.Composite")),
        one=ask("1"),
        two=ask("2"),
    )
    async with bench.worker(Scripted()):
        result = await (await bench.start(found, "main")).result()
    assert result.outcome.data == {"a": {"text": "<1>"}, "b": {"text": "<2>"}}


async def test_a_function(bench: Bench) -> None:
    async with bench.worker(performer := Scripted(lambda request: FunctionReply(data={"text": request.function_name}))):
        run = await bench.start(crate(clean=call_function("clean", a=TEXT)), "clean", {"a": text("x")})
        assert (await run.result()).outcome == text("clean")
    assert performer.asked[0].memory.root == {"a": text("x")}


async def test_with_fan_out_steps_and_small_batches_are_one_workflow(bench: Bench) -> None:
    found = crate(
        main=sequence(Step(pipe="d.steps"), Step(pipe="d.each", result="all"), output=TEXTS, things=TEXTS),
        steps=sequence(Step(pipe="d.one", result="a"), Step(pipe="d.two", result="b")),
        one=ask("1"),
        two=ask("2 $a", a=TEXT),
        each=batch("d.tell", "things", "thing"),
        tell=ask("$thing", thing=TEXT),
    )
    settings = bench.settings(execution={"child_workflows": "fan_out"})
    async with bench.worker(Scripted()):
        run = await bench.start(found, "main", {"things": texts("a", "b")}, settings=settings)
        assert (await run.result()).outcome == texts("<a>", "<b>")
    assert len(await run_family(bench, run.workflow_id)) == 1


async def test_with_fan_out_the_parts_of_a_large_batch_are_workflows(bench: Bench) -> None:
    found = crate(each=batch("d.tell", "things", "thing"), tell=ask("$thing", thing=TEXT))
    names = [f"t{number}" for number in range(12)]
    settings = bench.settings(execution={"child_workflows": "fan_out"})
    async with bench.worker(Scripted()):
        run = await bench.start(found, "each", {"things": texts(*names)}, settings=settings, batch_chunk=4)
        assert (await run.result()).outcome == texts(*(f"<{name}>" for name in names))
    assert len(await run_family(bench, run.workflow_id)) == 1 + 3


async def test_with_fan_out_items_that_fan_out_are_workflows(bench: Bench) -> None:
    found = crate(
        main=parallel(
            Step(pipe="d.each", result="left"), Step(pipe="d.tell", result="right"), output=Slot("native.Composite")
        ).model_copy(update={"inputs": {"things": TEXTS, "thing": TEXT}}),
        each=batch("d.tell", "things", "thing"),
        tell=ask("$thing", thing=TEXT),
    )
    settings = bench.settings(execution={"child_workflows": "fan_out"})
    async with bench.worker(Scripted()):
        run = await bench.start(found, "main", {"things": texts("a", "b"), "thing": text("c")}, settings=settings)
        assert (await run.result()).outcome.data == {
            "left": [{"text": "<a>"}, {"text": "<b>"}],
            "right": {"text": "<c>"},
        }
    assert len(await run_family(bench, run.workflow_id)) == 2


async def test_three_megabytes_in_and_out(bench: Bench) -> None:
    big = "x" * 3_000_000
    async with bench.worker(performer := Scripted(lambda request: TextReply(text=big[: len(request.prompt)]))):
        run = await bench.start(crate(tell=ask("$doc", doc=TEXT)), "tell", {"doc": text(big)})
        result = await run.result()
    assert result.outcome == text(big)
    assert len(performer.asked) == 1
    assert sum(event.ByteSize() for event in (await bench.history(run.workflow_id)).events) < 20_000


async def test_a_dry_run_asks_nobody(bench: Bench) -> None:
    async with bench.worker(performer := Scripted()):
        run = await bench.start(THREE, "main", is_dry=True)
        result = await run.result()
    assert isinstance(result.outcome, Value)
    assert not performer.asked


async def test_the_same_run_twice(bench: Bench) -> None:
    await bench.start(crate(tell=ask("x")), "tell", run_id=f"twice-{bench.number}")
    with pytest.raises(InputError, match="under way") as caught:
        await bench.start(crate(tell=ask("x")), "tell", run_id=f"twice-{bench.number}")
    assert caught.value.hint


async def test_a_route_sends_calls_to_their_queue(bench: Bench) -> None:
    other = f"{bench.queue}-llm"
    settings = bench.settings(
        activity_queues={"act_llm_gen_text": {"by_handle": {"small": other}}},
        queue_options={other: {"start_to_close_timeout": "33s"}},
    )
    here, there = Scripted(), Scripted()
    async with bench.worker(here), bench.worker(there, task_queue=other):
        run = await bench.start(crate(tell=ask("x")), "tell", settings=settings)
        await run.result()
    assert (len(here.asked), len(there.asked)) == (0, 1)


async def test_no_worker_is_said(bench: Bench) -> None:
    run = await bench.start(crate(tell=ask("x")), "tell")
    assert "pipelex worker" in (await run.waiting_reason() or "")
    progress = await run.progress()
    assert (progress.pipe, progress.state) == ("d.tell", "running")
    async with bench.worker(Scripted()):
        await run.result()
        assert await run.waiting_reason() is None
