"""Why a run does not go on, told to whoever waits for it."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, cast

import pytest
from google.protobuf.duration_pb2 import Duration
from inline_snapshot import snapshot
from temporal_bench import TEXT, Bench, Scripted, ask, crate, sequence
from temporalio.api.enums.v1 import WorkerVersioningMode, WorkflowExecutionStatus
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue, TaskQueueStats
from temporalio.api.workflow.v1 import PendingWorkflowTaskInfo, WorkflowExecutionConfig, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, DescribeWorkflowExecutionResponse
from temporalio.client import Client

from pipelex.errors import ProviderDownError
from pipelex.language.pipes import Step
from pipelex.pipes.requests import TextReply
from pipelex.temporal.client import DurableRun, attach
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.waiting import waiting_reason

pytestmark = pytest.mark.server

STEPS = crate(
    main=sequence(Step(pipe="d.inner", result="a")), inner=sequence(Step(pipe="d.one", result="a")), one=ask("1")
)


def retried_after(bench: Bench, interval: str) -> TemporalSettings:
    return bench.settings(worker_config={"retry_policy_config": {"initial_interval": interval}})


async def reason(run: DurableRun, part: str) -> str:
    """What is said, once it is about that; without what differs from run to run."""
    async with asyncio.timeout(30):
        while True:
            said = await run.waiting_reason() or ""
            if part in said:
                return re.sub(r"-[0-9a-f]{8}", "-xxxxxxxx", said).replace(run.run_id, "R")
            await asyncio.sleep(0.05)


async def test_a_call_deep_in_a_run_that_fails_is_told(bench: Bench) -> None:
    settings = retried_after(bench, "40s")

    def fail(request: Any) -> TextReply:
        raise ProviderDownError("the provider\nanswers 503", retryable=True)

    async with bench.worker(Scripted(fail)):
        run = await bench.start(STEPS, "main", settings=settings, run_id=f"w{bench.number}")
        # Somebody else who comes back to the run is told the same.
        said = await reason(attach(bench.client, run.run_id), "failed")
        assert said.replace(bench.queue, "Q").split("; ") == snapshot(
            [
                "act_llm_gen_text on the task queue 'Q' failed 1 time: the provider answers 503",
                "attempt 2 of 3 follows 40 s later (workflow R_inner-xxxxxxxx_one-xxxxxxxx)",
            ]
        )
        await bench.client.get_workflow_handle(run.run_id).terminate()
        assert await run.waiting_reason() is None


async def test_an_attempt_under_way_is_told_with_what_came_before(bench: Bench) -> None:
    settings = retried_after(bench, "1ms")
    go_on = asyncio.Event()

    async def answer(request: Any) -> TextReply:
        if not go_on.is_set() and len(performer.asked) == 1:
            raise ProviderDownError("down", retryable=True)
        await go_on.wait()
        return TextReply(text="x")

    async with bench.worker(performer := Scripted(answer)):
        run = await bench.start(STEPS, "main", settings=settings, run_id=f"w{bench.number}")
        said = await reason(run, "under way")
        assert said.replace(bench.queue, "Q").split("; ") == snapshot(
            [
                "act_llm_gen_text on the task queue 'Q' failed 1 time: down",
                "attempt 2 of 3 is under way (workflow R_inner-xxxxxxxx_one-xxxxxxxx)",
            ]
        )
        go_on.set()
        await run.result()


async def test_a_call_that_nobody_takes_is_told(bench: Bench) -> None:
    settings = bench.settings(activity_queues={"act_llm_gen_text": {"default": "nobody"}}, queue_options={"nobody": {}})
    async with bench.worker(Scripted()):
        run = await bench.start(STEPS, "main", settings=settings)
        said = await reason(attach(bench.client, run.run_id), "'nobody'")
        assert said.split("; ") == snapshot(
            [
                "no worker polls the task queue 'nobody', where act_llm_gen_text waits",
                "start one with: pipelex worker --task-queue nobody",
            ]
        )
        await bench.client.get_workflow_handle(run.run_id).terminate()


async def test_a_run_that_goes_on_is_left_alone(bench: Bench) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: Any) -> TextReply:
        began.set()
        await go_on.wait()
        return TextReply(text="x")

    async with bench.worker(Scripted(answer)):
        run = await bench.start(crate(tell=ask("$a", a=TEXT).model_copy(update={"inputs": {}, "prompt": "x"})), "tell")
        await began.wait()
        assert await run.waiting_reason() is None
        go_on.set()
        await run.result()


class Answers:
    """A server that knows one workflow, and one worker on any queue: for what takes a real one too long to reach."""

    namespace = "default"

    def __init__(self, attempt: int, build: str | None = None, *, polled: int = 0, waited: int = 0) -> None:
        self.workflow_service = self
        self._waited = waited
        self._task = PendingWorkflowTaskInfo(attempt=attempt)
        self._poller = PollerInfo()
        self._poller.last_access_time.FromSeconds(int(time.time()) - polled)
        if build is not None:
            self._poller.deployment_options.build_id = build
            self._poller.deployment_options.worker_versioning_mode = (
                WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
            )

    async def describe_workflow_execution(self, request: Any) -> DescribeWorkflowExecutionResponse:
        return DescribeWorkflowExecutionResponse(
            execution_config=WorkflowExecutionConfig(task_queue=TaskQueue(name="q")),
            workflow_execution_info=WorkflowExecutionInfo(
                execution=request.execution, status=WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
            ),
            pending_workflow_task=self._task,
        )

    async def describe_task_queue(self, request: Any) -> DescribeTaskQueueResponse:
        stats = TaskQueueStats(approximate_backlog_age=Duration(seconds=self._waited))
        return DescribeTaskQueueResponse(pollers=[self._poller], stats=stats)


async def test_a_worker_that_cannot_go_on_is_told() -> None:
    assert await waiting_reason(cast(Client, Answers(attempt=2)), "run-1") is None
    assert await waiting_reason(cast(Client, Answers(attempt=4)), "run-1") == snapshot(
        "the worker of the task queue 'q' cannot go on with the workflow run-1, after 3 attempts: its log says why"
    )


async def test_work_that_nobody_asks_for_any_more_is_told() -> None:
    for polled, waited in ((40, 0), (40, 5), (2, 30)):
        assert await waiting_reason(cast(Client, Answers(attempt=1, polled=polled, waited=waited)), "run-1") is None
    said = await waiting_reason(cast(Client, Answers(attempt=1, polled=40, waited=30)), "run-1")
    assert (said or "").split("; ") == snapshot(
        [
            "nobody takes work from the task queue 'q': its workers are gone, or hold as much as they take",
            "start one with: pipelex worker",
        ]
    )


async def test_workers_whose_build_is_not_current_are_told() -> None:
    said = await waiting_reason(cast(Client, Answers(attempt=1, build="v2")), "run-1")
    assert (said or "").split("; ") == snapshot(
        [
            "the workers of the task queue 'q' have build ids of which none is current: v2",
            "`pipelex doctor` names the command that makes one so",
        ]
    )


async def test_a_run_that_is_not_there_is_told(bench: Bench) -> None:
    said = await attach(bench.client, "nothing").waiting_reason()
    assert (said or "").startswith("there is no run 'nothing'")
