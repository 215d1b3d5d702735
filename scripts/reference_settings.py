"""The page on settings: how they are found, every key of every table, and the models known without any file."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from reference_text import paragraph, quoted, shown, table

from pipelex.config.setting_text import field_notes

LAYERS = """
Settings are read from TOML files and the environment. Each layer wins over the one before it:

1. the defaults below;
2. `~/.pipelex/pipelex.toml`, then its variants ({home} replaces `~/.pipelex`);
3. `.pipelex/pipelex.toml` of the project, then its variants;
4. environment variables: `{prefix}SECTION__KEY`, for instance `{prefix}TEMPORAL__IS_ENABLED=true`;
5. what the command line or the program says.

The variants of a folder are `pipelex_local.toml`, `pipelex_<environment>.toml`, `pipelex_<mode>.toml`,
`pipelex_override.toml`, `pipelex_temporary_override.toml`, in this order. The environment is `PIPELEX_ENV`
({environments}; `dev` unless set) and the mode is `RUN_MODE` (`normal` unless set).

The project is the first folder, from the current one upwards, that holds one of {marks}; the home folder is left out.
Relative paths start there.

`${{NAME}}`, `${{env:NAME}}` and `${{env:A|secret:B}}` are replaced by environment variables. `.env` files of
`~/.pipelex` and of the current folder complete the environment and never override it. Keys of APIs stay variables until
they are needed. `PIPELEXPATH` holds folders of methods, separated as in `PATH`, and replaces `dirs` of `[library]`.

