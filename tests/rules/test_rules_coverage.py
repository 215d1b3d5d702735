"""Every numbered rule of MTHDS section 22 has a case that keeps it and one that breaks it; prints the coverage.

The cases are tables beside the suites that run them one by one; the rules on models and dry runs, which need a
runtime, are run here.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelex.app import Runtime, ValidationReport
from pipelex.config.load import load_settings
from pipelex.language.rules import RULES

TESTS = Path(__file__).parents[1]
TABLES = {
    "rule_cases_language": TESTS / "language",
    "rule_cases_library": TESTS / "library",
    "rule_cases_packages": TESTS / "packages",
}
LLM = """domain = "tea"
main_pipe = "rate"
[pipe.rate]
type = "PipeLLM"
description = "Rate a cup"
inputs = {{ cup = "Text" }}
output = "Text"
prompt = "Rate $cup"
model = {model}
"""
CONDITION = """domain = "tea"
main_pipe = "choose"
[pipe.choose]
type = "PipeCondition"
description = "Choose by a part of the text"
inputs = {{ cup = "Text" }}
output = "Text"
expression = "{expression}"
outcomes = {{ tea = "rate" }}
default_outcome = "rate"
[pipe.rate]
type = "PipeCompose"
description = "Say it"
inputs = {{ cup = "Text" }}
output = "Text"
template = "$cup"
"""
IN_A_RUNTIME = [
    (49, "", LLM.format(model='"$writing-factual"')),
    (49, "unknown_model", LLM.format(model='"$writing-factal"')),
    (51, "", LLM.format(model='{ model = "gpt-4o", temperature = 0.2 }')),
    (51, "llm_setting_refused_by_model", LLM.format(model='{ model = "o4-mini", temperature = 0.2 }')),
    (83, "", CONDITION.format(expression="cup.text")),
    (83, "DryRunError", CONDITION.format(expression="cup.text[:0]")),
]


def cases_of(name: str) -> list[Any]:
    """The table of rule cases of one suite."""
    spec = importlib.util.spec_from_file_location(name, TABLES[name] / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    if not vars(module).get("RuleCase"):
        spec.loader.exec_module(module)
    return list(vars(module).get("RULES") or vars(module)["CASES"])


@pytest.fixture(scope="module")
def coverage() -> dict[int, Counter[str]]:
    """Rule -> how many cases keep it, break it, or are told a warning by it."""
    found: dict[int, Counter[str]] = {rule.number: Counter() for rule in RULES}
    for name in TABLES:
        for case in cases_of(name):
            kind = "breaks" if not case.is_valid else "warned" if case.code else "keeps"
            found[case.rule][kind] += 1
    for number, code, _ in IN_A_RUNTIME:
        found[number]["breaks" if code else "keeps"] += 1
    return found


def test_there_are_a_hundred_rules() -> None:
    assert [rule.number for rule in RULES] == list(range(1, 101))


def test_every_rule_has_a_case_that_keeps_it_and_one_that_breaks_it(coverage: dict[int, Counter[str]]) -> None:
    told = {rule.number: "warned" if rule.level == "warning" else "breaks" for rule in RULES}
    print(f"{sum(map(Counter.total, coverage.values()))} cases over {len(RULES)} rules")
    assert not [number for number, cases in coverage.items() if not (cases["keeps"] or cases["warned"])]
    assert not [number for number, cases in coverage.items() if not cases[told[number]]]


@pytest.mark.parametrize("name", TABLES)
def test_cases_break_rules_by_their_codes(name: str) -> None:
    codes = {rule.number: rule.codes for rule in RULES}
    others = {(case.rule, case.code) for case in cases_of(name) if case.code and case.code not in codes[case.rule]}
    assert not others


async def validated(tmp_path: Path, text: str) -> ValidationReport:
    file = tmp_path / "tea.mthds"
    file.write_text(text)
    loaded = load_settings(cwd=tmp_path, environ={"HOME": str(tmp_path)})
    async with Runtime.open(loaded.settings, environ=loaded.environ) as runtime:
        return await runtime.validate([file])


@pytest.mark.parametrize(
    ("rule", "code", "text"), IN_A_RUNTIME, ids=[f"rule-{case[0]}-{case[1]}" for case in IN_A_RUNTIME]
)
async def test_rules_that_need_a_runtime(tmp_path: Path, rule: int, code: str, text: str) -> None:
    report = await validated(tmp_path, text)
    assert {problem.code for problem in report.problems} == ({code} if code else set())
    assert all(problem.line for problem in report.problems)
