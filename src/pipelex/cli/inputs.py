"""Where the inputs of a run come from: a file, inline JSON, stdin, or the inputs file beside the bundle."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelex.errors import InputError

if TYPE_CHECKING:
    from pipelex.values.slots import Slot

AUTOMATIC = ("inputs.json", "inputs.toml")
STDIN = "-"
FIRST_SECONDS, SILENT_SECONDS = 1.0, 10.0
"""How long a pipe may take to begin, and to go on: a service may hold one open for ever and never write to it."""


@dataclass(frozen=True)
class Given:
    """Inputs by name, and the directory that relative file paths in them start from.

    `earlier` is the full output of another run, in which the inputs are found once the pipe is known.
    """

    values: dict[str, Any] = field(default_factory=dict)
    base: Path = Path()
    source: str | None = None
    earlier: dict[str, Any] | None = None

    def for_pipe(self, declared: Mapping[str, Slot]) -> dict[str, object]:
        """The inputs of a pipe: those of another run are found by name."""
        from pipelex.values.earlier import inputs_from

        return self.values if self.earlier is None else inputs_from(self.earlier, declared)


def read_inputs(given: str | None, beside: Path | None) -> Given:
    """Read `--inputs`; without it stdin, if something is there; else the inputs file in the directory `beside`."""
    if given is not None and given != STDIN:
        return _inline(given) if given.lstrip().startswith("{") else _file(Path(given).expanduser())
    piped = read_stdin(is_asked=given is not None)
    if piped is not None:
        return _piped(piped)
    found = [beside / name for name in AUTOMATIC if (beside / name).is_file()] if beside else []
    if len(found) > 1:
        names = " and ".join(str(file) for file in found)
        raise InputError(f"both {names} are there, and only one can be used", hint="choose with --inputs FILE")
    return _file(found[0]) if found else Given()


def read_stdin(*, is_asked: bool) -> str | None:
    """The text on stdin, or None when there is none.

    Unless it is asked for, only a file, a pipe or a socket is read, and never waited for without end: it must begin
    within a second. One that begins and then falls silent is an error. Raises InputError.
    """
    try:
        number = sys.stdin.fileno()
        mode = os.fstat(number).st_mode
        is_waited_for = is_asked or stat.S_ISREG(mode)
        if not is_waited_for and not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
            return None
        data = _all_bytes(number, is_waited_for=is_waited_for)
    except (AttributeError, OSError, ValueError):  # closed, replaced, or of a kind that cannot be waited for
        data = b""
    try:
        text = "" if data is None else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("the inputs are not UTF-8 text", where="stdin") from None
    if text.strip():
        return text
    if is_asked:
        raise InputError("stdin is empty", hint="pipe a JSON object into this command")
    return None


def _all_bytes(number: int, *, is_waited_for: bool) -> bytes | None:
    chunks: list[bytes] = []
    while True:
        seconds = SILENT_SECONDS if chunks else FIRST_SECONDS
        if not is_waited_for and not select.select([number], [], [], seconds)[0]:
            if chunks:
                hint = "close it at its end, or wait for it with --inputs -"
                raise InputError(f"stdin began, and then fell silent for {seconds:.0f} seconds", hint=hint)
            print("stdin is open and has nothing in it: not waited for (--inputs - waits)", file=sys.stderr)
            return None
        chunk = os.read(number, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _piped(text: str) -> Given:
    from pipelex.values.earlier import is_full_output

    hint = "with < /dev/null nothing is read from stdin, and so it is with --inputs FILE"
    values = _json(text, "stdin", hint=hint)
    if is_full_output(values):
        return Given(source="stdin (the output of another run)", earlier=values)
    return Given(values, Path(), "stdin")


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


def _json(text: str, source: str, hint: str | None = None) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{source}:{error.lineno}:{error.colno}"
        raise InputError(f"the inputs are not JSON: {error.msg}", where=where, hint=hint) from None
    except RecursionError:
        raise InputError("the inputs are nested too deeply", where=source) from None
    if not isinstance(values, dict):
        raise InputError("the inputs must be one object, from input name to value", where=source, hint=hint)
    return values
