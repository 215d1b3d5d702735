"""What the examples make of given answers: the branches and the arithmetic that a simulated run leaves to chance."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import load_library
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.inputs import shape_inputs

EXAMPLES = Path(__file__).parents[2] / "examples"


async def run(example: str, pipe: str, inputs: dict[str, Any], *answers: Any) -> tuple[Any, list[Any]]:
    """Run one pipe of an example with these answers: its result, and what it asked."""
    library, _ = load_library([EXAMPLES / example / "bundle.mthds"])
    ref = f"{example}.{pipe}"
    memory, _ = shape_inputs(inputs, library.pipe(ref).inputs, library.concepts, domain=example)
    models = {ask.key: ModelSetting(handle="m") for ask in model_asks(library.crate).values()}
    performer = ScriptedPerformer(list(answers))
    host = InProcessHost(library, Plan(models=models), performer)
    result = await host.run_pipe(PipeCall(pipe=ref, run=RunInfo(run_id="test"), memory=memory))
    return result.outcome.data, performer.requests


def invoice(net: float, order: str | None = "BI-40655", gross: float | None = None) -> dict[str, Any]:
    lines = [{"description": "Pallets", "amount": amount} for amount in (8075.0, 5808.0, 569.2)]
    totals = {"net_total": net, "tax_total": 0.0, "gross_total": net if gross is None else gross}
    return {"supplier": "T", "invoice_number": "1", "currency": "EUR", "purchase_order": order, "lines": lines} | totals


PAGE = [{"text_and_images": {"text": {"text": "An invoice"}}}]


@pytest.mark.parametrize(
    ("data", "status", "findings"),
    [
        (invoice(14452.2), "ready", "Lines and totals agree."),
        (invoice(14542.2), "to_check", "The lines sum to 14452.20, the net total says 14542.20."),
        (invoice(14452.2, order=None), "to_check", "No purchase order is named."),
        (
            invoice(14452.2, order=None, gross=14452.0),
            "to_check",
            "Net total and tax make 14452.20, the gross total says 14452.00. No purchase order is named.",
        ),
    ],
)
async def test_an_invoice_is_added_up_and_a_letter_written_only_where_it_is_wrong(
    data: dict[str, Any], status: str, findings: str
) -> None:
    given = {"invoice": {"url": "https://example.invalid/invoice.pdf"}}
    booking, asked = await run("invoice_extraction", "process_one", given, PAGE, data, "Please look again.")
    assert (booking["status"], booking["findings"]) == (status, findings)
    assert booking["remark"] == {"ready": "Nothing to ask: lines and totals agree."}.get(status, "Please look again.")
    assert len(asked) == (2 if status == "ready" else 3)


@pytest.mark.parametrize(
    ("decision", "words"), [("go", "a plan backwards"), ("no_go", "would have to change"), ("ask", "ask the buyer")]
)
async def test_the_decision_about_a_bid_picks_the_memo(decision: str, words: str) -> None:
    facts = {"buyer": "A town", "subject": "Meters", "award_criteria": ["Price"], "unusual_terms": []}
    qualification = {"recommendation": decision, "is_eligible": True, "chance": "good", "facts": facts, "matches": []}
    memo, asked = await run("rfp_qualification", "go_or_no_go", {"qualification": qualification}, "A memo")
    assert memo == {"text": "A memo"}
    assert words in asked[0].prompt


@pytest.mark.parametrize(
    ("step", "words"), [("interview", "invite to an interview"), ("decline", "decline kindly"), ("clarify", "ask, in")]
)
async def test_the_next_step_picks_the_message_to_a_candidate(step: str, words: str) -> None:
    verdicts = {"meets_must_haves": {"yes_no": True}, "fit": {"level": 1, "label": "possible"}}
    given = {
        "assessment": {**verdicts, "next_step": {"choice": step}},
        "profile": {"candidate_name": "Ada", "strengths": [], "open_points": ["Dutch"]},
        "position": "Somebody who speaks Dutch",
    }
    _, asked = await run("cv_screening", "write_message", given, "A message")
    assert words in asked[0].prompt


async def test_an_accepted_page_is_not_translated_again() -> None:
    page = {"text_and_images": {"text": {"text": "Press Measure."}}}
    given = {"page": page, "target_language": "French", "glossary": []}
    accepted = await run("translation_review", "translate_page", given, "Mesurez.", {"verdict": "accept", "issues": []})
    assert (accepted[0]["final"], len(accepted[1])) == ({"text": "Mesurez."}, 2)
    issue = {"kind": "terminology", "severity": "major", "passage": "Mesurez", "suggestion": "Appuyez sur Measure"}
    answers = ("Mesurez.", {"verdict": "revise", "issues": [issue]}, "Appuyez sur Measure.")
    revised, asked = await run("translation_review", "translate_page", given, *answers)
    assert (revised["draft"], revised["final"]) == ({"text": "Mesurez."}, {"text": "Appuyez sur Measure."})
    assert "Appuyez sur Measure" in asked[2].prompt


class Memory:
    """As much of a working memory as the function of data_quality reads."""

    def __init__(self, text: str, *rules: dict[str, Any]) -> None:
        self.kept = {"pages": [{"text_and_images": {"text": {"text": text}}}], "rules": list(rules)}

    def get_stuff(self, name: str) -> Any:
        return type("Stuff", (), {"data": self.kept[name]})


def count_breaches(memory: Memory) -> Any:
    spec = importlib.util.spec_from_file_location("data_quality", EXAMPLES / "data_quality" / "functions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.count_breaches(memory)


@pytest.mark.parametrize(
    ("must_be", "values", "broken"),
    [
        ("present", None, ["line 4: (empty)"]),
        ("unique", None, ["line 2: 7", "line 6: 7"]),
        ("number", None, ["line 3: 2031-02-30", "line 7: 1,5"]),
        ("date", None, ["line 2: 7", "line 3: 2031-02-30", "line 6: 7", "line 7: 1,5"]),
        ("one_of", ["7", "1,5"], ["line 3: 2031-02-30"]),
        ("email", None, ["line 2: 7", "line 3: 2031-02-30", "line 6: 7", "line 7: 1,5"]),
    ],
)
def test_rules_are_counted_with_the_lines_of_the_file(
    must_be: str, values: list[str] | None, broken: list[str]
) -> None:
    text = '\ufeffa,b\n7,x\n2031-02-30,x\n,x\n\n7,x\n"1,5"\n'
    found = count_breaches(Memory(text, {"column": "a", "must_be": must_be, "values": values}))
    assert (found["rows"], found["bad_rows"]) == (5, len(broken))
    assert found["breaches"][0]["examples"] == broken


def test_a_clean_file_and_an_empty_one_break_nothing() -> None:
    rule = {"column": "a", "must_be": "number", "values": None}
    clean = count_breaches(Memory("a\n10\n9\n", rule))
    assert (clean["bad_rows"], clean["breaches"]) == (0, [])
    assert (clean["columns"][0]["lowest"], clean["columns"][0]["highest"]) == ("9", "10")
    assert count_breaches(Memory("a\n", rule))["rows"] == 0
    with pytest.raises(ValueError, match="the file has a"):
        count_breaches(Memory("a\n1\n", {**rule, "column": "b"}))
