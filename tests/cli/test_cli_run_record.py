"""What a run leaves about itself: the costs by model, GraphSpec, and a picture with what happened in every pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.app import Runtime
from pipelex.cli import costs
from pipelex.cli.run_graph import graphspec
from pipelex.cli.run_page import run_page
from pipelex.errors import PipelexError, ProviderDownError, RequestRefusedError
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import Library, library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import Item, PipeCall, Plan, RunInfo
from pipelex.pipes.record import CallRecord, PipeRecord, RunRecord
from pipelex.pipes.requests import ModelSetting, TextReply, Usage
from pipelex.values.value import Memory, Value

Cli = Callable[..., Any]

LETTERS = """
domain = "letters"
main_pipe = "answer_all"

[pipe.read]
type = "PipeLLM"
description = "Read <one> letter"
inputs = { letter = "Text" }
output = "Text"
prompt = "Read $letter"

[pipe.answer]
type = "PipeLLM"
description = "Answer it"
inputs = { gist = "Text" }
output = "Text"
prompt = "Answer $gist"

[pipe.handle]
type = "PipeSequence"
description = "Read, then answer"
inputs = { letter = "Text" }
output = "Text"
steps = [{ pipe = "read", result = "gist" }, { pipe = "answer", result = "reply" }]

[pipe.answer_all]
type = "PipeSequence"
description = "Every letter, then one more"
inputs = { letters = "Text[]", gist = "Text" }
output = "Text"
steps = [
  { pipe = "handle", batch_over = "letters", batch_as = "letter", result = "replies" },
  { pipe = "answer", result = "last" },
]
"""

FAILING = """
domain = "fails"
main_pipe = "main"

[pipe.ask]
type = "PipeLLM"
description = "Ask"
inputs = { name = "Text" }
output = "Text"
prompt = "Ask $name"

[pipe.choose]
type = "PipeCondition"
description = "Never"
inputs = { said = "Text", name = "Text" }
output = "Text"
expression = "'x'"
outcomes = { y = "ask" }
default_outcome = "fail"

[pipe.main]
type = "PipeSequence"
description = "Ask, then fail"
inputs = { name = "Text" }
output = "Text"
steps = [{ pipe = "ask", result = "said" }, { pipe = "choose", result = "chosen" }]
"""


class Model:
    """Answers every prompt for a fixed price, but for those that have an error waiting."""

    def __init__(self, errors: dict[str, list[PipelexError]] | None = None) -> None:
        self.errors = errors or {}

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        waiting = self.errors.get(request.prompt)
        if waiting:
            raise waiting.pop(0)
        return TextReply(text=request.prompt, usage=Usage(calls=1, input_tokens=100, output_tokens=10, cost_usd=0.001))


async def ran(count: int, errors: dict[str, list[PipelexError]] | None = None) -> tuple[RunRecord, Library]:
    library, _ = library_from_texts({"letters.mthds": LETTERS})
    models = {ask.key: ModelSetting(handle="small") for ask in model_asks(library.crate).values()}

    async def no_pause(_: float) -> None: ...

    host = InProcessHost(library, Plan(models=models), Model(errors), sleep=no_pause)
    letters = Value(concept="native.Text", data=[{"text": f"l{number}"} for number in range(count)])
    memory = Memory(root={"letters": letters, "gist": Value(concept="native.Text", data={"text": "g"})})
    try:
        await host.run_pipe(PipeCall(pipe="letters.answer_all", run=RunInfo(run_id="r1"), memory=memory))
    except PipelexError:
        assert errors
    return host.record(), library


def words(html: str) -> list[str]:
    """The texts of the picture, without those of its table."""
    return re.findall(r"<text[^>]*>([^<]+)</text>", html)


# Costs.

MIXED = (
    Usage(calls=2, input_tokens=1200, cached_tokens=400, output_tokens=80, cost_usd=0.00125).under("small")
    + Usage(calls=1, pages=12).under("pypdfium2")
    + Usage(calls=1, input_tokens=9, cost_usd=None).under("new-model")
)


def test_the_table_has_a_line_for_each_model_and_an_unknown_price_stays_unknown() -> None:
    assert "\n".join(costs.plain(costs.rows(MIXED))) == snapshot("""\
