"""Workers killed 50 times in one run, at random points: no call is paid twice."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from e2e_project import Command, Project, workflow_of

from pipelex.testing.provider_stub import StubProvider

pytestmark = pytest.mark.server

CALLS, KILLS = 60, 50
SETTINGS = """
default_activity_heartbeat_timeout = "{heartbeat}"
[temporal.worker_config.retry_policy_config]
initial_interval = "50ms"
backoff_coefficient = 1.0
maximum_attempts = "unlimited"
[temporal.execution]
child_workflows = "fan_out"
batch_window = 60
[temporal.worker_runtime_profiles.profiles.default]
max_concurrent_activities = {at_once}
"""
METHOD = """
domain = "receipts"
main_pipe = "main"

[pipe.main]
type = "PipeBatch"
description = "Call for each topic"
inputs = { topics = "Text[]" }
output = "Text[]"
branch_pipe_code = "call"
input_list_name = "topics"
input_item_name = "topic"

[pipe.call]
type = "PipeLLM"
description = "Call"
inputs = { topic = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $topic"
"""


@contextlib.asynccontextmanager
async def killed(
    address: str, folder: Path, stub: StubProvider, *, at_once: int, processes: int, points: str, heartbeat: str
) -> AsyncIterator[tuple[Project, Command, Command]]:
    """A run whose workers were killed, with the command that ran it and the one that started the workers."""
    async with stub, Project(folder, stub) as work:
        work.use(address, SETTINGS.format(at_once=at_once, heartbeat=heartbeat))
        work.write("method.mthds", METHOD)
        work.write("inputs.json", json.dumps({"topics": [f"topic {number}" for number in range(CALLS)]}))
        await work.start("worker", "--scope", "router")
        script = Path(__file__).with_name("e2e_killed_worker.py")
        workers = await work.start(str(script), str(processes), str(KILLS), points, program=sys.executable)
        run = await work.method("-i", "inputs.json", "--json")
        assert run.process.returncode == 0, run.err + workers.err
        await workers.says(f"killed {KILLS}\n")
        assert len(json.loads(run.out)) == CALLS
        yield work, run, workers


async def test_no_call_is_paid_twice_once_its_receipt_is_kept(address: str, tmp_path: Path) -> None:
    stub = StubProvider()
    # One call at a time, so that a kill meets no other call half made; and patience, so that a slow machine does not.
    fate: dict[str, Any] = {"at_once": 1, "processes": 4, "points": "held", "heartbeat": "5s"}
    async with killed(address, tmp_path, stub, **fate) as (work, run, workers):
        assert workers.err.count("killed") == KILLS
        assert len(stub.calls_by_prompt) == CALLS
        assert stub.calls == CALLS
        told = await work.run("runs", "show", workflow_of(run))
        assert f"paid     {CALLS} calls / {CALLS} = 1.000" in told.out


async def test_a_provider_that_honours_keys_is_paid_once_wherever_the_kill_falls(address: str, tmp_path: Path) -> None:
    stub = StubProvider(latency=0.1, honours_keys=True)
    fate: dict[str, Any] = {"at_once": 4, "processes": 3, "points": "called,replied,kept", "heartbeat": "2s"}
    async with killed(address, tmp_path, stub, **fate) as (work, run, workers):
        assert workers.err.count("killed") == KILLS
        assert stub.calls == CALLS == len(stub.calls_by_prompt)
        assert stub.replays > 0
        assert len({request.headers["idempotency-key"] for request in stub.requests}) == CALLS
        facts = json.loads((await work.run("runs", "show", workflow_of(run), "--json")).out)
        assert (facts["paid_calls"], facts["logical_calls"]) == (CALLS, CALLS)
