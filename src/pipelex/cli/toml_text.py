"""Plain data as TOML, with a comment behind each value where there is something to say of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A value, the tables and the key it stands under, and what to say behind it."""

    path: Sequence[str]
    value: Any
    note: str | None = None


def toml_text(entries: Iterable[Entry]) -> str:
    """A document with a header for each table; a value of None, which TOML lacks, is a comment."""
    tables: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        tables.setdefault(tuple(entry.path[:-1]), []).append(entry)
    return "\n\n".join("\n".join(_table(path, inside)) for path, inside in tables.items())


def _table(path: Sequence[str], entries: Sequence[Entry]) -> Iterator[str]:
    if path:
        yield f"[{dotted(path)}]"
    written = [_written(entry) for entry in entries]
    # A long value does not push the notes of the others out of sight.
    widest = max((len(text) for text in written if len(text) <= 60), default=0)
    for text, entry in zip(written, entries, strict=True):
        yield text if entry.note is None else f"{text.ljust(widest)}  # {entry.note}"


def _written(entry: Entry) -> str:
    key = toml_key(entry.path[-1])
    return f"# {key} is not set" if entry.value is None else f"{key} = {toml_value(entry.value)}"


def dotted(path: Sequence[str]) -> str:
    """The path as the header of a table has it."""
    return ".".join(map(toml_key, path))


def toml_key(name: str) -> str:
    """A key, quoted where TOML wants it."""
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else toml_value(name)


def toml_value(value: Any) -> str:
    """JSON data on one line of TOML."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml_key(key)} = {toml_value(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    # The texts, numbers and booleans of JSON are written in the same way in TOML, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
