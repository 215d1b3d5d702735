"""Rate caps hold on a real server: measured on the times at which the server says that calls were started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from temporal_bench import TEXT, Bench, ask, batch, crate, texts
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import RateLimit
from temporalio.api.workflowservice.v1 import UpdateTaskQueueConfigRequest

from pipelex.pipes.requests import TextRequest
from pipelex.temporal.client import DurableRun
from pipelex.temporal.settings import TemporalSettings

pytestmark = pytest.mark.server

CAP = 5
CALLS = 15
BURST = CAP
"""What the server lets through at once after a pause: as many as one second allows."""
LATE = 2
"""A call that the server let through just before may be noted as started in this second."""
CAPPED = {"max_task_queue_activities_per_second": CAP}
ITEMS = crate(ask_one=ask("$item", item=TEXT), ask_all=batch("d.ask_one", over="items", item="item"))


async def starts(run: DurableRun, bench: Bench) -> list[float]:
    """When the server handed out the calls of a run, its children included, in seconds."""
    found: list[float] = []
    waiting = [run.workflow_id]
    while waiting:
        history = await bench.history(waiting.pop())
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                found.append(event.event_time.ToNanoseconds() / 1e9)
            elif event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                waiting.append(event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id)
    return sorted(found)


def assert_capped(times: Sequence[float]) -> None:
    assert len(times) == CALLS
    for first in times:
        assert sum(first <= time < first + 1 for time in times) <= CAP + BURST + LATE
    # What is not in the burst takes its time; a call that missed the queue would make this a fraction of a second.
    assert times[-1] - times[0] >= (CALLS - BURST) / CAP * 0.75


async def start(bench: Bench, settings: TemporalSettings, name: str) -> DurableRun:
    items = texts(*(f"{name} {number}" for number in range(CALLS)))
    return await bench.start(ITEMS, "ask_all", {"items": items}, settings=settings)


def routed(bench: Bench, queue: str, options: dict[str, Any]) -> TemporalSettings:
    return bench.settings(
        activity_queues={TextRequest.activity: {"default": queue}},
        queue_options={queue: options},
        execution={"child_workflows": "fan_out"},
    )


async def test_a_cap_holds_on_the_queue_of_the_workflow_itself(bench: Bench) -> None:
    settings = bench.settings(queue_options={bench.queue: CAPPED}, execution={"child_workflows": "fan_out"})
    async with bench.serving(settings):
        run = await start(bench, settings, "own")
        await run.result()
    assert_capped(await starts(run, bench))


async def test_a_cap_holds_on_a_queue_of_its_own_and_with_several_queues_in_one_process(bench: Bench) -> None:
    queue = f"{bench.queue}-capped"
    settings = routed(bench, queue, CAPPED)
    async with bench.serving(settings, bench.queue, queue):
        run = await start(bench, settings, "routed")
        await run.result()
    assert_capped(await starts(run, bench))


async def test_a_cap_kept_by_the_server_holds_whatever_workers_say(bench: Bench) -> None:
    """A worker without a cap lifts that of another (the last poll counts), but not the one set on the server."""
    queue = f"{bench.queue}-shared"
    high, uncapped = routed(bench, queue, {"max_task_queue_activities_per_second": 1000}), routed(bench, queue, {})
    await bench.client.workflow_service.update_task_queue_config(
        UpdateTaskQueueConfigRequest(
            namespace=bench.client.namespace,
            task_queue=queue,
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            update_queue_rate_limit=UpdateTaskQueueConfigRequest.RateLimitUpdate(
                rate_limit=RateLimit(requests_per_second=CAP), reason="a test"
            ),
        )
    )
    async with bench.serving(high, bench.queue, queue), bench.serving(uncapped, queue):
        run = await start(bench, high, "shared")
        await run.result()
    assert_capped(await starts(run, bench))
