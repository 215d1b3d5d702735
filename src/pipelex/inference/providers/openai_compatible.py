"""Chat completions over HTTP, as OpenAI and many others serve them. Runs on workers; one attempt per call."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from typing import Any, Final

import httpx2
from pydantic import JsonValue

from pipelex.errors import ConfigError, ProviderDownError, ReplyError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.pricing import cost_usd
from pipelex.inference.providers.provider import Completion, Part, Prompt
from pipelex.inference.providers.refusals import refusal
from pipelex.inference.settings import InferenceSettings
from pipelex.inference.structured import whole
from pipelex.pipes.requests import ModelSetting, Usage

_LOG = logging.getLogger(__name__)
_REASONING: Final = re.compile(r"(?:openai/)?(?:o\d|gpt-5)")
"""Models that take `max_completion_tokens`, and no temperature."""
_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")


class OpenAICompatible:
    """One backend that speaks chat completions."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._name = name
        self._access = access
        self._settings = settings
        total = settings.request_timeout.total_seconds()
        headers = {"authorization": f"Bearer {access.api_key}"} if access.api_key else {}
        try:
            self._client = httpx2.AsyncClient(
                headers=headers,
                # Waiting for a free connection is our own queueing, so it gets the whole time of a request.
                timeout=httpx2.Timeout(total, connect=settings.connect_timeout.total_seconds(), pool=None),
                limits=httpx2.Limits(max_connections=settings.max_connections, max_keepalive_connections=None),
            )
        except (UnicodeError, ValueError):
            # Neither the message nor the chained exception may show the key.
            raise ConfigError(f"the key of backend {name!r} holds characters that cannot be sent") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def complete(self, prompt: Prompt) -> Completion:
        """Ask for one completion and read it."""
        status, headers, body = await self._post(_body(prompt), prompt.model)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        error = answer.get("error") if isinstance(answer, dict) else None
        if status != 200 or error:
            # Some gateways answer 200 with an error inside.
            inner = error.get("code") if isinstance(error, dict) else None
            status = inner if status == 200 and isinstance(inner, int) else status
            raise refusal(self._name, prompt.model.handle, status, headers, body, self._access.api_key)
        return self._read(answer, prompt)

    async def _post(self, body: dict[str, Any], model: ModelSpec) -> tuple[int, httpx2.Headers, bytes]:
        url = f"{self._access.endpoint}/chat/completions"
        where: dict[str, Any] = {"provider": self._name, "model": model.handle, "where": url.partition("?")[0]}
        received = bytearray()
        try:
            async with (
                asyncio.timeout(self._settings.request_timeout.total_seconds()),
                self._client.stream("POST", url, json=body, headers=dict(model.headers)) as response,
            ):
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > self._settings.max_reply_bytes:
                        limit = self._settings.max_reply_bytes
                        raise ReplyError(f"the answer of {self._name} is larger than {limit} bytes", **where)
                return response.status_code, response.headers, bytes(received)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ConfigError(
                f"the endpoint of backend {self._name!r} is not a valid url: {error}", hint="it starts with https://"
            ) from None
        except (TimeoutError, httpx2.TimeoutException) as error:
            within = f"{self._settings.request_timeout.total_seconds():g} s"
            raise ProviderDownError(
                f"{self._name} did not answer in {within} ({type(error).__name__})",
                retryable=True,
                hint="raise request_timeout under [inference], or ask for a shorter answer",
                **where,
            ) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            message = f"the connection to {self._name} failed: {type(error).__name__} {error}".strip()
            hint = "check the endpoint of this backend and that this machine can reach it; each attempt made failed"
            raise ProviderDownError(message, retryable=True, hint=hint, **where) from None

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
        _check_finished(choice.get("finish_reason"), refused, where)
        if not isinstance(text, str) or not text.strip():
            raise ReplyError(
                f"{self._name} gave an empty reply",
                retryable=True,
                hint="if it stays empty, raise max_tokens or use another model",
                **where,
            )
        return Completion(whole(text), usage)


def _check_finished(reason: object, refused: object, where: dict[str, Any]) -> None:
    provider = where["provider"]
    if refused:
        raise ReplyError(f"the model refused: {str(refused)[:500]}", hint="reword the prompt", **where)
    if reason == "length":
        raise ReplyError(
            f"the reply of {provider} was cut at its token limit",
            hint="raise max_tokens in the model setting, or ask for less in one prompt",
            **where,
        )
    if reason == "content_filter":
        raise ReplyError(
            f"the reply of {provider} was withheld by its content filter", hint="reword the prompt", **where
        )


def _usage(found: dict[str, Any], model: ModelSpec) -> Usage:
    input_tokens, output_tokens = int(found.get("prompt_tokens") or 0), int(found.get("completion_tokens") or 0)
    cached_tokens = int((found.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return Usage(
        calls=1,
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        output_tokens=output_tokens,
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
        name = _NAME.sub("_", prompt.name or "Reply")[:64] or "Reply"
        schema: dict[str, JsonValue] = {"name": name, "schema": prompt.schema, "strict": False}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _parameters(setting: ModelSetting, model: ModelSpec) -> dict[str, Any]:
    is_reasoning = _REASONING.match(model.model_id) is not None
    parameters: dict[str, Any] = {}
    temperature = model.fixed_temperature if model.fixed_temperature is not None else setting.temperature
    if temperature is not None:
        if is_reasoning or "temperature_unsupported" in model.constraints:
            _LOG.debug("%s takes no temperature: not sent", model.handle)
        else:
            doubled = "temperature_must_be_multiplied_by_2" in model.constraints
            parameters["temperature"] = temperature * 2 if doubled else temperature
    max_tokens = setting.max_tokens or model.max_tokens
    if max_tokens is not None:
        parameters["max_completion_tokens" if is_reasoning else "max_tokens"] = max_tokens
    if setting.reasoning_effort is not None:
        # "max" is the highest of the provider; the wire has no such word.
        parameters["reasoning_effort"] = "xhigh" if setting.reasoning_effort == "max" else setting.reasoning_effort
    if setting.reasoning_budget is not None:
        _LOG.warning("%s takes no reasoning_budget: not sent; use reasoning_effort", model.handle)
    if setting.seed is not None:
        parameters["seed"] = setting.seed
    return parameters


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
    for reask in prompt.reasks:
        messages.append({"role": "assistant", "content": reask.reply})
        messages.append({"role": "user", "content": reask.complaint})
    return messages


def _content(part: Part, setting: ModelSetting) -> list[dict[str, Any]]:
    label = {"type": "text", "text": part.label}
    if part.kind == "text":
        return [{"type": "text", "text": f"{part.label}\n{part.data.decode('utf-8', 'replace')}"}]
    url = f"data:{part.mime_type};base64,{base64.b64encode(part.data).decode('ascii')}"
    if part.kind == "file":
        name = part.filename or "document.pdf"
        return [label, {"type": "file", "file": {"filename": name, "file_data": url}}]
    image: dict[str, Any] = {"url": url}
    if setting.image_detail is not None:
        image["detail"] = setting.image_detail
    return [label, {"type": "image_url", "image_url": image}]
