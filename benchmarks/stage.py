"""What a durable benchmark stands on: a server in memory, a provider stub, project folders and their workers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Program, program, python
from temporalio.client import Client

from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.temporal.server import find_temporal

PIPELEX = str(Path(sys.executable).parent / "pipelex")
SERVER = ("server", "start-dev", "--headless", "--log-level", "error")
# Without it every transfer step of a development server waits up to 50 ms, which hides what is measured.
SETTING = ("--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000")


@dataclass(frozen=True)
class Stage:
    """A running server and a running provider; `folder` is removed at the end."""

    folder: Path
    address: str
    base_url: str
    client: Client
    server: Program

    @property
    def keys(self) -> dict[str, str]:
        """What a process needs in its environment to call the provider."""
        return {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "stub"}

    def project(self, name: str, settings: str = "", temporal: str = "") -> Path:
        """A project folder whose configuration points at the server; `temporal` goes under `[temporal]`."""
        home = self.folder / name
        (home / ".pipelex").mkdir(parents=True)
        (home / ".pipelex" / "pipelex.toml").write_text(
            f"[temporal]\nis_enabled = true\n{temporal}\n{settings}\n"
            f'[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "{self.address}"\n'
        )
        return home

    @asynccontextmanager
    async def worker(self, home: Path, *arguments: str) -> AsyncIterator[tuple[Program, Runtime]]:
        """A worker of that project, and a runtime that submits to it."""
        log = home / "worker.log"
        command = (PIPELEX, "worker", *arguments)
        async with program(*command, ready="worker ready", log=log, cwd=home, env=self.keys) as worker:
            loaded = load_settings(cwd=home, environ={**os.environ, **self.keys})
            async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
                yield worker, runtime


@asynccontextmanager
async def stage(*, latency_seconds: float = 0.0) -> AsyncIterator[Stage]:
    """Start the server and the provider; both end with the block."""
    port = free_port()
    stub = python("-m", "pipelex.testing.provider_stub", "--latency", str(latency_seconds), "--port", "0")
    start = (str(find_temporal()), *SERVER, "--port", str(port), *SETTING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            program(*start, ready="Server", log=folder / "server.log") as server,
            program(*stub, ready="http", log=folder / "stub.log") as provider,
        ):
            address = f"127.0.0.1:{port}"
            client = await connected(address)
            yield Stage(folder, address, provider.ready_line.split()[-1], client, server)


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connected(address: str) -> Client:
    """Connect to a server that may still be starting."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await Client.connect(address)
            except RuntimeError:
                await asyncio.sleep(0.1)
