"""Images made by jobs: submitted once, then polled until done. Runs on workers.

Each job is noted in the checkpoint before it is waited for, so that a later attempt finds it again and pays nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from pydantic import JsonValue

from pipelex.errors import InferenceError, ProviderDownError, RequestRefusedError
from pipelex.inference.pricing import unit_cost_usd
from pipelex.inference.providers.provider import ImagePrompt, Images
from pipelex.inference.redaction import redact
from pipelex.pipes.requests import Usage

_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 3.0
_CANCEL_SECONDS: Final = 2.0
_UNWANTED: Final = re.compile(r"nsfw|safety|sensitive|content.?polic|moderat|\bE005\b", re.IGNORECASE)


class Queue(Protocol):
    """Where a provider takes jobs."""

    @property
    def name(self) -> str:
        """The backend."""
        ...

    async def submit(self, prompt: ImagePrompt) -> str:
        """Begin a job, once paid for; its id."""
        ...

    async def ask(self, job: str, prompt: ImagePrompt) -> Sequence[str] | InferenceError | None:
        """The urls of the images of a job, None while it goes on, or why it failed. Raises when that is not known."""
        ...

    async def cancel(self, job: str, prompt: ImagePrompt) -> None:
        """Stop a job that nobody wants any more."""
        ...


async def make_images(queue: Queue, prompt: ImagePrompt, *, jobs: int, within: timedelta) -> Images:
    """Have that many jobs done, those of an earlier attempt included, and wait for them no longer than `within`.

    Cancelled for good, it cancels them at the provider, too.
    """
    began = _found(prompt.checkpoint.last, queue.name)
    running = list(began)
    try:
        while len(running) < jobs:
            running.append(await queue.submit(prompt))
            _note(prompt, queue.name, running)
        urls = await _all_waited(queue, prompt, running, began, within)
    except asyncio.CancelledError:
        if prompt.checkpoint.is_over:
            await _cancel(queue, prompt, running)
        raise
    cost = unit_cost_usd(prompt.model.costs, "image", len(urls))
    return Images(tuple(urls), Usage(calls=jobs, images=len(urls), cost_usd=cost))


async def _all_waited(
    queue: Queue, prompt: ImagePrompt, running: list[str], began: Sequence[str], within: timedelta
) -> list[str]:
    urls: list[str] = []
    try:
        async with asyncio.timeout(within.total_seconds()):
            for job in tuple(running):
                urls += await _waited(queue, prompt, job, running, is_old=job in began)
    except TimeoutError:
        raise ProviderDownError(
            f"the job {running[0]} of {queue.name} is not done after {within.total_seconds():g} s",
            retryable=True,
            hint="the next attempt waits for the same job; if such jobs are that long, raise request_timeout under "
            "[inference]",
            provider=queue.name,
            model=prompt.model.handle,
        ) from None
    return urls


async def _cancel(queue: Queue, prompt: ImagePrompt, jobs: Sequence[str]) -> None:
    """Cancel jobs as far as that goes in little time: whoever waits for the end of the run shall not wait for this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CANCEL_SECONDS):
            await asyncio.gather(*(queue.cancel(job, prompt) for job in jobs), return_exceptions=True)


def failure(provider: str, model: str, reason: object, secrets: Iterable[str]) -> InferenceError:
    """The error for a job that failed for that reason."""
    said = redact(str(reason or "it gives no reason"), secrets)[:500]
    facts: dict[str, Any] = {"provider": provider, "model": model}
    if _UNWANTED.search(said):
        return RequestRefusedError(
            f"{provider} refuses to show what it drew: {said}",
            hint="reword the prompt: it is against the content policy of the provider",
            **facts,
        )
    return ProviderDownError(
        f"the job failed at {provider}: {said}",
        retryable=True,
        hint="each attempt is a new job; if all fail alike, change the prompt or the parameters of the model",
        **facts,
    )


async def _waited(queue: Queue, prompt: ImagePrompt, job: str, running: list[str], *, is_old: bool) -> Sequence[str]:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            answer = await queue.ask(job, prompt)
        except RequestRefusedError as error:
            if not is_old or error.status not in (404, 410):
                raise
            answer = failure(queue.name, prompt.model.handle, "the job of an earlier attempt is gone", ())
        if isinstance(answer, InferenceError):
            # The next attempt shall begin another one.
            running.remove(job)
            _note(prompt, queue.name, running)
            raise answer
        if answer is not None:
            return answer
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _note(prompt: ImagePrompt, provider: str, jobs: list[str]) -> None:
    data: dict[str, JsonValue] = {"provider": provider, "jobs": [*jobs]}
    prompt.checkpoint.save(data if jobs else None)


def _found(data: JsonValue | None, provider: str) -> list[str]:
    """The jobs that an earlier attempt began with this provider."""
    if not isinstance(data, dict) or data.get("provider") != provider:
        return []
    jobs = data.get("jobs")
    return [str(job) for job in jobs] if isinstance(jobs, list) else []
