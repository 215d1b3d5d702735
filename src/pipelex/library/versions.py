"""Versions (semver 2.0), constraints on them, and the choice of one version of each package (MTHDS 17). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, total_ordering
from typing import Literal

_NUMBER = r"(?:0|[1-9][0-9]*)"
_LABELS = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<pre>{_LABELS}(?:\.{_LABELS})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_TERM = re.compile(r"(?P<sign>\^|~|>=|<=|>|<|==|!=)?\s*(?P<rest>\S+)")
_PARTIAL = re.compile(rf"(?P<numbers>{_NUMBER}(?:\.{_NUMBER}){{0,1}})(?P<star>\.\*)?")

Triple = tuple[int, int, int]
_PreKey = tuple[tuple[int, int, str], ...]


@total_ordering
@dataclass(frozen=True)
class Version:
    """A semantic version. Compared by precedence, where what follows `+` does not count."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`. Raises ValueError with a sentence that says what is wrong."""
        found = _VERSION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a version: write MAJOR.MINOR.PATCH, such as 1.4.0 or 2.0.0-beta.1")
        pre = tuple(found["pre"].split(".")) if found["pre"] else ()
        return cls(int(found["major"]), int(found["minor"]), int(found["patch"]), pre, found["build"] or "")

    @property
    def triple(self) -> Triple:
        """Major, minor and patch."""
        return self.major, self.minor, self.patch

    @cached_property
    def precedence(self) -> tuple[Triple, bool, _PreKey]:
        """What versions are compared by: a prerelease comes before its release; its numbers before its words."""
        pre = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return self.triple, not self.pre, pre

    def __eq__(self, other: object) -> bool:
        return self.precedence == other.precedence if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self.precedence < other.precedence

    def __hash__(self) -> int:
        return hash(self.precedence)

    def __str__(self) -> str:
        pre = f"-{'.'.join(self.pre)}" if self.pre else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{f'+{self.build}' if self.build else ''}"


def version_of_tag(tag: str) -> Version | None:
    """The version that a tag names (`1.2.0`, `v1.2.0`), if it names one."""
    try:
        return Version.parse(tag.removeprefix("v"))
    except ValueError:
        return None


Sign = Literal["<", "<=", ">", ">=", "==", "!="]


@dataclass(frozen=True)
class _Bound:
    sign: Sign
    version: Version

    def admits(self, version: Version) -> bool:
        match self.sign:
            case "<":
                return version < self.version
            case "<=":
                return version <= self.version
            case ">":
                return version > self.version
            case ">=":
                return version >= self.version
            case "==":
                return version == self.version
            case "!=":
                return version != self.version


@dataclass(frozen=True)
class _Not:
    """None of these versions: `!= 1.2.*`."""

    term: tuple[_Bound, ...]

    def admits(self, version: Version) -> bool:
        return not all(bound.admits(version) for bound in self.term)


