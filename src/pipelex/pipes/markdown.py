"""Markdown as HTML that is safe to show: no raw HTML, no odd link (MTHDS section 10.3). Pure; replayed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_SAFE_LINK = re.compile(r"(?:https?://|mailto:|pipelex-storage://)", re.IGNORECASE)


def formatted(text: str) -> str:
    """Markdown (CommonMark with tables) as HTML. HTML in it is shown as it is written; odd links stay plain text."""
    return str(_writer().render(text)).rstrip("\n")


@lru_cache(maxsize=1)
def _writer() -> MarkdownIt:
    # Imported when first wanted: it takes a while, and most methods have no use for it.
    from markdown_it import MarkdownIt

    writer = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    writer.validateLink = lambda url: _SAFE_LINK.match(url) is not None  # type: ignore[method-assign]
    return writer
