"""Where configuration lives: the project root, its `.pipelex`, the user's `~/.pipelex`. Creates nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARKS = (".pipelex", ".git", "pyproject.toml", "setup.py", "setup.cfg", "package.json", ".hg")
"""Any of these makes a directory the root of a project."""


@dataclass(frozen=True)
class Project:
    """The root that relative paths of the configuration are relative to, and the two directories of settings."""

    root: Path
    user_dir: Path
    project_dir: Path | None

    @property
    def config_dirs(self) -> tuple[Path, ...]:
        """The directories to look into, nearest first."""
        return (self.project_dir, self.user_dir) if self.project_dir else (self.user_dir,)


def find_project(cwd: Path, environ: Mapping[str, str]) -> Project:
    """Find the project around `cwd`: its first ancestor with one of MARKS, the home directory excluded; else `cwd`."""
    home = Path(environ["HOME"]).resolve() if environ.get("HOME") else Path.home()
    user_dir = Path(environ["PIPELEX_HOME"]).expanduser() if environ.get("PIPELEX_HOME") else home / ".pipelex"
    start = cwd.resolve()
    root = start
    for candidate in (start, *start.parents):
        if candidate == home:
            break
        if any((candidate / mark).exists() for mark in MARKS):
            root = candidate
            break
    found = root / ".pipelex"
    is_own = found.is_dir() and found.resolve() != user_dir.resolve()
    return Project(root=root, user_dir=user_dir, project_dir=found if is_own else None)
