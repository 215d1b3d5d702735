"""`pipelex graph --run`: the picture of a durable run, drawn from its histories by whoever can reach the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import TEXT, TEXTS, Bench, Scripted, ask, crate, sequence, text, texts

from pipelex.cli.main import run_command
from pipelex.errors import PipelexError, ProviderDownError, RequestRefusedError
from pipelex.language.pipes import Step
from pipelex.pipes.port import Item
from pipelex.pipes.record import Texts
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
    assert '["prompt",' in html
    assert {"Say a", "Say b", "Say c", "x"} <= set(texts_of(html))
    assert 'id="result"' not in html
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id, "-o", "out.json"]) == 0
    spec = json.loads((project / "out.json").read_text())
    assert [(node["pipe_code"], node["status"]) for node in spec["nodes"]] == [
        ("all", "failed"),
        ("say", "succeeded"),
        ("sum", "failed"),
    ]
    assert spec["nodes"][0]["workflow_id"] == run.run_id
    assert spec["meta"]["host"] == "temporal"


async def test_the_page_of_a_run_that_is_done_has_its_result(bench: Bench, project: Path) -> None:
    async with bench.worker(Scripted()):
        run = await bench.start(METHOD, "all", {"words": texts("a", "b")})
        await run.result()
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id]) == 0
    html = (project / f"{run.run_id}.html").read_text()
    assert re.search(r'<article class="panel result"[^>]*><div class="text"><p>&lt;Sum', html)
    record = await run.record()
    said = [found for found in record.root.walk() if found.pipe == "d.say"]
    assert [found.texts and found.texts.given for found in said] == [{"word": "a"}, {"word": "b"}]
    assert [found.texts and found.texts.made for found in said] == ["<Say a>", "<Say b>"]
    assert [call.texts and call.texts.given["prompt"] for found in said for call in found.calls] == ["Say a", "Say b"]
    assert [call.texts and call.texts.made for found in said for call in found.calls] == ["<Say a>", "<Say b>"]
    assert record.root.texts is not None
    assert record.root.texts.given == {"words": "- text: a\n- text: b"}
    assert "Say a" not in record.model_dump_json() + repr(record)


def texts_of(html: str) -> list[str]:
    """The texts that a page tells when somebody picks a pipe."""
    found: list[str] = data_of(html)["texts"]
    return found


def data_of(html: str) -> dict[str, Any]:
    """What a page tells when somebody picks a pipe."""
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    found: dict[str, Any] = json.loads(data[1])
    return found


async def test_an_unknown_run_is_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(run_command, ["graph", "--run", "nowhere"]) == 1
    assert "there is no run 'nowhere'" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words", [["graph"], ["graph", "a.mthds", "--run", "x"], ["graph", "--run", "x", "-o", "x.svg"]]
)
def test_what_to_draw_must_be_said(project: Path, words: list[str]) -> None:
    assert run_command(words) == 2


NOTES = crate(
    say=ask("Say $word", word=TEXT),
    again=ask("Again $said in $tone", said=TEXT, tone=TEXT),
    close=ask("Close $more", more=TEXT),
    twice=sequence(
        Step(pipe="d.say", result="said"),
        Step(pipe="d.again", result="more"),
        Step(pipe="d.close", result="more"),
        word=TEXT,
        tone=TEXT,
    ),
)
FAN_OUT = {"execution": {"child_workflows": "fan_out"}}


async def test_what_pipes_read_that_ran_inline_is_told_or_said_to_be_unknown(bench: Bench, project: Path) -> None:
    async with bench.worker(Scripted()):
        inputs = {"word": text("a"), "tone": text("haste")}
        run = await bench.start(NOTES, "twice", inputs, settings=bench.settings(**FAN_OUT))
        await run.result()
    say, again, close = (await run.record()).root.children
    assert [found.workflow_id for found in (say, again, close)] == [None, None, None]
    assert say.texts == Texts(given={"word": "a"})
    assert again.texts == Texts(given={"said": "<Say a>", "tone": "haste"})
    # Two steps store `more`: which of both it was, nobody wrote down.
    assert close.texts == Texts(unknown=("more",))
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id]) == 0
    runs = data_of((project / f"{run.run_id}.html").read_text())["runs"]
    assert [told.get("unknown", "")[:34] for told in runs] == ["", "", "", "The input more is not shown: this "]


async def test_the_items_of_an_inline_part_are_told(bench: Bench) -> None:
    words = {"words": texts("a", "b", "c")}
    async with bench.worker(Scripted()):
        settings = bench.settings(**FAN_OUT)
        run = await bench.start(METHOD, "all", words, settings=settings, batch_chunk=2)
        await run.result()
        whole = await bench.start(METHOD, "all", words, settings=settings)
        await whole.result()
    *said, summed = (await run.record()).root.children
    assert [found.texts and found.texts.given for found in said] == [{"word": "a"}, {"word": "b"}, {"word": "c"}]
    assert summed.texts == Texts(given={"said": "- text: <Say a>\n- text: <Say b>\n- text: <Say c>"})
    *said, _ = (await whole.record()).root.children
    assert [found.texts and found.texts.given for found in said] == [{"word": "a"}, {"word": "b"}, {"word": "c"}]
    assert [found.item for found in said] == [Item(index=index, total=3) for index in range(3)]


async def test_the_page_of_a_run_whose_result_cannot_be_read_says_so(
    bench: Bench, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with bench.worker(Scripted(lambda request: TextReply(text="x" * 90_000))):
        run = await bench.start(crate(say=ask("Say $word", word=TEXT)), "say", {"word": text("a")})
        await run.result()
    # The payload store of this machine never had it.
    settings = project / ".pipelex" / "pipelex.toml"
    settings.write_text(settings.read_text().replace(str(bench.payload_root), str(project / "none")))
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id]) == 0
    html = (project / f"{run.run_id}.html").read_text()
    assert "✓ done" in html
    assert "Say a" in texts_of(html)
    assert 'id="result"' not in html
    assert re.search(r'<p class="soft">The result is not on this page: .* is not in ', html)
    assert "warning: the result is not on the page: " in capfd.readouterr().err
    assert await asyncio.to_thread(run_command, ["graph", "--run", run.run_id, "-o", "out.json"]) == 0
    assert "warning" not in capfd.readouterr().err