Model      Type     Calls  Input  Cached  Output  Pages  Cost (USD)
small      llm          2   1200     400      80      0    0.001250
pypdfium2  extract      1      0       0       0     12    0.000000
new-model  llm          1      9       0       0      0     unknown
Total                   4   1209     400      80     12     unknown\
""")


def test_the_costs_for_machines_keep_the_documented_keys() -> None:
    found = costs.document(MIXED)
    assert found["total_cost"] is None
    assert {"model", "model_type", "nb_tokens_input", "nb_tokens_output", "cost"} < set(found["by_model"][0])
    assert [(row["model"], row["model_type"], row["cost"]) for row in found["by_model"]] == [
        ("small", "llm", 0.00125),
        ("pypdfium2", "extract", 0.0),
        ("new-model", "llm", None),
    ]


def test_nothing_is_said_when_no_model_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    costs.show(Usage())
    assert capsys.readouterr().err == ""


def test_a_real_price_is_said_to_be_one_that_may_be_stale(capsys: pytest.CaptureFixture[str]) -> None:
    costs.show(Usage(calls=1, cost_usd=0.5).under("small"))
    said = capsys.readouterr().err.splitlines()
    assert said[1].split() == ["small", "llm", "1", "0", "0", "0.500000"]
    assert said[2] == "prices: from a source that was not noted, which may be stale"


def test_a_run_ends_with_its_costs_and_they_can_be_hidden(cli: Cli, work: Path, greet: Path) -> None:
    given = ("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    done = cli(*given)
    assert re.search(r"^gpt-4o \(simulated\) +llm +1 +\d+ +\d+ +0\.000000$", done.err, re.MULTILINE)
    assert "stale" not in done.err
    report = json.loads((work / "results" / "greet_output_01" / "cost_report.json").read_text())
    assert (report["total_cost"], report["is_simulated"], report["by_model"][0]["nb_calls"]) == (0.0, True, 1)
    quiet = cli(*given, "--no-costs", "--no-graph")
    assert (quiet.code, "(simulated)" in quiet.err) == (0, False)
    left = {file.name for file in (work / "results" / "greet_output_02").iterdir()}
    assert left == {"main_stuff.json", "main_stuff.md", "working_memory.json"}


def test_a_dry_run_has_a_picture_and_no_costs(cli: Cli, work: Path, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--dry-run", "--mock-inputs")
    assert done.code == 0, done.err
    folder = work / "results" / "greet_output_01"
    assert not (folder / "cost_report.json").exists()
    assert json.loads((folder / "graphspec.json").read_text())["meta"]["mode"] == "dry"


# The picture.


async def test_every_pipe_is_told_with_its_state_tokens_and_costs() -> None:
    record, library = await ran(3, {"Read l1": [ProviderDownError("down", retryable=True)]})
    html = run_page(record, library)
    said = words(html)
    assert any(text.startswith("✓ 3 done") and "↻ 1 of 3 calls retried" in text for text in said)
    assert any(text.startswith("✓ done") for text in said)
    assert "700 → 70 tokens · 0.0070 USD" in said
    assert said.count("300 → 30 tokens · 0.0030 USD") == 2
    assert "100 → 10 tokens · 0.0010 USD" in said
    assert '<td class="number">2</td>' in html
    assert re.findall(r"""(?:href|src)="[^#]|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", html) == []
    assert "Read &lt;one&gt; letter" in html
    assert "light-dark(" in html


async def test_a_failed_run_shows_what_was_not_reached() -> None:
    record, library = await ran(2, {"Answer Read l1": [RequestRefusedError("no <b>such</b> thing")]})
    html = run_page(record, library)
    said = words(html)
    assert "○ not run" in said
    assert any("✗ 1 done, 1 failed" in text for text in said)
    assert any(text.startswith("✓ 2 done") for text in said)
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in html
    assert "at-failed" in html


async def test_a_thousand_items_are_one_box_with_counts() -> None:
    record, library = await ran(1000, {"Answer Read l900": [RequestRefusedError("no")]})
    html = run_page(record, library)
    assert len(html) < 2_500_000
    assert len(re.findall(r'<g transform="translate', html)) == 6
    assert any(re.search(r"✗ \d+ done, 1 failed", text) for text in words(html))
    spec = graphspec(record, library)
    assert [node["pipe_code"] for node in spec["nodes"]] == ["answer_all", "handle", "read", "answer"]
    runs = spec["nodes"][1]["metrics"]["runs"]
    assert runs["failed"] == 1
    assert runs["succeeded"] >= 900
    assert spec["nodes"][1]["error"] == {"error_type": "request-refused", "message": "no", "item": 900}


