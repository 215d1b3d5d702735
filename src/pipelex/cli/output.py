"""What a finished run leaves: the result on stdout and the files of its results directory."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelex.app import RunResult

SIMULATED = "simulated: no model was called, texts and objects are made up"


def compact(result: RunResult) -> str:
    """The main stuff as JSON on one line; an absent one as its absence document (MTHDS section 15)."""
    return _dumps(document(result))


def full(result: RunResult) -> str:
    """The main stuff in three renderings, and the working memory (MTHDS section 15)."""
    report = markdown(result)
    renderings = {"json": _dumps(document(result)), "markdown": report, "html": _html(report)}
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


def consumed(result: RunResult) -> str:
    """What the run consumed, in brackets; nothing when it called no model."""
    usage = result.usage
    if not usage.calls:
        return ""
    parts = [f"{usage.calls} call{'s' if usage.calls > 1 else ''}"]
    if usage.input_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens} tokens in, {usage.output_tokens} out")
    if usage.pages:
        parts.append(f"{usage.pages} page{'s' if usage.pages > 1 else ''}")
    if not usage.is_simulated:
        parts.append("price unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4f} USD")
    return f" ({', '.join(parts)})"


def document(result: RunResult) -> Any:
    """The content of the main stuff as JSON data."""
    return result.data if result.absence is None else {"absent": True, **_absence(result)}


def write_files(result: RunResult, base: Path) -> Path:
    """Write `<base>/<pipe>_output_NN/`, all or nothing, with the next free number. Returns the directory.

    Raises ConfigError when that cannot be written.
    """
    note = f"> {SIMULATED}\n\n" if result.is_simulated else ""
    contents = {
        "main_stuff.json": _dumps(document(result), indent=4),
        "main_stuff.md": note + markdown(result),
        "working_memory.json": _dumps(result.working_memory.to_wire(result.run_id), indent=4),
    }
    try:
        return _written(contents, base, result.pipe.rpartition(".")[2])
    except OSError as error:
        from pipelex.errors import ConfigError

        hint = "name a directory that can be written with --output-dir, or dir under [output] in .pipelex/pipelex.toml"
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"the results cannot be written in {base}: {reason}", hint=hint) from error


def _written(contents: dict[str, str], base: Path, code: str) -> Path:
    base.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".writing-", dir=base))
    try:
        made.chmod(0o755)
        for name, text in contents.items():
            (made / name).write_text(text.rstrip("\n") + "\n", "utf-8")
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


def _absence(result: RunResult) -> dict[str, Any]:
    absence = result.absence
    if absence is None:
        return {}
    document = absence.model_dump(mode="json")
    document["kind"] = document.pop("absent")
    return document


def _html(report: str) -> str:
    from html import escape

    return f"<pre>{escape(report)}</pre>"


def _dumps(data: Any, indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=False, indent=indent)
