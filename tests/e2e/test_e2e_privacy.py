"""Encrypted runs through the real commands: nothing of theirs is readable anywhere, but for those who have the keys."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from e2e_project import Command, Project, free_port, histories_of, workflow_of
from temporalio.client import Client

from pipelex.testing.provider_stub import StubAnswer, StubProvider

pytestmark = pytest.mark.server
CANARY = "canary-4417"
LARGE = 3 * 1024 * 1024
KEY = base64.b64encode(b"k" * 32).decode()
ENCRYPTED = """
[temporal.payloads]
compression = "zlib"
[temporal.payloads.encryption]
active_key = "first"
keys.first.env = "PAYLOAD_KEY"
"""
METHOD = f"""
domain = "secrets"
main_pipe = "main"

[pipe.main]
type = "PipeSequence"
description = "Rewrite {CANARY}"
inputs = {{ book = "Text" }}
output = "Text"
steps = [{{ pipe = "rewrite", result = "draft" }}, {{ pipe = "judge", result = "verdict" }}]

[pipe.rewrite]
type = "PipeLLM"
description = "Rewrite {CANARY}"
inputs = {{ book = "Text" }}
output = "Text"
model = "gpt-4o-mini"
prompt = "Rewrite {CANARY} $book"

[pipe.judge]
type = "PipeLLM"
description = "Judge {CANARY}"
inputs = {{ draft = "Text" }}
output = "Text"
model = "gpt-4o-mini"
prompt = "Judge {CANARY} $draft"
"""


def words(size: int) -> str:
    return "".join(f"{CANARY} {number} " for number in range(size // 20))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[Project, str]]:
    """A project with a server of its own, whose database can be looked into, and its address."""

    def answer(asked: object, before: int) -> StubAnswer:
        if before == 2:
            return StubAnswer(status=400, text=CANARY)
        return StubAnswer(text=words(LARGE if before == 0 else 1000))

    async with StubProvider(answer) as stub, Project(tmp_path, stub, PAYLOAD_KEY=KEY) as project:
        dev = await project.start("dev", "--no-worker", "--port", str(free_port()), "--ui-port", str(free_port()))
        await dev.says("no worker;")
        address = next(line.split()[1] for line in dev.err.splitlines() if line.startswith("temporal: "))
        yield project, address


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


async def start_run(project: Project, size: int = LARGE) -> Command:
    project.write("method.mthds", METHOD)
    project.write("inputs.json", json.dumps({"book": words(size)}))
    return await project.method("--inputs", "inputs.json")


async def test_an_encrypted_run_leaves_nothing_readable(place: tuple[Project, str]) -> None:
    project, address = place
    project.use(address, ENCRYPTED, queue="encrypted")
    await project.worker()
    run = await start_run(project)
    assert run.process.returncode == 0, run.err
    assert CANARY in everything_in(project.folder / "results").decode()
    # The third call is refused by the provider, with words that must not be readable either.
    failed = await start_run(project, 1000)
    assert failed.process.returncode == 1
    assert CANARY in failed.err
    found = [*await histories_of(address, run), *await histories_of(address, failed)]
    assert len(found) >= 5
    events = b"".join(event.SerializeToString() for history in found for event in history.events)
    assert b"rewrite" in events
    assert CANARY.encode() not in events
    state, payloads = project.folder / ".pipelex" / "temporal", project.folder / ".pipelex" / "temporal-payload-store"
    database = everything_in(state)
    assert b"wf_pipe_run" in database
    assert CANARY.encode() not in database
    assert len(everything_in(payloads)) > 1000
    assert CANARY.encode() not in everything_in(payloads)
    await check_the_codec_server(project, address, workflow_of(run))


async def check_the_codec_server(project: Project, address: str, workflow_id: str) -> None:
    """What the Web UI shows is readable through the codec server, for its own page only."""
    codec = await project.start("codec-server", "--port", "0", "--cors-origin", "http://ui.example")
    await codec.says("pages that may ask")
    url = next(line.split()[-1] for line in codec.err.splitlines() if line.startswith("codec server ready"))
    client = await Client.connect(address)
    history = json.loads((await client.get_workflow_handle(workflow_id).fetch_history()).to_json())
    started = history["events"][0]["workflowExecutionStartedEventAttributes"]["input"]
    headers = {"origin": "http://ui.example", "x-namespace": "default", "content-type": "application/json"}
    async with httpx2.AsyncClient() as browser:
        answer = await browser.post(f"{url}/decode", json=started, headers=headers)
        refused = await browser.post(
            f"{url}/decode", json=started, headers={**headers, "origin": "http://evil.example"}
        )
    assert answer.headers["access-control-allow-origin"] == "http://ui.example"
    call, crate = (base64.b64decode(item["data"]).decode() for item in answer.json()["payloads"][:2])
    assert call.count(CANARY) > 1000
    assert CANARY in crate
    assert refused.status_code == 403
    assert CANARY not in codec.err


async def test_without_encryption_it_would_have_been_readable(place: tuple[Project, str]) -> None:
    """The other test looks where something is to be found."""
    project, address = place
    project.use(address, queue="plain")
    await project.worker()
    run = await start_run(project, 200_000)
    assert run.process.returncode == 0, run.err
    assert CANARY.encode() in everything_in(project.folder / ".pipelex" / "temporal")
    assert CANARY.encode() in everything_in(project.folder / ".pipelex" / "temporal-payload-store")


async def test_a_worker_without_the_key_fails_the_run_at_once(place: tuple[Project, str], tmp_path: Path) -> None:
    project, address = place
    async with Project(tmp_path / "other") as other:
        shared = project.folder / ".pipelex" / "temporal-payload-store"
        other.use(address, f'[temporal.payloads]\npath = "{shared}"', queue="mixed")
        await other.worker()
        project.use(address, ENCRYPTED, queue="mixed")
        run = await start_run(project, 200_000)
    assert run.process.returncode == 1
    assert "a payload is encrypted with the key 'first', which this process does not have" in run.err
    assert "[temporal.payloads.encryption.keys.first]" in run.err


async def test_a_worker_without_the_bucket_fails_the_run_at_once(place: tuple[Project, str], tmp_path: Path) -> None:
    from object_servers import BUCKET, fake_gcs

    project, address = place
    with fake_gcs() as gcs:
        bucket = (
            f'[temporal.payloads]\nmethod = "gcp"\ngcp = {{ bucket_name = "{BUCKET}", endpoint = "{gcs.endpoint}" }}'
        )
        async with Project(tmp_path / "other") as other:
            other.use(address, queue="mixed")
            await other.worker()
            project.use(address, bucket, queue="mixed")
            run = await start_run(project, 200_000)
        assert run.process.returncode == 1
        assert "a payload of this run is in a bucket, and this process knows no bucket of payloads" in run.err
        gcs.status = 403
        refused = await start_run(project, 200_000)
        assert "refuses the credentials of this process" in refused.err
        assert "workflow:" not in refused.err


async def test_a_worker_whose_key_is_missing_does_not_start(place: tuple[Project, str]) -> None:
    project, address = place
    del project.environment["PAYLOAD_KEY"]
    project.use(address, ENCRYPTED)
    worker = await project.run("worker")
    assert worker.process.returncode == 1
    assert "the key 'first' of payloads is needed, and the environment variable PAYLOAD_KEY" in worker.err
    assert "worker ready" not in worker.err
