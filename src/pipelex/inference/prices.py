"""What a reply cost, and where that price comes from: our tables first, then genai-prices. Runs on workers.

The package genai-prices holds its prices itself, and is never told to fetch newer ones. Importing it takes most of a
second: that is left to a thread, on a worker, once a model is called that no table prices.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from pipelex.inference.pricing import units_usd
from pipelex.inference.tables import BUILT_IN, OWN
from pipelex.pipes.requests import MIXED, Usage

if TYPE_CHECKING:
    from pipelex.inference.backends import Route

_LOG = logging.getLogger(__name__)
_TOLD: Final = "told"
_PACKAGE: Final = "genai-prices"
_PROVIDERS: Final = {"azure_openai": "azure", "bedrock": "aws", "xai": "x-ai"}
"""What genai-prices calls a backend that we call otherwise."""


async def priced(usage: Usage, route: Route) -> Usage:
    """The usage of one reply with its cost, and the mark of where the price comes from (`source_of` reads it).

    What no table and no package prices keeps a cost of None.
    """
    if usage.is_simulated:
        return usage
    costs, units = route.model.costs, {"page": usage.pages, "image": usage.images, "search": usage.searches}
    # Pages that are read here are free, and images priced by their tokens, unless the operator gives them a price.
    is_free, by_tokens = usage.pages and not usage.cost_usd, usage.images and usage.output_tokens
    if usage.cost_usd is None or (is_free and "page" in costs) or (by_tokens and "image" in costs):
        usage = usage.model_copy(update={"cost_usd": units_usd(costs, units)})
    if usage.cost_usd is not None:
        mark = "" if not usage.cost_usd else route.model.costs_from if costs else _TOLD
        return usage.model_copy(update={"price": mark})
    if any(units.values()) or not (usage.input_tokens or usage.output_tokens):
        return usage
    try:
        cost = await asyncio.to_thread(_looked_up, usage, route)
    except PackageNotFoundError:
        return usage
    if cost is None:
        return usage
    return usage.model_copy(update={"cost_usd": cost, "price": f"g{version(_PACKAGE)}"})


def token_price(backend: str, model_id: str) -> tuple[str, float, float] | None:
    """What genai-prices knows of a model: the mark of its prices, and USD per million tokens in and out."""
    try:
        mark = f"g{version(_PACKAGE)}"
    except PackageNotFoundError:
        return None
    known = [_calculated(backend, model_id, {kind: 1000}) for kind in ("input_tokens", "output_tokens")]
    if known[0] is None or known[1] is None:
        return None
    return mark, known[0] * 1000, known[1] * 1000


def source_of(mark: str) -> str:
    """Where the price of a mark comes from, as words for a person."""
    if mark == OWN:
        return "your tables of .pipelex/inference/backends"
    if mark == _TOLD:
        return "the replies of the provider"
    if mark == MIXED:
        return "several sources"
    if mark.startswith(BUILT_IN):
        return f"the built-in tables of 20{mark[1:3]}-{mark[3:5]}-{mark[5:]}"
    return f"{_PACKAGE} {mark.removeprefix('g')}" if mark else "a source that was not noted"


def _looked_up(usage: Usage, route: Route) -> float | None:
    tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    if usage.cached_tokens:
        tokens["cache_read_tokens"] = usage.cached_tokens
    return _calculated(route.backend.name, route.model.model_id, tokens)


def _calculated(backend: str, model_id: str, tokens: dict[str, int]) -> float | None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    given: Any = _PROVIDERS.get(backend, backend)
    try:
        return float(calc_price(Tokens(**tokens), model_id, provider_id=given).total_price)
    except (LookupError, ValueError) as error:
        _LOG.debug("no price of %s on %s: %s", model_id, backend, error)
        return None
