"""`--simulate FILE.toml` and `--cache`: what a rehearsal does and reports, and what a second run does not pay again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.app import Runtime
from pipelex.cli import rehearsal
from pipelex.inference.providers.simulated import Simulated
from pipelex.inference.settings import SimulatedSettings
from pipelex.pipes.record import CallRecord, PipeRecord, RunRecord
from pipelex.pipes.requests import Usage
from pipelex.testing.provider_stub import StubProvider

Cli = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
GIVEN = ("-i", '{"name": "Ada"}', "--no-pretty-print")
FAST = """
[inprocess]
initial_interval = "50ms"
maximum_interval = "300ms"
attempts = 40
"""
PROFILE = """
seed = "rehearsal"
latency = "5ms"
rate_limit_rate = 0.2
rate_limit_retry_after = "20ms"
input_usd_per_million_tokens = 2.0
output_usd_per_million_tokens = 8.0

[handles."gpt-4.1*"]
truncated_rate = 0.3

[handles."gpt-4o*"]
outages = [{ start = "0s", end = "3s" }]
"""


async def test_a_topology_is_rehearsed_through_an_outage_and_the_report_agrees_with_the_record(
    cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES / "contract_review", work / "review")
    (work / ".pipelex" / "pipelex.toml").write_text(FAST)
    (work / "day.toml").write_text(PROFILE)
    async with Runtime.open() as runtime:
        performer, tried, answered, started, looks = runtime.performer(), 0, 0, 0.0, count()
        perform = performer.perform
        # Each look at the clock is a tenth of a second later: the outage lasts for thirty of them, on any machine.
        backend = Simulated(SimulatedSettings(), clock=lambda: started + next(looks) / 10)
        performer._providers["simulated", "simulated"] = backend

        async def counted(request, **options):
            nonlocal tried, answered, started
            if (model := getattr(request, "model", None)) is not None and model.rehearsal is not None:
                started = model.rehearsal.started
            tried += 1
            reply = await perform(request, **options)
            answered += 1
            return reply

        monkeypatch.setattr(performer, "perform", counted)
        method = runtime.load(work / "review")
        inputs = json.loads((work / "review" / "inputs.json").read_text())
        handle = await runtime.start(
            None, inputs, method=method, inputs_dir=work / "review", durable=False, simulate=work / "day.toml"
        )
        result = await handle.result()
        report = rehearsal.document(await handle.record())
    assert (report["attempts"], report["calls"], report["retries"]) == (tried, answered, tried - answered)
    assert report["retries"] > 5
    assert report["simulated_cost_usd"] == result.usage.cost_usd
    assert result.usage.cost_usd
    assert result.usage.calls == answered + report["asked_again"]
    assert report["asked_again"] > 0
    by_model = {row["model"]: row for row in report["by_model"]}
    assert sum(row["retries"] for row in by_model.values()) == report["retries"]
    assert by_model["gpt-4o"]["retries"] > by_model["gpt-4.1"]["retries"]
    assert by_model["pypdfium2-extract-pdf"]["retries"] == 0
    assert [row["queue"] for row in report["queues"]] == ["this process"]


def test_the_report_is_said_and_kept_and_says_that_it_is_simulated(cli: Cli, work: Path, greet: Path) -> None:
    (work / "day.toml").write_text('latency = "1ms"\ninput_usd_per_million_tokens = 2.0\n')
    for number, spelled in enumerate((("--simulate", "day.toml"), ("--simulate=day.toml",)), 1):
        done = cli("run", "bundle", str(greet), *spelled, *GIVEN)
        assert done.code == 0, done.err
        kept = json.loads((work / "results" / f"greet_output_0{number}" / "rehearsal.json").read_text())
        assert (kept["is_simulated"], kept["calls"], kept["retries"], kept["host"]) == (True, 1, 0, "in_process")
        assert "every reply and cost is simulated" in done.err
        assert re.search(r"^  this process +1 +0 +", done.err, re.MULTILINE)
    note = (work / "results" / "greet_output_01" / "main_stuff.md").read_text()
    assert note.startswith("> simulated: no model was called")


def test_without_a_profile_simulate_is_the_flag_it_was(cli: Cli, work: Path, greet: Path) -> None:
    done = cli("run", "bundle", "--simulate", str(greet), *GIVEN)
    assert done.code == 0, done.err
    assert "rehearsal" not in done.err
    assert not (work / "results" / "greet_output_01" / "rehearsal.json").exists()


def test_a_rehearsal_that_fails_leaves_its_report(cli: Cli, work: Path, greet: Path) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text('[inprocess]\ninitial_interval = "1ms"\n')
    (work / "day.toml").write_text("error_rate = 1.0\n")
    done = cli("run", "bundle", str(greet), "--simulate", "day.toml", *GIVEN)
    assert done.code == 1
    assert "rehearsal: failed after" in done.err
    kept = json.loads((work / "results" / "greet_output_01" / "rehearsal.json").read_text())
    assert (kept["state"], kept["attempts"], kept["failed_calls"]) == ("failed", 3, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--simulate", "no.toml"), "cannot read the file: No such file or directory"),
        (("--simulate", "bad.toml"), "unknown key 'latencies'"),
        (("--simulate", "bad.toml", "--dry-run"), "exclude each other"),
    ],
)
def test_a_profile_that_cannot_be_used_is_told_before_anything_runs(
    cli: Cli, work: Path, greet: Path, arguments: tuple[str, ...], told: str
) -> None:
    (work / "bad.toml").write_text("latencies = 1\n")
    done = cli("run", "bundle", str(greet), *arguments, *GIVEN)
    assert done.code in (1, 2)
    assert told in done.err
    assert "Traceback" not in done.err
    assert not (work / "results").exists()


def test_the_report_reads_well() -> None:
    def call(queue: str | None, attempts: int, waited: float, state: str = "done") -> CallRecord:
        return CallRecord(
            activity="act_llm_gen_text",
            handle="small",
            queue=queue,
            attempts=attempts,
            state=state,
            scheduled=10.0,
            started=10.0 + waited,
            ended=12.0 + waited,
        )

    calls = (call("fast", 1, 0.1), call("fast", 1, 0.5), call("slow", 4, 61.0), call("slow", 3, 9.0, "failed"))
    usage = Usage(calls=4, repeats=1, input_tokens=500, output_tokens=90, cost_usd=0.0123, is_simulated=True)
    root = PipeRecord(pipe="a.main", state="failed", started=10.0, ended=75.0, usage=usage, calls=calls, omitted=3)
    report = rehearsal.document(RunRecord(run_id="r", host="temporal", root=root))
    assert rehearsal.told(json.dumps(report).encode()) == snapshot("""\
