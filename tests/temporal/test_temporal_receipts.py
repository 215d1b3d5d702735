"""Receipts: a reply that was paid for and could not be reported is found again; they never fail a call."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporal_bench import Bench, ask, crate
from temporalio.activity import Info
from temporalio.converter import DataConverter
from temporalio.testing import ActivityEnvironment

from pipelex.errors import ConfigError, ProviderDownError, RateLimitError, ReplyError
from pipelex.pipes.requests import ModelSetting, TextReply, TextRequest, Usage
from pipelex.storage.local import LocalObjects
from pipelex.temporal.activities import Activities
from pipelex.temporal.converter import converter_for, data_converter, store_of
from pipelex.temporal.payload_settings import Payloads
from pipelex.temporal.receipts import Receipts, identity_of

REQUEST = TextRequest(model=ModelSetting(handle="m"), prompt="the kettle")
PAID = Usage(calls=1, input_tokens=10, cost_usd=0.5)


class Pays:
    """Answers, or fails as told, and counts."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.keys: list[str | None] = []

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        self.keys.append(key)
        if self.errors:
            raise self.errors.pop(0)
        return TextReply(text=f"reply {len(self.keys)}", usage=PAID)


class Broken:
    """A store that is away."""

    place, setting = "the store", "[temporal.payloads]"

    async def put(self, key: str, data: bytes) -> None:
        raise ProviderDownError("the store is away", retryable=True)

    async def get(self, key: str) -> bytes | None:
        raise ConfigError("the store refuses")


def info(**changes: Any) -> Info:
    return dataclasses.replace(ActivityEnvironment.default_info(), **changes)


async def call(performer: Pays, receipts: Receipts, attempt: int = 1, **changes: Any) -> Any:
    environment = ActivityEnvironment()
    environment.info = info(attempt=attempt, **changes)
    return await environment.run(Activities(performer, receipts).act_llm_gen_text, REQUEST)


def receipts_in(folder: Path, converter: DataConverter | None = None) -> Receipts:
    return Receipts(converter or data_converter(folder), LocalObjects(folder))


def kept(folder: Path) -> list[Path]:
    return [file for file in (folder / "receipts").rglob("*") if file.is_file()]


async def test_a_retry_finds_the_reply_and_does_not_call_again(tmp_path: Path) -> None:
    performer, receipts = Pays(), receipts_in(tmp_path)
    first = await call(performer, receipts)
    assert await call(performer, receipts, attempt=2) == first
    assert await call(performer, receipts_in(tmp_path), attempt=7, task_queue="other") != first, "five were lost"
    assert len(performer.keys) == 1
    assert first.usage == PAID


async def test_a_first_attempt_reads_nothing(tmp_path: Path) -> None:
    performer = Pays()
    await call(performer, receipts_in(tmp_path))
    await call(performer, receipts_in(tmp_path))
    assert len(performer.keys) == 2


@pytest.mark.parametrize(
    "changes",
    [{"workflow_run_id": "after a reset"}, {"workflow_id": "w2"}, {"activity_id": "2"}, {"namespace": "n2"}],
    ids=lambda changes: next(iter(changes)),
)
async def test_another_call_has_another_receipt_and_another_key(tmp_path: Path, changes: dict[str, Any]) -> None:
    performer, receipts = Pays(), receipts_in(tmp_path)
    await call(performer, receipts)
    assert (await call(performer, receipts, attempt=2, **changes)).text == "reply 2"
    assert performer.keys[0] != performer.keys[1]


def test_another_request_has_another_receipt() -> None:
    other = REQUEST.model_copy(update={"prompt": "the pot"})
    assert identity_of(info(), REQUEST) != identity_of(info(), other)
    assert identity_of(info(attempt=1), REQUEST) == identity_of(info(attempt=2), REQUEST)


