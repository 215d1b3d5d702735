"""Settings as text: what the source says of each key, and values as they are written in TOML. Pure."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel


@cache
def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """What the source says of each field: the text under it, else the comment above it; empty where it says nothing."""
    source = textwrap.dedent(inspect.getsource(model))
    lines = source.splitlines()
    (declared,) = ast.parse(source).body
    assert isinstance(declared, ast.ClassDef)
    notes = dict.fromkeys(model.model_fields, "")
    for base in model.__bases__:
        if issubclass(base, BaseModel) and base.model_fields:
            notes |= field_notes(base)
    for node, below in zip(declared.body, [*declared.body[1:], None], strict=True):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in notes):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            notes[node.target.id] = " ".join(str(below.value.value).split())
        else:
            notes[node.target.id] = _comment_above(lines[: node.lineno - 1])
    return notes


def _comment_above(lines: list[str]) -> str:
    found: list[str] = []
    while lines and lines[-1].strip().startswith("#"):
        found.insert(0, lines.pop().strip(" #"))
    return " ".join(found)


def toml(value: Any) -> str:
    """A value of the settings as it is written in TOML."""
    match value:
        case bool():
            return str(value).lower()
        case timedelta():
            return f'"{_duration(value)}"'
        case str() | Path():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(map(toml, value))}]"
        case Mapping() if not value:
            return "{}"
        case _:
            return str(value)


def _duration(value: timedelta) -> str:
    """In the largest whole unit."""
    seconds = int(value.total_seconds())
    size, unit = next(
        ((size, unit) for size, unit in ((3600, "h"), (60, "m")) if seconds and seconds % size == 0), (1, "s")
    )
    return f"{seconds // size}{unit}"
