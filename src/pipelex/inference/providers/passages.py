"""An answer where a search gives none: what its sources say, each in a line. Runs on workers; pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue


def told(sources: Sequence[JsonValue], *, is_cited: bool) -> str:
    """The passages of the sources, in their order, with the number of each if they shall be cited."""
    lines = []
    for number, item in enumerate(sources, 1):
        if isinstance(item, dict) and (passage := item.get("snippet") or item.get("title")):
            lines.append(f"{passage} [{number}]" if is_cited else str(passage))
    return "\n".join(lines)
