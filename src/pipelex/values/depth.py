"""How deep data may be nested, so that it can be read again on the other side of a wire. Pure."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

DEEPEST: Final = 100
"""Levels of objects and lists in one value. Payloads wrap some more around it, and are read down to 200 levels."""


class TooDeep(TypeError):
    """Data is nested deeper than what can be read again."""

    def __init__(self) -> None:
        super().__init__(f"nested deeper than {DEEPEST} levels")


def check_depth(data: JsonValue) -> None:
    """Raise TooDeep for data that is nested too deeply."""
    level = [data]
    for _ in range(DEEPEST + 1):
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
        if not level:
            return
    raise TooDeep


def _inside(data: dict[str, JsonValue] | list[JsonValue]) -> list[JsonValue]:
    # An empty object or list is a level too: it holds nothing, and is read as one more.
    return (list(data.values()) if isinstance(data, dict) else data) or [None]
