from __future__ import annotations

import pytest
from rule_cases_library import CASES, RuleCase

from pipelex.errors import LanguageError, LibraryError
from pipelex.library.library import library_from_texts


def verdict(case: RuleCase) -> tuple[bool, list[str]]:
    """Whether the files are accepted, and the codes of what is said, each once: the warnings, or else the errors."""
    try:
        _, warnings = library_from_texts(case.texts, strict=case.strict)
    except (LanguageError, LibraryError) as error:
        return False, list(dict.fromkeys(problem.code for problem in error.found))
    return True, [warning.code for warning in warnings]


def label(case: RuleCase) -> str:
    return f"{case.rule}-{'keep' if case.is_valid else 'breach'}-{case.code or 'silent'}"


@pytest.mark.parametrize("case", CASES, ids=label)
def test_a_rule_says_exactly_what_it_should(case: RuleCase) -> None:
    assert verdict(case) == (case.is_valid, [case.code] if case.code else [])


def test_every_rule_is_kept_and_broken() -> None:
    for rule in {case.rule for case in CASES}:
        cases = [case for case in CASES if case.rule == rule]
        assert any(case.is_valid and not case.code for case in cases), rule
        assert any(case.code for case in cases), rule
