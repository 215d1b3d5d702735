"""What a run leaves: its result or its error as a document, and the files of its results directory."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelex.app import RunResult
    from pipelex.values.concepts import Concepts
    from pipelex.values.slots import Slot
    from pipelex.values.value import Absence

SIMULATED = "simulated: no model was called, texts and objects are made up"


def show(result: RunResult, *, as_json: bool = False, with_memory: bool = False, is_quiet: bool = False) -> None:
    """Print the main stuff on stdout now: what was paid for must not be lost to what is done after.

    What is piped or asked for as JSON is not altered; a person's terminal is not steered by what a model wrote.
    """
    if with_memory:
        print(full(result), flush=True)
    elif as_json:
        print(compact(result), flush=True)
    elif not is_quiet:
        from pipelex.values.terminal import for_terminal

        text = for_reading(result)
        print(for_terminal(text) if sys.stdout.isatty() else text, flush=True)


def compact(result: RunResult) -> str:
    """The main stuff as JSON on one line; an absent one as its absence document (MTHDS section 15)."""
    return _dumps(document(result))


def full(result: RunResult) -> str:
    """The main stuff in three renderings, each a string, and the working memory (MTHDS section 15)."""
    renderings = {"json": _dumps(document(result)), "markdown": markdown(result), "html": html(result)}
    return _dumps({"main_stuff": renderings, "working_memory": result.working_memory.to_wire(result.run_id)})


def for_reading(result: RunResult) -> str:
    """The main stuff for a person: a text as it is, anything else as indented JSON."""
    from pipelex.values.value import Value

    data = result.data
    if isinstance(result.outcome, Value) and isinstance(data, dict) and result.concepts.is_text(result.outcome.concept):
        return str(data.get("text"))
    return _dumps(document(result), indent=2)


def markdown(result: RunResult) -> str:
    """The main stuff as a report for a person."""
    from pipelex.values.render import render_markdown_report
    from pipelex.values.value import Absence

    if isinstance(result.outcome, Absence):
        return f"(absent: {result.outcome.reason})"
    return render_markdown_report(result.outcome, result.concepts)


def html(result: RunResult) -> str:
    """The main stuff as HTML, every text of it escaped."""
    from html import escape

    from pipelex.values.render import render_value
    from pipelex.values.value import Absence

    if isinstance(result.outcome, Absence):
        return f"<p>(absent: {escape(result.outcome.reason)})</p>"
    return render_value(result.outcome, result.concepts, "html")


def consumed(result: RunResult) -> str:
    """What the run consumed, in brackets; nothing when it called no model."""
    from pipelex.cli.costs import from_cache

    usage = result.usage
    if not usage.calls:
        return f" ({from_cache(usage)})" if usage.cached_calls else ""
    parts = [f"{usage.calls} call{'s' if usage.calls > 1 else ''}", *filter(None, [from_cache(usage)])]
    if usage.input_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens} tokens in, {usage.output_tokens} out")
    if usage.pages:
        parts.append(f"{usage.pages} page{'s' if usage.pages > 1 else ''}")
    if not usage.is_simulated:
        parts.append("price unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4f} USD")
    return f" ({', '.join(parts)})"


def document(result: RunResult) -> Any:
    """The content of the main stuff as JSON data."""
    return result.data if result.absence is None else {"absent": True, **_absence(result.absence)}


def failure(error: Exception) -> str:
    """An error as one line of JSON (MTHDS section 16.1)."""
    from pipelex.errors import (
        AuthenticationError,
        ConfigError,
        InputError,
        InternalError,
        LanguageError,
        LibraryError,
        PipelexError,
    )

    if not isinstance(error, PipelexError):
        error = InternalError(f"{type(error).__name__}: {error}")
    domain = "runtime"
    if isinstance(error, InputError | LanguageError | LibraryError):
        domain = "input"
    elif isinstance(error, ConfigError | AuthenticationError):
        domain = "config"
    report = {"hint": None, **error.report()}
    stack = report.pop("pipe_path", None)
    told = {"error": True, "error_type": type(error).__name__, "code": report.pop("code")}
    told |= {"message": report.pop("message"), "hint": report.pop("hint")}
    told |= {"error_domain": domain, "retryable": error.is_retryable}
    report.pop("retryable", None)
    return _dumps(told | ({"pipe_stack": stack} if stack else {}) | report)


@contextlib.contextmanager
def failing_as_json(as_json: bool) -> Iterator[None]:
    """Make a failure of the block, if the command was asked for JSON, one line of JSON on stderr."""
    import typer

    try:
        yield
    except (BrokenPipeError, typer.Exit, typer.BadParameter):
        raise
    except Exception as error:
        if not as_json:
            raise
        from pipelex.cli.session import say

        say(failure(error))
        raise typer.Exit(1) from error


def check_rows(slot: Slot, concepts: Concepts) -> None:
    """Raise InputError when what a pipe declares as its output can never be written as rows."""
    from pipelex.errors import InputError
    from pipelex.values.csv_rows import flat_fields
    from pipelex.values.decode import Mismatch

    if concepts.is_open(slot.concept):
        return  # known at the end
    if not slot.is_list:
        raise InputError(f"--save-csv writes a list, and the output of this pipe is one {slot.concept}")
    try:
        flat_fields(slot.concept, concepts)
    except Mismatch as mismatch:
        raise InputError(f"--save-csv cannot write this output: {mismatch}") from None


def write_rows(result: RunResult, file: Path) -> bool:
    """Write the main stuff, a list of flat structures, as CSV; False when it is absent and nothing is written."""
    from pipelex.errors import InputError
    from pipelex.values.csv_rows import csv_from_rows
    from pipelex.values.decode import Mismatch
    from pipelex.values.value import Absence

    if isinstance(result.outcome, Absence):
        return False
    data = result.outcome.data
    if not isinstance(data, list):
        raise InputError(f"--save-csv writes a list, and the result is one {result.outcome.concept}")
    try:
        text = csv_from_rows(data, result.outcome.concept, result.concepts)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="")
    except Mismatch as mismatch:
        raise InputError(f"--save-csv cannot write this result: {mismatch}") from None
    except OSError as error:
        raise InputError(f"the CSV file cannot be written: {error.strerror}", where=str(file)) from None
    return True


def write_files(result: RunResult, base: Path, files: Mapping[str, bytes]) -> Path:
    """Write `<base>/<pipe>_output_NN/`, all or nothing, with the next free number. Returns the directory.

    `files` are those that the run made. Raises ConfigError when the directory cannot be written.
    """
    note = f"> {SIMULATED}\n\n" if result.is_simulated else ""
    texts = {
        "main_stuff.json": _dumps(document(result), indent=4),
        "main_stuff.md": note + markdown(result),
        "working_memory.json": _dumps(result.working_memory.to_wire(result.run_id), indent=4),
    }
    contents = {name: f"{text.rstrip()}\n".encode() for name, text in texts.items()}
    return write_directory({**files, **contents}, base, result.pipe.rpartition(".")[2])


def write_directory(files: Mapping[str, bytes], base: Path, code: str) -> Path:
    """Write `<base>/<code>_output_NN/` with these files, all or nothing; ConfigError when that cannot be."""
    try:
        return _written(files, base, code)
    except OSError as error:
        from pipelex.errors import ConfigError

        hint = "name a directory that can be written with --output-dir, or dir under [output] in .pipelex/pipelex.toml"
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"the results cannot be written in {base}: {reason}", hint=hint) from error


def _written(contents: Mapping[str, bytes], base: Path, code: str) -> Path:
    base.mkdir(parents=True, exist_ok=True)
    made = base / f".writing-{token_hex(8)}"
    made.mkdir()
    try:
        for name, data in contents.items():
            (made / name).write_bytes(data)
        return _named(made, base, code)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _named(made: Path, base: Path, code: str) -> Path:
    number = 1
    while True:
        final = base / f"{code}_output_{number:02d}"
        if not final.exists():
            try:
                os.rename(made, final)
            except OSError:
                if not final.exists():
                    raise
            else:
                return final
        number += 1


def _absence(absence: Absence) -> dict[str, Any]:
    return {
        "variable": absence.variable,
        "kind": absence.absent,
        "reason": absence.reason,
        "producer": absence.producer,
        "upstream": None if absence.upstream is None else _absence(absence.upstream),
    }


def _dumps(data: Any, indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=False, indent=indent)
