"""`make bench`: every shape through the hand-written programs and through pipelex, on one server, in one run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import pages
from benchmarks.floor import ChildrenFlow, FlatFlow, one_call
from benchmarks.measure import Figures, Program, measure, program, python, throughput
from benchmarks.report import render
from benchmarks.shapes import SHAPES, Shape, method
from benchmarks.stage import PIPELEX, SERVER, SETTING, connected, free_port
from openai import AsyncOpenAI
from temporalio.client import Client

from pipelex.app import Runtime
from pipelex.config.load import load_settings
from pipelex.temporal.server import find_temporal

HERE = Path(__file__).parent

BARE = """
import typer
app = typer.Typer(rich_markup_mode=None)
@app.command()
def run(path: str) -> None: ...
@app.command()
def show(path: str) -> None: ...
app()
"""


def project(folder: Path, address: str, mode: str) -> Path:
    """A project folder whose configuration points at the server, with one queue per mode."""
    home = folder / mode
    (home / ".pipelex").mkdir(parents=True)
    (home / ".pipelex" / "pipelex.toml").write_text(f"""
[temporal]
is_enabled = true
[temporal.worker_config]
default_task_queue = "bench_{mode}"
[temporal.execution]
child_workflows = "{mode}"
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{address}"
""")
    return home


def floor_run(client: Client, flow: type, shape: Shape) -> Callable[[], Awaitable[str]]:
    """One run of a hand-written workflow."""

    async def run() -> str:
        identity = f"floor-{uuid.uuid4().hex}"
        await client.execute_workflow(flow.run, shape.name, id=identity, task_queue="floor")  # type: ignore[attr-defined]
        return identity

    return run


def pipelex_run(runtime: Runtime, shape: Shape) -> Callable[[], Awaitable[str]]:
    """One durable run of the method of a shape, submitted as an application would."""
    loaded = runtime.load(method(shape))

    async def run() -> str:
        handle = await runtime.start(None, shape.inputs, method=loaded, durable=True)
        await handle.result()
        return str(handle.workflow_id)

    return run


async def durable(arguments: argparse.Namespace, folder: Path, base_url: str) -> dict[str, object]:
    """Measure every shape through both floors and both modes."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    server_command = (str(find_temporal()), *SERVER, "--port", str(port), *SETTING)
    floor_command = python("-m", "benchmarks.floor", "--address", address, "--base-url", base_url)
    found: dict[str, dict[str, Figures]] = {}
    rates: dict[str, dict[str, float]] = {}
    workers: dict[str, dict[str, float]] = {}
    async with program(*server_command, ready="Server", log=folder / "server.log") as server:
        client = await connected(address)
        async with program(*floor_command, ready="ready", log=folder / "floor.log", cwd=HERE.parent) as worker:
            workers["floor"] = {"ready_seconds": worker.ready_seconds, "idle_rss_mib": worker.rss_mib()}
            for system, flow in (("children", ChildrenFlow), ("flat", FlatFlow)):
                runs = {name: floor_run(client, flow, SHAPES[name]) for name in arguments.shapes}
                found[system], rates[system] = await all_shapes(client, runs, worker, server, arguments)
        for mode in ("every_pipe", "fan_out"):
            home = project(folder, address, mode)
            environment = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "stub"}
            command = (PIPELEX, "worker")
            async with program(
                *command, ready="worker ready", log=folder / f"{mode}.log", cwd=home, env=environment
            ) as worker:
                workers[mode] = {"ready_seconds": worker.ready_seconds, "idle_rss_mib": worker.rss_mib()}
                runtime = open_runtime(home)
                runs = {name: pipelex_run(runtime, SHAPES[name]) for name in arguments.shapes}
                found[mode], rates[mode] = await all_shapes(client, runs, worker, server, arguments)
    return {
        "shapes": {system: {name: asdict(value) for name, value in per.items()} for system, per in found.items()},
        "rates": rates,
        "workers": workers,
    }


def open_runtime(home: Path) -> Runtime:
    """A runtime with the configuration of a project folder."""
    loaded = load_settings(cwd=home)
    return Runtime.open(loaded.settings, environ=loaded.environ)


async def all_shapes(
    client: Client,
    runs: dict[str, Callable[[], Awaitable[str]]],
    worker: Program,
    server: Program,
    arguments: argparse.Namespace,
) -> tuple[dict[str, Figures], dict[str, float]]:
    """Every shape through one system, then the crowds."""
    figures = {}
    for name, run in runs.items():
        repeat = 3 if SHAPES[name].calls > 20 else arguments.repeat
        figures[name] = await measure(client, run, worker, server, repeat=repeat)
        print(f"  {name}: {figures[name].wall_seconds:.2f} s", file=sys.stderr, flush=True)
    crowds = {name: await throughput(runs[name], arguments.crowd) for name in ("single", "seq10") if name in runs}
    return figures, crowds


async def in_process(base_url: str, folder: Path) -> dict[str, float]:
    """CPU per call: a loop over the openai SDK against a sequence of the same calls, in this process."""
    sdk = AsyncOpenAI(base_url=base_url, api_key="stub", max_retries=0)
    shape = SHAPES["seq10"]
    os.environ.update(OPENAI_BASE_URL=base_url, OPENAI_API_KEY="stub")
    runtime = open_runtime(folder)
    loaded = runtime.load(method(shape))

    async def floor() -> None:
        for number in range(shape.calls):
            await one_call(sdk, number)

    async def ours() -> None:
        handle = await runtime.start(None, shape.inputs, method=loaded, durable=False)
        await handle.result()

    async def cpu(run: Callable[[], Awaitable[None]]) -> float:
        await run()
        samples = []
        for _ in range(10):
            before = time.process_time()
            await run()
            samples.append((time.process_time() - before) / shape.calls * 1000)
        return median(samples)

    sdk_ms, ours_ms = await cpu(floor), await cpu(ours)
    await runtime.aclose()
    return {"sdk_ms_per_call": sdk_ms, "pipelex_ms_per_call": ours_ms, "overhead_ms_per_pipe": ours_ms - sdk_ms}


def start_up(folder: Path) -> dict[str, float]:
    """Commands in new processes, minimum of ten: the help, next to that of a bare typer program, and two checks."""
    bare = folder / "bare.py"
    bare.write_text(BARE)
    contract = str(HERE.parent / "examples" / "contract_review")

    def best(*command: str) -> float:
        samples = []
        for _ in range(10):
            begun = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=folder)
            samples.append(time.perf_counter() - begun)
        return min(samples)

    return {
        "bare_typer_seconds": best(*python(str(bare)), "--help"),
        "pipelex_seconds": best(PIPELEX, "--help"),
        "validate_seconds": best(PIPELEX, "validate", "bundle", contract),
        "dry_run_seconds": best(PIPELEX, "run", "bundle", contract, "--dry-run", "--mock-inputs"),
    }


async def main() -> None:
    """Measure, print the report, write it beside this file."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--shapes", default=",".join(SHAPES), type=lambda text: text.split(","))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--crowd", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stub = python("-m", "pipelex.testing.provider_stub", "--latency", "0.05", "--port", "0")
        async with program(*stub, ready="http", log=folder / "stub.log") as provider:
            base_url = provider.ready_line.split()[-1]
            results: dict[str, object] = {
                "machine": f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}",
                "start_up": start_up(folder),
                "page": await pages.measured(),
                "in_process": await in_process(base_url, folder),
                "durable": await durable(arguments, folder, base_url),
            }
    (HERE / "results.json").write_text(json.dumps(results, indent=1))
    text = render(results)
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    asyncio.run(main())
