"""Searches over the APIs of Linkup, Tavily, Exa and Brave: what is sent, answers and objects, costs, every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipelex.errors import (
    AuthenticationError,
    ConfigError,
    InferenceError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ModelSetting, SearchObjectRequest, SearchRequest
from pipelex.storage.local import LocalBlobs
from pipelex.testing.stub_http import StubAnswer
from pipelex.testing.stub_search import SearchStub

KEY = "the-key-of-this-test"
BACKENDS = ("linkup", "tavily", "exa", "brave")
KEYS = {f"{name.upper()}_API_KEY": KEY for name in BACKENDS}
HANDLES = ["linkup-standard", "tavily-basic", "exa-answer", "exa-auto", "brave-web"]
PAGE = "https://example.invalid/1"
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.fixture
async def stub():
    async with SearchStub() as server:
        yield server


@pytest.fixture
async def performer(tmp_path, stub):
    made = make(tmp_path, stub)
    yield made
    await made.aclose()


def make(tmp_path: Path, stub: SearchStub, **settings: Any) -> Performer:
    lines = (f'[{name}]\nendpoint = "{stub.base_url}"\n' for name in BACKENDS)
    (tmp_path / "backends.toml").write_text("".join(lines))
    return Performer(InferenceSettings(**settings), Deck.load([tmp_path], KEYS), LocalBlobs(tmp_path / "blobs"))


def search(handle: str, prompt: str = "Where is tea from?", **more: Any) -> SearchRequest:
    return SearchRequest(model=ModelSetting(handle=handle), prompt=prompt, **more)


def fill(handle: str, schema: Any = None, **more: Any) -> SearchObjectRequest:
    model = ModelSetting(handle=handle, backend=more.pop("backend", None))
    return SearchObjectRequest(model=model, prompt="x", name="City", output_schema=schema or CITY, **more)


ANSWERS = [
    ("linkup-standard", "ok", "s", 0.006),
    ("tavily-basic", "ok", "s", 0.008),
    ("exa-answer", "ok", "s", 0.005),
    ("exa-auto", "s … more [1]", "s … more", 0.007),
    ("brave-web", "s … more [1]", "s … more", 0.005),
]


@pytest.mark.parametrize(("handle", "answer", "snippet", "cost"), ANSWERS)
async def test_an_answer_with_its_sources_and_its_price(handle, answer, snippet, cost, performer):
    reply = await performer.perform(search(handle))
    assert reply.result == {"answer": answer, "sources": [{"url": PAGE, "title": "One", "snippet": snippet}]}
    assert (reply.usage.calls, reply.usage.searches, reply.usage.cost_usd) == (1, 1, cost)


async def test_passages_without_citations(performer):
    reply = await performer.perform(search("brave-web", include_inline_citations=False))
    assert reply.result["answer"] == "s … more"


FILTERS: dict[str, Any] = {
    "max_results": 30,
    "from_date": "2026-01-01",
    "to_date": "2026-02-01",
    "include_domains": ("a.org", "b.org"),
    "exclude_domains": ("c.org",),
}


async def test_the_filters_of_exa(performer, stub):
    await performer.perform(search("exa-auto", **FILTERS))
    assert stub.requests[0].body == {
        "query": "Where is tea from?",
        "type": "auto",
        "contents": {"highlights": True},
        "numResults": 30,
        "startPublishedDate": "2026-01-01T00:00:00.000Z",
        "endPublishedDate": "2026-02-01T23:59:59.999Z",
        "includeDomains": ["a.org", "b.org"],
        "excludeDomains": ["c.org"],
    }
    assert stub.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_filters_of_brave(performer, stub):
    await performer.perform(search("brave-web", **FILTERS))
    sent = stub.requests[0]
    assert {key: value[0] for key, value in parse_qs(sent.query).items()} == {
        "q": "Where is tea from? (site:a.org OR site:b.org) -site:c.org",
        "text_decorations": "false",
        "count": "20",
        "freshness": "2026-01-01to2026-02-01",
    }
    assert sent.headers["x-subscription-token"] == KEY
    assert "authorization" not in sent.headers


async def test_images_are_among_the_sources(performer):
    for handle in ("tavily-basic", "exa-auto"):
        reply = await performer.perform(search(handle, include_images=True))
        assert [item["url"] for item in reply.result["sources"]] == [PAGE, f"{PAGE}.png"]


@pytest.mark.parametrize(
    ("handle", "more", "words"),
    [
        ("exa-answer", {"from_date": "2026-01-01"}, "from_date"),
        ("exa-answer", {"include_domains": ("a.org",)}, "include_domains"),
        ("brave-web", {"include_images": True}, "images"),
        ("brave-web", {"prompt": "word " * 51}, "too long"),
        ("brave-web", {"prompt": "w" * 401}, "too long"),
    ],
)
async def test_what_a_search_cannot_do_is_refused_before_it_is_paid_for(handle, more, words, performer, stub):
    with pytest.raises(ConfigError, match=words) as caught:
        await performer.perform(search(handle, **more))
    assert caught.value.hint
    assert stub.calls == 0


async def test_nothing_found_is_an_answer_too(performer, stub):
    stub.behaviour = lambda asked, n: StubAnswer(body={"type": "search"})
    assert (await performer.perform(search("brave-web"))).result == {"answer": "", "sources": []}


# Objects


@pytest.mark.parametrize("handle", ["linkup-deep", "exa-answer"])
async def test_a_search_fills_a_structure(handle, performer, stub):
    reply = await performer.perform(fill(handle))
    assert list(reply.data) == ["name"]
    assert reply.usage.searches == 1
    sent = stub.requests[0].body
    assert (json.loads(sent["structuredOutputSchema"]) if "outputType" in sent else sent["outputSchema"]) == CITY


async def test_the_filters_go_with_a_structure(performer, stub):
    await performer.perform(fill("linkup-standard", from_date="2026-01-01", include_domains=("a.org",)))
    sent = stub.requests[0].body
    assert (sent["outputType"], sent["fromDate"], sent["includeDomains"]) == ("structured", "2026-01-01", ["a.org"])


@pytest.mark.parametrize("handle", ["tavily-basic", "brave-web", "exa-auto"])
async def test_a_search_that_only_finds_sources_says_what_to_use(handle, performer, stub):
    with pytest.raises(ConfigError, match="cannot fill City") as caught:
        await performer.perform(fill(handle))
    assert "linkup-standard" in (caught.value.hint or "")
    assert stub.calls == 0


async def test_what_does_not_fit_the_structure_is_an_error(performer, stub):
    stub.behaviour = lambda asked, n: StubAnswer(body={"name": 3})
    with pytest.raises(ReplyError, match="does not fit City: name: 3 is not of type"):
        await performer.perform(fill("linkup-standard"))
    stub.behaviour = lambda asked, n: StubAnswer(body=["x"])
    with pytest.raises(ReplyError, match="not an object"):
        await performer.perform(fill("linkup-standard"))


async def test_a_simulated_search_fills_a_structure(performer):
    request = fill("linkup-standard", backend="simulated")
    reply = await performer.perform(request)
    assert reply == await performer.perform(request)
    assert list(reply.data) == ["name"]
    assert reply.usage.is_simulated


# Faults

SAID = [
    (StubAnswer(status=429, headers={"retry-after": "7"}), RateLimitError, True),
    (StubAnswer(status=401, text=f"bad key {KEY}"), AuthenticationError, False),
    (StubAnswer(status=422, text="wrong"), RequestRefusedError, False),
    (StubAnswer(status=503), ProviderDownError, True),
    (StubAnswer(drop=True), ProviderDownError, True),
    (StubAnswer(body=b"<html>"), ReplyError, True),
    (StubAnswer(body={"odd": 1}), ReplyError, True),
    (StubAnswer(body=b"x" * 5000), ReplyError, False),
    (StubAnswer(delay=60), ProviderDownError, True),
]


@pytest.mark.parametrize("handle", HANDLES)
@pytest.mark.parametrize(("answer", "kind", "is_retryable"), SAID)
async def test_faults_say_who_can_act(handle, answer, kind, is_retryable, tmp_path, stub):
    stub.behaviour = lambda asked, n: answer
    made = make(tmp_path, stub, max_reply_bytes=4096, request_timeout=0.3 if answer.delay else 30)
    with pytest.raises(InferenceError) as caught:
        await made.perform(search(handle))
    await made.aclose()
    assert (type(caught.value), caught.value.is_retryable) == (kind, is_retryable)
    assert caught.value.retry_after == (7 if kind is RateLimitError else None)
    assert KEY not in json.dumps(caught.value.report())
    assert stub.calls == 1
