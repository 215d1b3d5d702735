"""What tokens, pages, images and searches cost, from the price table of a model. Runs on workers; pure."""

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


def unit_cost_usd(costs: Mapping[str, float], unit: str, count: int) -> float | None:
    """The cost of `count` pages, images or searches, priced each under `unit`; None when it has no price."""
    return costs[unit] * count if unit in costs else None


def units_usd(costs: Mapping[str, float], counts: Mapping[str, int]) -> float | None:
    """The cost of what is counted by unit; None when there is nothing, or when one unit of it has no price."""
    parts = [unit_cost_usd(costs, unit, count) for unit, count in counts.items() if count]
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
