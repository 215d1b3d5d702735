"""Texts with a mark `«` where a problem is expected."""

from __future__ import annotations

from pipelex.errors import LanguageError, Problem
from pipelex.language.checks import check_bundle
from pipelex.language.parse import parse_bundle

MARK = "«"


def unmarked(text: str) -> tuple[str, int, int]:
    """The text without its mark, and the line and column where the mark stood."""
    before, mark, after = text.partition(MARK)
    assert mark, "the text has no mark"
    assert MARK not in after, "the text has two marks"
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def problems_of(text: str) -> list[Problem]:
    """Everything parsing and checking find, warnings included."""
    try:
        bundle = parse_bundle(text, "tea.mthds")
    except LanguageError as error:
        return error.found
    return [*bundle.warnings, *check_bundle(bundle)]


def assert_only_problem(marked: str, code: str, *, is_warning: bool = False) -> Problem:
    """Assert that the text has one problem, of that code, where its mark is."""
    text, line, column = unmarked(marked)
    found = problems_of(text)
    assert [(item.code, item.is_warning) for item in found] == [(code, is_warning)], [item.render() for item in found]
    assert (found[0].line, found[0].column) == (line, column), found[0].render()
    assert found[0].file == "tea.mthds"
    return found[0]
