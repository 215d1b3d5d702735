"""The hand-written programs: plain temporalio, one HTTP call per activity through the openai SDK. Run as a worker.

`children` starts one child workflow per pipe and one activity per call; `flat` runs the activities in one workflow.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.shapes import SCHEMA, SHAPES, Shape, prompt_text
    from openai import AsyncOpenAI

WINDOW = 50
TIMEOUT = timedelta(minutes=10)


@dataclass
class Job:
    """One call: its number, and whether it asks for an object."""

    number: int
    is_object: bool = False


class Calls:
    """The activity, over one SDK client."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @activity.defn(name="call_model")
    async def call_model(self, job: Job) -> str:
        """Make one call and return its text."""
        return await one_call(self._client, job.number, is_object=job.is_object)


async def one_call(client: AsyncOpenAI, number: int, *, is_object: bool = False) -> str:
    """What every floor does for one call."""
    extra = (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "Card", "schema": SCHEMA}}}
        if is_object
        else {}
    )
    reply = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": prompt_text(number)}],
        **extra,  # type: ignore[call-overload]
    )
    return str(reply.choices[0].message.content)


async def windowed(runs: Sequence[Callable[[], Awaitable[str]]]) -> list[str]:
    """Run all, at most WINDOW at a time, results in order."""
    gate = asyncio.Semaphore(WINDOW)

    async def one(run: Callable[[], Awaitable[str]]) -> str:
        async with gate:
            return await run()

    return list(await asyncio.gather(*(one(run) for run in runs)))


async def act(job: Job) -> str:
    """One activity."""
    return await workflow.execute_activity("call_model", job, start_to_close_timeout=TIMEOUT, result_type=str)


@workflow.defn
class CallFlow:
    """One call as a workflow of its own."""

    @workflow.run
    async def run(self, job: Job) -> str:
        """Run the activity."""
        return await act(job)


@workflow.defn
class StepsFlow:
    """Calls one after the other, each in a child."""

    @workflow.run
    async def run(self, count: int) -> str:
        """Run the children in order."""
        last = ""
        for number in range(count):
            last = await workflow.execute_child_workflow(CallFlow.run, Job(number))
        return last


@workflow.defn
class ChildrenFlow:
    """A shape with one child workflow per pipe."""

    @workflow.run
    async def run(self, name: str) -> list[str]:
        """Run the shape."""
        shape: Shape = SHAPES[name]
        if shape.kind == "steps" and shape.depth == 1:
            return [await act(Job(0, shape.is_object))]
        if shape.kind == "steps":
            results = []
            for number in range(shape.depth):
                results.append(await workflow.execute_child_workflow(CallFlow.run, Job(number)))
            return results
        if shape.kind == "nested":
            return await windowed(
                [lambda: workflow.execute_child_workflow(StepsFlow.run, shape.depth) for _ in range(shape.width)]
            )
        return await windowed(
            [lambda n=number: workflow.execute_child_workflow(CallFlow.run, Job(n)) for number in range(shape.width)]  # type: ignore[misc]
        )


@workflow.defn
class FlatFlow:
    """A shape in one workflow, every activity inline."""

    @workflow.run
    async def run(self, name: str) -> list[str]:
        """Run the shape."""
        shape: Shape = SHAPES[name]

        async def steps() -> str:
            last = ""
            for number in range(shape.depth):
                last = await act(Job(number, shape.is_object))
            return last

        return await windowed([steps] * shape.width)


async def serve(address: str, base_url: str, queue: str) -> None:
    """Poll until a signal comes; print `ready` when polling."""
    client = await Client.connect(address)
    calls = Calls(AsyncOpenAI(base_url=base_url, api_key="stub", max_retries=0))
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[ChildrenFlow, FlatFlow, CallFlow, StepsFlow],
        activities=[calls.call_model],
        max_concurrent_activities=200,
    )
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with worker:
        print("ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--queue", default="floor")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.address, arguments.base_url, arguments.queue))
