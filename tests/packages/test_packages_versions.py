from __future__ import annotations

from itertools import pairwise

import pytest

from pipelex.library.versions import (
    ANY,
    Constraint,
    NoSolutionError,
    Requirement,
    Version,
    find_cycle,
    select,
    version_of_tag,
)

ORDERED = (
    "0.0.0-0",
    "0.0.0",
    "0.9.12",
    "1.0.0-1",
    "1.0.0-2",
    "1.0.0-10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
)


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(ORDERED)))
def test_precedence(lower: str, higher: str) -> None:
    assert Version.parse(lower) < Version.parse(higher)
    assert Version.parse(higher) > Version.parse(lower)
    assert str(Version.parse(lower)) == lower


def test_build_does_not_count() -> None:
    assert Version.parse("1.0.0+a") == Version.parse("1.0.0+b")
    assert str(Version.parse("1.0.0-rc.1+build.5")) == "1.0.0-rc.1+build.5"


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2", "01.2.3", "1.02.3", "1.2.3.4", "v1.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.x"],
)
def test_not_a_version(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("tag", "version"), [("1.2.0", "1.2.0"), ("v1.2.0-rc.1", "1.2.0-rc.1"), ("release-1.2.0", None), ("vv1.0.0", None)]
)
def test_tags(tag: str, version: str | None) -> None:
    found = version_of_tag(tag)
    assert (str(found) if found else None) == version


