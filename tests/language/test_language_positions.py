"""Positions: every key that TOML sees has a place."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from language_marks import unmarked

from pipelex.language.positions import Positions, problem_at


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        (("a",), "«a = 1"),
        (("a",), "# a = 0\n\n  «a = 1"),
        (("a", "b"), "a.«b = 1"),
        (("a", "b"), "[a]\nx = '''\n[a]\nb = 1\n'''\n«b = 2"),
        (("a", "b"), '[a]\nx = """\nb = \\"""" \n«b = 2'),
        (("a", "b"), '[a]\nx = """q"""""\n«b = 2'),
        (("a",), "[a.b]\nx = 1\n[«a]\ny = 2"),
        (("a", "b"), "[ a . «b ]"),
        (("a", "b c"), '[a]\n«"b c" = 1'),
        (("a", "é"), '[a]\n«"\\u00e9" = 1'),
        (("a", "b.c"), "[a]\n«'b.c' = 1"),
        (("a", "b", "c"), "a = { x = 1, b = { «c = 2 } }"),
        (("a", 1), "a = [1, «2]"),
        (("a", 1, "b"), "a = [\n  { b = 1 }, # one\n  { «b = 2 },\n]"),
        (("a", 1, 0), "a = [[1], [«2]]"),
        (("a", 1), "[[a]]\nb = 1\n[[«a]]\nb = 2"),
        (("a", 1, "b"), "[[a]]\nb = 1\n[[a]]\n«b = 2"),
        (("a", 1, "c", "d"), "[[a]]\n[a.c]\nd = 1\n[[a]]\n[a.c]\n«d = 2"),
        (("a", "b"), "a = { s = '}', «b = 1 }"),
        (("d",), "a = 1979-05-27T07:32:00Z\r\nb = [1.5, inf,\r\n]\r\n«d = 1"),
    ],
)
def test_a_key_is_found_where_it_stands(path: tuple[str | int, ...], marked: str) -> None:
    text, line, column = unmarked(marked)
    tomllib.loads(text)
    assert Positions(text).find(path) == (line, column)


def test_what_is_not_there_has_no_place_and_a_nearest_parent() -> None:
    positions = Positions("[a]\nb = { c = 1 }")
    assert positions.find(("a", "b", "d")) is None
    assert positions.nearest(("a", "b", "d", 3)) == (2, 1)
    assert positions.nearest(("z",)) == (1, 1)


@pytest.mark.parametrize(
    ("line", "word", "marked"),
    [
        (1, "name", 'p = "hello $«name"'),
        (1, "name", 'name = 1\np = "$names $«name"'),
        (2, "name", 'p = """\nhello\n  $«name"""'),
        (2, "name", "p = '''\r\nhello\r\n$«name'''"),
        (2, None, 'p = """hello\n  «$name"""'),
        (1, "absent", 'p = «"hello"'),
    ],
)
def test_a_word_is_found_inside_a_text(line: int, word: str | None, marked: str) -> None:
    text, expected_line, column = unmarked(marked)
    assert Positions(text).word(("p",), line, word) == (expected_line, column)


@given(st.text())
def test_any_text_can_be_scanned(text: str) -> None:
    assert Positions(text).nearest(("a",)) >= (1, 1)


def test_the_excerpt_is_one_line_without_control_codes() -> None:
    text = "a = 1\n\tb\x1b = " + "x" * 300
    problem = problem_at("f", text, ("a",), "code", "message", is_warning=True)
    assert (problem.excerpt, problem.line, problem.column, problem.is_warning) == ("a = 1", 1, 1, True)
    wide = problem_at("f", "\tb = '" + "x" * 300 + "'", ("b",), "code", "message")
    assert wide.excerpt is not None
    assert wide.excerpt.startswith(" b = ")
    assert len(wide.excerpt) == 160
    assert wide.column == 2


KEYS = st.one_of(st.from_regex(r"[a-z_-]{1,6}", fullmatch=True), st.text(max_size=4))
SCALARS = st.one_of(st.integers(-999, 999), st.booleans(), st.text(max_size=12))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


def quoted(text: str, *, multiline: bool = False) -> str:
    escaped = "".join(
        letter if letter.isprintable() and letter not in '"\\' else f"\\U{ord(letter):08x}" for letter in text
    )
    return f'"""\n{escaped}"""' if multiline else f'"{escaped}"'


def spelled(key: str) -> str:
    is_bare = bool(key) and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in key)
    return key if is_bare else quoted(key)


def inline(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return quoted(value, multiline=len(value) > 6)
        case list():
            return "[\n " + ", # note ] }\n ".join(inline(item) for item in value) + " ]"
        case _:
            return "{ " + ", ".join(f"{spelled(key)} = {inline(item)}" for key, item in value.items()) + " }"


def written(document: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """The document with its tables as headers, and arrays of tables as such."""
    lines = [f"{spelled(key)} = {inline(value)}" for key, value in document.items() if not is_table(value)]
    for key, value in document.items():
        header = ".".join(spelled(part) for part in (*path, key))
        if isinstance(value, dict):
            lines += [f"[{header}]", written(value, (*path, key))]
        elif is_table(value):
            for item in value:
                lines += [f"[[ {header} ]]", written(item, (*path, key))]
    return "\n".join(lines)


def is_table(value: Any) -> bool:
    is_tables = isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, dict) or is_tables


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in items:
        found += paths_of(item, (*path, key))
    return found


@given(DOCUMENTS.filter(lambda document: all(letter.isprintable() for letter in str(document))))
def test_every_key_that_toml_sees_has_a_place(document: dict[str, Any]) -> None:
    text = written(document)
    data = tomllib.loads(text)
    assert data == document
    positions = Positions(text)
    assert [path for path in paths_of(data) if positions.find(path) is None] == []
