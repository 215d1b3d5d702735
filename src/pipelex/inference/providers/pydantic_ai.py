"""Providers whose API is not chat completions, through pydantic-ai. Runs on workers; one attempt per call.

Anthropic, Google and Bedrock. The connection, its limits and its errors stay ours.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pipelex.errors import ConfigError, InferenceError, PipelexError, ReplyError, RequestRefusedError
from pipelex.inference.backends import EXTRA_OF_SDK, Access, ModelSpec
from pipelex.inference.pricing import cost_usd
from pipelex.inference.providers.endings import check_finished, not_empty
from pipelex.inference.providers.http import SdkClient, ours
from pipelex.inference.providers.provider import Completion, Part, Prompt
from pipelex.inference.providers.refusals import refusal
from pipelex.inference.providers.web_search import check_search, found, search_tool, search_usage, searches
from pipelex.inference.redaction import redact
from pipelex.inference.settings import InferenceSettings
from pipelex.inference.structured import whole, wire_name
from pipelex.pipes.requests import ModelSetting, SearchReply, SearchRequest, TextRequest, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, UserContent
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

    from pipelex.inference.providers.pydantic_ai_models import Models

_LOG = logging.getLogger(__name__)
_LONG: Final = 21_333
"""Anthropic wants longer replies streamed: a connection that is silent for minutes may be cut on the way."""


class PydanticAI:
    """One backend that is called through its own SDK, which is imported with the first call, or by `warm`."""

    def __init__(self, sdk: str, name: str, access: Access, settings: InferenceSettings) -> None:
        self._sdk = sdk
        self._name = name
        self._access = access
        self._settings = settings
        self._http = SdkClient(name, access, settings)
        self._connecting = asyncio.Lock()
        self._connect: Models | None = None
        self._models: dict[str, Model] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def warm(self) -> None:
        """Import the SDK and build its client, in a thread: that takes seconds."""
        async with self._connecting:
            if self._connect is None:
                loop = asyncio.get_running_loop()
                self._connect = await asyncio.to_thread(self._connected, loop)
                if EXTRA_OF_SDK[self._sdk] == "bedrock":
                    _allow_threads(self._settings.max_connections)

    async def complete(self, prompt: Prompt) -> Completion:
        """Ask for one completion and read it."""
        return self._read(await self._answer(prompt), prompt)

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Have the model search the web, and read its answer with the pages that it cites."""
        check_search(request, model)
        prompt = Prompt(TextRequest(model=request.model, prompt=request.prompt), model)
        await self.warm()
        response = await self._answer(prompt, search_tool(request))
        if response.state == "suspended":
            raise ReplyError(
                f"{self._name} paused in the middle of its search",
                retryable=True,
                hint="ask for less in one search",
                provider=self._name,
                model=model.handle,
            )
        usage = search_usage(self._read(response, prompt).usage, searches(response), model)
        return SearchReply(result=found(response, is_cited=request.include_inline_citations), usage=usage)

    async def _answer(self, prompt: Prompt, tool: ModelRequestParameters | None = None) -> ModelResponse:
        await self.warm()
        try:
            return await self._ask(prompt, tool)
        except Exception as error:  # noqa: BLE001 - SDKs raise errors of any class
            raise self._fault(error, prompt.model) from None

    def _connected(self, loop: asyncio.AbstractEventLoop) -> Models:
        extra = EXTRA_OF_SDK[self._sdk]
        try:
            from pipelex.inference.providers.pydantic_ai_models import connect

            models = connect(self._sdk, self._access, self._settings, self._http, loop)
            # The profile of whichever model loads tables that the first call would load on the event loop.
            _ = models("any").profile
            return models
        except ImportError:
            raise ConfigError(
                f"the backend {self._name!r} needs the extra {extra!r} of pipelex, which is not installed here",
                hint=f'pip install "pipelex[{extra}]"',
            ) from None
        except PipelexError:
            raise
        except Exception as error:  # noqa: BLE001 - SDKs raise errors of any class
            said = redact(str(error), self._access.secrets)[:300]
            raise ConfigError(f"the backend {self._name!r} cannot be set up: {type(error).__name__}: {said}") from None

    async def _ask(self, prompt: Prompt, tool: ModelRequestParameters | None) -> ModelResponse:
        from pydantic_ai.direct import model_request, model_request_stream

        model = self._model(prompt.model)
        settings = self._parameters(prompt, model)
        wanted = tool or _output(prompt)
        asked: dict[str, Any] = {"model_settings": settings, "model_request_parameters": wanted}
        if tool is not None:
            settings["citations"] = True
        if self._sdk == "anthropic" and settings["max_tokens"] > _LONG:
            async with model_request_stream(model, _messages(prompt, self._sdk), **asked) as stream:
                async for _ in stream:
                    pass
                return stream.get()
        return await model_request(model, _messages(prompt, self._sdk), **asked)

    def _model(self, spec: ModelSpec) -> Model:
        assert self._connect is not None
        if spec.model_id not in self._models:
            self._models[spec.model_id] = self._connect(spec.model_id)
        return self._models[spec.model_id]

    def _parameters(self, prompt: Prompt, model: Model) -> ModelSettings:
        asked, spec = prompt.request.model, prompt.model
        tokens = asked.max_tokens or spec.max_tokens or self._settings.default_max_tokens
        settings: dict[str, Any] = {"max_tokens": tokens}
        if asked.seed is not None:
            settings["seed"] = asked.seed
        if spec.headers and EXTRA_OF_SDK[self._sdk] != "bedrock":
            settings["extra_headers"] = dict(spec.headers)
        reasoning = self._reasoning(asked, spec)
        if (budget := asked.reasoning_budget) and reasoning:
            # The tokens of reasoning count as output.
            settings["max_tokens"] = tokens if tokens > budget else tokens + budget
        # Claude takes no temperature while it reasons, and newer ones none at all.
        is_fixed = model.profile.get("anthropic_disallows_sampling_settings", False) or (
            bool(reasoning) and reasoning.get("thinking") is not False and "claude" in spec.model_id
        )
        if not is_fixed and (temperature := spec.temperature(asked.temperature)) is not None:
            settings["temperature"] = temperature
        return {**settings, **reasoning}  # type: ignore[typeddict-item]

    def _reasoning(self, asked: ModelSetting, spec: ModelSpec) -> dict[str, Any]:
        if asked.reasoning_effort is not None:
            return {"thinking": False if asked.reasoning_effort == "none" else asked.reasoning_effort}
        if asked.reasoning_budget is None:
            return {}
        enabled = {"type": "enabled", "budget_tokens": asked.reasoning_budget}
        match EXTRA_OF_SDK[self._sdk]:
            case "anthropic":
                return {"anthropic_thinking": enabled}
            case "google":
                return {"google_thinking_config": {"thinking_budget": asked.reasoning_budget}}
            case "bedrock" if "claude" in spec.model_id:
                return {"bedrock_additional_model_requests_fields": {"thinking": enabled}}
        _LOG.warning("%s takes no reasoning_budget: not sent; use reasoning_effort", spec.handle)
        return {}

    def _read(self, response: ModelResponse, prompt: Prompt) -> Completion:
        where: dict[str, Any] = {"provider": self._name, "model": prompt.model.handle, "status": 200}
        check_finished(response.finish_reason, None, where)
        # An object comes as the arguments of a tool where the model has no JSON output.
        called = [part.args_as_json_str() for part in response.tool_calls]
        return Completion(whole(not_empty(called[0] if called else response.text, where)), _usage(response, prompt))

    def _fault(self, error: Exception, spec: ModelSpec) -> PipelexError:
        if (found := ours(error)) is not None:
            if isinstance(found, InferenceError):
                found.model = spec.handle
            return found
        # The first line: the others may hold the prompt.
        first = str(error).partition("\n")[0]
        said = redact(f"{type(error).__name__}: {first}", self._access.secrets)[:500]
        where: dict[str, Any] = {"provider": self._name, "model": spec.handle}
        if type(error).__module__.startswith("botocore") and "redential" in type(error).__name__:
            return ConfigError(
                f"the backend {self._name!r} has no AWS credentials here: {said}",
                hint="export AWS_BEARER_TOKEN_BEDROCK=...  or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        if type(error).__module__.startswith("google.auth"):
            refused = 503 if type(error).__name__ == "TransportError" else 401
            return refusal(self._name, spec.handle, refused, {}, said.encode(), ())
        # A refusal is one of `ours`, unless the provider answered 200 and refused inside.
        if (status := _status(error)) is not None:
            return refusal(self._name, spec.handle, status, {}, said.encode(), ())
        if _is_unreadable(error):
            return ReplyError(
                f"{self._name} answered with something that is not a completion ({said})",
                retryable=True,
                hint="check the endpoint of the backend",
                status=200,
                **where,
            )
        return RequestRefusedError(
            f"the request cannot be made of {self._name}: {said}",
            hint="the request does not suit this model: change its setting, or use another model",
            **where,
        )


_UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError, AssertionError)
"""What SDKs raise over an answer of the wrong shape."""


