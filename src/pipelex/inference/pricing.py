"""What tokens cost, from the price table of a model. Runs on workers; pure."""

from __future__ import annotations

from collections.abc import Mapping


def cost_usd(costs: Mapping[str, float], *, input_tokens: int, cached_tokens: int, output_tokens: int) -> float | None:
    """The cost of one call; None when the price of what was used is unknown.

    `costs` are in USD per million tokens: `input`, `output`, and `input_cached` for the cached part of the input,
    which is counted as plain input when it has no price of its own.
    """
    if "input" not in costs or "output" not in costs:
        return None
    cached = costs.get("input_cached", costs["input"])
    total = (input_tokens - cached_tokens) * costs["input"] + cached_tokens * cached + output_tokens * costs["output"]
    return total / 1_000_000
