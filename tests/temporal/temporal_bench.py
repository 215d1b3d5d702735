"""What tests of durable runs share: a scripted performer, crates made by hand, and a bench to run them on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Worker

from pipelex.language.pipes import Pipe, PipeBatch, PipeFunc, PipeLLM, PipeParallel, PipeSequence, Step
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import FunctionReply, FunctionRequest, ModelSetting, ObjectReply, TextReply, TextRequest
from pipelex.temporal.activities import Performs, activities
from pipelex.temporal.client import DurableRun, submit
from pipelex.temporal.routing import routes_for
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.worker import run_worker
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Value

TEXT = Slot("native.Text")
TEXTS = Slot("native.Text", is_list=True)
MODEL = ModelSetting(handle="small")


class Scripted:
    """Answers requests by a function of the request; counts what was asked, and how many at a time."""

    def __init__(self, answer: Callable[[Any], Any] | None = None) -> None:
        self._answer = answer or self.echo
        self.asked: list[Any] = []
        self.at_once = 0
        self.most_at_once = 0
        self.cancelled = 0

    @staticmethod
    def echo(request: Any) -> Any:
        """`<prompt>` for a text, nothing much for the rest."""
        if isinstance(request, TextRequest):
            return TextReply(text=f"<{request.prompt}>")
        if isinstance(request, FunctionRequest):
            return FunctionReply(data={"text": f"{request.function_name}()"})
        return ObjectReply(data=[{"text": "one"}, {"text": "two"}])

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        """Note the request, then answer, raise, or wait, as the function says."""
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self._answer(request)
            return await answer if asyncio.iscoroutine(answer) else answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1


def ask(prompt: str, **inputs: Slot) -> PipeLLM:
    return PipeLLM(type="PipeLLM", description=f"Ask for {prompt}", inputs=inputs, output=TEXT, prompt=prompt)


def call_function(name: str, **inputs: Slot) -> PipeFunc:
    return PipeFunc(type="PipeFunc", description=f"Call {name}", inputs=inputs, output=TEXT, function_name=name)


def sequence(*steps: Step, output: Slot = TEXT, **inputs: Slot) -> PipeSequence:
    return PipeSequence(type="PipeSequence", description="Steps in order", inputs=inputs, output=output, steps=steps)


def parallel(*branches: Step, output: Slot, **inputs: Slot) -> PipeParallel:
    return PipeParallel(
        type="PipeParallel",
        description="Branches at once",
        inputs=inputs,
        output=output,
        branches=branches,
        add_each_output=True,
    )


def batch(branch: str, over: str, item: str) -> PipeBatch:
    return PipeBatch(
        type="PipeBatch",
        description="Once per item",
        inputs={over: TEXTS},
        output=TEXTS,
        branch_pipe_code=branch,
        input_list_name=over,
        input_item_name=item,
    )


def crate(**pipes: Pipe) -> LibraryCrate:
    """A crate of one domain `d`."""
    return LibraryCrate(pipes={f"d.{code}": pipe for code, pipe in pipes.items()}, domains={"d": ""}).sealed()


def text(data: str) -> Value:
    return Value(concept="native.Text", data={"text": data})


def texts(*data: str) -> Value:
    return Value(concept="native.Text", data=[{"text": item} for item in data])


class Bench:
    """Runs pipes of a crate on the server, each test on its own task queue."""

    _numbers = itertools.count(1)

    def __init__(self, client: Client, payload_root: Path) -> None:
        self.client = client
        self.payload_root = payload_root
        self.number = next(self._numbers)
        self.queue = f"queue-{self.number}"

    def settings(self, **temporal: Any) -> TemporalSettings:
        worker = {"default_task_queue": self.queue, **temporal.pop("worker_config", {})}
        return TemporalSettings.model_validate({"worker_config": worker, **temporal})

    @contextlib.asynccontextmanager
    async def worker(self, performer: Performs, **options: Any) -> AsyncIterator[Worker]:
        options = {"task_queue": self.queue, "max_concurrent_workflow_tasks": 16} | options
        async with Worker(
            self.client,
            workflows=[PipeWorkflow],
            activities=activities(performer),
            workflow_runner=workflow_runner(),
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=3),
            **options,
        ) as worker:
            yield worker

    @contextlib.asynccontextmanager
    async def serving(
        self, settings: TemporalSettings, *queues: str, performer: Performs | None = None, **options: Any
    ) -> AsyncIterator[None]:
        """A worker as `pipelex worker` makes it, with a connection of its own; by default of the bench's queue."""
        address, stop, ready = self.client.service_client.config.target_host, asyncio.Event(), asyncio.Event()
        work = run_worker(
            client=await Client.connect(address, data_converter=self.client.data_converter),
            settings=settings,
            performer=performer or Scripted(),
            task_queues=queues,
            stop=stop,
            on_ready=ready.set,
            **options,
        )
        running = asyncio.create_task(work)
        try:
            await asyncio.wait_for(ready.wait(), 30)
            yield
        finally:
            stop.set()
            await running

    async def start(
        self,
        found: LibraryCrate,
        pipe: str,
        inputs: dict[str, Value] | None = None,
        *,
        settings: TemporalSettings | None = None,
        run_id: str | None = None,
        **plan: JsonValue,
    ) -> DurableRun:
        settings = settings or self.settings()
        run = RunInfo(run_id=run_id or f"run-{self.number}-{next(self._numbers)}", user_id="ada", session_id="s1")
        asked = PipeCall(pipe=f"d.{pipe}", run=run, memory=Memory(root=inputs or {}))
        models = {found.key: MODEL for found in model_asks(found).values()}
        made = Plan.model_validate({"models": models, **plan})
        return await submit(self.client, asked, found, made, routes_for(settings, found, models), settings)

    async def history(self, workflow_id: str) -> WorkflowHistory:
        return await self.client.get_workflow_handle(workflow_id).fetch_history()
