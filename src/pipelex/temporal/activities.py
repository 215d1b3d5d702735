"""The activities: one per kind of request, each a call of the performer with a heartbeat. Runs in workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Protocol

from temporalio import activity

from pipelex.errors import InferenceError, InternalError, PipelexError
from pipelex.inference.attempts import Attempts
from pipelex.inference.checkpoint import Checkpoint, resumes
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ExtractRequest,
    FunctionReply,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    ReplyT,
    Request,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
    attempted,
)
from pipelex.temporal.failures import application_error, unexpected
from pipelex.temporal.receipts import Receipts, identity_of

log = logging.getLogger(__name__)

_DEFAULT_HEARTBEAT = timedelta(seconds=15)
_MOST_BETWEEN_HEARTBEATS = 1.0
"""In seconds. A cancellation comes with the answer to a heartbeat; the profile of the worker says how many are sent."""


class Performs(Protocol):
    """Whoever answers requests."""

    async def perform(
        self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Checkpoint | None = None
    ) -> ReplyT:
        """Carry out one request, without retrying what Temporal retries.

        Attempts with the same `key` are one call to providers that honour idempotency keys; `checkpoint` is what they
        leave to each other.
        """
        ...


class Activities:
    """The activities of one worker, over one performer. Without receipts, a retry makes its call again."""

    def __init__(self, performer: Performs, receipts: Receipts | None = None) -> None:
        self._performer = performer
        self._receipts = receipts

    @activity.defn(name=TextRequest.activity)
    async def act_llm_gen_text(self, request: TextRequest) -> TextReply:
        """One completion as plain text."""
        return await self._perform(request)

    @activity.defn(name=ObjectRequest.activity)
    async def act_llm_gen_object(self, request: ObjectRequest) -> ObjectReply:
        """One object that fits a schema."""
        return await self._perform(request)

    @activity.defn(name=ObjectListRequest.activity)
    async def act_llm_gen_object_list(self, request: ObjectListRequest) -> ObjectReply:
        """A list of objects that fit a schema."""
        return await self._perform(request)

    @activity.defn(name=ExtractRequest.activity)
    async def act_extract_gen_extract_pages(self, request: ExtractRequest) -> PagesReply:
        """The pages of one document or image."""
        return await self._perform(request)

    @activity.defn(name=ImageRequest.activity)
    async def act_img_gen_images(self, request: ImageRequest) -> ImagesReply:
        """Images from a prompt, stored."""
        return await self._perform(request)

    @activity.defn(name=SearchRequest.activity)
    async def act_search_gen_sourced_answer(self, request: SearchRequest) -> SearchReply:
        """One web search answered with sources."""
        return await self._perform(request)

    @activity.defn(name=SearchObjectRequest.activity)
    async def act_search_gen_structured(self, request: SearchObjectRequest) -> ObjectReply:
        """One web search that fills a schema."""
        return await self._perform(request)

    @activity.defn(name=DocumentRequest.activity)
    async def act_doc_gen_document(self, request: DocumentRequest) -> DocumentReply:
        """A file from a page, stored."""
        return await self._perform(request)

    @activity.defn(name=FunctionRequest.activity)
    async def act_func_call(self, request: FunctionRequest) -> FunctionReply:
        """A call of a Python function."""
        return await self._perform(request)

    async def _perform(self, request: Request[ReplyT]) -> ReplyT:
        info = activity.info()
        attempts = Attempts.after(identity_of(info, request), info.heartbeat_details)
        try:
            async with _heartbeats(attempts, leaves_first=resumes(request)):
                return await self._once(request, attempts, info.attempt)
        except asyncio.CancelledError:
            found = activity.cancellation_details()
            if found is not None and found.worker_shutdown and not found.cancel_requested:
                stopped = InferenceError("the worker stopped before the call ended", retryable=True)
                raise application_error(stopped) from None
            raise
        except PipelexError as error:
            if isinstance(error, InternalError):
                log.exception("unexpected error in %s", request.activity)
            attempts.failed(error)
            if attempts.left:
                activity.heartbeat(*attempts.left)
            policy = info.retry_policy
            raise application_error(error, maximum_interval=policy.maximum_interval if policy else None) from None
        except Exception as error:
            # What an unknown exception says may be data: it stays in this log, the history gets the class.
            log.exception("unexpected error in %s", request.activity)
            raise application_error(unexpected(error)) from None

    async def _once(self, request: Request[ReplyT], attempts: Attempts, attempt: int) -> ReplyT:
        """The reply, kept before it is reported; or the one that an earlier attempt kept and could not report."""
        if self._receipts is not None and attempt > 1:
            kept = await self._receipts.find(attempts.identity, request)
            if kept is not None:
                # One of the earlier attempts is the one whose usage this reply has.
                return attempts.counted(kept, attempt - 2)
        reply = await self._performer.perform(attempted(request, attempt), key=attempts.key, checkpoint=attempts)
        if self._receipts is not None:
            await self._receipts.keep(attempts.identity, reply)
        return attempts.counted(reply, attempt - 1)


def activities(performer: Performs, receipts: Receipts | None = None) -> list[Callable[..., Awaitable[Any]]]:
    """Every activity, to give to a worker."""
    bound = Activities(performer, receipts)
    return [
        bound.act_llm_gen_text,
        bound.act_llm_gen_object,
        bound.act_llm_gen_object_list,
        bound.act_extract_gen_extract_pages,
        bound.act_img_gen_images,
        bound.act_search_gen_sourced_answer,
        bound.act_search_gen_structured,
        bound.act_doc_gen_document,
        bound.act_func_call,
    ]


def _is_unwanted() -> bool:
    """Whether the run was cancelled: a worker that stops leaves its jobs to the next one."""
    found = activity.cancellation_details()
    return found is not None and found.cancel_requested


@contextlib.asynccontextmanager
async def _heartbeats(attempts: Attempts, *, leaves_first: bool) -> AsyncIterator[None]:
    """Heartbeat three times per heartbeat timeout at least: a lost worker is noticed, and a cancellation arrives.

    Each repeats what the next attempt must know: the details of the last heartbeat are those that count. Only the
    first heartbeat leaves at once, the SDK spaces the others: with `leaves_first` it is left to what is saved first.
    """
    timeout = activity.info().heartbeat_timeout or _DEFAULT_HEARTBEAT
    every = min(timeout.total_seconds() / 3, _MOST_BETWEEN_HEARTBEATS)
    attempts.on_save = lambda: activity.heartbeat(*attempts.left)
    attempts.over = _is_unwanted

    async def beat() -> None:
        if leaves_first and attempts.last is None:
            await asyncio.sleep(every)
        while True:
            activity.heartbeat(*attempts.left)
            await asyncio.sleep(every)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
