"""What replies cost, and where the price comes from: our tables, those of the user, genai-prices, or nowhere."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pipelex.inference.backends import Backend, ModelSpec, Route
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.prices import priced, source_of, token_price
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import MIXED, ModelSetting, TextRequest, Usage
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import StubProvider

TOKENS = Usage(calls=1, input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000, cost_usd=None)


def route(backend="house", handle="m", costs_from="", **costs) -> Route:
    return Route(Backend(backend, "here"), ModelSpec(handle, handle, "openai", costs=costs, costs_from=costs_from))


async def test_a_model_that_no_table_prices_is_looked_up_by_provider_and_model():
    found = await priced(TOKENS, route("anthropic", "claude-sonnet-4-5"))
    assert found.cost_usd is not None
    assert found.price.startswith("g")
    assert len(f'"price":"{found.price}",'.encode()) <= 20
    assert source_of(found.price).startswith("genai-prices ")
    # The cached part is cheaper than the rest.
    assert found.cost_usd < 1_000_000 / 1e6 * 6 + 2.25
    assert (await priced(TOKENS.model_copy(update={"cached_tokens": 0}), route("xai", "grok-4"))).cost_usd


@pytest.mark.parametrize(("backend", "model"), [("house", "gpt-4o"), ("openai", "gpt-of-tomorrow"), ("", "")])
async def test_what_nobody_prices_stays_unknown(backend, model):
    found = await priced(TOKENS, route(backend, model))
    assert (found.cost_usd, found.price) == (None, "")


async def test_pages_images_and_searches_have_prices_of_their_own():
    costs = {"page": 0.001, "image": 0.04, "search": 0.005}
    told = [
        await priced(Usage(calls=1, cost_usd=None, **{unit: 3}), route(costs_from="own", **costs))
        for unit in ("pages", "images", "searches")
    ]
    assert [(usage.cost_usd, usage.price) for usage in told] == [(0.003, "own"), (0.12, "own"), (0.015, "own")]
    assert (await priced(Usage(calls=1, searches=1, cost_usd=None), route(image=0.04))).cost_usd is None
    # An image has one price: its own before that of its tokens.
    drawn = Usage(calls=1, images=2, input_tokens=10, output_tokens=4000, cost_usd=0.16)
    assert (await priced(drawn, route(image=0.04))).cost_usd == 0.08
    assert (await priced(drawn, route(input=5, output=40))).cost_usd == 0.16
    # What is read here is free, unless the operator says otherwise.
    read = Usage(calls=1, pages=10)
    assert ((await priced(read, route())).cost_usd, (await priced(read, route(page=0.5))).cost_usd) == (0.0, 5.0)


async def test_a_price_that_the_provider_told_is_kept_and_simulated_ones_are_left_alone():
    assert (await priced(Usage(calls=1, cost_usd=0.007), route())).price == "told"
    made_up = Usage(calls=1, cost_usd=0.007, is_simulated=True)
    assert await priced(made_up, route("openai", "gpt-4o")) is made_up


def test_sources_are_told_in_words():
    assert [source_of(mark) for mark in ("t261122", "own", "g0.2.3", "told", MIXED, "")] == snapshot(
        [
            "the built-in tables of 2026-11-22",
            "your tables of .pipelex/inference/backends",
            "genai-prices 0.2.3",
            "the replies of the provider",
            "several sources",
            "a source that was not noted",
        ]
    )


def test_sums_keep_the_source_where_it_is_one():
    one, other, free = (Usage(calls=1, cost_usd=cost, price=mark) for cost, mark in ((1, "own"), (2, "told"), (0, "")))
    assert [(one + free).price, (free + one).price, (one + one).price, (one + other).price] == [
        "own",
        "own",
        "own",
        "mixed",
    ]
    assert (one + Usage(cached_calls=2, reasoning_tokens=3)).model_dump(exclude_defaults=True) == {
        "calls": 1,
        "cached_calls": 2,
        "reasoning_tokens": 3,
        "cost_usd": 1.0,
        "price": "own",
    }


async def test_replies_tell_their_cost_with_its_source_and_their_reasoning(tmp_path: Path):
    folder = tmp_path / "inference" / "backends"
    folder.mkdir(parents=True)
    (folder / "openai.toml").write_text("[gpt-4o-mini]\ncosts = { input = 1.0, output = 2.0 }\n")
    async with StubProvider() as stub:
        environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": stub.base_url}
        performer = Performer(InferenceSettings(), Deck.load([tmp_path], environ), LocalBlobs(tmp_path))
        found = {}
        for handle in ("gpt-4o", "gpt-4o-mini", "gpt-5-mini"):
            request = TextRequest(model=ModelSetting(handle=handle, backend="openai"), prompt="hi")
            found[handle] = (await performer.perform(request)).usage
        await performer.aclose()
    assert [usage.price[:1] for usage in found.values()] == ["t", "o", "g"]
    assert all(usage.cost_usd for usage in found.values())
    assert token_price("openai", "gpt-4o") == (found["gpt-5-mini"].price, 2.5, 10.0)
