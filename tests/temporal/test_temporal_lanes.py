"""Lanes: what the settings say, what the server is told, who overtakes whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from temporal_bench import Bench, Scripted, ask, crate, parallel, sequence
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.testing import WorkflowEnvironment

from pipelex.app import Runtime
from pipelex.config.settings import Settings
from pipelex.errors import ConfigError
from pipelex.language.pipes import Step
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting, TextRequest
from pipelex.temporal.client import DurableRun, submit
from pipelex.temporal.converter import data_converter
from pipelex.temporal.routing import Lane, Routes, lane_of, routes_for
from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import TemporalSettings
from pipelex.values.slots import Slot


def read(**temporal: Any) -> TemporalSettings:
    return TemporalSettings.model_validate(temporal)


def test_three_lanes_are_always_there_and_names_may_be_added() -> None:
    assert read().lanes.priority_keys() == {"interactive": 1, "normal": 3, "batch": 5}
    settings = read(lanes={"urgent": 2, "batch": 4, "default_lane": "urgent"})
    assert settings.lanes.priority_keys() == {"interactive": 1, "normal": 3, "batch": 4, "urgent": 2}
    assert lane_of(settings, None, "ada") == Lane(priority_key=2)
    assert lane_of(settings, "batch", "ada") == Lane(priority_key=4)
    assert read(**settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("lanes", "said"),
    [
        ({"urgent": 0}, "urgent"),
        ({"urgent": 6}, "urgent"),
        ({"default_lane": "batsh"}, "Did you mean 'batch'?"),
        ({"fairness_weigth": 2}, "lanes.fairness_weigth is not a key of [temporal.lanes]. Did you mean"),
        ({"fairness_weight": 2}, "no effect without fairness_by_user"),
        ({"fairness_by_user": True, "fairness_weight": 5000}, "fairness_weight"),
    ],
)
def test_lanes_that_make_no_sense_are_refused(lanes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(lanes=lanes)
    assert said in str(caught.value)


def test_an_unknown_lane_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        lane_of(read(), "interactiv", "ada")
    assert caught.value.message == "there is no lane 'interactiv'. Did you mean 'interactive'?"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("known lanes: interactive, normal, batch;")


def test_users_are_told_apart_within_the_length_that_temporal_takes() -> None:
    settings = read(lanes={"fairness_by_user": True, "fairness_weight": 2})
    assert lane_of(settings, None, "ada") == Lane(priority_key=3, fairness_key="ada", fairness_weight=2)
    long = [lane_of(settings, None, "é" * 40 + name).fairness_key or "" for name in ("ada", "bob")]
    assert long[0] != long[1]
    assert all(len(key.encode()) <= 64 for key in long)
    assert lane_of(settings, None, "x" * 64).fairness_key == "x" * 64


def test_the_usual_lane_takes_no_room_on_the_wire() -> None:
    settings, found = read(), LibraryCrate()
    assert routes_for(settings, found, {}, lane_of(settings, None, "ada")) == Routes()
    urgent = routes_for(settings, found, {}, lane_of(settings, "interactive", "ada"))
    assert urgent.model_dump(mode="json", exclude_defaults=True) == {"lane": {"priority_key": 1}}
    assert urgent.only(frozenset(), frozenset()) == Routes()


@pytest.fixture(scope="module")
async def client(payload_root: Path) -> AsyncIterator[Client]:
    """A server whose queues have one partition each: only within a partition is the order exact."""
    partitions = [f"matching.numTaskqueue{kind}Partitions=1" for kind in ("Read", "Write")]
    async with await WorkflowEnvironment.start_local(
        data_converter=data_converter(payload_root),
        dev_server_existing_path=str(find_temporal()),
        dev_server_extra_args=[part for value in partitions for part in ("--dynamic-config-value", value)],
        dev_server_log_level="error",
    ) as environment:
        yield environment.client


async def submitted(bench: Bench, found: LibraryCrate, pipe: str, lane: str, **temporal: Any) -> DurableRun:
    settings = bench.settings(**temporal)
    run = RunInfo(run_id=f"run-{bench.number}-{lane}", user_id="ada")
    models = {"llm:for_text": ModelSetting(handle="small")}
    routes = routes_for(settings, found, models, lane_of(settings, lane, run.user_id))
    return await submit(bench.client, PipeCall(pipe=f"d.{pipe}", run=run), found, Plan(models=models), routes, settings)


NESTED = crate(
    main=sequence(Step(pipe="d.inner", result="first")), inner=sequence(Step(pipe="d.leaf", result="x")), leaf=ask("x")
)


@pytest.mark.server
async def test_children_and_calls_inherit_the_lane(bench: Bench) -> None:
    seen: list[Priority] = []

    async def answer(request: Any) -> Any:
        from temporalio import activity

        seen.append(activity.info().priority)
        return Scripted.echo(request)

    fair = {"fairness_by_user": True, "fairness_weight": 2}
    # A call that starts eagerly, with its workflow task, waits in no queue and is told no priority.
    async with bench.worker(Scripted(answer), disable_eager_activity_execution=True):
        run = await submitted(bench, NESTED, "main", "batch", lanes=fair)
        await run.result()
    told = Priority(priority_key=5, fairness_key="ada", fairness_weight=2)
    assert seen == [told]
    workflow_id, ids = run.workflow_id, []
    while workflow_id:
        history = await bench.history(workflow_id)
        started = history.events[0].workflow_execution_started_event_attributes.priority
        assert Priority(started.priority_key, started.fairness_key, started.fairness_weight) == told, workflow_id
        children = [
            event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
        ]
        ids.append(workflow_id)
        workflow_id = children[0] if children else ""
    assert len(ids) == 3


BATCH, URGENT = 8, 3


def many(count: int, word: str) -> LibraryCrate:
    calls = {f"{word}_{number}": ask(f"{word} {number}") for number in range(count)}
    branches = tuple(Step(pipe=f"d.{code}", result=code) for code in calls)
    return crate(**calls, main=parallel(*branches, output=Slot("native.Composite")))


@pytest.mark.server
async def test_interactive_calls_overtake_a_batch_on_a_worker_that_does_one_at_a_time(bench: Bench) -> None:
    queue = f"{bench.queue}-calls"
    options: dict[str, Any] = {
        "activity_queues": {TextRequest.activity: {"default": queue}},
        "queue_options": {queue: {}},
        "execution": {"child_workflows": "fan_out"},
    }
    performer = Scripted()
    settings = bench.settings(
        **options, worker_runtime_profiles={"profiles": {"one": {"max_concurrent_activities": 1}}}
    )
    async with bench.serving(settings, scope_name="router"):
        slow = await submitted(bench, many(BATCH, "batch"), "main", "batch", **options)
        await waiting(bench, slow, BATCH)
        quick = await submitted(bench, many(URGENT, "urgent"), "main", "interactive", **options)
        await waiting(bench, quick, URGENT)
        one = {"scope_name": "runner", "profile_name": "one"}
        async with bench.serving(settings, queue, performer=performer, **one):
            await asyncio.gather(slow.result(), quick.result())
    order = [request.prompt.split()[0] for request in performer.asked]
    assert len(order) == BATCH + URGENT
    last = max(place for place, word in enumerate(order) if word == "urgent")
    # A call is scheduled a moment before it is in its queue: two of the batch may have been handed out by then.
    assert last <= URGENT + 1, order


async def waiting(bench: Bench, run: DurableRun, count: int) -> None:
    """Wait until that many calls of a run are in the queue."""
    deadline = time.monotonic() + 30
    asked = DescribeWorkflowExecutionRequest(
        namespace=bench.client.namespace, execution=WorkflowExecution(workflow_id=run.workflow_id)
    )
    while True:
        described = await bench.client.workflow_service.describe_workflow_execution(asked)
        if len(described.pending_activities) == count:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.server
async def test_a_runtime_tells_the_server_the_lane_and_the_user(bench: Bench, tmp_path: Path) -> None:
    server = {"target_host": bench.client.service_client.config.target_host}
    temporal = {
        "worker_config": {"default_task_queue": bench.queue},
        "temporal_config": {"temporal_server_configs": {"local": server}},
        "lanes": {"overnight": 4, "default_lane": "overnight", "fairness_by_user": True},
    }
    settings = Settings.model_validate({"temporal": temporal, "root": tmp_path})
    async with Runtime.open(settings, environ={}) as runtime:
        method = runtime.load(METHOD)
        told = []
        for lane in (None, "interactive"):
            run = await runtime.start(None, method=method, durable=True, simulate=True, user_id="ada", lane=lane)
            history = await bench.history(run.workflow_id or "")
            found = history.events[0].workflow_execution_started_event_attributes.priority
            told.append((found.priority_key, found.fairness_key))
            await run.cancel()
    assert told == [(4, "ada"), (1, "ada")]


METHOD = """
domain = "d"
main_pipe = "say"

[pipe.say]
type = "PipeLLM"
description = "Say it"
output = "Text"
prompt = "Say it"
"""
