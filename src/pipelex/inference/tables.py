"""Reading TOML tables: the built-in defaults and the user's files over them. Runs where a process starts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeGuard

from pipelex.errors import ConfigError, LanguageError
from pipelex.inference.redaction import redact
from pipelex.language.positions import positions_of
from pipelex.language.toml import read_toml

Table = dict[str, Any]
BUILT_IN = "t"
OWN = "own"
"""The marks of prices: of the built-in tables, with the day they were checked, and of those that lie over them."""
_TABLE = re.compile(r"(?P<file>.+): \[(?P<table>.+)\]")
_CHECKED = date(2026, 11, 22)
"""When the built-in prices were last compared with those of the providers, or of genai-prices."""


def defaults() -> Traversable:
    """The folder of the built-in tables, laid out as `.pipelex/inference`."""
    return files("pipelex.inference.defaults")


def is_table(value: object) -> TypeGuard[Table]:
    """Whether a TOML value is a table."""
    return isinstance(value, dict)


def read_table(file: Traversable) -> Table:
    """Read one TOML file. Raises ConfigError naming the file, and the place in it."""
    try:
        return read_toml(file.read_text(encoding="utf-8"), str(file))
    except LanguageError as error:
        (problem,) = error.found
        raise ConfigError(f"this is {problem.message}", where=problem.place, hint=problem.hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"this is not valid TOML: {error}", where=str(file)) from error
    except OSError as error:
        raise ConfigError(f"cannot read the file: {error.strerror}", where=str(file)) from error


def toml_files(folder: Traversable) -> list[Traversable]:
    """The TOML files of a folder, by name."""
    return sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """`over` laid over `under`, table by table; other values, lists included, are replaced."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if is_table(below) and is_table(value) else value
    return result


def with_price_mark(tables: Table, *, is_own: bool) -> Table:
    """Model tables, those with costs marked with where these come from: `costs_from`, one key that files never hold."""
    mark = OWN if is_own else f"{BUILT_IN}{_CHECKED:%y%m%d}"
    return {
        name: {**table, "costs_from": mark} if is_table(table) and "costs" in table else table
        for name, table in tables.items()
    }


def first_found(dirs: Sequence[Path], name: str) -> Path | None:
    """The first of `<dir>/inference/<name>` and `<dir>/<name>` that exists: these files are never merged together."""
    for folder in dirs:
        for path in (folder / "inference" / name, folder / name):
            if path.exists():
                return path
    return None


def place(where: str, *keys: str) -> str:
    """`file:line:column` of the table that `file: [table]` names, or of a key in it; `where` if there is no such file.

    Files are read again for it: it is only asked for once something is wrong.
    """
    found = _TABLE.fullmatch(where)
    file = found["file"] if found else where
    try:
        text = Path(file).read_text("utf-8")
        path, inner = list[str](), tomllib.loads(f"[{found['table']}]" if found else "")
    except (OSError, ValueError):
        return where
    while inner:
        (key,) = inner
        path, inner = [*path, key], inner[key]
    line, column = positions_of(text).nearest((*path, *keys))
    return f"{file}:{line}:{column}"


def check_table(value: object, where: str) -> Table:
    """`value`, if it is a table. Raises ConfigError otherwise."""
    if not is_table(value):
        # What stands here in place of a table may be a key.
        raise ConfigError(f"expected a table, found {redact(repr(value), ())}", where=place(where))
    return value


def check_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise ConfigError on a key that is not known, with the closest one."""
    names = list(known)
    for key in table:
        if key not in names:
            raise ConfigError(f"unknown key {key!r}", where=place(where, key), hint=did_you_mean(key, names))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the closest known names, or with the first few when none is close."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.55)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "known names: " + ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
