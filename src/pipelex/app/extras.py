"""Which versions and extras of pipelex this machine has, from the metadata of what is installed. Runs anywhere."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import NamedTuple

from pipelex.app.finding import Finding

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<extras>[^\]]*)\])?[^;]*(?:;(?P<marker>.*))?")
_EXTRA = re.compile(r"""\s*extra\s*==\s*['"]([\w.-]+)['"]\s*""")
_COLLECTIONS = ("all", "dev")
"""Extras that are made of others."""


class Extras(NamedTuple):
    """The extras of pipelex, sorted: those whose packages are all here, and the others."""

    present: tuple[str, ...]
    absent: tuple[str, ...]


def extras_here() -> Extras:
    """Look at what is installed. Where pipelex itself has no metadata, nothing is known and both are empty."""
    try:
        known = metadata("pipelex").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return Extras((), ())
    single = sorted(name for name in known if name not in _COLLECTIONS)
    present = tuple(name for name in single if _has("pipelex", name))
    return Extras(present, tuple(name for name in single if name not in present))


def version_findings(extras: Extras) -> list[Finding]:
    """The versions that a report of a fault should tell, and the extras."""
    installed = [f"{name} {found}" for name in ("pipelex", "temporalio") if (found := _version(name))]
    told = ", ".join([*installed, f"Python {platform.python_version()}", platform.system()])
    lists = [_listed("installed", extras.present), _listed("not installed", extras.absent)]
    return [
        Finding(check="versions", state="ok", message=told),
        Finding(
            check="extras", state="ok", message="; ".join(filter(None, lists)) or "unknown: pipelex has no metadata"
        ),
    ]


def _has(package: str, extra: str) -> bool:
    """Whether every package that the extra asks for is here, with what its own extras ask for."""
    return all(
        _version(name) and all(_has(name, inner) for inner in inners) for name, inners in _wanted(package, extra)
    )


def _wanted(package: str, extra: str) -> Iterator[tuple[str, list[str]]]:
    for line in requires(package) or ():
        found = _REQUIREMENT.fullmatch(line)
        # A requirement that also depends on the system or on Python is left to the installer.
        marked = _EXTRA.fullmatch(found["marker"] or "") if found else None
        if found and marked and marked[1] == extra:
            yield found["name"], [inner.strip() for inner in (found["extras"] or "").split(",") if inner.strip()]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _listed(what: str, names: Iterable[str]) -> str:
    words = ", ".join(names)
    return f"{what}: {words}" if words else ""
