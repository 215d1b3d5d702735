"""Processes under measurement: their CPU, memory and start-up; and the histories they leave on the server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import BinaryIO

import psutil
from temporalio.client import Client


@dataclass
class Program:
    """A running process with the line it printed when ready."""

    process: psutil.Process
    ready_line: str
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children so far."""
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def rss_mib(self) -> float:
        """Resident memory of the process and its children."""
        return (
            sum(process.memory_info().rss for process in [self.process, *self.process.children(recursive=True)]) / 2**20
        )


@asynccontextmanager
async def program(
    *command: str, ready: str, cwd: Path | None = None, env: dict[str, str] | None = None, log: Path
) -> AsyncIterator[Program]:
    """Start a program, wait for a line that contains `ready`, stop it by SIGTERM at the end."""
    started = time.perf_counter()
    with log.open("wb") as copy:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, env={**os.environ, **(env or {})}
        )
        assert process.stdout is not None
        try:
            while True:
                line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
                copy.write(line.encode())
                copy.flush()
                if not line:
                    raise RuntimeError(f"{command[0]} ended before it was ready; its output is in {log}")
                if ready in line:
                    break
            drain = asyncio.create_task(_drained(process.stdout, copy))
            yield Program(psutil.Process(process.pid), line.strip(), time.perf_counter() - started)
            drain.cancel()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def _drained(stream: asyncio.StreamReader, copy: BinaryIO) -> None:
    while chunk := await stream.read(65536):
        copy.write(chunk)


def python(*arguments: str) -> tuple[str, ...]:
    """A command that runs this interpreter."""
    return (sys.executable, *arguments)


@dataclass
class Figures:
    """What one shape cost: medians over its repetitions, sums over its workflows."""

    wall_seconds: float
    worker_cpu_seconds: float
    server_cpu_seconds: float
    workflows: int
    events: int
    history_bytes: int
    rss_mib: float = 0.0
    walls: list[float] = field(default_factory=list)


async def measure(
    client: Client,
    run: Callable[[], Awaitable[str]],
    worker: Program,
    server: Program,
    *,
    repeat: int,
) -> Figures:
    """Run `run` (which returns the id of its root workflow) once to warm up, then `repeat` times."""
    await run()
    walls, roots = [], []
    worker_before, server_before = worker.cpu_seconds(), server.cpu_seconds()
    for _ in range(repeat):
        begun = time.perf_counter()
        roots.append(await run())
        walls.append(time.perf_counter() - begun)
    worker_cpu = (worker.cpu_seconds() - worker_before) / repeat
    server_cpu = (server.cpu_seconds() - server_before) / repeat
    workflows, events, size = await histories(client, roots[-1])
    return Figures(median(walls), worker_cpu, server_cpu, workflows, events, size, worker.rss_mib(), walls)


async def histories(client: Client, root: str) -> tuple[int, int, int]:
    """Workflows, events and serialized bytes of a root and all its descendants, found through the histories."""
    pending, workflows, events, size = [root], 0, 0, 0
    while pending:
        history = await client.get_workflow_handle(pending.pop()).fetch_history()
        workflows += 1
        events += len(history.events)
        for event in history.events:
            size += event.ByteSize()
            if event.HasField("start_child_workflow_execution_initiated_event_attributes"):
                pending.append(event.start_child_workflow_execution_initiated_event_attributes.workflow_id)
    return workflows, events, size


async def throughput(run: Callable[[], Awaitable[str]], count: int) -> float:
    """Runs per second with `count` runs started at once."""
    begun = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(count)))
    return count / (time.perf_counter() - begun)
