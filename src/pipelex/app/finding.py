"""One thing that `pipelex doctor` found: its state, a sentence, where, and what to do about it. Runs anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipelex.errors import ConfigError, PipelexError, Problem
from pipelex.values.frozen import Frozen


class Finding(Frozen):
    """What one look showed. `place` is a file with its line, or whatever else says where; `fix` is what to do."""

    check: str
    state: Literal["ok", "warning", "error"]
    message: str
    place: str | None = None
    fix: str | None = None

    @classmethod
    def of(cls, check: str, error: PipelexError) -> Finding:
        """An error that a check met."""
        # Files are named as a person here would type them.
        place = error.where.removeprefix(f"{Path.cwd()}/") if error.where else None
        fix = error.hint or f"correct {place or f'the settings of {check}'}"
        return cls(check=check, state="error", message=error.message, place=place, fix=fix)

    @classmethod
    def at(cls, check: str, problem: Problem) -> Finding:
        """One mistake of a file, or of a variable."""
        place = problem.place or None
        fix = problem.hint or (f"correct {place}" if place else "correct this setting")
        return cls(check=check, state="error", message=problem.message, place=place, fix=fix)


def refusals(check: str, error: PipelexError) -> list[Finding]:
    """What an error tells: each mistake of the files it is about, or the error itself."""
    problems = error.found if isinstance(error, ConfigError) else []
    return [Finding.at(check, problem) for problem in problems] or [Finding.of(check, error)]
