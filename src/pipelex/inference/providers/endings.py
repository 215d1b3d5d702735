"""How a completion ended: whole, or cut, withheld, refused, empty, each told with advice. Runs on workers; pure."""

from __future__ import annotations

from typing import Any

from pipelex.errors import ReplyError


def check_finished(reason: object, refused: object, where: dict[str, Any]) -> None:
    """Raise when a completion is not whole. `where` has the provider, the model and the status."""
    provider = where["provider"]
    if refused:
        raise ReplyError(f"the model refused: {str(refused)[:500]}", hint="reword the prompt", **where)
    if reason == "length":
        raise ReplyError(
            f"the reply of {provider} was cut at its token limit",
            hint="raise max_tokens in the model setting or the model table, or ask for less in one prompt",
            **where,
        )
    if reason == "content_filter":
        raise ReplyError(
            f"the reply of {provider} was withheld by its content filter", hint="reword the prompt", **where
        )
    if reason == "error":
        raise ReplyError(
            f"{provider} gave up in the middle of its reply",
            retryable=True,
            hint="if it keeps happening, make the concept simpler or use another model",
            **where,
        )


def not_empty(text: object, where: dict[str, Any]) -> str:
    """The text of a reply. Raises ReplyError when there is none."""
    if isinstance(text, str) and text.strip():
        return text
    raise ReplyError(
        f"{where['provider']} gave an empty reply",
        retryable=True,
        hint="if it stays empty, raise max_tokens or use another model",
        **where,
    )
