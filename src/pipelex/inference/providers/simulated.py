"""A model that is not one: replies taken from the prompt itself, the same for the same seed. Runs on workers, free."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import ProviderDownError, RateLimitError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.pricing import cost_usd
from pipelex.inference.providers.extraction import Source, fill
from pipelex.inference.providers.provider import Completion, ImagePrompt, Images, Prompt
from pipelex.inference.providers.sizes import pixels
from pipelex.inference.settings import SimulatedSettings
from pipelex.inference.structured import validate
from pipelex.pipes.requests import Request, SearchReply, SearchRequest, Usage

MARK: Final = "[simulated]"
_CHARACTERS_PER_TOKEN: Final = 4
_TOKENS_PER_FILE: Final = 765


class Simulated:
    """Makes up replies, delays and failures from (seed, request, how often that request was made here)."""

    def __init__(self, settings: SimulatedSettings) -> None:
        self._settings = settings
        self._attempts: Counter[str] = Counter()

    async def aclose(self) -> None:
        """Nothing to let go of."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Wait as a provider would, perhaps fail as one would, then reply."""
        key = self._key(prompt.request, len(prompt.reasks))
        await self._pretend(key, prompt.model.handle)
        text = self._text(prompt, key)
        return Completion(text, self._usage(prompt, text))

    async def images(self, prompt: ImagePrompt) -> Images:
        """Draw pictures that say what they are, and what was asked."""
        from pipelex.inference.providers.drawing import draw

        key = self._key(prompt.request, 0)
        await self._pretend(key, prompt.model.handle)
        size = pixels(prompt.request) or (1024, 1024)
        count = prompt.request.count
        made = tuple(draw(prompt.request.prompt, f"{key}:{number}", size) for number in range(count))
        return Images(made, Usage(calls=1, images=count, is_simulated=True))

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Answer with the question itself, and with sources that are nowhere."""
        key = self._key(request, 0)
        await self._pretend(key, model.handle)
        asked = " ".join(request.prompt.split())[:200]
        hosts = [f"{domain}.example.invalid" for domain in request.include_domains] or ["example.invalid"]
        count = min(request.max_results or 3, 3)
        numbers = range(1, count + 1)
        sources: list[JsonValue] = [
            {
                "url": f"https://{hosts[number % len(hosts)]}/{key[:8]}/{number}",
                "title": f"{MARK} Source {number}",
                "snippet": f"{MARK} A passage that would bear on: {asked[:120]}",
            }
            for number in numbers
        ]
        cited = " ".join(f"[{number}]" for number in numbers) if request.include_inline_citations else ""
        answer = f"{MARK} No search was made. An answer to this would stand here: {asked} {cited}".rstrip()
        return SearchReply(
            result={"answer": answer, "sources": sources}, usage=Usage(calls=1, searches=1, is_simulated=True)
        )

    async def _pretend(self, key: str, handle: str) -> None:
        """Wait as a provider would, and perhaps fail as one would."""
        settings = self._settings
        attempt = self._attempts[key]
        if settings.error_rate or settings.rate_limit_rate:
            self._attempts[key] += 1
        seconds = (settings.latency + settings.jitter * _share(key, "jitter", attempt)).total_seconds()
        if seconds > 0:
            await asyncio.sleep(seconds)
        self._fail(key, attempt, handle)

    def _key(self, request: Request[Any], reasks: int) -> str:
        data = request.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps([self._settings.seed, data, reasks], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _fail(self, key: str, attempt: int, handle: str) -> None:
        settings = self._settings
        share = _share(key, "failure", attempt)
        if share < settings.rate_limit_rate:
            raise RateLimitError(
                "the simulated provider asks to slow down (429)",
                retryable=True,
                provider="simulated",
                model=handle,
                status=429,
                retry_after=settings.rate_limit_retry_after.total_seconds(),
            )
        if share < settings.rate_limit_rate + settings.error_rate:
            raise ProviderDownError(
                "the simulated provider failed (503)", retryable=True, provider="simulated", model=handle, status=503
            )

    def _text(self, prompt: Prompt, key: str) -> str:
        source = Source(prompt.request.prompt, key)
        if prompt.schema is None:
            return f"{MARK} {source.summary()}".rstrip()
        data = fill(prompt.schema, source)
        if validate(data, prompt.schema):
            from pipelex.values.mock import mock

            data = mock(prompt.schema, seed=key)
        return json.dumps(data, ensure_ascii=False)

    def _usage(self, prompt: Prompt, text: str) -> Usage:
        request = prompt.request
        asked = len(request.prompt) + len(request.system or "") + len(json.dumps(prompt.schema or ""))
        input_tokens = -(-asked // _CHARACTERS_PER_TOKEN) + _TOKENS_PER_FILE * len(request.attachments)
        output_tokens = -(-len(text) // _CHARACTERS_PER_TOKEN)
        prices = {
            "input": self._settings.input_usd_per_million_tokens,
            "output": self._settings.output_usd_per_million_tokens,
        }
        return Usage(
            calls=1,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost_usd=cost_usd(prices, input_tokens=input_tokens, cached_tokens=0, output_tokens=output_tokens),
            is_simulated=True,
        )


def _share(*parts: object) -> float:
    """A number from 0 to 1, excluded, that follows from the parts."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
