"""TOML mistakes are told with their place and how to mend them."""

from __future__ import annotations

import pytest
from language_marks import unmarked

from pipelex.errors import LanguageError
from pipelex.language.toml import read_toml


@pytest.mark.parametrize(
    ("marked", "hint"),
    [
        ("a = «foo", "without quotes"),
        ("b = { x = 1,«\n y = 2 }", "stays on one line"),
        ('a = "x«\n"', "triple quotes"),
        ("[p.a]\nx = 1\n[p.a«]", "already defined"),
        ("a «1", "key = value"),
        ('a = "\\q«"', "two backslashes"),
        ('a = """x«', "closing quotes"),
        ("a = 1\na = 2«", "may be written once"),
    ],
)
def test_a_mistake_is_shown_with_a_caret(marked: str, hint: str) -> None:
    text, line, column = unmarked(marked)
    with pytest.raises(LanguageError) as caught:
        read_toml(text, "tea.mthds")
    (problem,) = caught.value.found
    assert (problem.code, problem.line, problem.column) == ("toml_parse_error", line, column)
    assert problem.hint is not None
    assert hint in problem.hint
    assert "^" in problem.render()


def test_valid_toml_is_read_with_or_without_a_byte_order_mark() -> None:
    assert read_toml("\ufeffa = 1\r\n", "x") == read_toml("a = 1", "x") == {"a": 1}


def test_depth_is_refused_rather_than_crashing() -> None:
    with pytest.raises(LanguageError, match="not valid TOML"):
        read_toml("a = " + "[" * 5000 + "]" * 5000, "x")
