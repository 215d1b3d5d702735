from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import ActivityHandle, Client
from temporalio.worker import (
    FixedSizeSlotSupplier,
    PollerBehaviorAutoscaling,
    PollerBehaviorSimpleMaximum,
    WorkerConfig,
)

from pipelex.errors import ConfigError
from pipelex.pipes.requests import ModelSetting, TextReply, TextRequest
from pipelex.temporal.activities import activities
from pipelex.temporal.connection import connect
from pipelex.temporal.server import EmbeddedServer
from pipelex.temporal.settings import ServerProfile, TemporalSettings
from pipelex.temporal.worker import _worker, chosen_duty, run_worker

pytestmark = pytest.mark.server
SCRIPT = Path(__file__).with_name("worker_process.py")
SETTINGS = TemporalSettings()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("server")
    embedded = EmbeddedServer(folder, port=free_port(), ui_port=free_port(), search_attributes=())
    await embedded.start()
    yield embedded
    await embedded.stop()


@pytest.fixture
async def client(server: EmbeddedServer, tmp_path: Path) -> Client:
    assert server.record is not None
    profile = ServerProfile(target_host=server.record.address)
    return await connect(profile, payload_root=tmp_path / "payloads", settings=SETTINGS)


@pytest.fixture
def own(tmp_path: Path) -> TemporalSettings:
    """Settings whose queue belongs to one test."""
    return TemporalSettings.model_validate({"worker_config": {"default_task_queue": tmp_path.name}})


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn(server: EmbeddedServer, own: TemporalSettings, tmp_path: Path) -> Iterator[Spawn]:
    """Start a worker process and return once it polls."""
    spawned: list[subprocess.Popen[str]] = []

    def start(address: str | None = None) -> subprocess.Popen[str]:
        assert server.record is not None
        with (tmp_path / f"log-{len(spawned)}").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), address or server.record.address, str(tmp_path), own.model_dump_json()],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        spawned.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", (tmp_path / f"log-{len(spawned) - 1}").read_text()
        return process

    yield start
    for process in spawned:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


async def ask(client: Client, folder: Path, prompt: str) -> ActivityHandle[TextReply]:
    """Make one text call as an activity of its own, as workflows would."""
    return await client.start_activity(
        TextRequest.activity,
        TextRequest(model=ModelSetting(handle="m"), prompt=prompt),
        id=prompt,
        task_queue=folder.name,
        result_type=TextReply,
        start_to_close_timeout=timedelta(seconds=60),
        heartbeat_timeout=timedelta(seconds=2),
    )


async def until(met: Callable[[], bool]) -> None:
    def wait() -> None:
        deadline = time.monotonic() + 30
        while not met():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    await asyncio.to_thread(wait)


async def begun(folder: Path, prompt: str, times: int = 1) -> None:
    await until(lambda: (folder / "calls").exists() and calls(folder).count(f"begun {prompt}") == times)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


async def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = await asyncio.to_thread(process.communicate, timeout=30)
    return process.returncode, out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signalled_worker_finishes_its_call_then_leaves(
    client: Client, spawn: Spawn, tmp_path: Path, number: signal.Signals
) -> None:
    process = spawn()
    handle = await ask(client, tmp_path, f"drain-{number.name}")
    await begun(tmp_path, handle.id)
    process.send_signal(number)
    later = await ask(client, tmp_path, f"later-{number.name}")
    (tmp_path / "go").touch()
    assert await ended(process) == (0, "drained\n")
    assert (await handle.result()).text == f"reply to {handle.id}"
    assert f"begun {later.id}" not in calls(tmp_path)

    spawn()
    assert (await later.result()).text == f"reply to {later.id}"
    assert calls(tmp_path).count(f"begun {handle.id}") == 1


async def test_a_second_signal_leaves_at_once(client: Client, spawn: Spawn, tmp_path: Path) -> None:
    process = spawn()
    handle = await ask(client, tmp_path, "impatient")
    await begun(tmp_path, handle.id)
    process.send_signal(signal.SIGINT)
    await until(lambda: "SIGINT" in (tmp_path / "log-0").read_text())
    process.send_signal(signal.SIGINT)
    assert await ended(process) == (128 + signal.SIGINT, "")
    assert calls(tmp_path) == ["begun impatient"]


