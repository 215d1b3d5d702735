"""Chat completions over HTTP, as OpenAI, Azure and many others serve them. Runs on workers; one attempt per call."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import ReplyError, RequestRefusedError
from pipelex.inference.attempts import part_key
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.pricing import cost_usd
from pipelex.inference.providers.endings import check_finished, not_empty
from pipelex.inference.providers.http import Api
from pipelex.inference.providers.openai_images import make_images
from pipelex.inference.providers.provider import Completion, ImagePrompt, Images, Part, Prompt
from pipelex.inference.settings import InferenceSettings
from pipelex.inference.structured import whole, wire_name
from pipelex.pipes.requests import ModelSetting, Usage

_LOG = logging.getLogger(__name__)
_TOO_LONG: Final = re.compile(r"max_(?:completion_)?tokens|context.?(?:length|window|size)", re.IGNORECASE)
"""How servers refuse a limit that does not fit beside the prompt."""


class OpenAICompatible:
    """One backend that speaks chat completions, and makes images the same way."""

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
        self._unlimited: set[str] = set()
        """The models whose server found our default too much for its context."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def complete(self, prompt: Prompt) -> Completion:
        """Ask for one completion and read it."""
        body = _body(prompt)
        limit = self._limit(prompt)
        try:
            answer = await self._api.post("chat/completions", prompt.model, body=body | limit, key=prompt.key)
        except RequestRefusedError as error:
            if not limit or error.status not in (400, 422) or not _TOO_LONG.search(error.message):
                raise
            # Nobody asked for that limit, so nobody shall fail for it. Refusals are not billed.
            key = part_key(prompt.key, ["without the limit"])
            answer = await self._api.post("chat/completions", prompt.model, body=body, key=key)
            self._unlimited.add(prompt.model.model_id)
        return self._read(answer, prompt)

    def _limit(self, prompt: Prompt) -> dict[str, int]:
        """The limit to send where neither the setting nor the table has one: some servers would never stop."""
        model = prompt.model
        is_said = prompt.request.model.max_tokens or model.max_tokens or model.leaves_limit
        if is_said or model.model_id in self._unlimited:
            return {}
        return {_limit_name(model): self._default_max_tokens}

    async def images(self, prompt: ImagePrompt) -> Images:
        """Ask for images, after those given as references if there are any."""
        return await make_images(self._api, prompt)

    def _read(self, answer: Any, prompt: Prompt) -> Completion:
        where: dict[str, Any] = {"provider": self._name, "model": prompt.model.handle, "status": 200}
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            text, refused = message.get("content"), message.get("refusal")
            usage = _usage(answer.get("usage") or {}, prompt.model)
        except (TypeError, KeyError, IndexError, AttributeError, ValueError):
            raise ReplyError(
                f"{self._name} answered with something that is not a chat completion",
                retryable=True,
                hint="check the endpoint of the backend: it usually ends in /v1",
                **where,
            ) from None
        if isinstance(text, list):
            text = "".join(part.get("text") or "" for part in text if isinstance(part, dict))
        check_finished(choice.get("finish_reason"), refused, where)
        return Completion(whole(not_empty(text, where)), usage)


def _usage(found: dict[str, Any], model: ModelSpec) -> Usage:
    input_tokens, output_tokens = int(found.get("prompt_tokens") or 0), int(found.get("completion_tokens") or 0)
    cached_tokens = int((found.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    reasoning_tokens = int((found.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0)
    return Usage(
        calls=1,
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
        reasoning_tokens=reasoning_tokens,
        cost_usd=cost_usd(
            model.costs if found else {},
            input_tokens=input_tokens,
            cached_tokens=cached_tokens,
            output_tokens=output_tokens,
        ),
    )


def _body(prompt: Prompt) -> dict[str, Any]:
    request, model = prompt.request, prompt.model
    body: dict[str, Any] = {"model": model.model_id, "messages": _messages(prompt), **_parameters(request.model, model)}
    if prompt.schema is not None:
        schema: dict[str, JsonValue] = {"name": wire_name(prompt.name), "schema": prompt.schema, "strict": False}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _limit_name(model: ModelSpec) -> str:
    # The name of a deployment on Azure does not tell whether it reasons; all of them take the newer word.
    is_newer = model.is_reasoning or model.sdk == "azure_openai"
    return "max_completion_tokens" if is_newer else "max_tokens"


def _parameters(setting: ModelSetting, model: ModelSpec) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if (temperature := model.temperature(setting.temperature)) is not None:
        parameters["temperature"] = temperature
    max_tokens = setting.max_tokens or model.max_tokens
    if max_tokens is not None:
        parameters[_limit_name(model)] = max_tokens
    if setting.reasoning_effort is not None:
        parameters["reasoning_effort"] = effort_word(setting.reasoning_effort)
    if setting.reasoning_budget is not None:
        _LOG.warning("%s takes no reasoning_budget: not sent; use reasoning_effort", model.handle)
    if setting.seed is not None:
        parameters["seed"] = setting.seed
    return parameters


def effort_word(asked: str) -> str:
    """How OpenAI calls an effort: "max" is the highest of the provider, and the wire has no such word."""
    return "xhigh" if asked == "max" else asked


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    request = prompt.request
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    if prompt.parts:
        content = [item for part in prompt.parts for item in _content(part, request.model)]
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": request.prompt}]})
    elif request.prompt or not request.system:
        messages.append({"role": "user", "content": request.prompt})
    return [*messages, *asked_again(prompt)]


def asked_again(prompt: Prompt) -> Iterator[dict[str, Any]]:
    """What was replied until now, each with what is wrong with it: the messages of both APIs are alike in this."""
    for reask in prompt.reasks:
        yield {"role": "assistant", "content": reask.reply}
        yield {"role": "user", "content": reask.complaint}


def _content(part: Part, setting: ModelSetting) -> list[dict[str, Any]]:
    label = {"type": "text", "text": part.label}
    if part.kind == "text":
        return [{"type": "text", "text": part.labelled_text}]
    if part.kind == "file":
        name = part.filename or "document.pdf"
        return [label, {"type": "file", "file": {"filename": name, "file_data": part.data_url}}]
    image: dict[str, Any] = {"url": part.data_url}
    if setting.image_detail is not None:
        image["detail"] = setting.image_detail
    return [label, {"type": "image_url", "image_url": image}]
