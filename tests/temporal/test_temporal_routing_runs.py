"""Routes in real runs: frozen when the run is submitted, traced on request, and no command more or less for it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from inline_snapshot import snapshot
from temporal_bench import Bench, Scripted, ask, crate, sequence
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from pipelex.language.pipes import Step
from pipelex.pipes.requests import TextRequest
from pipelex.temporal.client import DurableRun
from pipelex.temporal.settings import TemporalSettings

pytestmark = pytest.mark.server

TWO_CALLS = crate(
    main=sequence(Step(pipe="d.first", result="x"), Step(pipe="d.second", result="y")),
    first=ask("first"),
    second=ask("second"),
)
INLINE = {"execution": {"child_workflows": "fan_out"}}
# Every workflow task is a replay of the whole run.
UNCACHED = {"worker_runtime_profiles": {"profiles": {"default": {"max_cached_workflows": 0}}}}


def scheduled(history: WorkflowHistory) -> list[Any]:
    kind = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return [event.activity_task_scheduled_event_attributes for event in history.events if event.event_type == kind]


async def until_scheduled(bench: Bench, run: DurableRun) -> None:
    deadline = time.monotonic() + 30
    while not scheduled(await bench.history(run.workflow_id)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def routed(bench: Bench, queue: str, options: dict[str, Any]) -> TemporalSettings:
    old = f"{bench.queue}-old"
    queues = {TextRequest.activity: {"default": queue, "by_handle": {"unused": old}}}
    return bench.settings(activity_queues=queues, queue_options={old: {}, queue: options}, **INLINE, **UNCACHED)


async def test_a_run_keeps_its_routes_when_workers_get_other_settings(bench: Bench) -> None:
    old = f"{bench.queue}-old"
    before = routed(bench, old, {"start_to_close_timeout": "77s", "retry_policy_config": {"maximum_attempts": 7}})
    after = routed(bench, f"{bench.queue}-new", {"start_to_close_timeout": "5s"})
    async with bench.serving(before, bench.queue, scope_name="router"):
        run = await bench.start(TWO_CALLS, "main", settings=before)
        await until_scheduled(bench, run)
    async with bench.serving(after, bench.queue, old, f"{bench.queue}-new"):
        await run.result()
    history = await bench.history(run.workflow_id)
    for found in scheduled(history):
        assert found.task_queue.name == old
        assert found.start_to_close_timeout.seconds == 77
        assert found.retry_policy.maximum_attempts == 7
    assert len(scheduled(history)) == 2
    assert "EVENT_TYPE_WORKFLOW_TASK_FAILED" not in [EventType.Name(event.event_type) for event in history.events]


async def one_run(bench: Bench, *, is_traced: bool) -> WorkflowHistory:
    settings = bench.settings(
        activity_queues={TextRequest.activity: {"handle_options": {"small": {"start_to_close_timeout": "30s"}}}},
        queue_options={bench.queue: {"heartbeat_timeout": "20s"}},
        temporal_config={"temporal_log_config": {"is_dispatch_resolution_traced": is_traced}},
        **INLINE,
    )
    async with bench.worker(Scripted(), max_cached_workflows=0):
        run = await bench.start(TWO_CALLS, "main", settings=settings)
        await run.result()
    return await bench.history(run.workflow_id)


async def test_a_trace_tells_each_dispatch_once_and_changes_no_command(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "temporalio.workflow")
    quiet = await one_run(bench, is_traced=False)
    assert not told(caplog)
    traced = await one_run(bench, is_traced=True)
    lines = told(caplog)
    assert len(lines) == 2
    assert lines[0].replace(bench.queue, "QUEUE") == snapshot(
        "dispatch act_llm_gen_text, handle small: queue of the workflow (baseline),"
        " start_to_close 0:00:30 (activity_queues.act_llm_gen_text.handle_options.small),"
        " attempts 3 (default), heartbeat 0:00:20 (queue_options.QUEUE)"
    )
    assert [bare(found) for found in scheduled(traced)] == [bare(found) for found in scheduled(quiet)]
    assert kinds(traced) == kinds(quiet)


def kinds(history: WorkflowHistory) -> list[str]:
    """What happened, workflow tasks apart: how many of them there are is a matter of timing."""
    names = [EventType.Name(event.event_type) for event in history.events]
    return [name for name in names if "WORKFLOW_TASK" not in name]


def bare(scheduled_call: Any) -> Any:
    copy = type(scheduled_call)()
    copy.CopyFrom(scheduled_call)
    copy.ClearField("workflow_task_completed_event_id")
    copy.ClearField("input")
    return copy


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What runs said, without what the SDK adds of the workflow."""
    said = [line.getMessage() for line in caplog.records if line.name == "temporalio.workflow"]
    return [text.partition(" ({'")[0] for text in said]
