"""The layers of configuration merged into one Settings, with a place for every mistake. Runs where a process starts.

Each over the former: defaults, `~/.pipelex/pipelex.toml` and its variants, the project's `.pipelex/pipelex.toml` and
its variants, `PIPELEX__SECTION__KEY` variables, overrides given by the program.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelex.config.earlier import split
from pipelex.config.project import Project, find_project
from pipelex.config.settings import PLACES, Settings
from pipelex.errors import ConfigError, LanguageError, Problem

ENVIRONMENTS = ("local", "dev", "staging", "prod")
PREFIX = "PIPELEX__"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LAZY_SUFFIX = "api_key"
"""Values under keys that end so are secrets: left as written, and read by whoever needs them."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Layer:
    """One source of settings. `text` lets a problem point at a line; None for what is not a file."""

    source: str
    values: dict[str, Any]
    text: str | None = None

    def line(self, path: KeyPath) -> int | None:
        """The line of that key, or of its nearest parent, in the file; None for what is not a file."""
        if self.text is None:
            return None
        from pipelex.language.positions import positions_of

        return positions_of(self.text).nearest(path)[0]

    def variables(self, path: KeyPath) -> list[str]:
        """The `${…}` that stand in the value as it is written at that key."""
        return re.findall(r"\$\{[^}]*\}", str(_at(self.values, path)))

    def problem(self, code: str, message: str, path: KeyPath, hint: str | None = None) -> Problem:
        """A problem at that key, as written in this layer."""
        if self.text is None:
            return Problem(code=code, message=message, file=self.source, hint=hint)
        from pipelex.language.positions import problem_at

        problem = problem_at(self.source, self.text, path, code, message, hint=hint)
        # The excerpt would show the value.
        return replace(problem, excerpt=None) if _is_secret(path) else problem


@dataclass
class Merged:
    """The layers merged so far, and where each key came from: the layer, and the place as written there."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, tuple[Layer, KeyPath]] = field(default_factory=dict)

    def add(self, layer: Layer, here: tuple[str, ...], written: tuple[str, ...], value: Any) -> None:
        """Put `value` at `here`: tables merge key by key, anything else replaces what was there."""
        table = self.values
        for key in here[:-1]:
            if not isinstance(table.get(key), dict):
                table[key] = {}
            table = table[key]
        self.origins[here] = (layer, written)
        if not isinstance(value, dict):
            table[here[-1]] = value
            return
        if not isinstance(table.get(here[-1]), dict):
            table[here[-1]] = {}
        for key, item in value.items():
            self.add(layer, (*here, key), (*written, key), item)

    def origin(self, path: KeyPath) -> tuple[Layer, KeyPath] | None:
        """Where the value at `path` was written: its own place, or its nearest parent's (inside a list, say)."""
        for length in range(len(path), 0, -1):
            if found := self.origins.get(path[:length]):
                layer, written = found
                return layer, (*written, *path[length:])
        return None


@dataclass(frozen=True)
class Loaded:
    """What was read: the settings, warnings for a person, the environment with `.env` files, each value's source."""

    settings: Settings
    project: Project
    environ: dict[str, str]
    warnings: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    origins: Mapping[KeyPath, tuple[Layer, KeyPath]] = field(default_factory=dict)
    """Where each key was written: the layer, and the place there. A key that is not here has its default."""


