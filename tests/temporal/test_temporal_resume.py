"""Jobs that were paid for last over attempts: a worker is killed while it waits, another goes on with the same job."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import Bench, crate
from temporalio.testing import ActivityEnvironment

from document_files import text_pdf
from pipelex.language.pipes import PipeExtract, PipeImgGen
from pipelex.pipes.models import model_asks
from pipelex.pipes.requests import ImageRequest, ImagesReply, ModelSetting
from pipelex.storage.local import LocalBlobs
from pipelex.temporal.activities import Activities
from pipelex.temporal.settings import TemporalSettings
from pipelex.testing.stub_azure_document import StubAzureDocument
from pipelex.testing.stub_http import StubAnswer
from pipelex.testing.stub_images import FalStub
from pipelex.values.slots import Slot
from pipelex.values.value import Value

SCRIPT = Path(__file__).with_name("job_worker_process.py")
DRAW = crate(draw=PipeImgGen(type="PipeImgGen", description="Draw", output=Slot("native.Image"), prompt="a cup"))
READ = crate(
    read=PipeExtract(
        type="PipeExtract",
        description="Read",
        inputs={"paper": Slot("native.Document")},
        output=Slot("native.Page", is_list=True),
    )
)
REQUEST = ImageRequest(model=ModelSetting(handle="flux-pro"), prompt="a cup")

Spawn = Callable[[TemporalSettings], Any]


@pytest.fixture
def spawn(bench: Bench, tmp_path: Path) -> Iterator[Spawn]:
    """Start a worker process and return once it polls."""
    spawned: list[subprocess.Popen[str]] = []

    def begin(settings: TemporalSettings) -> subprocess.Popen[str]:
        address = bench.client.service_client.config.target_host
        arguments = [address, str(tmp_path), str(bench.payload_root), settings.model_dump_json()]
        process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE, text=True)
        spawned.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    async def start(settings: TemporalSettings) -> subprocess.Popen[str]:
        return await asyncio.to_thread(begin, settings)

    yield start
    for process in spawned:
        process.kill()
        process.communicate()


async def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.server
async def test_a_killed_worker_leaves_its_job_to_the_next(bench: Bench, spawn: Spawn, tmp_path: Path) -> None:
    settings = bench.settings(
        worker_config={
            "default_activity_heartbeat_timeout": 3,
            "retry_policy_config": {"initial_interval": 0.1},
        }
    )
    models = {found.key: {"handle": "flux-pro"} for found in model_asks(DRAW).values()}
    async with FalStub() as stub:
        stub.polls = None
        (tmp_path / "backends.toml").write_text(f'[fal]\nendpoint = "{stub.base_url}"\n')
        worker = await spawn(settings)
        run = await bench.start(DRAW, "draw", settings=settings, models=models)
        await until(lambda: stub.polled.get("job-1", 0) >= 3)
        worker.kill()
        await asyncio.to_thread(worker.wait)
        stub.polls = 0
        await spawn(settings)
        result = await run.result()
        assert result.outcome.data["mime_type"] == "image/png"
        assert len(stub.jobs) == 1
        assert result.usage.images == 1


@pytest.mark.server
async def test_a_killed_worker_leaves_the_document_it_sent_to_the_next(
    bench: Bench, spawn: Spawn, tmp_path: Path
) -> None:
    settings = bench.settings(
        worker_config={
            "default_activity_heartbeat_timeout": 3,
            "retry_policy_config": {"initial_interval": 0.1},
        }
    )
    handle = "azure-document-intelligence"
    models = {found.key: {"handle": handle} for found in model_asks(READ).values()}
    url = await LocalBlobs(tmp_path / "blobs").put(text_pdf("one", "two"), mime_type="application/pdf")
    paper = Value(concept="native.Document", data={"url": url})
    async with StubAzureDocument(states=[StubAnswer(body={"status": "running"})] * 1000) as stub:
        (tmp_path / "backends.toml").write_text(f'[azure_document_intelligence]\nendpoint = "{stub.root_url}"\n')
        worker = await spawn(settings)
        run = await bench.start(READ, "read", {"paper": paper}, settings=settings, models=models)
        await until(lambda: len(stub.asked) >= 2)
        worker.kill()
        await asyncio.to_thread(worker.wait)
        stub.states.clear()
        await spawn(settings)
        result = await run.result()
        assert len(result.outcome.data) == 2
        assert (stub.calls, result.usage.pages) == (1, 2), "the document was sent once"


class Saves:
    """Saves as told, then waits to be let go."""

    def __init__(self, *saved: Any) -> None:
        self.saved = saved
        self.found: Any = None
        self.go = asyncio.Event()

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any) -> ImagesReply:
        self.found = checkpoint.last
        for data in self.saved:
            checkpoint.save(data)
        await self.go.wait()
        return ImagesReply(images=[])


@pytest.mark.parametrize(
    ("before", "saved", "first", "later"),
    [
        ((), ({"jobs": ["a"]},), (0, 0, {"jobs": ["a"]}), (0, 0, {"jobs": ["a"]})),
        ((1, 0, {"jobs": ["a"]}), (), (1, 0, {"jobs": ["a"]}), (1, 0, {"jobs": ["a"]})),
        ((0, 0, {"jobs": ["a"]}), (None,), (), ()),
        ((), (), (), ()),
    ],
)
async def test_every_heartbeat_repeats_what_was_saved(before: Any, saved: Any, first: Any, later: Any) -> None:
    beats: asyncio.Queue[Any] = asyncio.Queue()
    here = ActivityEnvironment()
    here.info = dataclasses.replace(here.info, heartbeat_details=before, heartbeat_timeout=timedelta(milliseconds=30))
    here.on_heartbeat = lambda *details: beats.put_nowait(details)
    performer = Saves(*saved)
    running = asyncio.create_task(here.run(Activities(performer).act_img_gen_images, REQUEST))
    assert await beats.get() == first
    assert [await beats.get() for _ in range(3)][-1] == later
    performer.go.set()
    await running
    assert performer.found == (before[2] if before else None)
