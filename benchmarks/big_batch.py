"""One large batch at the default settings: `python -m benchmarks.big_batch N` runs N items and prints what they leave.

A server in memory, a worker and a provider that answers at once are started for it. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.measure import Program, program, python
from temporalio.client import Client, WorkflowHistory

from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.temporal.server import find_temporal
from pipelex.testing.replay import histories

PIPELEX = str(Path(sys.executable).parent / "pipelex")
SERVER = ("server", "start-dev", "--headless", "--log-level", "error")
SETTING = ("--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000")

METHOD = """
domain = "big"
main_pipe = "main"

[pipe.main]
type = "PipeBatch"
description = "One call per note"
inputs = { notes = "Text[]" }
output = "Text[]"
branch_pipe_code = "call"
input_list_name = "notes"
input_item_name = "note"

[pipe.call]
type = "PipeLLM"
description = "One call"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note"
"""


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def project(folder: Path, address: str) -> Path:
    """A project folder whose configuration says where the server is, and nothing else."""
    (folder / ".pipelex").mkdir()
    (folder / ".pipelex" / "pipelex.toml").write_text(
        f'[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "{address}"\n'
    )
    return folder


def calls(base_url: str) -> int:
    """How many calls the provider got."""
    with urllib.request.urlopen(f"{base_url}/count") as answer:
        return int(json.load(answer)["calls"])


def show(count: int, wall: float, made: int, found: list[WorkflowHistory], worker: Program, server: Program) -> None:
    """Print the figures."""
    figures = {
        "items": count,
        "calls": made,
        "workflows": len(found),
        "most events of a history": max(len(history.events) for history in found),
        "most bytes of a history": max(sum(event.ByteSize() for event in history.events) for history in found),
        "most bytes of an event": max(event.ByteSize() for history in found for event in history.events),
        "wall seconds": round(wall, 1),
        "worker CPU seconds": round(worker.cpu_seconds(), 1),
        "worker RSS MiB": round(worker.rss_mib()),
        "server CPU seconds": round(server.cpu_seconds(), 1),
    }
    for name, figure in figures.items():
        print(f"{name:26}{figure}")


async def main(count: int) -> None:
    """Run the batch and print the figures."""
    address = f"127.0.0.1:{free_port()}"
    stub = python("-m", "pipelex.testing.provider_stub", "--latency", "0", "--port", "0")
    start_server = (str(find_temporal()), *SERVER, "--port", address.partition(":")[2], *SETTING)
    with tempfile.TemporaryDirectory() as name:
        home = project(Path(name), address)
        async with (
            program(*start_server, ready="Server", log=home / "server.log") as server,
            program(*stub, ready="http", log=home / "stub.log") as provider,
        ):
            base_url = provider.ready_line.split()[-1]
            client = await connected(address)
            keys = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "stub"}
            start_worker = (PIPELEX, "worker")
            async with program(
                *start_worker, ready="worker ready", log=home / "worker.log", cwd=home, env=keys
            ) as worker:
                loaded = load_settings(cwd=home, environ={**os.environ, **keys})
                async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
                    notes = [f"note {number}" for number in range(count)]
                    method = runtime.load(METHOD)
                    begun = time.perf_counter()
                    handle = await runtime.start(None, {"notes": notes}, method=method, durable=True)
                    result = await handle.result()
                    wall = time.perf_counter() - begun
                if not isinstance(result.data, list) or len(result.data) != count:
                    raise SystemExit("the result has not one item per note")
                found = await histories(client, handle.workflow_id or "")
                show(count, wall, await asyncio.to_thread(calls, base_url), found, worker, server)


async def connected(address: str) -> Client:
    """Connect to a server that may still be starting."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await Client.connect(address)
            except RuntimeError:
                await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
    sys.stdout.flush()
    # The SDK's native threads may abort the interpreter while it exits.
    os._exit(0)
