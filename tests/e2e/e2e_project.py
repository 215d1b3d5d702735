"""The real commands as processes, in a project and a home of their own, with a provider on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError

from pipelex.temporal.namespace import list_search_attributes
from pipelex.testing.provider_stub import StubAnswer, StubProvider
from pipelex.testing.replay import histories

PIPELEX = str(Path(sys.executable).parent / "pipelex")
PATIENCE = 60.0


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Script:
    """What the provider answers to the n-th call, counted from 0; notes when each began."""

    def __init__(self, answers: Mapping[int, StubAnswer] | None = None) -> None:
        self.answers = dict(answers or {})
        self.began_at: dict[int, float] = {}
        self._began: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def __call__(self, asked: dict[str, Any], before: int) -> StubAnswer | None:
        self.began_at[before] = time.monotonic()
        self._began[before].set()
        return self.answers.get(before)

    async def began(self, number: int) -> None:
        """Wait until that call has arrived."""
        async with asyncio.timeout(PATIENCE):
            await self._began[number].wait()


class Command:
    """One process of `pipelex`; what it says is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = ""
        self.err = ""
        self._said = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async def collect(stream: asyncio.StreamReader | None, name: str) -> None:
            assert stream is not None
            while chunk := await stream.read(1 << 20):
                setattr(self, name, getattr(self, name) + chunk.decode(errors="replace"))
                self._said.set()

        await asyncio.gather(collect(self.process.stdout, "out"), collect(self.process.stderr, "err"))
        self._said.set()

    async def says(self, text: str) -> None:
        """Wait until it has said that on stderr."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.err:
                assert not self._reading.done(), f"ended without saying {text!r}:\n{self.err}"
                self._said.clear()
                await self._said.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self._reading)
            return await self.process.wait()


class Project:
    """A folder with a configuration, a provider, and the commands started in it. Leaving it ends what still runs."""

    def __init__(self, folder: Path, stub: StubProvider | None = None, **environment: str) -> None:
        self.folder = folder / "work"
        self.stub = stub
        home = folder / "home"
        home.mkdir(parents=True)
        (self.folder / ".pipelex").mkdir(parents=True)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
        if stub is not None:
            self.environment |= {"OPENAI_BASE_URL": stub.base_url, "OPENAI_API_KEY": "stub"}
        self._started: list[Command] = []

    async def __aenter__(self) -> Project:
        return self

    async def __aexit__(self, *details: object) -> None:
        for command in reversed(self._started):
            if command.process.returncode is None:
                command.signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(command.process.wait(), 10)
                except TimeoutError:
                    command.process.kill()
            await command.ended()

    def configure(self, text: str) -> None:
        (self.folder / ".pipelex" / "pipelex.toml").write_text(text)

    def use(self, address: str, more: str = "", *, queue: str | None = None) -> None:
        """Use the server at that address, on a task queue of this project or on another one."""
        self.configure(f"""
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{address}"
[temporal.worker_config]
default_task_queue = "{queue or self.folder.parent.name}"
{more}
""")

    def write(self, name: str, text: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    async def start(self, *arguments: str, program: str = PIPELEX) -> Command:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        command = Command(process)
        self._started.append(command)
        return command

    async def run(self, *arguments: str) -> Command:
        """Start a command and wait for its end."""
        command = await self.start(*arguments)
        await command.ended()
        return command

    async def worker(self) -> Command:
        """Start a worker; it is ready."""
        command = await self.start("worker")
        await command.says("worker ready")
        return command

    async def method(self, *more: str, wait: bool = True) -> Command:
        """Run `method.mthds` durably, with its inputs."""
        arguments = ("run", "bundle", "method.mthds", "--temporal", *more)
        return await self.run(*arguments) if wait else await self.start(*arguments)

    @property
    def results(self) -> list[str]:
        """Everything in the results directory, by its path from there; hidden files too."""
        base = self.folder / "results"
        return sorted(str(file.relative_to(base)) for file in base.rglob("*") if file.is_file())


@contextlib.asynccontextmanager
async def project(folder: Path, script: Script | None = None) -> AsyncIterator[Project]:
    """A project with a provider that follows a script."""
    async with StubProvider(script) as stub, Project(folder, stub) as opened:
        yield opened


def workflow_of(run: Command) -> str:
    """The id of the workflow that a run said it started."""
    return next(line.split()[1] for line in run.err.splitlines() if line.startswith("workflow: "))


async def histories_of(address: str, run: Command) -> list[WorkflowHistory]:
    return await histories(await Client.connect(address), workflow_of(run))


async def new_namespace(address: str, name: str) -> None:
    """A namespace without search attributes, on the server of the session."""
    client = await Client.connect(address)
    days = Duration(seconds=86_400)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=days)
    )
    client = await Client.connect(address, namespace=name)
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(RPCError):
                await list_search_attributes(client)
                return
            await asyncio.sleep(0.1)


def steps(count: int) -> str:
    """A method that makes that many calls, one after the other."""
    calls = ", ".join(f'{{ pipe = "call", result = "r{number}" }}' for number in range(count))
    return f"""
domain = "steps"
main_pipe = "main"

[pipe.main]
type = "PipeSequence"
description = "Call again and again"
inputs = {{ note = "Text" }}
output = "Text"
steps = [{calls}]

[pipe.call]
type = "PipeLLM"
description = "Call"
inputs = {{ note = "Text" }}
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note"
"""


NOTE = ("-i", '{"note": "the kettle"}')
