"""Failures of runs whose workers and submitters are real processes: what is said, what is retried, that runs end."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from e2e_project import NOTE, PATIENCE, Script, project, steps, workflow_of
from temporalio.client import Client, WorkflowExecutionStatus

from pipelex.temporal.client import attach
from pipelex.temporal.server import find_temporal
from pipelex.testing.provider_stub import StubAnswer

pytestmark = pytest.mark.server

LONG = 60.0
"""How long the provider holds a call that is cancelled; a test that waited for its end would run out of patience."""
HELD = StubAnswer(delay=LONG)
NESTED = """
domain = "nest"
main_pipe = "outer"

[pipe.outer]
type = "PipeSequence"
description = "Outer"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "inner", result = "told" }]

[pipe.inner]
type = "PipeSequence"
description = "Inner"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "call", result = "said" }]

[pipe.call]
type = "PipeLLM"
description = "Call"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note"
"""
ROUTED = """
[temporal.execution]
child_workflows = "fan_out"
[temporal.worker_config.activity_queues.act_llm_gen_text]
default = "FAR"
[temporal.queue_options.FAR]
"""


Cancel = Callable[[str, str], Awaitable[None]]


async def until(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def statuses(address: str, workflow_id: str) -> list[WorkflowExecutionStatus | None]:
    """The states of a run and of all workflows under it, the run's own first."""
    client = await Client.connect(address)
    found = [(await client.get_workflow_handle(workflow_id).describe()).status]
    seen = [workflow_id]
    while seen:
        history = await client.get_workflow_handle(seen.pop()).fetch_history()
        for event in history.events:
            if event.HasField("child_workflow_execution_started_event_attributes"):
                started = event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
                seen.append(started)
                found.append((await client.get_workflow_handle(started).describe()).status)
    return found


async def by_handle(address: str, workflow_id: str) -> None:
    await attach(await Client.connect(address), workflow_id).cancel()


async def by_temporal(address: str, workflow_id: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(find_temporal()), "workflow", "cancel", "--address", address, "--workflow-id", workflow_id,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0


@pytest.mark.parametrize("cancel", [by_handle, by_temporal])
@pytest.mark.parametrize("is_deep", [False, True], ids=["routed", "grandchild"])
async def test_cancelling_drops_the_calls_under_way(
    address: str, tmp_path: Path, cancel: Cancel, is_deep: bool
) -> None:
    script = Script({0: HELD})
    far = f"{tmp_path.name}-far"
    async with project(tmp_path, script) as work:
        work.use(address, "" if is_deep else ROUTED.replace("FAR", far))
        work.write("method.mthds", NESTED)
        if is_deep:
            await work.worker()
        else:
            both = await work.start("worker", "--task-queue", tmp_path.name, "--task-queue", far)
            await both.says("worker ready")
        run = await work.method(*NOTE, "--json", wait=False)
        await script.began(0)
        await run.says("workflow: ")
        await cancel(address, workflow_of(run))
        assert work.stub is not None
        stub = work.stub
        await until(lambda: stub.abandoned == 1, "the provider still holds the call")
        assert await run.ended() == 1
        assert json.loads(run.err.splitlines()[-1])["code"] == "run-cancelled"
        assert time.monotonic() - script.began_at[0] < LONG
        found = await statuses(address, workflow_of(run))
        assert len(found) == (3 if is_deep else 1)
        assert set(found) == {WorkflowExecutionStatus.CANCELED}
        assert stub.calls == 1


async def test_a_run_outlives_its_submitter(address: str, tmp_path: Path) -> None:
    script = Script({0: StubAnswer(text="slow", delay=2)})
    async with project(tmp_path, script) as work:
        work.use(address)
        work.write("method.mthds", steps(2))
        await work.worker()
        run = await work.method(*NOTE, wait=False)
        await script.began(0)
        await run.says("workflow: ")
        run.signal(signal.SIGKILL)
        await run.ended()
        result = await work.run("runs", "result", workflow_of(run), "--json")
        assert result.process.returncode == 0, result.err
        assert "ok" in result.out
        assert await statuses(address, workflow_of(run)) == [WorkflowExecutionStatus.COMPLETED] * 3
        assert work.stub is not None
        assert work.stub.calls == 2


ROW = re.compile(r"^\| (?!failure |---|category )(.*) \|$", re.MULTILINE)
MARK = re.compile(r"<!-- (.*?) -->")


def test_each_failure_of_the_guide_names_its_test() -> None:
    """The table is what operators read at night: each of its rows is driven by a test that exists."""
    root = Path(__file__).parents[2]
    tables = (root / "docs" / "guides" / "failures.md").read_text("utf-8").partition("## The provider")[2]
    rows = [row for row in ROW.findall(tables) if not row.startswith("---")]
    assert len(rows) > 35
    texts = [file.read_text("utf-8") for file in sorted((root / "tests").rglob("test_*.py"))]
    known = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    for row in rows:
        named = MARK.search(row)
        assert named is not None, row
        assert set(named[1].split()) <= known, row
