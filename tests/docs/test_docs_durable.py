"""The programs and commands of the documentation that need a Temporal server, with one, and with a worker.

One run has the id that the pages show. What starts a process that stays is not run: `dev`, `worker` and `codec-server`
have tests of their own, and the walks of whole pages are in tests/e2e.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fences import FENCES, NEEDS_SERVER, commands
from temporalio.client import Client

from pipelex import Runtime
from pipelex.cli.main import run_command

SHOWN_ID = "5d961885-8962-4451-895e-c5fdb747c291"
PIPELEX = str(Path(sys.executable).parent / "pipelex")
PATIENCE = 60.0
LEFT_OUT = re.compile(r"\$|--server|--lane|--cache|--fetch|contract_review|bundle minutes|runs (tail|cancel|terminate)")
"""What needs settings of its page, or a run of another state, or takes long: tests of the command and e2e have them."""
PROGRAMS = [fence for fence in FENCES if fence.kind == "python" and NEEDS_SERVER.search(fence.text)]


def lines() -> list[str]:
    """The commands that ask a server, each once, with simulated models; those of the examples are in tests/examples."""
    found = [
        line if line.startswith("pipelex runs") else f"{line} --simulate"
        for fence in FENCES
        if fence.kind in ("console", "sh") and "examples" not in fence.page.parts
        for line, _ in commands(fence)
        if re.match(r"pipelex (run .*--temporal|runs )", line) and not LEFT_OUT.search(line)
    ]
    return list(dict.fromkeys(found))


@pytest.fixture
def work(client: Client, folder: Path) -> Path:
    """A project whose settings lead to the server of the session."""
    (folder / ".pipelex" / "pipelex.toml").write_text(f"""
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{client.service_client.config.target_host}"
[temporal.worker_config]
default_task_queue = "q-{folder.parent.name}"
""")
    return folder


@pytest.fixture
def worker(work: Path) -> Iterator[None]:
    """A worker of that project."""
    log = work / "worker.log"
    with log.open("w") as file:
        process = subprocess.Popen([PIPELEX, "worker"], stderr=file, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE
        while "worker ready" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_there_is_something_to_run() -> None:
    assert len(PROGRAMS) >= 3
    assert len(lines()) >= 4


@pytest.mark.server
@pytest.mark.usefixtures("worker")
async def test_programs_and_commands_that_need_a_server_run(work: Path) -> None:
    async with Runtime.open() as runtime:
        method = runtime.load(work / "examples" / "hello")
        inputs = {"name": "Ada", "language": "French"}
        await runtime.run(None, inputs, method=method, durable=True, simulate=True, run_id=SHOWN_ID)
    for fence in PROGRAMS:
        (work / "block.py").write_text(fence.text)
        assert (await ends(sys.executable, "block.py")) == "", fence
    for line in lines():
        assert await asyncio.to_thread(run_command, shlex.split(line)[1:]) == 0, line


async def ends(*command: str) -> str:
    """Run a program to its end; what it said if it failed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return "" if process.returncode == 0 else said.decode() or f"exit code {process.returncode}"