def load_settings(
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Load the settings that hold for `cwd`. Raises ConfigError with every mistake found.

    `overrides` is a nested mapping, e.g. `{"temporal": {"is_enabled": True}}`, and wins over every other layer.
    """
    cwd = cwd or Path.cwd()
    given = dict(os.environ if environ is None else environ)
    project = find_project(cwd, given)
    env = read_dotenv((project.user_dir / ".env", cwd / ".env"), given)
    merged, problems, warnings = Merged(), list[Problem](), list[str]()
    known_inference = frozenset(_known_keys(Settings, ("inference",)))
    for layer in _files(project, env, problems):
        parts, ignored = split(layer.values, known_inference)
        for here, written, value in parts:
            merged.add(layer, here, written, value)
        if ignored:
            warnings.append(f"{layer.source}: no effect, from an earlier pipelex: {', '.join(ignored)}")
    for name, text in sorted(env.items()):
        if name.startswith(PREFIX):
            path = _spelled(merged.values, name.removeprefix(PREFIX).split("__"))
            merged.add(Layer(f"environment variable {name}", {}), path, path, _env_value(text))
    for key, value in (overrides or {}).items():
        merged.add(Layer("the program", {}), (key,), (key,), value)
    merged.values = _substituted(merged, env, problems)
    library_dirs = _library_dirs(env, cwd)
    if library_dirs is not None:
        merged.origins["library", "dirs"] = Layer("environment variable PIPELEXPATH", {}), ("library", "dirs")
    settings = _validated(merged, project, library_dirs, problems)
    if settings is None or problems:
        raise _failure(problems)
    if (said := settings.temporal.payload_codec_config.warning) is not None:
        warnings.append(said)
    sources = {
        ".".join(map(str, path)): layer.source
        for path, (layer, _) in merged.origins.items()
        if not isinstance(_at(merged.values, path), dict)
    }
    return Loaded(settings, project, env, tuple(warnings), sources, merged.origins)


def read_dotenv(files: Sequence[Path], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment completed by `.env` files, later files first in rank.

    What the process was given wins over every file (an earlier pipelex did the opposite): in a container, the
    variables set by the operator must not be undone by a file left in the working directory.
    """
    completed: dict[str, str] = {}
    for file in files:
        if file.is_file():
            from dotenv import dotenv_values

            try:
                found = dotenv_values(file)
            except (OSError, UnicodeDecodeError) as error:
                reason = (error.strerror if isinstance(error, OSError) else "it is not UTF-8 text") or "unknown"
                hint = "make it readable for this user, a text of NAME=value lines, or remove it"
                raise ConfigError(f"{shown_path(file)} cannot be read: {reason}", where=str(file), hint=hint) from None
            completed |= {name: value for name, value in found.items() if value is not None}
    return completed | dict(environ)


def _files(project: Project, environ: Mapping[str, str], problems: list[Problem]) -> Iterator[Layer]:
    env = environ.get("PIPELEX_ENV") or "dev"
    if env not in ENVIRONMENTS:
        message = f"PIPELEX_ENV is {env!r}; it may be {', '.join(ENVIRONMENTS)}"
        hint = "export one of these, or unset it: dev is what holds then"
        problems.append(Problem("unknown_environment", message, file="environment variable PIPELEX_ENV", hint=hint))
    for file in settings_files(project, environ):
        yield _read(file)


def settings_files(project: Project, environ: Mapping[str, str]) -> list[Path]:
    """The files of settings that are read, in order of increasing priority."""
    variants = ("local", environ.get("PIPELEX_ENV") or "dev", environ.get("RUN_MODE") or "normal")
    every = dict.fromkeys((*variants, "override", "temporary_override"))
    names = ["pipelex.toml", *(f"pipelex_{variant}.toml" for variant in every)]
    files = (directory / name for directory in reversed(project.config_dirs) for name in names)
    return [file for file in files if file.is_file()]


def _read(file: Path) -> Layer:
    from pipelex.language.toml import read_toml

    source = shown_path(file)
    try:
        text = file.read_text("utf-8")
        return Layer(source, read_toml(text, source), text)
    except LanguageError as error:
        problems = [_without_keys(problem) for problem in error.found]
        raise ConfigError(f"{source} is not TOML", problems=problems) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration: {error}", where=source) from None


def shown_path(file: Path) -> str:
    """The path as a person would type it: relative to the current directory when inside it."""
    try:
        return str(file.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(file)


def _library_dirs(environ: Mapping[str, str], cwd: Path) -> tuple[Path, ...] | None:
    parts = [part for part in environ.get("PIPELEXPATH", "").split(os.pathsep) if part]
    return tuple(cwd / Path(part).expanduser() for part in parts) or None


def _spelled(values: Any, parts: Sequence[str]) -> tuple[str, ...]:
    """The key path an environment variable means: as an existing key is spelled whatever its case, else lower case."""
    path: list[str] = []
    for part in parts:
        keys = list(values) if isinstance(values, dict) else []
        key = next((key for key in keys if key.lower() == part.lower()), part.lower())
        values = values.get(key) if isinstance(values, dict) else None
        path.append(key)
    return tuple(path)


def _env_value(text: str) -> Any:
    """A list or an inline table in TOML spelling; anything else stays a text, which the settings know how to read."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _substituted(merged: Merged, environ: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    """The values with `${NAME}`, `${env:NAME}` and `${env:A|secret:B}` replaced.

    Secrets stay as written, and so do the servers that are not selected: nobody needs their variables.
    """
    servers: KeyPath = ("temporal", "temporal_config", "temporal_server_configs")
    selected = _at(merged.values, ("temporal", "temporal_config", "selected_server")) or "local"

    def walk(value: Any, path: KeyPath) -> Any:
        if path[:3] == servers and len(path) > 3 and path[3] != selected:
            return value
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and "${" in value and not str(path[-1]).endswith(_LAZY_SUFFIX):
            return _VARIABLE.sub(lambda found: replacement(found[1], path), value)
        return value

    def replacement(inside: str, path: KeyPath) -> str:
        names = [option.strip().removeprefix("env:").removeprefix("secret:") for option in inside.split("|")]
        for name in names:
            if name in environ:
                return environ[name]
        message = f"{_dotted(path)} needs the environment variable {' or '.join(names)}, which is not set"
        problems.append(_problem(merged, path, "missing_variable", message, f"export {names[0]}=…, or add it to .env"))
        return ""

    return {key: walk(value, (key,)) for key, value in merged.values.items()}


def _validated(
    merged: Merged, project: Project, library_dirs: tuple[Path, ...] | None, problems: list[Problem]
) -> Settings | None:
    for key in PLACES & merged.values.keys():
        problems.append(_problem(merged, (key,), "unknown_key", f"unknown section {key!r}", None))
    values = merged.values | {"root": project.root, "config_dirs": project.config_dirs}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        # A text emptied by a missing variable is reported once, as the missing variable.
        emptied = {problem.place for problem in problems}
        found = [_explained(merged, details) for details in error.errors(include_url=False)]
        problems += [problem for problem in dict.fromkeys(found) if problem.place not in emptied]
        return None
    dirs = library_dirs or tuple(project.root / Path(entry).expanduser() for entry in settings.library.dirs)
    return settings.model_copy(update={"library": settings.library.model_copy(update={"dirs": dirs})})


def _explained(merged: Merged, details: ErrorDetails) -> Problem:
    """One complaint of pydantic in the words of the file, at the place where the value was written."""
    location = details["loc"]
    path = _existing(merged, location)
    if details["type"] == "extra_forbidden":
        known = _known_keys(Settings, location[:-1])
        close = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
        kind = f"key {location[-1]!r} in [{_dotted(path[:-1])}]" if len(path) > 1 else f"section {location[-1]!r}"
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(known))}"
        return _problem(merged, path, "unknown_key", f"unknown {kind}", hint if known else None)
    if details["type"] == "missing":
        return _problem(merged, path, "missing_key", f"[{_dotted(path)}] needs the key {str(location[-1])!r}", None)
    message = details["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if details["type"].startswith("time_delta"):
        message = "should be a duration, such as '90s', '10m', '1h30m' or '0:10:00'"
    given = details["input"]
    shown = f" (it is {given!r})" if isinstance(given, str | int | float) and not _is_secret(path) else ""
    place = _named(merged, path, message) if details["type"] == "value_error" else path
    return _problem(merged, place, "wrong_value", f"{_dotted(path)}: {message}{shown}", None)


def _named(merged: Merged, path: KeyPath, message: str) -> KeyPath:
    """The key that a rule over several tables begins its message with, as deep as it is written; else `path`.

    Some tables may stand in one more table than the message says.
    """
    words = message.partition(" ")[0].rstrip(":").split(".")
    for length in range(len(words), 0, -1):
        for origin in merged.origins:
            is_under = origin[: len(path)] == path and len(origin) - len(path) - length in (0, 1)
            if is_under and origin[-length:] == tuple(words[:length]):
                return origin
    return path


def _problem(merged: Merged, path: KeyPath, code: str, message: str, hint: str | None) -> Problem:
    found = merged.origin(path)
    if found is None:
        return Problem(code, message, hint=hint)
    layer, written = found
    return layer.problem(code, message, written, hint)


def _existing(merged: Merged, location: KeyPath) -> KeyPath:
    """The key path that a pydantic location speaks of: as far as its parts are keys (what follows names types).

    A table that the settings moved is found again by its last keys, when only one place has them.
    """
    values: Any = merged.values
    path: list[str | int] = []
    for part in location:
        try:
            values = values[part] if isinstance(values, dict | list) else None  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        if values is None:
            break
        path.append(part)
    if len(path) < len(location):
        alike = [origin for origin in merged.origins if origin[0] == location[0] and origin[-2:] == location[-2:]]
        if len(alike) == 1:
            return alike[0]
    return tuple(path)


def _known_keys(annotation: Any, path: KeyPath) -> list[str]:
    """The keys that may stand in the table at `path` of a model, as far as its annotations tell."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        if not path:
            return [field.alias or name for name, field in fields.items() if name not in PLACES]
        found = next((field for name, field in fields.items() if path[0] in (name, field.alias)), None)
        return _known_keys(found.annotation, path[1:]) if found else []
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (dict, list, tuple):
        return _known_keys(arguments[-1 if typing.get_origin(annotation) is dict else 0], path[1:]) if path else []
    return next((keys for argument in arguments if (keys := _known_keys(argument, path))), [])


def _at(values: Any, path: KeyPath) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _is_secret(path: KeyPath) -> bool:
    return bool(path) and re.search(r"key|secret|token|password", str(path[-1])) is not None


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)


def _failure(problems: list[Problem]) -> ConfigError:
    problems = sorted(map(_without_keys, problems), key=lambda problem: (problem.file or "", problem.line or 0))
    count = "one setting is" if len(problems) == 1 else f"{len(problems)} settings are"
    return ConfigError(f"{count} wrong", problems=problems)


def _without_keys(problem: Problem) -> Problem:
    """The problem without what looks like a key: one may have been written where it does not belong."""
    from pipelex.inference.redaction import redact

    excerpt = problem.excerpt and redact(problem.excerpt, ())
    return replace(problem, message=redact(problem.message, ()), excerpt=excerpt)