async def test_graphspec_says_what_ran_when_and_what_followed_what() -> None:
    record, library = await ran(2, {"Read l0": [ProviderDownError("down", retryable=True)]})
    spec = json.loads(json.dumps(graphspec(record, library)))
    assert spec["pipeline_ref"] == {"domain": "letters", "main_pipe": "answer_all", "entrypoint": "letters.answer_all"}
    nodes = {node["id"]: node for node in spec["nodes"]}
    assert [(node["pipe_code"], node["kind"], node["pipe_type"], node["status"]) for node in nodes.values()] == [
        ("answer_all", "controller", "PipeSequence", "succeeded"),
        ("handle", "controller", "PipeSequence", "succeeded"),
        ("read", "operator", "PipeLLM", "succeeded"),
        ("answer", "operator", "PipeLLM", "succeeded"),
        ("answer", "operator", "PipeLLM", "succeeded"),
    ]
    read = spec["nodes"][2]
    assert read["metrics"] == {"calls": 2, "attempts": 2, "runs": {"succeeded": 2}}
    assert read["usage"]["by_model"]["small"]["input_tokens"] == 200
    assert read["timing"]["started_at"] <= read["timing"]["ended_at"]
    told = [
        (nodes[edge["source"]]["pipe_code"], nodes[edge["target"]]["pipe_code"], edge["kind"]) for edge in spec["edges"]
    ]
    assert told == [
        ("answer_all", "handle", "contains"),
        ("answer_all", "answer", "contains"),
        ("handle", "read", "contains"),
        ("handle", "answer", "contains"),
        ("read", "answer", "data"),
        ("handle", "answer", "control"),
    ]


def test_pipes_that_ran_inside_another_workflow_are_found_where_they_stand() -> None:
    library, _ = library_from_texts({"letters.mthds": LETTERS})
    call = CallRecord(activity="act_llm_gen_text", handle="small", attempts=3, state="done", usage=Usage(calls=1))
    inline = PipeRecord(pipe="letters.read", kind="PipeLLM", state="done", calls=(call,), usage=call.usage)
    root = PipeRecord(pipe="letters.answer_all", kind="PipeSequence", children=(inline,))
    said = words(run_page(RunRecord(run_id="r", host="temporal", root=root), library))
    assert "✓ done · ↻ 3 attempts" in said
    assert any("handle" in text for text in said)
    assert "○ not run" in said


def test_a_pipe_that_contains_nothing_is_drawn_too() -> None:
    library, _ = library_from_texts({"letters.mthds": LETTERS})
    item = PipeRecord(pipe="letters.read", kind="PipeLLM", state="running", item=Item(index=0, total=1))
    assert "… 1 running" in words(run_page(RunRecord(run_id="r", host="in_process", root=item), library))


def test_a_failed_run_leaves_its_picture_and_its_costs(cli: Cli, work: Path) -> None:
    (work / "fails.mthds").write_text(FAILING)
    done = cli("run", "bundle", "fails.mthds", "--simulate", "--json", "-i", '{"name": "Ada"}')
    assert (done.code, done.out) == (1, "")
    assert "what the run did until it ended: results/main_output_01" in done.err
    assert json.loads(done.err.splitlines()[-1])["code"] == "routing-error"
    folder = work / "results" / "main_output_01"
    assert sorted(file.name for file in folder.iterdir()) == [
        "cost_report.json",
        "execution_graph.html",
        "graphspec.json",
        "index.html",
    ]
    spec = json.loads((folder / "graphspec.json").read_text())
    assert [(node["pipe_code"], node["status"]) for node in spec["nodes"]] == [
        ("main", "failed"),
        ("ask", "succeeded"),
        ("choose", "failed"),
    ]
    assert spec["nodes"][2]["error"]["error_type"] == "routing-error"
    assert json.loads((folder / "cost_report.json").read_text())["by_model"][0]["nb_calls"] == 1


def test_all_is_told_before_the_runtime_closes(
    cli: Cli, greet: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    close = Runtime.aclose

    async def aclose(runtime: Runtime) -> None:
        told.extend(capfd.readouterr())
        await close(runtime)

    monkeypatch.setattr(Runtime, "aclose", aclose)
    done = cli("run", "bundle", str(greet), "-i", '{"name": "Ada"}', "--simulate")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert "Say hello to Ada" in told[0]
    assert "done: greet.greet" in told[1]
