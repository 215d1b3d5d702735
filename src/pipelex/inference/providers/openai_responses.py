"""OpenAI's Responses API over HTTP, also as Azure serves it. Runs on workers; one attempt per call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import JsonValue

from pipelex.errors import ReplyError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.pricing import cost_usd
from pipelex.inference.providers.endings import check_finished, not_empty
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.openai_compatible import asked_again, effort_word
from pipelex.inference.providers.provider import Completion, Part, Prompt
from pipelex.inference.providers.web_search import check_search, search_usage
from pipelex.inference.settings import InferenceSettings
from pipelex.inference.structured import whole, wire_name
from pipelex.pipes.requests import ModelSetting, SearchReply, SearchRequest, TextRequest, Usage

_LOG = logging.getLogger(__name__)
_ENDINGS = {"max_output_tokens": "length", "content_filter": "content_filter"}


class OpenAIResponses:
    """One backend that speaks the Responses API, and has its models search the web."""

    def __init__(
        self,
        name: str,
        access: Access,
        settings: InferenceSettings,
        *,
        api: Callable[[str, Access, InferenceSettings], Api] = Api,
    ) -> None:
        self._name = name
        self._api = api(name, access, settings)
        self._default_max_tokens = settings.default_max_tokens

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def complete(self, prompt: Prompt) -> Completion:
        """Ask for one completion and read it."""
        answer = await self._api.post("responses", prompt.model, body=self._body(prompt), key=prompt.key)
        return self._read(answer, prompt.model)

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Have the model search the web, and read its answer with the pages that it cites."""
        check_search(request, model)
        filters = {"allowed_domains": request.include_domains, "blocked_domains": request.exclude_domains}
        chosen = {key: list(domains) for key, domains in filters.items() if domains}
        tool: dict[str, Any] = {"type": "web_search", **({"filters": chosen} if chosen else {})}
        prompt = Prompt(TextRequest(model=request.model, prompt=request.prompt), model)
        answer = await self._api.post("responses", model, body={**self._body(prompt), "tools": [tool]})
        done = self._read(answer, model)
        try:
            count, pages = _searches(answer), _pages(answer)
        except (TypeError, AttributeError):
            raise self._strange(model) from None
        # The model marks what it cites in its words already.
        result: dict[str, JsonValue] = {"answer": done.text.strip(), "sources": pages}
        return SearchReply(result=result, usage=search_usage(done.usage, count, model))

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        request, model = prompt.request, prompt.model
        body: dict[str, Any] = {
            "model": model.model_id,
            "input": _input(prompt),
            "max_output_tokens": request.model.max_tokens or model.max_tokens or self._default_max_tokens,
            # Chat completions are not kept by the provider either.
            "store": False,
        }
        if request.system:
            body["instructions"] = request.system
        if (temperature := model.temperature(request.model.temperature)) is not None:
            body["temperature"] = temperature
        if (effort := request.model.reasoning_effort) is not None:
            body["reasoning"] = {"effort": effort_word(effort)}
        for name in ("reasoning_budget", "seed"):
            if getattr(request.model, name) is not None:
                _LOG.warning("%s takes no %s: not sent", model.handle, name)
        if prompt.schema is not None:
            schema = {"type": "json_schema", "name": wire_name(prompt.name), "schema": prompt.schema, "strict": False}
            body["text"] = {"format": schema}
        return body

    def _read(self, answer: Any, model: ModelSpec) -> Completion:
        where: dict[str, Any] = {"provider": self._name, "model": model.handle, "status": 200}
        try:
            contents = list(_contents(answer))
            refused = next((content["refusal"] for content in contents if content.get("type") == "refusal"), None)
            text = "".join(content["text"] for content in contents if content.get("type") == "output_text")
            cut = (answer.get("incomplete_details") or {}).get("reason")
            usage = _usage(answer.get("usage") or {}, model)
        except (TypeError, KeyError, AttributeError, ValueError):
            raise self._strange(model) from None
        check_finished(_ENDINGS.get(str(cut), cut), refused, where)
        return Completion(whole(not_empty(text, where)), usage)

    def _strange(self, model: ModelSpec) -> ReplyError:
        return ReplyError(
            f"{self._name} answered with something that is not a response",
            retryable=True,
            hint="check the endpoint of the backend: it usually ends in /v1",
            provider=self._name,
            model=model.handle,
            status=200,
        )


def _contents(answer: Any) -> Iterator[dict[str, Any]]:
    for item in answer["output"]:
        if item.get("type") == "message":
            yield from item["content"]


def _searches(answer: Any) -> int:
    """How many times the model says that it searched; opening a page that was found is no search."""
    calls = [item for item in answer["output"] if item.get("type") == "web_search_call"]
    return sum((call.get("action") or {}).get("type", "search") == "search" for call in calls)


def _pages(answer: Any) -> list[JsonValue]:
    """The pages that are cited, each once."""
    pages: dict[str, JsonValue] = {}
    for content in _contents(answer):
        for cited in content.get("annotations") or ():
            if cited.get("type") == "url_citation" and (url := cited.get("url")):
                pages.setdefault(url, {"url": url, "title": cited.get("title"), "snippet": None})
    return list(pages.values())


def _usage(found: dict[str, Any], model: ModelSpec) -> Usage:
    tokens = {
        "input_tokens": int(found.get("input_tokens") or 0),
        "cached_tokens": int((found.get("input_tokens_details") or {}).get("cached_tokens") or 0),
        "output_tokens": int(found.get("output_tokens") or 0),
    }
    reasoning_tokens = int((found.get("output_tokens_details") or {}).get("reasoning_tokens") or 0)
    cost = cost_usd(model.costs if found else {}, **tokens)
    return Usage(calls=1, reasoning_tokens=reasoning_tokens, cost_usd=cost, **tokens)


def _input(prompt: Prompt) -> list[dict[str, Any]]:
    request = prompt.request
    # The API takes no conversation without a user in it.
    text = {"type": "input_text", "text": request.prompt or "Go ahead."}
    files = [item for part in prompt.parts for item in _content(part, request.model)]
    return [{"role": "user", "content": [*files, text]}, *asked_again(prompt)]


def _content(part: Part, setting: ModelSetting) -> list[dict[str, Any]]:
    label = {"type": "input_text", "text": part.label}
    if part.kind == "text":
        return [{"type": "input_text", "text": part.labelled_text}]
    if part.kind == "file":
        return [label, {"type": "input_file", "filename": part.filename or "document.pdf", "file_data": part.data_url}]
    detail = {"detail": setting.image_detail} if setting.image_detail is not None else {}
    return [label, {"type": "input_image", "image_url": part.data_url, **detail}]