A duration is `"90s"`, `"10m"`, `"1h30m"`, `"0:10:00"`, or a number of seconds. An unknown key is an error that names
the file, the line and the closest known key.
"""


NAMED = {
    "activity_queues": "activity",
    "handle_options": "handle",
    "handles": "handle",
    "keys": "key",
    "namespaces": "namespace",
    "profiles": "profile",
    "queue_options": "queue",
    "scopes": "scope",
    "temporal_server_configs": "server",
}
"""What the names of the tables inside a table are names of."""


def configuration_page() -> Iterator[str]:
    """The page on settings: how they are found, then every table."""
    from pipelex.config.load import ENVIRONMENTS, PREFIX
    from pipelex.config.project import MARKS
    from pipelex.config.settings import PLACES, Settings

    facts = {
        "home": "`PIPELEX_HOME`",
        "prefix": PREFIX,
        "environments": quoted(ENVIRONMENTS),
        "marks": quoted(MARKS),
    }
    yield from ("# Configuration", LAYERS.format(**facts))
    for name, field in Settings.model_fields.items():
        if name not in PLACES:
            yield from section((name,), field.annotation)
    yield from models_known()


def section(path: tuple[str, ...], model: Any) -> Iterator[str]:
    """One table of settings, then the tables inside it."""
    about = paragraph(model.__doc__)
    # The docstring names the table, which is the heading here.
    about = re.sub(r"^`[^`]*`[:.] (.)", lambda found: found[1].upper(), about)
    yield from (f"## `[{'.'.join(path)}]`", "", about, "")
    rows: list[list[str]] = []
    below: list[tuple[tuple[str, ...], Any]] = []
    notes = field_notes(model)
    for name, field in model.model_fields.items():
        inner, is_named = table_of(field.annotation)
        if inner is not None:
            named = (f"<{NAMED[name]}>",) if is_named else ()
            below.append(((*path, name, *named), inner))
        else:
            default = "required" if field.is_required() else f"`{shown(field.default)}`"
            rows.append([f"`{name}`", kind_of(field), default, notes[name]])
    if rows:
        has_notes = any(row[3] for row in rows)
        head = ("key", "type", "default", "note")
        yield from table(head if has_notes else head[:3], rows if has_notes else (row[:3] for row in rows))
    for place, inner in below:
        yield from section(place, inner)


def table_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The settings inside a field, when it is a table; and whether it is a table of named tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return table_of(arguments[1])[0], True
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next((found for found in (table_of(item)[0] for item in arguments) if found), None), False
    return None, False


def kind_of(field: FieldInfo) -> str:
    """The type of a key in words, with its bounds."""
    return ", ".join([words(field.annotation), *bounds(field.metadata)])


def words(annotation: Any) -> str:
    """A type in the words of TOML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return ", ".join([words(arguments[0]), *bounds(arguments[1:])])
    if origin is typing.Literal:
        return " or ".join(f'`"{item}"`' for item in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(words(item) for item in arguments if item is not type(None))
    if origin is tuple:
        return f"list of {words(arguments[0])}"
    if origin is dict:
        return f"table of {words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table of " + ", ".join(f"`{name}`" for name in annotation.model_fields)
    names = {bool: "boolean", int: "integer", float: "number", str: "text", timedelta: "duration", Path: "path"}
    return names.get(annotation, "anything")


def bounds(metadata: Iterable[Any]) -> Iterator[str]:
    """The limits that pydantic checks, as far as a reader cares."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from bounds(item.metadata)
        for name, sign in signs.items():
            limit = getattr(item, name, None)
            if limit is not None:
                yield f"{sign} {shown(limit).strip(chr(34))}"


def models_known() -> Iterator[str]:
    """What is known of models without any file of the user's."""
    from pipelex.inference.backends import ALL_SDKS, SIMULATED
    from pipelex.inference.tables import defaults, read_table, toml_files

    folder = defaults()
    yield from ("## Models known out of the box", "")
    yield from ("The guide [Models](../guides/models.md) says how to add to these.", "", "### Backends", "")
    callable_sdks = (*ALL_SDKS, SIMULATED)
    rows = []
    for name, backend in read_table(folder / "backends.toml").items():
        endpoint = backend.get("endpoint", "")
        variable = backend.get("endpoint_variable")
        endpoint = f"`{endpoint}`" + (f" or `{variable}`" if variable else "") if endpoint else ""
        key = backend.get("api_key", "")
        is_called = "yes" if backend["sdk"] in callable_sdks else "not by this version"
        keys = " or ".join(f"`{variable}`" for variable in key.strip("${}").split("|") if variable)
        rows.append([f"`{name}`", is_called, endpoint.replace("|", " or "), keys])
    yield from table(("backend", "can be called", "endpoint", "key"), rows)
    yield from ("### Handles with known prices or limits", "")
    handles = []
    for file in toml_files(folder / "backends"):
        backend_name = file.name.removesuffix(".toml")
        for handle, model in read_table(file).items():
            if handle != "defaults":
                costs = ", ".join(f"{name} {price}" for name, price in model.get("costs", {}).items())
                handles.append([f"`{handle}`", f"`{backend_name}`", costs])
    yield from table(("handle", "backend", "USD per million tokens"), handles)
    yield from ("Any other handle is routed by its shape; the first pattern that fits counts.", "")
    routes = read_table(folder / "routing_profiles.toml")["profiles"]["built_in"]["routes"]
    yield from table(("pattern", "backend"), ([f"`{pattern}`", f"`{name}`"] for pattern, name in routes.items()))
    for file in toml_files(folder / "deck"):
        for family, tables in read_table(file).items():
            yield from deck_tables(family, tables)


def deck_tables(family: str, tables: Mapping[str, Any]) -> Iterator[str]:
    """The names of one family of the built-in deck."""
    sigils = {"presets": "$", "aliases": "@", "waterfalls": "~"}
    rows = []
    for kind, sigil in sigils.items():
        for name, found in tables.get(kind, {}).items():
            if isinstance(found, list):
                meaning = "the first of " + quoted(found)
            elif isinstance(found, dict):
                others = ", ".join(f"{key} {value}" for key, value in found.items() if key != "model")
                meaning = f"`{found['model']}`" + (f", {others}" if others else "")
            else:
                meaning = f"`{found}`"
            rows.append([f"`{sigil}{name}`", meaning])
    given = tables.get("choice_defaults") or {"documents": tables.get("choice_default")}
    yield from (f"### Names of `{family}` models", "")
    yield "Without a model in the pipe: " + ", ".join(f"{key}: `{value}`" for key, value in given.items()) + "."
    yield ""
    yield from table(("name", "stands for"), rows)