async def test_what_was_lost_is_told_and_what_was_refused_is_not(tmp_path: Path) -> None:
    receipts = receipts_in(tmp_path)
    assert (await call(Pays(), receipts)).usage.unsure == 0
    assert (await call(Pays(), receipts, attempt=3)).usage.unsure == 1, "one attempt kept it, one was lost"
    fresh = {"workflow_run_id": "second"}
    assert (await call(Pays(), receipts, attempt=3, **fresh)).usage.unsure == 2
    fresh = {"workflow_run_id": "third", "heartbeat_details": (2, 0)}
    assert (await call(Pays(), receipts, attempt=3, **fresh)).usage == PAID


@pytest.mark.parametrize("damaged", [b"", b"\x00\xff nothing", b"whole"], ids=["empty", "no payload", "of another"])
async def test_a_receipt_that_cannot_be_read_costs_a_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: bytes
) -> None:
    performer, receipts = Pays(), receipts_in(tmp_path)
    await call(performer, receipts)
    [file] = kept(tmp_path)
    if damaged == b"whole":
        await call(performer, receipts, activity_id="9")
        [other] = set(kept(tmp_path)) - {file}
        damaged = other.read_bytes()
    file.write_bytes(damaged)
    made = len(performer.keys)
    with caplog.at_level(logging.WARNING):
        assert (await call(performer, receipts, attempt=2)).text == f"reply {made + 1}"
    assert "a receipt cannot be read: its call is made again, and may be paid twice" in caplog.text


async def test_a_store_that_is_away_fails_no_call_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    receipts = Receipts(data_converter(tmp_path), Broken())
    with caplog.at_level(logging.WARNING):
        assert (await call(Pays(), receipts)).text == "reply 1"
        assert (await call(Pays(), receipts)).text == "reply 1"
    assert [record.message for record in caplog.records if "receipt" in record.message] == [
        "a reply goes without a receipt: if its worker dies now, the call is paid again (the store): the store is away"
    ]
    assert (await call(Pays(), receipts, attempt=2)).text == "reply 1"


async def test_receipts_are_encrypted_as_payloads_are(tmp_path: Path) -> None:
    import base64

    key = {"K": base64.b64encode(AESGCM.generate_key(256)).decode()}
    encryption = {"active_key": "k", "keys": {"k": {"env": "K"}}}
    converter = converter_for(Payloads.model_validate({"encryption": encryption}), tmp_path, environ=key)
    receipts = receipts_in(tmp_path, converter)
    first = await call(Pays(), receipts)
    [file] = kept(tmp_path)
    assert b"reply 1" not in file.read_bytes()
    assert await call(Pays(), receipts, attempt=2) == first


async def test_the_key_changes_when_a_provider_has_answered(bench: Bench) -> None:
    """Under the old key a provider that honours keys would give the old answer again: see a real server count it."""
    errors = (
        ProviderDownError("the connection broke", retryable=True),
        RateLimitError("slow down", retryable=True, status=429),
        ReplyError("an empty reply", retryable=True, status=200),
    )
    performer = Pays(*errors)
    policy = {"initial_interval": "10ms", "backoff_coefficient": 1, "maximum_attempts": 4}
    settings = bench.settings(worker_config={"retry_policy_config": policy})
    async with bench.serving(settings, performer=performer):
        run = await bench.start(crate(main=ask("hello")), "main", settings=settings)
        result = await run.result()
    lost, refused, useless, last = performer.keys
    assert lost == refused
    assert len({refused, useless, last}) == 3
    assert (result.usage.calls, result.usage.unsure) == (1, 2), "the lost one, and the one that was useless"


async def test_a_worker_keeps_receipts_next_to_its_payloads(bench: Bench) -> None:
    store = store_of(bench.client.data_converter)
    assert store is not None
    assert isinstance(store.objects, LocalObjects)
    before = set(kept(store.objects.root))
    async with bench.serving(bench.settings()):
        await (await bench.start(crate(main=ask("hello")), "main")).result()
    assert len(set(kept(store.objects.root)) - before) == 1


def test_a_client_without_a_store_has_no_receipts() -> None:
    assert store_of(DataConverter()) is None
