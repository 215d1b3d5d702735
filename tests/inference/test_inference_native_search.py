"""Models that search the web themselves: one contract for the three APIs, over the stub that speaks them."""

from __future__ import annotations

import pytest
from test_inference_adapters import ADAPTERS, CANARY, Bench

from pipelex.errors import AuthenticationError, ConfigError, InferenceError, RateLimitError, ReplyError
from pipelex.inference.deck import Deck
from pipelex.pipes.models import ModelAsk
from pipelex.pipes.requests import SearchObjectRequest, SearchRequest
from pipelex.testing.provider_stub import StubAnswer, StubProvider

SEARCHERS = [ADAPTERS[1], ADAPTERS[2], ADAPTERS[4]]
each = pytest.mark.parametrize("adapter", SEARCHERS, ids=str)
TOOLS = {"anthropic": "web_search", "google": "googleSearch", "responses": "web_search"}


@pytest.fixture
async def bench(tmp_path):
    async with StubProvider() as stub:
        made = Bench(tmp_path, stub)
        yield made
        await made.performer.aclose()


async def search(bench, adapter, **more):
    return await bench.performer.perform(SearchRequest(model=bench.model(adapter), prompt="what is new?", **more))


@each
async def test_an_answer_with_the_pages_it_cites(bench, adapter):
    reply = await search(bench, adapter, include_inline_citations=False)
    [source] = reply.result["sources"]
    assert (reply.result["answer"], source["url"], source["title"]) == ("ok", "https://example.invalid/1", "One")
    assert (reply.usage.calls, reply.usage.searches) == (1, 1)
    assert reply.usage.input_tokens > 0
    assert reply.usage.cost_usd is None, "the price of a search is not known"
    [tool] = bench.sent("tools")
    assert TOOLS[adapter.backend] in str(tool)
    assert bench.stub.calls == 1


@each
async def test_the_numbers_of_the_pages_follow_what_they_support(bench, adapter):
    answer = (await search(bench, adapter)).result["answer"]
    assert answer == ("ok" if adapter.backend == "responses" else "ok [1]")


async def test_a_search_costs_its_tokens_and_its_fee(bench, tmp_path):
    table = "['claude-4.6-sonnet']\ncosts = { input = 3.0, output = 15.0, search = 0.01 }\n"
    (tmp_path / "backends" / "anthropic.toml").write_text(table)
    again = Bench(tmp_path, bench.stub)
    usage = (await search(again, ADAPTERS[1])).usage
    assert usage.cost_usd == pytest.approx(0.01 + (usage.input_tokens * 3 + usage.output_tokens * 15) / 1e6)
    await again.performer.aclose()


@each
async def test_domains_narrow_a_search_where_the_tool_can(bench, adapter):
    asked = search(bench, adapter, include_domains=("example.org",))
    if adapter.backend == "google":
        with pytest.raises(ConfigError, match="takes no include_domains"):
            await asked
        assert bench.stub.calls == 0
    else:
        await asked
        assert "example.org" in str(bench.sent("tools"))


@each
@pytest.mark.parametrize("more", [{"max_results": 3}, {"from_date": "2026-01-01"}, {"include_images": True}])
async def test_what_the_tool_cannot_do_is_refused_before_it_is_paid_for(bench, adapter, more):
    with pytest.raises(ConfigError, match=f"takes no {next(iter(more))}") as caught:
        await search(bench, adapter, **more)
    assert "linkup-standard" in (caught.value.hint or "")
    assert bench.stub.calls == 0


FAULTS = [
    (StubAnswer(status=429, headers={"retry-after": "7"}), RateLimitError, True),
    (StubAnswer(status=401, text=f"bad key {CANARY}"), AuthenticationError, False),
    (StubAnswer(text="half", finish_reason="length"), ReplyError, False),
    (StubAnswer(body={"odd": 1}), InferenceError, True),
]


@each
@pytest.mark.parametrize(("answer", "kind", "is_retryable"), FAULTS)
async def test_faults_say_who_can_act(bench, adapter, answer, kind, is_retryable):
    bench.stub.behaviour = lambda asked, n: answer
    with pytest.raises(kind) as caught:
        await search(bench, adapter)
    assert caught.value.is_retryable is is_retryable
    assert CANARY not in caught.value.render()


async def test_they_do_not_fill_a_structure_and_say_what_does(bench):
    request = SearchObjectRequest(model=bench.model(ADAPTERS[1]), prompt="p", name="a City", output_schema={})
    with pytest.raises(ConfigError, match="only answers with sources"):
        await bench.performer.perform(request)


def test_a_pipe_names_such_a_model_by_its_handle():
    deck = Deck.load([], {"ANTHROPIC_API_KEY": "k"})
    setting = deck.setting(ModelAsk("search", "claude-4.6-sonnet", "default"))
    assert deck.backends.route(setting.handle, family="search").backend.name == "anthropic"


@pytest.mark.parametrize(
    "strange", [{"annotations": ["page 1"]}, {"annotations": [{"type": "url_citation", "url": [1]}]}]
)
async def test_citations_of_another_form_are_no_bug_of_ours(bench, strange):
    content = {"type": "output_text", "text": "ok", **strange}
    body = {"output": [{"type": "message", "content": [content]}], "usage": {"input_tokens": 1, "output_tokens": 1}}
    bench.stub.behaviour = lambda asked, n: StubAnswer(body=body)
    with pytest.raises(ReplyError, match="not a response") as caught:
        await search(bench, SEARCHERS[2])
    assert caught.value.is_retryable
