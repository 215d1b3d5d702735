"""Runs on the real server whose payloads are encrypted and in a bucket; values that are too large; stores that fail."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import TEXT, Bench, Scripted, ask, batch, crate, sequence, text, texts
from temporalio.client import Client

from object_servers import BUCKET, CREDENTIALS, FakeGcs, fake_gcs, fake_s3, s3_keys
from pipelex.errors import InputError
from pipelex.language.pipes import Step
from pipelex.pipes.requests import TextReply
from pipelex.temporal import converter as converter_module
from pipelex.temporal.converter import converter_for
from pipelex.temporal.settings import TemporalSettings
from pipelex.testing.replay import histories, replay_histories

pytestmark = pytest.mark.server
ENVIRON = {**CREDENTIALS, "KEY_A": base64.b64encode(b"a" * 32).decode()}
ENCRYPTION = {"active_key": "a", "keys": {"a": {"env": "KEY_A"}}}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with fake_s3() as endpoint:
        yield endpoint


@pytest.fixture
def gcs() -> Iterator[FakeGcs]:
    with fake_gcs() as state:
        yield state


async def bench_of(client: Client, root: Path, payloads: dict[str, Any]) -> Bench:
    """A bench on the server of the session, with other payload settings."""
    found = TemporalSettings.model_validate({"payloads": payloads}).payloads
    converter = converter_for(found, root, environ=ENVIRON, namespace=client.namespace)
    config = client.config()
    config["data_converter"] = converter
    return Bench(Client(**config), root)


async def test_a_crate_is_stored_once_for_all_children(client: Client, s3: str, tmp_path: Path) -> None:
    bucket = {"bucket_name": BUCKET, "endpoint": s3, "region": "us-east-1", "prefix": "runs"}
    bench = await bench_of(client, tmp_path, {"method": "s3", "s3": bucket, "encryption": ENCRYPTION})
    large = "Say $note " + "in so many words " * 8000
    found = crate(each=ask(large, note=TEXT), all=batch("d.each", "notes", "note"))
    async with bench.worker(Scripted(lambda request: TextReply(text="short"))):
        run = await bench.start(found, "all", {"notes": texts(*"abcde")})
        result = await run.result()
    assert len(result.outcome.data) == 5
    # The crate of the run, the slice that each of the children has, and a prompt of each.
    assert len(s3_keys(s3, "runs/")) == 1 + 1 + 5
    told = await histories(bench.client, run.workflow_id)
    assert len(told) == 6
    await replay_histories(told, tmp_path, bench.client.data_converter)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(converter_module, "LARGEST_BYTES", 100_000)
    return 100_000


async def test_a_reply_that_is_too_large_ends_the_run_at_once(bench: Bench, small_limit: int) -> None:
    performer = Scripted(lambda request: TextReply(text="x" * (small_limit + 1)))
    async with bench.worker(performer):
        run = await bench.start(crate(main=ask("hello")), "main")
        with pytest.raises(InputError, match="too large to travel"):
            await run.result()
    assert len(performer.asked) == 1


async def test_a_call_that_is_too_large_ends_the_run_at_once(bench: Bench, small_limit: int) -> None:
    replies = TextReply(text="x" * (small_limit * 6 // 10))
    steps = (Step(pipe="d.ask", result="one"), Step(pipe="d.ask", result="two"), Step(pipe="d.both", result="three"))
    both = ask("Join $one $two", one=TEXT, two=TEXT)
    found = crate(ask=ask("hello"), both=both, main=sequence(*steps))
    async with bench.worker(Scripted(lambda request: replies)):
        run = await bench.start(found, "main")
        with pytest.raises(InputError, match="too large to travel"):
            await run.result()


async def test_inputs_that_are_too_large_are_refused_where_they_are_given(bench: Bench, small_limit: int) -> None:
    found = crate(main=ask("Say $note", note=TEXT))
    with pytest.raises(InputError, match="a PipeCall of 0 MiB is too large to travel"):
        await bench.start(found, "main", {"note": text("x" * (small_limit + 1))})


async def test_a_run_goes_on_when_its_store_is_back(client: Client, gcs: FakeGcs, tmp_path: Path) -> None:
    settings = {"method": "gcp", "gcp": {"bucket_name": BUCKET, "endpoint": gcs.endpoint}, "threshold_bytes": 2000}
    bench = await bench_of(client, tmp_path, settings)

    def answer(request: Any) -> TextReply:
        # Away when the first reply is to be stored, back for the second.
        gcs.status = None if gcs.status else 501
        return TextReply(text="x" * 5000)

    quick = bench.settings(worker_config={"retry_policy_config": {"initial_interval": timedelta(milliseconds=100)}})
    async with bench.worker(performer := Scripted(answer)):
        run = await bench.start(crate(main=ask("hello")), "main", settings=quick)
        result = await run.result()
    assert result.outcome.data == {"text": "x" * 5000}
    assert len(performer.asked) == 2
