"""`pipelex validate bundle`: check a method without running it for real. Exit 0 valid, 1 invalid, 2 no verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelex.cli.flags import Json, LibraryDirs

if TYPE_CHECKING:
    from pipelex.app import ValidationReport
    from pipelex.errors import Problem
    from pipelex.library.library import Library
    from pipelex.values.slots import Slot

VALID, INVALID, NO_VERDICT = 0, 1, 2

app = typer.Typer(help="Check a method.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Check a method."""


@app.command("bundle")
def bundle(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A .mthds file, or a directory of them.")],
    library_dir: LibraryDirs = None,
    json: Json = False,
) -> None:
    """Check a bundle: its language, its links, its models, and a dry run of each of its pipes.

    Exit code 0: valid (warnings do not count); 1: invalid; 2: no verdict, for instance because the file is missing.
    """
    import asyncio
    import sys

    from pipelex.app import Runtime
    from pipelex.cli import session
    from pipelex.errors import PipelexError

    async def check() -> ValidationReport:
        loaded = session.load()
        async with Runtime.open(loaded.settings, library_dirs=library_dir, environ=loaded.environ) as runtime:
            return await runtime.validate([path])

    try:
        report = asyncio.run(check())
    except PipelexError as error:
        print(_no_verdict(error) if json else error.render(), file=sys.stderr)
        raise typer.Exit(NO_VERDICT) from None
    if json:
        print(_dumps(document(report)))
    else:
        _show(path, report)
    raise typer.Exit(VALID if report.is_valid else INVALID)


def _show(path: Path, report: ValidationReport) -> None:
    from pipelex.cli.session import say

    for problem in (*report.warnings, *report.problems):
        say(problem.render())
    if report.is_valid:
        count = f", {len(report.warnings)} warning(s)" if report.warnings else ""
        print(f"valid: {path}: {len(report.pipes)} pipe(s){count}")
    else:
        say(f"invalid: {path}: {len(report.problems)} error(s)")


def document(report: ValidationReport) -> dict[str, Any]:
    """The report with the keys of MTHDS section 16.2."""
    pipes = [{"pipe_ref": ref, "status": status} for ref, status in report.pipes]
    library = report.library
    return {
        "is_valid": report.is_valid,
        "is_runnable": report.is_valid,
        "main_pipe": report.main_pipe,
        "validated_pipes": pipes,
        "pending_signatures": [],
        "validation_errors": [_located(problem) for problem in report.problems],
        "warnings": [_located(problem) for problem in report.warnings],
        "pipe_io_contracts": {ref: _contract(library, ref) for ref, _ in report.pipes} if library else {},
    }


def _located(problem: Problem) -> dict[str, Any]:
    """A problem without the locators that are unknown."""
    from dataclasses import asdict

    return {key: value for key, value in asdict(problem).items() if value is not None and key != "is_warning"}


def _contract(library: Library, ref: str) -> dict[str, Any]:
    """What a pipe takes and gives."""
    from pipelex.values.schema import slot_schema

    def side(slot: Slot) -> dict[str, Any]:
        multiplicity = "single" if not slot.is_list else "variable" if slot.count is None else "fixed"
        return {"concept_ref": slot.concept, "multiplicity": multiplicity, "item_count": slot.count}

    pipe = library.pipe(ref)
    words = {"plain": "plain", "optional": "optional", "forced": "force"}
    inputs = {
        name: {**side(slot), "presence": words[slot.presence], "json_schema": slot_schema(slot, library.concepts)}
        for name, slot in pipe.inputs.items()
    }
    return {"inputs": inputs, "output": {**side(pipe.output), "optional": pipe.output.presence == "optional"}}


def _no_verdict(error: Exception) -> str:
    from pipelex.errors import PipelexError

    report = error.report() if isinstance(error, PipelexError) else {"message": str(error)}
    return _dumps({"error": True, **report})


def _dumps(data: object) -> str:
    import json

    return json.dumps(data, ensure_ascii=False)
