"""Text as a terminal may show it: what models, providers and callers wrote must not steer it. Pure."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Everything that moves a cursor, names a window or begins an escape sequence; tabs and line ends may stay."""


def for_terminal(text: str) -> str:
    """The text with its control characters spelled out as JSON spells them, so that a JSON document stays the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
