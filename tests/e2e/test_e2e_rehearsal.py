"""Rehearsals, the reply cache and missing keys in durable runs, through the real commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_project import NOTE, Project, project, steps, workflow_of

pytestmark = pytest.mark.server

EXAMPLE = Path(__file__).parents[2] / "examples" / "contract_review"
RETRIES = """
[temporal.worker_config.retry_policy_config]
maximum_attempts = 60
initial_interval = "200ms"
maximum_interval = "500ms"
"""
PROFILE = """
seed = "rehearsal"
latency = { p50 = "10ms", p99 = "100ms" }
rate_limit_rate = 0.3
rate_limit_retry_after = "100ms"
input_usd_per_million_tokens = 2.0
output_usd_per_million_tokens = 8.0

[handles."gpt-4.1*"]
truncated_rate = 0.2

[handles."gpt-4o*"]
outages = [{ start = "0s", end = "6s" }]
"""


def calls_in(pipe: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pipe.get("calls", ())
    for child in pipe.get("children", ()):
        yield from calls_in(child)


async def test_two_workers_without_a_profile_rehearse_the_one_that_was_submitted(address: str, tmp_path: Path) -> None:
    async with Project(tmp_path) as work:
        work.use(address, RETRIES)
        shutil.copytree(EXAMPLE, work.folder / "review")
        work.write("day.toml", PROFILE)
        await work.worker()
        await work.worker()
        given = ("run", "bundle", "review", "--temporal", "--simulate", "day.toml", "--no-pretty-print")
        run = await work.run(*given)
        assert await run.ended() == 0, run.err
        assert "every reply and cost is simulated" in run.err
        shown = await work.run("runs", "show", workflow_of(run), "--json")
        folder = work.folder / "results" / "review_contracts_output_01"
        report = json.loads((folder / "rehearsal.json").read_text())
        costs = json.loads((folder / "cost_report.json").read_text())
    record = json.loads(shown.out)["record"]
    calls = list(calls_in(record))
    assert (report["host"], report["state"], report["pipes_not_told"]) == ("temporal", "done", 0)
    assert report["calls"] == len(calls)
    assert report["attempts"] == sum(call["attempts"] for call in calls)
    assert report["retries"] == report["attempts"] - report["calls"]
    assert report["retries"] > 0
    assert report["simulated_cost_usd"] == costs["total_cost"]
    assert costs["total_cost"] > 0
    assert sum(row["nb_calls"] for row in costs["by_model"]) == report["calls"] + report["asked_again"]
    assert [(row["queue"], row["calls"]) for row in report["queues"]] == [(tmp_path.name, report["calls"])]


async def test_what_a_worker_was_told_once_it_answers_again_for_nothing(address: str, tmp_path: Path) -> None:
    async with project(tmp_path) as work:
        assert work.stub is not None
        work.use(address)
        work.write("method.mthds", steps(1))
        await work.worker()
        for cached in ((), ("--cache",), ("--cache",), ("--no-cache",)):
            run = await work.method(*NOTE, *cached, "--no-graph")
            assert await run.ended() == 0, run.err
            if cached == ("--cache",):
                last = run
        assert work.stub.calls == 3
        assert "1 reply from the cache, free" in last.err
        shown = await work.run("runs", "show", workflow_of(last))
        assert "cache    1 reply from the cache, free" in shown.out
        paid = await work.run("runs", "show", workflow_of(run))
        assert "prices   from the built-in tables of " in paid.out
        assert (work.folder / ".pipelex" / "cache").is_dir()


async def test_without_keys_workers_start_and_a_live_run_says_which_one_it_needs(address: str, tmp_path: Path) -> None:
    async with Project(tmp_path) as work:
        work.use(address)
        work.write("method.mthds", steps(1))
        for scope in ("router", "runner"):
            worker = await work.start("worker", "--scope", scope)
            await worker.says("worker ready")
        run = await work.method(*NOTE)
        assert await run.ended() == 1
    assert "needs the environment variable OPENAI_API_KEY, which is missing here" in run.err
    assert "in .env of its folder, nor in ~/.pipelex/.env" in run.err
    assert "  in: " in run.err
    assert "Traceback" not in run.err
