"""Idempotency keys: one for each call, the same in each attempt until the provider has answered."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelex.errors import (
    DocumentError,
    InferenceError,
    PipelexError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
)
from pipelex.inference.attempts import Attempts, part_key
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.inprocess.host import InProcessHost
from pipelex.inprocess.settings import InProcessSettings
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import (
    FunctionReply,
    ImageRequest,
    ModelSetting,
    ObjectRequest,
    TextReply,
    TextRequest,
    Usage,
)
from pipelex.storage.local import LocalBlobs
from pipelex.testing.provider_stub import StubAnswer, StubProvider
from pipelex.values.value import Memory

METHOD = """
domain = "d"
[pipe.main]
type = "PipeLLM"
description = "Ask"
output = "Text"
prompt = "hello"
"""

PAID = TextReply(text="x", usage=Usage(calls=1, cost_usd=None))


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (ProviderDownError("broken", retryable=True), ()),
        (ProviderDownError("under way", retryable=True, status=409), ()),
        (ProviderDownError("gateway", retryable=True, status=504), ()),
        (InferenceError("the worker stopped", retryable=True), ()),
        (DocumentError("the image cannot be had"), ()),
        (ProviderDownError("failed", retryable=True, status=503), (1, 0)),
        (RateLimitError("slow down", retryable=True), (1, 0)),
        (RequestRefusedError("no"), (1, 0)),
        (ReplyError("empty", retryable=True, status=200), (0, 1)),
    ],
    ids=lambda found: found.message if isinstance(found, PipelexError) else "",
)
def test_what_an_attempt_leaves(error: PipelexError, left: tuple[int, ...]) -> None:
    attempts = Attempts("a")
    before = attempts.key
    attempts.failed(error)
    assert attempts.left == left
    assert (attempts.key == before) is (left == ())
    assert Attempts.after("a", left).key == attempts.key


@pytest.mark.parametrize("left", [(), ({"job": 1},), (1,), ("1", "2"), (True, False)])
def test_details_that_say_nothing_of_attempts_are_passed_over(left: Any) -> None:
    assert Attempts.after("a", left) == Attempts("a")


def test_only_what_may_have_been_paid_is_unsure() -> None:
    attempts = Attempts("a", refused=1, useless=1)
    assert attempts.counted(PAID, 3).usage == Usage(calls=1, cost_usd=None, unsure=2)
    assert attempts.counted(PAID, 1) == PAID
    free = FunctionReply(data=None)
    assert attempts.counted(free, 3) == free
    simulated = TextReply(text="x", usage=Usage(calls=1, is_simulated=True))
    assert attempts.counted(simulated, 3) == simulated


def performer_on(stub: StubProvider, folder: Path) -> Performer:
    environ = {"OPENAI_API_KEY": "stub", "OPENAI_BASE_URL": stub.base_url}
    return Performer(InferenceSettings(), Deck.load([folder], environ), LocalBlobs(folder))


def keys_sent(stub: StubProvider) -> list[str | None]:
    return [request.headers.get("idempotency-key") for request in stub.requests]


async def test_the_key_goes_to_the_provider_and_a_re_ask_has_its_own(tmp_path: Path) -> None:
    replies = iter(["{}", '{"name": "Lyon"}'] * 2)
    async with StubProvider(lambda asked, n: StubAnswer(text=next(replies))) as stub:
        performer = performer_on(stub, tmp_path)
        schema: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        request = ObjectRequest(model=ModelSetting(handle="gpt-4o"), prompt="x", name="City", output_schema=schema)
        for _ in range(2):
            reply = await performer.perform(request, key="k")
            assert (reply.usage.calls, reply.usage.repeats) == (2, 1)
        await performer.aclose()
    first, second, *again = keys_sent(stub)
    assert first == "k"
    assert second not in (None, "k")
    assert again == [first, second]


async def test_images_are_asked_for_with_the_key(tmp_path: Path) -> None:
    async with StubProvider() as stub:
        performer = performer_on(stub, tmp_path)
        await performer.perform(ImageRequest(model=ModelSetting(handle="gpt-image-1"), prompt="x"), key="k")
        await performer.aclose()
    assert keys_sent(stub) == ["k"]


async def test_attempts_in_one_process_are_one_call_while_the_connection_breaks(tmp_path: Path) -> None:
    """The provider answers the first request into a broken connection, and is asked again with the same key."""
    library, _ = library_from_texts({"d.mthds": METHOD})
    async with StubProvider(lambda asked, n: StubAnswer(drop=True) if n == 0 else None) as stub:
        settings = InProcessSettings(initial_interval=timedelta(0))
        performer = performer_on(stub, tmp_path)
        models = {ask.key: ModelSetting(handle="gpt-4o") for ask in model_asks(library.crate).values()}
        for _ in range(2):
            host = InProcessHost(library, Plan(models=models), performer, settings)
            result = await host.run_pipe(
                PipeCall(pipe="d.main", run=RunInfo(run_id="r"), memory=Memory(), shares_memory=True)
            )
        await performer.aclose()
    lost, found, other_run = keys_sent(stub)
    assert lost == found
    assert other_run not in (None, found), "under the same run id"
    assert (result.usage.calls, result.usage.unsure) == (1, 0)


async def test_a_stub_that_honours_keys_answers_once(tmp_path: Path) -> None:
    answers = iter(["one", "two", "three"])
    stub = StubProvider(lambda asked, n: StubAnswer(text=next(answers)), honours_keys=True)
    async with stub:
        performer = performer_on(stub, tmp_path)
        request = TextRequest(model=ModelSetting(handle="gpt-4o"), prompt="x")
        told = [(await performer.perform(request, key=key)).text for key in ("a", "a", "b", None)]
        await performer.aclose()
    assert told == ["one", "one", "two", "three"]
    assert (stub.calls, stub.replays) == (3, 1)


def test_calls_of_one_request_have_keys_of_their_own() -> None:
    keys = [part_key("k", replies) for replies in ([], ["a"], ["a", "b"], ["ab"], ["b", "a"])]
    assert len(set(keys)) == 5
    assert keys[0] == "k"
    assert part_key(None, ["a"]) is None
    assert re.fullmatch(r"[0-9a-f]{64}", Attempts("a").key)
