"""What a run leaves: its result or its error as a document, and the files of its results directory."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelex.app import RunResult
    from pipelex.errors import PipelexError
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
        raise unwritten_rows(file, error) from None
    return True


def unwritten_rows(file: Path, error: OSError) -> PipelexError:
    """What it means that the CSV file cannot be written."""
    from pipelex.errors import InputError

    hint = "name a file that can be written with --save-csv"
    return InputError(f"the CSV file cannot be written: {error.strerror}", where=str(file), hint=hint)


def barrier(file: Path) -> OSError | None:
    """What would keep that file from being written, as far as it can be told without touching anything."""
    whole = place = file.absolute()
    if place.is_dir():
        return _error(errno.EISDIR)
    while not (place.exists() or place.is_symlink()):
        place = place.parent
    if place != whole and not place.is_dir():
        return _error(errno.ENOTDIR)
    rights = os.W_OK | os.X_OK if place.is_dir() else os.W_OK
    # What a link leads to may not be there yet.
    return _error(errno.EACCES) if place.exists() and not os.access(place, rights) else None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def write_files(
    result: RunResult, base: Path, files: Mapping[str, bytes], *, main: bool = True, memory: bool = True
) -> Path | None:
    """Write `<base>/<pipe>_output_NN/`, all or nothing, with the next free number. Returns the directory.

    `files` are those that the run made; with the result, if `main`, and its memory. None when that is no file at all.
    Raises ConfigError when the directory cannot be written.
    """
    note = f"> {SIMULATED}\n\n" if result.is_simulated else ""
    texts = {}
    if main:
        texts = {"main_stuff.json": _dumps(document(result), indent=4), "main_stuff.md": note + markdown(result)}
    if memory:
        texts["working_memory.json"] = memory_text(result)
    contents = {**files, **{name: f"{text.rstrip()}\n".encode() for name, text in texts.items()}}
    return write_directory(contents, base, result.pipe.rpartition(".")[2]) if contents else None


def memory_text(result: RunResult) -> str:
    """The working memory, as working_memory.json holds it."""
    return _dumps(result.working_memory.to_wire(result.run_id), indent=4) + "\n"


def write_directory(files: Mapping[str, bytes], base: Path, code: str) -> Path:
    """Write `<base>/<code>_output_NN/` with these files, all or nothing; ConfigError when that cannot be."""
    try:
        return _written(files, base, code)
    except OSError as error:
        raise unwritten(base, error) from error


def unwritten(base: Path, error: OSError) -> PipelexError:
    """What it means that a results directory cannot be made there."""
    from pipelex.errors import ConfigError

    hint = "name a directory that can be written with --output-dir, or dir under [output] in .pipelex/pipelex.toml"
    reason = error.strerror or type(error).__name__
    return ConfigError(f"the results cannot be written in {base}: {reason}", hint=hint)


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