def _status(error: Exception) -> int | None:
    """The status of an error that was told inside an answer, None when it is not one."""
    from pydantic_ai import exceptions

    if isinstance(error, exceptions.ModelHTTPError):
        return error.status_code
    if isinstance(error, exceptions.ModelRateLimitError):
        return 429
    if isinstance(error, exceptions.ModelServerError | exceptions.ModelUnavailableError):
        return 503
    return None


def _is_unreadable(error: Exception) -> bool:
    """Whether the answer could not be read, rather than the request not be made."""
    from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior

    if isinstance(error, ValidationError) and error.title.endswith("Parameters"):
        return False
    return type(error) is ModelAPIError or isinstance(error, (*_UNREADABLE, UnexpectedModelBehavior))


def _allow_threads(count: int) -> None:
    """Let that many calls wait in threads at once: boto3 is not asynchronous, and 40 are allowed by default."""
    import anyio.to_thread

    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, count)


def _messages(prompt: Prompt, sdk: str) -> list[ModelMessage]:
    from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart

    request = prompt.request
    system = [SystemPromptPart(request.system)] if request.system else []
    content: list[UserContent] = [item for part in prompt.parts for item in _content(part, request.model, sdk)]
    # Some of these APIs take no conversation without a user in it.
    text = request.prompt or "Go ahead."
    asked = UserPromptPart([*content, text] if content else text)
    messages: list[ModelMessage] = [ModelRequest(parts=[*system, asked])]
    for reask in prompt.reasks:
        messages.append(ModelResponse(parts=[TextPart(reask.reply)]))
        messages.append(ModelRequest(parts=[UserPromptPart(reask.complaint)]))
    return messages


