"""Where the configuration of this machine comes from: which files and variables, and what each of them sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelex.app.finding import Finding
from pipelex.config.load import Loaded, settings_files, shown_path
from pipelex.inference.tables import first_found

_MODEL_FILES = ("backends.toml", "backends", "routing_profiles.toml", "deck")
_MOST = 4
"""How many settings of a file are named."""


def source_findings(loaded: Loaded) -> Iterator[Finding]:
    """Each source of the configuration, in order of increasing priority, then what looks like one and is not read."""
    project, environ = loaded.project, loaded.environ
    read = settings_files(project, environ)
    of_source: dict[str, list[str]] = {shown_path(file): [] for file in read}
    for key, source in loaded.sources.items():
        of_source.setdefault(source, []).append(key)
    if not read:
        yield _ok(f"no file of settings in {' nor '.join(map(shown_path, project.config_dirs))}: the defaults hold")
    for source, keys in of_source.items():
        yield _ok(f"{source}: {_told(keys)}")
    for directory in project.config_dirs:
        for file in sorted(set(directory.glob("pipelex*.toml")) - set(read)):
            which = f"PIPELEX_ENV is {environ.get('PIPELEX_ENV') or 'dev'}"
            yield _ok(
                f"{shown_path(file)}: not read, because {which} and RUN_MODE is {environ.get('RUN_MODE') or 'normal'}"
            )
    for name in _MODEL_FILES:
        if (path := first_found(project.config_dirs, name)) is not None:
            yield _ok(f"{shown_path(path)}: laid over the models known out of the box")
    for file in (project.user_dir / ".env", Path.cwd() / ".env"):
        if file.is_file():
            yield _ok(f"{shown_path(file)}: variables, of which those of the environment itself go first")


def _ok(message: str) -> Finding:
    return Finding(check="configuration", state="ok", message=message)


def _told(keys: list[str]) -> str:
    if not keys:
        return "sets nothing, the defaults hold"
    more = f" and {len(keys) - _MOST} more" if len(keys) > _MOST else ""
    return f"sets {', '.join(keys[:_MOST])}{more}"