rehearsal: failed after 65.0s; every reply and cost is simulated
  calls    4 in 9 attempts, 5 retries, 1 failed; asked again because a reply did not fit: 1
  tokens   500 in, 90 out
  cost     0.012300 USD (simulated)
  Queue    Calls  Retries  Waited (mean)  Waited (most)  Retrying
  fast         2        0           0.3s           0.5s      0.0s
  slow         2        5              -              -     70.0s
  3 pipes more are only in the totals of tokens and costs\
""")


async def test_a_second_run_with_the_cache_pays_nothing_and_says_so(cli: Cli, work: Path, greet: Path) -> None:
    import asyncio

    async with StubProvider() as stub:
        (work / ".env").write_text(f"OPENAI_API_KEY=k\nOPENAI_BASE_URL={stub.base_url}\n")
        first = await asyncio.to_thread(cli, "run", "bundle", str(greet), "--cache", *GIVEN)
        second = await asyncio.to_thread(cli, "run", "bundle", str(greet), "--cache", *GIVEN)
        assert (first.code, second.code, stub.calls) == (0, 0, 1), first.err + second.err
        third = await asyncio.to_thread(cli, "run", "bundle", str(greet), *GIVEN)
        assert (third.code, stub.calls) == (0, 2)
    assert re.search(r"^done: greet.greet \(1 call, \d+ tokens in, \d+ out, 0.0000 USD\)$", first.err, re.MULTILINE)
    assert "prices: from the built-in tables of " in first.err
    assert "done: greet.greet (1 reply from the cache, free)" in second.err
    assert re.search(r"^gpt-4o +llm +0 +1 +0 +0 +0\.000000$", second.err, re.MULTILINE)
    report = json.loads((work / "results" / "greet_output_02" / "cost_report.json").read_text())
    row = report["by_model"][0]
    assert (row["nb_calls"], row["nb_calls_from_cache"], row["cost"], row["price_source"]) == (0, 1, 0.0, None)
    assert (work / ".pipelex" / "cache").is_dir()


def test_models_are_shown_with_their_prices_and_their_source(cli: Cli, work: Path) -> None:
    folder = work / ".pipelex" / "inference" / "backends"
    folder.mkdir(parents=True)
    (folder / "openai.toml").write_text("[gpt-4o]\ncosts = { input = 1.0, output = 2.0 }\n[gpt-5-mini]\n")
    found = {row["model"]: row for row in json.loads(cli("show", "models", "--json").out)}
    assert found["gpt-4o"]["costs_usd"] == {"input": 1.0, "output": 2.0, "input_cached": 1.25}
    assert found["gpt-4o"]["price_source"] == "your tables of .pipelex/inference/backends"
    assert found["gpt-4.1"]["price_source"].startswith("the built-in tables of ")
    assert found["gpt-5-mini"]["price_source"].startswith("genai-prices ")
    assert (found["linkup-deep"]["costs_usd"], found["linkup-deep"]["has_key"]) == ({"search": 0.055}, False)
    assert re.search(r"^gpt-4o +llm +openai +no +input 1, output 2, ", cli("show", "models").out, re.MULTILINE)
