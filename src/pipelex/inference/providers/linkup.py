"""Web search by Linkup, over its REST API. Runs on workers; one attempt per call."""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue

from pipelex.errors import ReplyError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.pricing import unit_cost_usd
from pipelex.inference.providers.http import Api
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ObjectReply, SearchAsk, SearchObjectRequest, SearchReply, SearchRequest, Usage


class Linkup:
    """Linkup's sourced answers; the model id is the depth, `standard` or `deep`."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._api = Api(name, access, settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Search once and read the answer with its sources."""
        asked = {
            "outputType": "sourcedAnswer",
            "includeImages": request.include_images,
            "includeInlineCitations": request.include_inline_citations,
        }
        answer = await self._api.post("search", model, body=_body(request, model) | asked)
        try:
            result: dict[str, JsonValue] = {
                "answer": str(answer["answer"]),
                "sources": [source(item) for item in answer["sources"]],
            }
        except (TypeError, KeyError):
            raise not_an_answer(self._api.name, model) from None
        return SearchReply(result=result, usage=searched(model))

    async def search_object(self, request: SearchObjectRequest, model: ModelSpec) -> ObjectReply:
        """Search once for what fills a schema."""
        asked = {"outputType": "structured", "structuredOutputSchema": json.dumps(request.output_schema)}
        answer = await self._api.post("search", model, body=_body(request, model) | asked)
        if not isinstance(answer, dict):
            raise not_an_answer(self._api.name, model, "an object")
        return ObjectReply(data=answer, usage=searched(model))


def searched(model: ModelSpec, cost_usd: float | None = None) -> Usage:
    """What one search consumed; at the price of the model table, unless the provider told its own."""
    cost = unit_cost_usd(model.costs, "search", 1) if cost_usd is None else cost_usd
    return Usage(calls=1, searches=1, cost_usd=cost)


def source(item: dict[str, Any]) -> JsonValue:
    """A source as the data of a Document. Providers name the title and the passage in different ways."""
    snippet = item.get("snippet") or item.get("content")
    title = item.get("name") or item.get("title")
    return {"url": str(item["url"]), "title": title or None, "snippet": snippet or None}


def not_an_answer(provider: str, model: ModelSpec, what: str = "an answer with sources") -> ReplyError:
    """The error for an answer of the wrong shape."""
    return ReplyError(
        f"{provider} answered with something that is not {what}",
        retryable=True,
        hint="check the endpoint of the backend",
        provider=provider,
        model=model.handle,
        status=200,
    )


def _body(request: SearchAsk, model: ModelSpec) -> dict[str, Any]:
    body: dict[str, Any] = {"q": request.prompt, "depth": model.model_id.removeprefix("linkup-")}
    optional = {
        "maxResults": request.max_results,
        "fromDate": request.from_date,
        "toDate": request.to_date,
        "includeDomains": list(request.include_domains),
        "excludeDomains": list(request.exclude_domains),
    }
    return body | {key: value for key, value in optional.items() if value}