@pytest.mark.parametrize(
    ("constraint", "admitted", "refused"),
    [
        ("1.2.3", "1.2.3", "1.2.4 1.2.2"),
        ("==1.2.3", "1.2.3", "1.2.4"),
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-alpha 1.3.0-alpha"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
        ("^1.2", "1.2.0 1.9.9", "1.1.9 2.0.0"),
        ("^0.2", "0.2.0 0.2.9", "0.3.0"),
        ("^0", "0.0.1 0.9.0", "1.0.0"),
        ("^1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">=1.2.3", "1.2.3 5.0.0", "1.2.2 2.0.0-alpha"),
        (">= 1.2", "1.2.0 3.0.0", "1.1.9"),
        (">1.2.3", "1.2.4", "1.2.3"),
        (">1.2", "1.3.0", "1.2.0 1.2.9"),
        ("<1.2.3", "1.2.2 0.0.1", "1.2.3 1.2.3-alpha"),
        ("<1.2", "1.1.9", "1.2.0"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("!=1.2.3", "1.2.4", "1.2.3"),
        ("!=1.2", "1.3.0", "1.2.0 1.2.7"),
        ("!=1.*", "2.0.0", "1.0.0 1.9.0"),
        ("*", "0.0.1 9.9.9", "1.0.0-alpha"),
        ("1.*", "1.0.0 1.9.9", "2.0.0 0.9.0"),
        ("1.2.*", "1.2.0 1.2.9", "1.3.0"),
        ("1.0", "1.0.0 1.0.9", "1.1.0"),
        ("1", "1.0.0 1.9.9", "2.0.0"),
        (">=1.0, <1.5, !=1.2.0", "1.0.0 1.4.9", "1.2.0 1.5.0 0.9.0"),
        ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.10 1.2.3 1.4.0", "1.2.3-beta.1 1.2.3-alpha 1.3.0-beta.3"),
        (">=1.0.0-alpha, <1.0.0", "1.0.0-alpha 1.0.0-rc.1", "1.0.0"),
    ],
)
def test_constraints(constraint: str, admitted: str, refused: str) -> None:
    found = Constraint.parse(constraint)
    assert [text for text in admitted.split() if not found.admits(Version.parse(text))] == []
    assert [text for text in refused.split() if found.admits(Version.parse(text))] == []
    assert str(found) == constraint


@pytest.mark.parametrize(
    "text",
    ["", "latest", "=1.0.0", "=>1.0.0", "1.x", "^1.*", ">=1.2.*", "^^1.0", "1.0.0,", "1.0.0 || 2.0.0", "^1.0.0.0"],
)
def test_not_a_constraint(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version constraint"):
        Constraint.parse(text)


Graph = dict[str, dict[str, dict[str, str]]]
"""By package, by version, what that version asks for."""


def chosen(graph: Graph, **asked: str) -> dict[str, str]:
    def required_by(address: str, version: Version) -> list[Requirement]:
        entries = graph[address][str(version)].items()
        return [Requirement(name, Constraint.parse(text), f"{address} {version}") for name, text in entries]

    found = select(
        [Requirement(name, Constraint.parse(text)) for name, text in asked.items()],
        lambda address: [Version.parse(text) for text in graph.get(address, {})],
        required_by,
    )
    return {address: str(version) for address, version in found.items()}


def test_the_lowest_version_that_will_do() -> None:
    graph: Graph = {"a": {"1.0.0": {}, "1.1.0": {}, "1.2.0": {}, "2.0.0": {}}}
    assert chosen(graph, a="^1.1") == {"a": "1.1.0"}


def test_all_dependents_count() -> None:
    graph: Graph = {
        "a": {"1.0.0": {"c": ">=1.2"}},
        "b": {"1.0.0": {"c": ">=1.1, <1.4"}},
        "c": {"1.0.0": {}, "1.1.0": {}, "1.2.0": {}, "1.3.0": {}, "1.4.0": {}},
    }
    assert chosen(graph, a="*", b="*") == {"a": "1.0.0", "b": "1.0.0", "c": "1.2.0"}


def test_what_an_abandoned_version_asks_for_does_not_count() -> None:
    graph: Graph = {
        "a": {"1.0.0": {"b": "^1", "z": "*"}, "2.0.0": {"b": "^2"}},
        "b": {"1.0.0": {}, "2.0.0": {}},
        "c": {"1.0.0": {"a": ">=2"}},
        "z": {"1.0.0": {}},
    }
    assert chosen(graph, a=">=1", c="*") == {"a": "2.0.0", "b": "2.0.0", "c": "1.0.0"}


def test_a_conflict_that_another_choice_dissolves() -> None:
    graph: Graph = {
        "a": {"1.0.0": {"b": "^1"}, "2.0.0": {"b": "^2"}},
        "b": {"1.0.0": {}, "2.0.0": {}},
        "c": {"1.0.0": {"b": "^2", "d": "*"}},
        "d": {"1.0.0": {"a": ">=2"}},
    }
    assert chosen(graph, a=">=1", c="*")["b"] == "2.0.0"


def test_no_solution_names_those_who_disagree() -> None:
    graph: Graph = {"a": {"1.0.0": {"b": "^1"}}, "b": {"1.0.0": {}, "2.0.0": {}}}
    with pytest.raises(NoSolutionError) as caught:
        chosen(graph, a="*", b="^2")
    assert caught.value.address == "b"
    assert {(item.by, str(item.constraint)) for item in caught.value.requirements} == {("", "^2"), ("a 1.0.0", "^1")}
    assert [str(version) for version in caught.value.available] == ["1.0.0", "2.0.0"]


def test_a_circle_of_requirements_ends() -> None:
    graph: Graph = {
        "a": {"1.0.0": {"b": ">=2"}, "2.0.0": {}},
        "b": {"1.0.0": {}, "2.0.0": {"a": ">=2"}},
    }
    assert chosen(graph, a=">=1", b=">=1") == {"a": "2.0.0", "b": "2.0.0"}


def test_any_admits_every_release() -> None:
    assert ANY.admits(Version.parse("0.0.1"))


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, None),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, None),
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ("b", "c", "b")),
        ({"a": ["unknown"]}, None),
    ],
)
def test_cycles(graph: dict[str, list[str]], cycle: tuple[str, ...] | None) -> None:
    assert find_cycle(graph) == cycle
