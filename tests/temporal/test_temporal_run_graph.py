"""`pipelex graph --run`: the picture of a durable run, drawn from its histories by whoever can reach the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import TEXT, TEXTS, Bench, Scripted, ask, crate, sequence, texts

from pipelex.cli.main import run_command
from pipelex.errors import PipelexError, ProviderDownError, RequestRefusedError
from pipelex.language.pipes import Step
from pipelex.pipes.requests import TextReply, Usage

METHOD = crate(
    say=ask("Say $word", word=TEXT),
    sum=ask("Sum $said", said=TEXTS),
    all=sequence(
        Step(pipe="d.say", batch_over="words", batch_as="word", result="said"),
        Step(pipe="d.sum", result="sum"),
        words=TEXTS,
    ),
)


@pytest.fixture
def project(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that knows the server and the payload store, and has no bundle."""
    (tmp_path / "home").mkdir()
    (tmp_path / ".pipelex").mkdir()
    address = bench.client.service_client.config.target_host
    (tmp_path / ".pipelex" / "pipelex.toml").write_text(
        f'[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "{address}"\n'
        f'[temporal.payloads]\npath = "{bench.payload_root}"\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_a_failed_run_is_drawn_without_its_bundle_and_without_a_worker(bench: Bench, project: Path) -> None:
    first = [ProviderDownError("down", retryable=True)]

    def answer(request: Any) -> Any:
        if request.prompt == "Say a" and first:
            raise first.pop()
        if request.prompt.startswith("Sum"):
            raise RequestRefusedError("not summed")
        return TextReply(text="x", usage=Usage(calls=1, input_tokens=100, output_tokens=5, cost_usd=0.5))

    quick = {"worker_config": {"retry_policy_config": {"initial_interval": "10ms"}}}
    async with bench.worker(Scripted(answer)):
        run = await bench.start(METHOD, "all", {"words": texts("a", "b", "c")}, settings=bench.settings(**quick))
        with contextlib.suppress(PipelexError):
            await run.result()
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id]) == 0
    html = (project / f"{run.run_id}.html").read_text()
    for told in ("✓ 3 done", "↻ 1 of 3 calls retried", "300 → 15 tokens · 1.5000 USD", "✗ failed", "not summed"):
        assert told in html
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id, "-o", "out.json"]) == 0
    spec = json.loads((project / "out.json").read_text())
    assert [(node["pipe_code"], node["status"]) for node in spec["nodes"]] == [
        ("all", "failed"),
        ("say", "succeeded"),
        ("sum", "failed"),
    ]
    assert spec["nodes"][0]["workflow_id"] == run.run_id
    assert spec["meta"]["host"] == "temporal"


async def test_an_unknown_run_is_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(run_command, ["graph", "--run", "nowhere"]) == 1
    assert "there is no run 'nowhere'" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words", [["graph"], ["graph", "a.mthds", "--run", "x"], ["graph", "--run", "x", "-o", "x.svg"]]
)
def test_what_to_draw_must_be_said(project: Path, words: list[str]) -> None:
    assert run_command(words) == 2