@dataclass(frozen=True)
class Constraint:
    """A conjunction of bounds on a version: `^1.2`, `>=1.0, <1.5`, `1.*`.

    A prerelease is only admitted when the constraint names a prerelease of the same MAJOR.MINOR.PATCH: who asks for
    `>=1.0.0` does not get `2.0.0-alpha`.
    """

    text: str
    bounds: tuple[_Bound | _Not, ...]

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read a constraint. Raises ValueError with a sentence that says what is wrong."""
        return cls(text.strip(), tuple(bound for term in text.split(",") for bound in _term(term.strip(), text)))

    def admits(self, version: Version) -> bool:
        """Whether the version satisfies every bound."""
        if version.pre and not any(
            isinstance(bound, _Bound) and bound.version.pre and bound.version.triple == version.triple
            for bound in self.bounds
        ):
            return False
        return all(bound.admits(version) for bound in self.bounds)

    def is_above(self, version: Version) -> bool:
        """Whether only versions after that one can satisfy it."""
        lower = (bound for bound in self.bounds if isinstance(bound, _Bound) and bound.sign in (">", ">=", "=="))
        return any(bound.version >= version and not bound.admits(version) for bound in lower)

    def __str__(self) -> str:
        return self.text


ANY = Constraint("*", ())
"""The constraint that every release satisfies."""


def _term(term: str, whole: str) -> tuple[_Bound | _Not, ...]:
    if term == "*":
        return ()
    found = _TERM.fullmatch(term)
    if found is None:
        raise _bad(term, whole)
    sign, rest = found["sign"] or "", found["rest"]
    if _VERSION.fullmatch(rest):
        return _of_version(sign, Version.parse(rest))
    partial = _PARTIAL.fullmatch(rest)
    if partial is None or (partial["star"] and sign not in ("", "==", "!=")):
        raise _bad(term, whole)
    numbers = [int(part) for part in partial["numbers"].split(".")]
    return _of_partial(sign, numbers)


def _bad(term: str, whole: str) -> ValueError:
    shown = f"{term!r} in {whole!r}" if term != whole.strip() else repr(whole)
    return ValueError(f"{shown} is not a version constraint")


def _of_version(sign: str, version: Version) -> tuple[_Bound | _Not, ...]:
    match sign:
        case "^":
            return _between(version, _next(version, _caret_place([*version.triple])))
        case "~":
            return _between(version, _next(version, 1))
        case "<" | "<=" | ">" | ">=" | "!=":
            return (_Bound(sign, version),)
        case _:
            return (_Bound("==", version),)


def _of_partial(sign: str, numbers: list[int]) -> tuple[_Bound | _Not, ...]:
    """The bounds of `1` or `1.2`: a span of versions, that a sign bounds from the outside."""
    start = _release([*numbers, 0, 0])
    after = _next(start, len(numbers) - 1)
    match sign:
        case "^":
            return _between(start, _next(start, _caret_place(numbers)))
        case ">=":
            return (_Bound(">=", start),)
        case "<":
            return (_Bound("<", start),)
        case ">":
            return (_Bound(">=", after),)
        case "<=":
            return (_Bound("<", after),)
        case "!=":
            return (_Not(_between(start, after)),)
        case _:
            return _between(start, after)


def _between(start: Version, end: Version) -> tuple[_Bound, _Bound]:
    return _Bound(">=", start), _Bound("<", end)


def _caret_place(numbers: Sequence[int]) -> int:
    """The leftmost number that is not 0, which `^` does not let change; the last one when all are 0."""
    return next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)


def _next(version: Version, place: int) -> Version:
    """The first version whose number at that place is greater."""
    return _release([*version.triple[:place], version.triple[place] + 1, 0, 0])


def _release(numbers: Sequence[int]) -> Version:
    return Version(numbers[0], numbers[1], numbers[2])


@dataclass(frozen=True)
class Requirement:
    """That `by` asks for a version of the package at `address`. `by` is "" for what the root asks for."""

    address: str
    constraint: Constraint
    by: str = ""


class NoSolutionError(Exception):
    """No version of a package satisfies everybody. `requirements` are all those on it, `available` what there is."""

    def __init__(self, address: str, requirements: Sequence[Requirement], available: Sequence[Version]) -> None:
        super().__init__(address)
        self.address = address
        self.requirements = tuple(requirements)
        self.available = tuple(available)


def select(
    asked: Iterable[Requirement],
    available: Callable[[str], Sequence[Version]],
    required_by: Callable[[str, Version], Iterable[Requirement]],
) -> dict[str, Version]:
    """The lowest available version of each package, by address, that satisfies all those that depend on it.

    Requirements of a version that was left for a higher one do not count. Going up only, the search ends, and its
    result depends on nothing but what is available. Raises NoSolutionError.
    """
    root = list(asked)
    chosen: dict[str, Version] = {}
    while True:
        wanted = _reachable(root, chosen, required_by)
        before, failure = dict(chosen), None
        for address, requirements in wanted.items():
            versions = sorted(available(address), key=lambda version: (version, version.build))
            floor = chosen.get(address)
            fitting = [version for version in versions if _fits(version, floor, requirements)]
            if fitting:
                chosen[address] = fitting[0]
            else:
                # Another package may yet go up, and no longer ask for what cannot be had.
                failure = failure or NoSolutionError(address, requirements, versions)
        if chosen == before:
            if failure is not None:
                raise failure
            return {address: chosen[address] for address in sorted(wanted)}


def _fits(version: Version, floor: Version | None, requirements: Iterable[Requirement]) -> bool:
    is_high_enough = floor is None or version >= floor
    return is_high_enough and all(requirement.constraint.admits(version) for requirement in requirements)


def _reachable(
    root: Iterable[Requirement],
    chosen: Mapping[str, Version],
    required_by: Callable[[str, Version], Iterable[Requirement]],
) -> dict[str, list[Requirement]]:
    """The requirements that hold when those versions are taken, by address, from the root outwards."""
    wanted: dict[str, list[Requirement]] = {}
    waiting = list(root)
    while waiting:
        requirement = waiting.pop(0)
        known = wanted.setdefault(requirement.address, [])
        known.append(requirement)
        version = chosen.get(requirement.address)
        if len(known) == 1 and version is not None:
            waiting += required_by(requirement.address, version)
    return wanted


def find_cycle(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...] | None:
    """The first cycle of a graph, from its first node back to it; None when there is none."""
    done: set[str] = set()
    for start in graph:
        path: list[str] = []
        stack: list[Iterator[str]] = [iter((start,))]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                if path:
                    done.add(path.pop())
            elif node in path:
                return (*path[path.index(node) :], node)
            elif node not in done:
                path.append(node)
                stack.append(iter(graph.get(node, ())))
    return None
