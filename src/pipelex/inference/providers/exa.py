"""Web search by Exa, over its REST API. Runs on workers; one attempt per call."""

from __future__ import annotations

from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import ConfigError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.linkup import not_an_answer, searched, source
from pipelex.inference.providers.passages import told
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ObjectReply, SearchAsk, SearchObjectRequest, SearchReply, SearchRequest

_ANSWER: Final = "answer"


class Exa:
    """Exa's answers, where the model id is `answer`; or its results, where it is a type of search such as `auto`."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._api = Api(name, access, settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Search once: an answer with its sources, or the sources with their best passages."""
        if _mode(model) == _ANSWER:
            answer = await self._api.post(_ANSWER, model, body=_question(request, model))
            found, text = "citations", "answer"
        else:
            answer = await self._api.post("search", model, body=_search(request, model))
            found, text = "results", ""
        try:
            sources = [source({**item, "snippet": _passage(item)}) for item in answer[found]]
            words = str(answer[text]) if text else told(sources, is_cited=request.include_inline_citations)
            if request.include_images:
                pictures = [item for item in answer[found] if item.get("image")]
                sources += [source({"url": item["image"], "title": item.get("title") or "image"}) for item in pictures]
            result: dict[str, JsonValue] = {"answer": words, "sources": sources}
        except (TypeError, KeyError, AttributeError):
            raise not_an_answer(self._api.name, model) from None
        return SearchReply(result=result, usage=searched(model, _cost(answer)))

    async def search_object(self, request: SearchObjectRequest, model: ModelSpec) -> ObjectReply:
        """Search once for what fills a schema."""
        if _mode(model) != _ANSWER:
            raise ConfigError(
                f"the search model {model.handle!r} gives results only, so it cannot fill {request.name}",
                hint="use exa-answer or linkup-standard",
            )
        body = _question(request, model) | {"outputSchema": request.output_schema}
        answer = await self._api.post(_ANSWER, model, body=body)
        if not isinstance(answer, dict) or not isinstance(answer.get("answer"), dict):
            raise not_an_answer(self._api.name, model, "an object")
        return ObjectReply(data=answer["answer"], usage=searched(model, _cost(answer)))


def _mode(model: ModelSpec) -> str:
    return model.model_id.removeprefix("exa-")


def _question(request: SearchAsk, model: ModelSpec) -> dict[str, Any]:
    """An answer cannot be narrowed down; asking all the same would give what was ruled out."""
    given = {
        "max_results": request.max_results,
        "from_date": request.from_date,
        "to_date": request.to_date,
        "include_domains": request.include_domains,
        "exclude_domains": request.exclude_domains,
    }
    if asked := [key for key, value in given.items() if value]:
        raise ConfigError(
            f"the search model {model.handle!r} takes no {', '.join(asked)}",
            hint="leave it out of the pipe and of the setting of the model, or use exa-auto or linkup-standard",
        )
    return {"query": request.prompt, "text": True}


def _search(request: SearchRequest, model: ModelSpec) -> dict[str, Any]:
    body: dict[str, Any] = {"query": request.prompt, "type": _mode(model), "contents": {"highlights": True}}
    optional = {
        "numResults": request.max_results,
        "startPublishedDate": request.from_date and f"{request.from_date}T00:00:00.000Z",
        "endPublishedDate": request.to_date and f"{request.to_date}T23:59:59.999Z",
        "includeDomains": list(request.include_domains),
        "excludeDomains": list(request.exclude_domains),
    }
    return body | {key: value for key, value in optional.items() if value}


def _passage(item: dict[str, Any]) -> str | None:
    passages = item.get("highlights") or ()
    return " … ".join(map(str, passages)) or (str(item["text"])[:1000] if item.get("text") else None)


def _cost(answer: dict[str, Any]) -> float | None:
    """The price that the reply tells."""
    costs = answer.get("costDollars")
    total = costs.get("total") if isinstance(costs, dict) else None
    return float(total) if isinstance(total, int | float) else None
