"""Runs on the real server whose payloads are encrypted and in a bucket; values that are too large; stores that fail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import TEXT, Bench, Scripted, ask, batch, crate, sequence, text, texts
from temporalio.client import Client

from object_servers import BUCKET, CREDENTIALS, FakeGcs, fake_gcs, fake_s3, s3_keys
from pipelex.cli.run_page import run_page
from pipelex.errors import InputError, ProviderDownError, RequestRefusedError
from pipelex.language.pipes import Step
from pipelex.library.library import Library
from pipelex.pipes.requests import TextReply
from pipelex.temporal import converter as converter_module
from pipelex.temporal.client import attach
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


NOTES = crate(
    say=ask("Say $note", note=TEXT),
    check=ask("Check $said", said=TEXT),
    main=sequence(Step(pipe="d.say", result="said"), Step(pipe="d.check", result="checked"), note=TEXT),
)


async def waits(bench: Bench, run_id: str) -> str:
    """Why the run waits, once a call failed."""
    async with asyncio.timeout(30):
        while True:
            if "failed" in (said := await attach(bench.client, run_id).waiting_reason() or ""):
                return said
            await asyncio.sleep(0.05)


async def test_why_an_encrypted_run_waits_is_told_in_clear(client: Client, tmp_path: Path) -> None:
    bench = await bench_of(client, tmp_path, {"encryption": ENCRYPTION})
    slow = bench.settings(worker_config={"retry_policy_config": {"initial_interval": "40s"}})

    def fail(request: Any) -> TextReply:
        raise ProviderDownError("the provider answers 503", retryable=True)

    async with bench.worker(Scripted(fail)):
        run = await bench.start(NOTES, "main", {"note": text("a")}, settings=slow)
        assert "failed 1 time: the provider answers 503; attempt 2 of 3 follows 40 s later" in await waits(
            bench, run.run_id
        )
        (say,) = (await run.record()).root.children
        assert [(call.state, call.error and call.error.message) for call in say.calls] == [
            ("running", "the provider answers 503")
        ]
        # Whoever has no key is told that it is the key that lacks.
        assert "failed 1 time: its error cannot be read here: a payload is encrypted with the key 'a'" in await waits(
            await bench_of(client, tmp_path, {}), run.run_id
        )
        await bench.client.get_workflow_handle(run.run_id).terminate()


async def test_the_page_of_an_encrypted_run_has_its_prompts_and_errors(client: Client, tmp_path: Path) -> None:
    bench = await bench_of(client, tmp_path, {"encryption": ENCRYPTION})

    def answer(request: Any) -> TextReply:
        if request.prompt.startswith("Check"):
            raise RequestRefusedError("not checked: too long")
        return TextReply(text="said well")

    async with bench.worker(Scripted(answer)):
        run = await bench.start(NOTES, "main", {"note": text("a canary")})
        with contextlib.suppress(RequestRefusedError):
            await run.result()
    record, (_, pipes) = await run.record(), await run.started_with()
    say, check = record.root.children
    assert (say.texts and say.texts.given, say.texts and say.texts.made) == ({"note": "a canary"}, "said well")
    assert [call.texts and call.texts.given["prompt"] for call in (*say.calls, *check.calls)] == [
        "Say a canary",
        "Check said well",
    ]
    assert [found.error and found.error["message"] for found in record.root.walk()] == [
        "not checked: too long",
        None,
        "not checked: too long",
    ]
    page = run_page(record, Library.of(pipes))
    for told in ("Say a canary", "Check said well", "not checked: too long"):
        assert told in page
    assert "Encoded failure" not in page
    told = "".join([history.to_json() for history in await histories(bench.client, run.workflow_id)])
    assert "Encoded failure" in told
    assert "canary" not in told


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
