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
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
)
from pipelex.temporal.failures import application_error, unexpected

log = logging.getLogger(__name__)

_DEFAULT_HEARTBEAT = timedelta(seconds=15)


class Performs(Protocol):
    """Whoever answers requests."""

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Carry out one request, without retrying what Temporal retries."""
        ...


class Activities:
    """The activities of one worker, over one performer."""

    def __init__(self, performer: Performs) -> None:
        self._performer = performer

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

    @activity.defn(name=DocumentRequest.activity)
    async def act_doc_gen_document(self, request: DocumentRequest) -> DocumentReply:
        """A file from a page, stored."""
        return await self._perform(request)

    @activity.defn(name=FunctionRequest.activity)
    async def act_func_call(self, request: FunctionRequest) -> FunctionReply:
        """A call of a Python function."""
        return await self._perform(request)

    async def _perform(self, request: Request[ReplyT]) -> ReplyT:
        try:
            async with _heartbeats():
                return await self._performer.perform(request)
        except asyncio.CancelledError:
            found = activity.cancellation_details()
            if found is not None and found.worker_shutdown and not found.cancel_requested:
                stopped = InferenceError("the worker stopped before the call ended", retryable=True)
                raise application_error(stopped) from None
            raise
        except PipelexError as error:
            if isinstance(error, InternalError):
                log.exception("unexpected error in %s", request.activity)
            policy = activity.info().retry_policy
            raise application_error(error, maximum_interval=policy.maximum_interval if policy else None) from None
        except Exception as error:
            # What an unknown exception says may be data: it stays in this log, the history gets the class.
            log.exception("unexpected error in %s", request.activity)
            raise application_error(unexpected(error)) from None


def activities(performer: Performs) -> list[Callable[..., Awaitable[Any]]]:
    """Every activity, to give to a worker."""
    bound = Activities(performer)
    return [
        bound.act_llm_gen_text,
        bound.act_llm_gen_object,
        bound.act_llm_gen_object_list,
        bound.act_extract_gen_extract_pages,
        bound.act_img_gen_images,
        bound.act_search_gen_sourced_answer,
        bound.act_doc_gen_document,
        bound.act_func_call,
    ]


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Heartbeat three times per heartbeat timeout: a lost worker is noticed, and a cancellation arrives here."""
    every = (activity.info().heartbeat_timeout or _DEFAULT_HEARTBEAT).total_seconds() / 3

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(every)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
