"""The texts of what `pipelex init` writes; keys and defaults are those of the settings. Runs on the user's machine."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelex.app.durable import EMBEDDED
from pipelex.config.setting_text import field_notes, toml
from pipelex.config.settings import Settings

SERVER = "temporal.temporal_config.temporal_server_configs.local"
TABLES = {
    "temporal": "Durable runs. With is_enabled = true every run is a Temporal workflow; --temporal makes one run so.",
    SERVER: "The Temporal server. While target_host is not set, the server of `pipelex dev` is found by itself.",
    "temporal.search_attributes": "The labels of runs. Before `enabled = true`: pipelex setup-temporal-namespace",
    "temporal.worker_config": "The task queue of runs and workers, and how long things may take.",
    "temporal.worker_config.retry_policy_config": "How calls of durable runs are tried again.",
    "temporal.payloads": "Where large payloads are kept, in place of histories: local, s3 or gcp.",
    "inprocess": "Runs in one process.",
    "inference": "Limits on the calls of models.",
    "inference.cache": "The reply cache, for development.",
    "storage": "Where files are kept: local, s3 or gcp. Workers and submitters share one storage.",
    "library": "Where methods are found by the code of a pipe, and the modules of Python functions.",
    "output": "Where `pipelex run` writes results.",
}
"""The tables one changes first, and what each is for. The others are in the reference."""
_HEAD = """\
# Settings of pipelex for this project. A commented line is a default: uncomment it to change it.
#
# `pipelex doctor` says which file sets what, and what is wrong. All keys are in docs/reference/configuration.md.
# Keys of providers do not belong here: export them, or put them in .env of the folder where you run (never in git).
"""
_BACKENDS_HEAD = """\
# Only these providers of language models are used: {names}.
# Remove a table to allow that provider again.
"""
_PERSONAL = ("pipelex_local.toml", "pipelex_override.toml", "pipelex_temporary_override.toml")
"""Variants of the settings that are of one machine."""


def settings_text(chosen: Mapping[str, Any]) -> str:
    """The text of pipelex.toml: defaults as comments. `chosen` maps the dotted keys that are set to their values."""
    return "\n".join([_HEAD, *(_block(table, about, chosen) for table, about in TABLES.items())])


def backends_text(chosen: Iterable[str], off: Iterable[str]) -> str:
    """The text of inference/backends.toml that leaves the chosen providers and turns these off."""
    tables = [f"[{name}]\nenabled = false\n" for name in off]
    return "\n".join([_BACKENDS_HEAD.format(names=", ".join(chosen)), *tables])


def gitignore_text() -> str:
    """The text of .pipelex/.gitignore: what runs leave here, and the settings of one machine."""
    settings = Settings()
    kept = (settings.storage.folder, settings.temporal.payloads.path, settings.inference.cache.path, EMBEDDED)
    names = [f"/{Path(path).relative_to('.pipelex')}/" for path in kept]
    return "\n".join(["# What runs leave here, and settings of one machine.", *names, *_PERSONAL, ""])


def _block(table: str, about: str, chosen: Mapping[str, Any]) -> str:
    model = reduce(_inner, table.split("."), Settings())
    lines, notes = [f"# {about}", f"[{table}]"], field_notes(type(model))
    for name in type(model).model_fields:
        key, value = f"{table}.{name}", getattr(model, name)
        if key in chosen:
            lines.append(f"{name} = {toml(chosen[key])}")
        elif value is not None and not isinstance(value, BaseModel | dict):
            lines += [f"# {note}" for note in textwrap.wrap(notes[name], 116)]
            lines.append(f"# {name} = {toml(value)}")
    return "\n".join([*lines, ""])


def _inner(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, dict) else getattr(value, name)
