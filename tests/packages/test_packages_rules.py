from __future__ import annotations

from pathlib import Path

import pytest
from packages_repositories import write
from rule_cases_packages import CASES, RuleCase

from pipelex.errors import LanguageError, LibraryError, Problem
from pipelex.library.link import link
from pipelex.storage.package_cache import PackageCache
from pipelex.storage.package_loading import load_packages
from pipelex.storage.package_supply import Supply

RULES = (67, 68, 69, *range(89, 101))


def problems_of(top: Path, strict: bool) -> list[Problem]:
    """Every problem of a tree, warnings included."""
    cache = PackageCache(top / ".cache", mirrors={"example.org": "file:///nowhere"})
    supply = Supply(cache, top / ".mthds" / "methods", top / "home", strict=strict)
    home = next((place for place in (top, top / "tea") if (place / "METHODS.toml").is_file()), None)
    try:
        loaded = load_packages(supply, () if home else [top], home=home)
        linked = link(loaded.bundles, strict=strict, packages=loaded.table)
    except (LanguageError, LibraryError) as error:
        return error.found
    return [*loaded.warnings, *linked.warnings]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}-{index}" for index, case in enumerate(CASES)])
def test_rule(case: RuleCase, tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path / "tree", case.files), case.strict)
    errors = [problem for problem in problems if not problem.is_warning]
    if case.is_valid:
        assert errors == []
    else:
        assert case.code in {problem.code for problem in errors}, errors
        found = next(problem for problem in errors if problem.code == case.code)
        assert found.file
        assert found.line


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_both_kinds_of_cases(rule: int) -> None:
    assert {case.is_valid for case in CASES if case.rule == rule} == {True, False}


@pytest.mark.parametrize("rule", [68, 69, 90, 95])
def test_what_strict_refuses_is_a_warning_otherwise(rule: int, tmp_path: Path) -> None:
    for index, case in enumerate(case for case in CASES if case.rule == rule and case.strict and not case.is_valid):
        found = problems_of(write(tmp_path / str(index) / "tree", case.files), False)
        assert case.code in {problem.code for problem in found if problem.is_warning}
        assert not [problem for problem in found if not problem.is_warning]
