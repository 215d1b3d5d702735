"""Where the inputs of a run come from: a file, inline JSON, or the inputs file beside the bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelex.errors import InputError

AUTOMATIC = ("inputs.json", "inputs.toml")


@dataclass(frozen=True)
class Given:
    """Inputs by name, and the directory that relative file paths in them start from."""

    values: dict[str, Any] = field(default_factory=dict)
    base: Path = Path()
    source: str | None = None


def read_inputs(given: str | None, beside: Path | None) -> Given:
    """Read `--inputs`; without it, the inputs file in the directory `beside`, if there is one."""
    if given is not None:
        return _inline(given) if given.lstrip().startswith("{") else _file(Path(given).expanduser())
    found = [beside / name for name in AUTOMATIC if (beside / name).is_file()] if beside else []
    if len(found) > 1:
        names = " and ".join(str(file) for file in found)
        raise InputError(f"both {names} are there, and only one can be used", hint="choose with --inputs FILE")
    return _file(found[0]) if found else Given()


def _inline(text: str) -> Given:
    return Given(_json(text, "--inputs"), Path(), "--inputs")


def _file(file: Path) -> Given:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        hint = "give the path of a .json or .toml file, or inline JSON starting with {"
        raise InputError(f"the inputs file {file} does not exist", hint=hint) from None
    except UnicodeDecodeError:
        raise InputError("the inputs file is not UTF-8 text", where=str(file)) from None
    except OSError as error:
        raise InputError(f"the inputs file cannot be read: {error.strerror}", where=str(file)) from None
    values = _toml(text, str(file)) if file.suffix == ".toml" else _json(text, str(file))
    return Given(values, file.parent, str(file))


def _toml(text: str, source: str) -> dict[str, Any]:
    from pipelex.errors import LanguageError
    from pipelex.language.toml import read_toml

    try:
        return read_toml(text, source)
    except LanguageError as error:
        problem = error.found[0] if error.found else None
        message = problem.message if problem else error.message
        raise InputError(f"the inputs are not TOML: {message}", where=problem.place if problem else source) from None


def _json(text: str, source: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{source}:{error.lineno}:{error.colno}"
        raise InputError(f"the inputs are not JSON: {error.msg}", where=where) from None
    if not isinstance(values, dict):
        raise InputError("the inputs must be one object, from input name to value", where=source)
    return values