async def test_the_call_of_a_killed_worker_is_taken_over(client: Client, spawn: Spawn, tmp_path: Path) -> None:
    process = spawn()
    handle = await ask(client, tmp_path, "killed")
    await begun(tmp_path, "killed")
    process.kill()
    await ended(process)
    spawn()
    await begun(tmp_path, "killed", times=2)
    (tmp_path / "go").touch()
    assert (await handle.result()).text == "reply to killed"
    assert calls(tmp_path) == ["begun killed", "begun killed", "ended killed"]


async def test_a_worker_whose_server_is_gone_still_leaves(spawn: Spawn, tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path, port=free_port(), ui_port=free_port()) as record:
        process = spawn(address=record.address)
    process.send_signal(signal.SIGTERM)
    assert await ended(process) == (0, "drained\n")


class Silent:
    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        raise AssertionError(f"nothing was to be asked, got {request}")


async def test_a_worker_in_this_process_stops_when_told(client: Client, own: TemporalSettings) -> None:
    stop = asyncio.Event()
    before = signal.getsignal(signal.SIGTERM)
    await run_worker(client=client, settings=own, performer=Silent(), stop=stop, on_ready=stop.set)
    assert signal.getsignal(signal.SIGTERM) == before


async def test_what_does_not_fit_stops_a_worker_before_it_polls(client: Client, own: TemporalSettings) -> None:
    with pytest.raises(ConfigError, match="no task queue 'elsewhere'"):
        await run_worker(client=client, settings=own, performer=Silent(), task_queues=["elsewhere"])
    with pytest.raises(ConfigError, match="no worker profile 'huge'"):
        await run_worker(client=client, settings=own, performer=Silent(), profile_name="huge")
    labelled = TemporalSettings.model_validate({"search_attributes": {"enabled": True, "attributes": ["UserId"]}})
    with pytest.raises(ConfigError, match="lacks the search attributes UserId"):
        await run_worker(client=client, settings=labelled, performer=Silent())


async def test_a_capped_queue_is_never_bypassed(client: Client) -> None:
    tables: dict[str, Any] = {
        "activity_queues": {"act_llm_gen_text": {"default": "capped"}},
        "queue_options": {"capped": {"max_task_queue_activities_per_second": 4}},
        "worker_runtime_profiles": {"profiles": {"slow": {"max_activities_per_second": 9}}},
    }
    settings = TemporalSettings.model_validate(tables)
    plain = _worker(client, settings, Silent(), "plain", chosen_duty(settings)).config()
    capped = _worker(client, settings, Silent(), "capped", chosen_duty(settings)).config()
    slow = _worker(client, settings, Silent(), "slow", chosen_duty(settings, profile_name="slow")).config()
    assert (plain["disable_eager_activity_execution"], plain["max_task_queue_activities_per_second"]) == (False, None)
    assert (capped["disable_eager_activity_execution"], capped["max_task_queue_activities_per_second"]) == (True, 4)
    assert (slow["disable_eager_activity_execution"], slow["max_activities_per_second"]) == (True, 9)


def slots(config: WorkerConfig) -> tuple[int, int]:
    """How many workflow tasks and activities a worker takes at once."""
    tuner = config["tuner"]
    assert tuner is not None
    workflows, calls = tuner._get_workflow_task_slot_supplier(), tuner._get_activity_task_slot_supplier()
    assert isinstance(workflows, FixedSizeSlotSupplier)
    assert isinstance(calls, FixedSizeSlotSupplier)
    return workflows.num_slots, calls.num_slots


async def test_a_profile_decides_what_a_worker_takes_on(client: Client) -> None:
    profile = {
        "max_concurrent_activities": 0,
        "max_concurrent_workflow_task_polls": 1,
        "max_concurrent_workflow_tasks": 1,
        "graceful_shutdown_timeout": "7s",
    }
    settings = TemporalSettings.model_validate({"worker_runtime_profiles": {"profiles": {"flows": profile}}})
    flows = _worker(client, settings, Silent(), "flows", chosen_duty(settings, profile_name="flows")).config()
    assert flows["activities"] == []
    assert flows["workflow_task_poller_behavior"] == PollerBehaviorSimpleMaximum(2)
    assert slots(flows) == (2, 1)
    assert flows["graceful_shutdown_timeout"] == timedelta(seconds=7)
    usual = _worker(client, settings, Silent(), "usual", chosen_duty(settings)).config()
    assert len(usual["activities"]) == len(activities(Silent())) + 1, "and the one that refuses the rest"
    assert usual["activity_task_poller_behavior"] == PollerBehaviorAutoscaling()
    assert slots(usual) == (max(2, 8 * (os.cpu_count() or 1)), 200)
    assert usual["sticky_queue_schedule_to_start_timeout"] == timedelta(seconds=3)
