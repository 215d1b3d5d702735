"""How the pages of the reference are written: tables, paragraphs, words as code, defaults as in TOML."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import PydanticUndefined

from pipelex.config.setting_text import toml


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a Markdown table, and an empty one."""
    names = list(head)
    for row in (names, ["---"] * len(names), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def paragraph(text: str | None) -> str:
    """A docstring on one line per paragraph, which is how Markdown is written here."""
    blocks = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def quoted(words: Iterable[str]) -> str:
    """Words as code, with commas."""
    return ", ".join(f"`{word}`" for word in words)


def shown(value: Any) -> str:
    """A default as one would write it in TOML."""
    return "unset" if value is None or value is PydanticUndefined else toml(value)