def _content(part: Part, setting: ModelSetting, sdk: str) -> list[UserContent]:
    from pydantic_ai.messages import BinaryContent

    if part.kind == "text":
        return [part.labelled_text]
    detail: dict[str, Any] | None = None
    if sdk == "google" and part.kind == "image" and (wanted := setting.image_detail) not in (None, "auto"):
        detail = {"media_resolution": {"level": f"MEDIA_RESOLUTION_{wanted}".upper()}}
    return [part.label, BinaryContent(part.data, media_type=part.mime_type, vendor_metadata=detail)]


def _output(prompt: Prompt) -> ModelRequestParameters:
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    if prompt.schema is None:
        return ModelRequestParameters()
    name, schema = wire_name(prompt.name), dict(prompt.schema)
    return ModelRequestParameters(
        output_mode="tool" if "tool" in (prompt.model.structure_method or "") else "auto",
        output_object=OutputObjectDefinition(json_schema=schema, name=name),
        output_tools=[ToolDefinition(name=name, parameters_json_schema=schema, kind="output")],
        allow_text_output=False,
    )


def _usage(response: ModelResponse, prompt: Prompt) -> Usage:
    found = response.usage
    tokens = {
        "input_tokens": found.input_tokens,
        "cached_tokens": found.cache_read_tokens,
        "output_tokens": found.output_tokens,
    }
    cost = cost_usd(prompt.model.costs if found.input_tokens else {}, **tokens)
    more = {"reasoning_tokens": found.output_reasoning_tokens} if "reasoning_tokens" in Usage.model_fields else {}
    return Usage(calls=1, cost_usd=cost, **tokens, **more)
