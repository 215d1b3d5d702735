"""The activities alone: what they answer, how they fail, that they heartbeat and can be cancelled."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from datetime import timedelta
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from pipelex.errors import InferenceError, InternalError, RateLimitError, RequestRefusedError
from pipelex.pipes.requests import ModelSetting, TextReply, TextRequest
from pipelex.temporal.activities import Activities, activities
from pipelex.temporal.failures import raised
from pipelex.temporal.routing import REPLIES

REQUEST = TextRequest(model=ModelSetting(handle="m"), prompt="x")


class Fails:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        raise self.error


class Hangs:
    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = False

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Answers:
    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        return TextReply(text=f"answer to {request.prompt}")


def environment(**info: Any) -> ActivityEnvironment:
    found = ActivityEnvironment()
    found.info = dataclasses.replace(found.info, **info)
    return found


def test_one_activity_for_each_request_under_its_documented_name() -> None:
    names = [found.__temporal_activity_definition.name for found in activities(Answers())]
    assert names == [
        "act_llm_gen_text",
        "act_llm_gen_object",
        "act_llm_gen_object_list",
        "act_extract_gen_extract_pages",
        "act_img_gen_images",
        "act_search_gen_sourced_answer",
        "act_search_gen_structured",
        "act_doc_gen_document",
        "act_func_call",
    ]
    assert names == [request.activity for request in REPLIES]


async def test_an_answer() -> None:
    reply = await environment().run(Activities(Answers()).act_llm_gen_text, REQUEST)
    assert reply == TextReply(text="answer to x")


async def test_an_error_of_ours_is_told_with_its_report() -> None:
    error = RateLimitError("slow down", retryable=True, retry_after=900, provider="acme")
    policy = RetryPolicy(maximum_interval=timedelta(minutes=2))
    with pytest.raises(ApplicationError) as caught:
        await environment(retry_policy=policy).run(Activities(Fails(error)).act_llm_gen_text, REQUEST)
    assert caught.value.next_retry_delay == timedelta(minutes=2)
    assert not caught.value.non_retryable
    assert caught.value.__cause__ is None
    assert raised(caught.value).report() == error.report()


async def test_a_refusal_is_not_tried_again() -> None:
    with pytest.raises(ApplicationError) as caught:
        await environment().run(Activities(Fails(RequestRefusedError("no"))).act_llm_gen_text, REQUEST)
    assert caught.value.non_retryable


async def test_an_unknown_exception_tells_its_class_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(ApplicationError) as caught:
        await environment().run(Activities(Fails(ValueError("hunter2"))).act_llm_gen_text, REQUEST)
    assert caught.value.non_retryable
    assert type(raised(caught.value)) is InternalError
    assert "ValueError" in str(caught.value)
    assert "hunter2" not in str(caught.value) + str(caught.value.details)
    assert "hunter2" in caplog.text


async def test_heartbeats_go_on_while_the_call_runs() -> None:
    beats: asyncio.Queue[None] = asyncio.Queue()
    here = environment(heartbeat_timeout=timedelta(milliseconds=30))
    here.on_heartbeat = lambda *details: beats.put_nowait(None)
    hangs = Hangs()
    running = asyncio.create_task(here.run(Activities(hangs).act_llm_gen_text, REQUEST))
    for _ in range(3):
        await beats.get()
    here.cancel(cancellation_details=ActivityCancellationDetails(cancel_requested=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert hangs.cancelled
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "<locals>.beat" in repr(task.get_coro())]


async def test_a_worker_that_stops_leaves_the_call_to_another() -> None:
    here, hangs = environment(), Hangs()
    running = asyncio.create_task(here.run(Activities(hangs).act_llm_gen_text, REQUEST))
    await hangs.entered.wait()
    here.cancel(cancellation_details=ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(ApplicationError) as caught:
        await running
    found = raised(caught.value)
    assert isinstance(found, InferenceError)
    assert found.is_retryable
