"""Web search by Tavily, over its REST API. Runs on workers; one attempt per call."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.linkup import not_an_answer, searched, source
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import SearchReply, SearchRequest


class Tavily:
    """Tavily's answers with results; the model id is the depth, `basic` or `advanced`."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._api = Api(name, access, settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Search once and read the answer with its sources."""
        answer = await self._api.post("search", model, body=_body(request, model))
        try:
            sources = [source(item) for item in answer["results"]]
            for image in answer.get("images") or ():
                found = {"url": image} if isinstance(image, str) else image
                about = found.get("description")
                sources.append({"url": str(found["url"]), "title": about or "image", "snippet": about or None})
            result: dict[str, JsonValue] = {"answer": str(answer["answer"] or ""), "sources": sources}
        except (TypeError, KeyError, AttributeError):
            raise not_an_answer(self._api.name, model) from None
        return SearchReply(result=result, usage=searched(model))


def _body(request: SearchRequest, model: ModelSpec) -> dict[str, Any]:
    depth = model.model_id.removeprefix("tavily-")
    body: dict[str, Any] = {
        "query": request.prompt,
        "search_depth": depth,
        "include_answer": depth if depth == "advanced" else True,
        "include_images": request.include_images,
    }
    optional = {
        "max_results": request.max_results,
        "start_date": request.from_date,
        "end_date": request.to_date,
        "include_domains": list(request.include_domains),
        "exclude_domains": list(request.exclude_domains),
    }
    return body | {key: value for key, value in optional.items() if value}
