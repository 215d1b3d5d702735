"""Web search by Brave, over its REST API. Runs on workers; one attempt per call."""

from __future__ import annotations

from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import ConfigError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.linkup import not_an_answer, searched, source
from pipelex.inference.providers.passages import told
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import SearchReply, SearchRequest

_MOST_CHARACTERS: Final = 400
_MOST_WORDS: Final = 50
_MOST_RESULTS: Final = 20
_EARLIEST, _LATEST = "1970-01-01", "9999-12-31"


class Brave:
    """Brave's results. It writes no answer: the passages of the results are told instead."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        key = {"x-subscription-token": access.api_key} if access.api_key else {}
        self._api = Api(name, access, settings, {"accept": "application/json", **key})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Search once and read the results."""
        answer = await self._api.get("web/search", model, query=_query(request, model))
        try:
            found = (answer.get("web") or {}).get("results") or []
            sources = [source({**item, "snippet": _passage(item)}) for item in found]
            words = told(sources, is_cited=request.include_inline_citations)
            if "type" not in answer and not sources:
                raise KeyError("type")
            result: dict[str, JsonValue] = {"answer": words, "sources": sources}
        except (TypeError, KeyError, AttributeError):
            raise not_an_answer(self._api.name, model) from None
        return SearchReply(result=result, usage=searched(model))


def _query(request: SearchRequest, model: ModelSpec) -> dict[str, str]:
    if request.include_images:
        raise ConfigError(
            f"the search model {model.handle!r} finds no images",
            hint="drop include_images, or use a handle of linkup, tavily or exa",
        )
    sites = " OR ".join(f"site:{domain}" for domain in request.include_domains)
    sites = f"({sites})" if len(request.include_domains) > 1 else sites
    others = " ".join(f"-site:{domain}" for domain in request.exclude_domains)
    words = " ".join(filter(None, (" ".join(request.prompt.split()), sites, others)))
    if len(words) > _MOST_CHARACTERS or len(words.split()) > _MOST_WORDS:
        raise ConfigError(
            f"the prompt is too long for the search model {model.handle!r}, which takes {_MOST_CHARACTERS} characters "
            f"and {_MOST_WORDS} words, domains included",
            hint="ask in a few words, or use a search model that reads questions, such as linkup-standard",
        )
    query = {"q": words, "text_decorations": "false"}
    if request.max_results:
        query["count"] = str(min(request.max_results, _MOST_RESULTS))
    if request.from_date or request.to_date:
        query["freshness"] = f"{request.from_date or _EARLIEST}to{request.to_date or _LATEST}"
    return query


def _passage(item: dict[str, Any]) -> str | None:
    passages = [item.get("description"), *(item.get("extra_snippets") or ())]
    return " … ".join(str(passage) for passage in passages if passage) or None
