"""Every rule of one file: files that keep it and files that break it, in both profiles."""

from __future__ import annotations

import pytest
from rule_cases_language import RULES, RuleCase, rule_ids

from pipelex.errors import LanguageError, Problem
from pipelex.language.checks import check_bundle
from pipelex.language.parse import parse_bundle

OWN_RULES = (
    *range(1, 7), 8, 9, 10, 11, *range(15, 23), 27, 28, 29, 32, 33, 34, 35, 36, 38, *range(39, 46), 50,
    *range(52, 60), 61, 62, 63, 64, 65, 75, 77, 80, 81, 86, 88,
)  # fmt: skip


def told(case: RuleCase) -> list[Problem]:
    try:
        bundle = parse_bundle(case.text, "tea.mthds", strict=case.strict)
    except LanguageError as error:
        return error.found
    return [*bundle.warnings, *check_bundle(bundle, strict=case.strict)]


@pytest.mark.parametrize("case", RULES, ids=rule_ids())
def test_a_rule_is_kept_or_told_by_its_code(case: RuleCase) -> None:
    found = told(case)
    expected = [(case.code, case.is_valid)] if case.code else []
    assert [(item.code, item.is_warning) for item in found] == expected, [item.render() for item in found]
    assert all(item.line for item in found)


@pytest.mark.parametrize("rule", OWN_RULES)
def test_every_rule_has_files_that_keep_it_and_files_that_break_it(rule: int) -> None:
    cases = [case for case in RULES if case.rule == rule]
    assert any(case.is_valid and not case.code for case in cases)
    assert any(case.code for case in cases)


def test_every_rule_of_the_table_is_one_of_this_room() -> None:
    assert {case.rule for case in RULES} == set(OWN_RULES)
