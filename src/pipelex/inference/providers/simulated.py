"""A model that is not one: replies taken from the prompt itself, the same for the same seed. Runs on workers, free.

How it behaves is frozen in the request when a run is simulated; else it is what the settings of this process say.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from pydantic import JsonValue

from pipelex.errors import ProviderDownError, RateLimitError, ReplyError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.pricing import cost_usd
from pipelex.inference.providers.extraction import Source, fill
from pipelex.inference.providers.provider import Completion, ImagePrompt, Images, Prompt
from pipelex.inference.providers.sizes import pixels
from pipelex.inference.rehearsal import behaviour_of
from pipelex.inference.settings import SimulatedSettings
from pipelex.inference.structured import validate
from pipelex.pipes.rehearsal import Behaviour, Rehearsal
from pipelex.pipes.requests import (
    ModelSetting,
    ObjectReply,
    Request,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    Usage,
)

MARK: Final = "[simulated]"
_CHARACTERS_PER_TOKEN: Final = 4
_TOKENS_PER_FILE: Final = 765


class Simulated:
    """Makes up replies, delays and failures from (seed, request, attempt).

    `clock` gives seconds since the epoch: outages are times of the run.
    """

    def __init__(self, settings: SimulatedSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._started = clock()
        self._attempts: Counter[str] = Counter()

    async def aclose(self) -> None:
        """Nothing to let go of."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Wait as a provider would, perhaps fail as one would, then reply."""
        rehearsal, key = self._rehearsal(prompt.request, prompt.model.handle, len(prompt.reasks))
        await self._pretend(key, rehearsal, prompt.model.handle)
        text = self._text(prompt, key)
        if prompt.schema is not None and _share(key, "cut", rehearsal.attempt) < rehearsal.behaviour.truncated_rate:
            text = text[: max(1, len(text) // 2)]
        return Completion(text, _usage(prompt, text, rehearsal.behaviour))

    async def images(self, prompt: ImagePrompt) -> Images:
        """Draw pictures that say what they are, and what was asked."""
        from pipelex.inference.providers.drawing import draw

        rehearsal, key = self._rehearsal(prompt.request, prompt.model.handle)
        await self._pretend(key, rehearsal, prompt.model.handle)
        size = pixels(prompt.request) or (1024, 1024)
        count = prompt.request.count
        made = tuple(draw(prompt.request.prompt, f"{key}:{number}", size) for number in range(count))
        return Images(made, _units(rehearsal.behaviour.image_usd, images=count))

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Answer with the question itself, and with sources that are nowhere."""
        rehearsal, key = self._rehearsal(request, model.handle)
        await self._pretend(key, rehearsal, model.handle)
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
        usage = _units(rehearsal.behaviour.search_usd, searches=1)
        return SearchReply(result={"answer": answer, "sources": sources}, usage=usage)

    async def search_object(self, request: SearchObjectRequest, model: ModelSpec) -> ObjectReply:
        """Fill the schema from the question itself."""
        rehearsal, key = self._rehearsal(request, model.handle)
        await self._pretend(key, rehearsal, model.handle)
        data = _filled(request.output_schema, Source(request.prompt, key), key)
        return ObjectReply(data=data, usage=_units(rehearsal.behaviour.search_usd, searches=1))

    def _rehearsal(self, request: Request[Any], handle: str, reasks: int = 0) -> tuple[Rehearsal, str]:
        """How to behave now, and the key that everything made up follows from."""
        setting: ModelSetting = request.model  # type: ignore[attr-defined]
        rehearsal = setting.rehearsal
        if rehearsal is None:
            behaviour = behaviour_of(self._settings, handle)
            rehearsal = Rehearsal(seed=self._settings.seed, started=self._started, behaviour=behaviour)
        key = _key(rehearsal.seed, request, reasks)
        if setting.rehearsal is None:
            self._attempts[key] += 1
            rehearsal = rehearsal.model_copy(update={"attempt": self._attempts[key]})
        return rehearsal, key

    async def _pretend(self, key: str, rehearsal: Rehearsal, handle: str) -> None:
        """Wait as a provider would, and perhaps fail as one would."""
        seconds = _latency(key, rehearsal)
        if seconds > 0:
            await asyncio.sleep(seconds)
        facts: dict[str, Any] = {"provider": "simulated", "model": handle}
        self._check_outages(rehearsal, facts)
        _fail(key, rehearsal, facts)

    def _check_outages(self, rehearsal: Rehearsal, facts: dict[str, Any]) -> None:
        since = self._clock() - rehearsal.started
        for outage in rehearsal.behaviour.outages:
            start, end = outage.start.total_seconds(), outage.end.total_seconds()
            if start <= since < end:
                message = f"the simulated provider is down (503), from {start:g} s to {end:g} s of this rehearsal"
                raise ProviderDownError(message, retryable=True, status=503, **facts)

    def _text(self, prompt: Prompt, key: str) -> str:
        source = Source(prompt.request.prompt, key)
        if prompt.schema is None:
            return f"{MARK} {source.summary()}".rstrip()
        return json.dumps(_filled(prompt.schema, source, key), ensure_ascii=False)


def _key(seed: str | int, request: Request[Any], reasks: int) -> str:
    # Neither when nor how often it is asked changes what a model answers.
    data = request.model_dump(mode="json", exclude_defaults=True, exclude={"model": {"rehearsal", "use_cache"}})
    canonical = json.dumps([seed, data, reasks], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _latency(key: str, rehearsal: Rehearsal) -> float:
    """How long one attempt takes, in seconds."""
    behaviour, attempt = rehearsal.behaviour, rehearsal.attempt
    latency, more = behaviour.latency, behaviour.jitter.total_seconds() * _share(key, "jitter", attempt)
    share = _share(key, "latency", attempt)
    if isinstance(latency, timedelta):
        return latency.total_seconds() + more
    if latency.min is not None and latency.max is not None:
        return latency.min.total_seconds() + (latency.max - latency.min).total_seconds() * share + more
    assert latency.p50 is not None
    assert latency.p99 is not None
    from statistics import NormalDist

    normal, median = NormalDist(), latency.p50.total_seconds()
    width = math.log(latency.p99.total_seconds() / median) / normal.inv_cdf(0.99)
    return median * math.exp(width * normal.inv_cdf(max(share, 1e-9))) + more


def _fail(key: str, rehearsal: Rehearsal, facts: dict[str, Any]) -> None:
    """Fail as a provider would, as often as it should."""
    behaviour = rehearsal.behaviour
    share = _share(key, "failure", rehearsal.attempt)
    if share < behaviour.rate_limit_rate:
        raise RateLimitError(
            "the simulated provider asks to slow down (429)",
            retryable=True,
            status=429,
            retry_after=behaviour.rate_limit_retry_after.total_seconds(),
            **facts,
        )
    if share < behaviour.rate_limit_rate + behaviour.error_rate:
        raise ProviderDownError("the simulated provider failed (503)", retryable=True, status=503, **facts)
    # That a prompt is refused is no matter of chance: the next attempt is refused, too.
    if _share(key, "refusal") < behaviour.refusal_rate:
        message = "the reply of the simulated provider was withheld by its content filter"
        raise ReplyError(message, status=200, hint="reword the prompt, or lower the refusal_rate", **facts)


def _usage(prompt: Prompt, text: str, behaviour: Behaviour) -> Usage:
    request = prompt.request
    asked = len(request.prompt) + len(request.system or "") + len(json.dumps(prompt.schema or ""))
    input_tokens = -(-asked // _CHARACTERS_PER_TOKEN) + _TOKENS_PER_FILE * len(request.attachments)
    output_tokens = -(-len(text) // _CHARACTERS_PER_TOKEN)
    prices = {"input": behaviour.input_usd_per_million_tokens, "output": behaviour.output_usd_per_million_tokens}
    return Usage(
        calls=1,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=cost_usd(prices, input_tokens=input_tokens, cached_tokens=0, output_tokens=output_tokens),
        is_simulated=True,
    )


def _units(price: float, **counts: int) -> Usage:
    return Usage(calls=1, cost_usd=price * sum(counts.values()), is_simulated=True, **counts)


def _filled(schema: dict[str, JsonValue], source: Source, key: str) -> JsonValue:
    data: JsonValue = fill(schema, source)
    if validate(data, schema):
        from pipelex.values.mock import mock

        data = mock(schema, seed=key)
    return data


def _share(*parts: object) -> float:
    """A number from 0 to 1, excluded, that follows from the parts."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
