"""How a process that goes on running takes up what its files hold by now, when things happen at the same moment."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelex.temporal import connection
from pipelex.temporal.connection import KeyWatch
from pipelex.temporal.server_settings import ServerProfile

CERT = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


class Server:
    """Counts the connections to it; the next ones fail with `errors`."""

    def __init__(self, ca: Path) -> None:
        self.profile = ServerProfile(server_root_ca_cert=str(ca))
        self.connections: list[Any] = []
        self.errors: list[Exception] = []
        self.is_again = asyncio.Event()

    async def connect(self) -> Any:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop()
        self.connections.append(SimpleNamespace(number=len(self.connections)))
        if len(self.connections) > 1:
            self.is_again.set()
        return self.connections[-1]

    async def watched(self) -> KeyWatch:
        return await KeyWatch.opened(self.profile, {}, self.connect)


def renew(ca: Path) -> None:
    ca.write_text(CERT.format("second"))


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text(CERT.format("first"))
    return tmp_path / "ca.pem"


async def test_a_worker_made_before_the_connection_was_replaced_moves_when_it_is_followed(ca: Path) -> None:
    watch = await Server(ca).watched()
    worker: Any = SimpleNamespace(client=watch.client)
    renew(ca)
    await watch.look()
    watch.follow([worker])
    assert worker.client is watch.client
    assert worker.client.number == 1


async def test_two_looks_at_once_connect_once(ca: Path) -> None:
    server = Server(ca)
    watch = await server.watched()
    renew(ca)
    await asyncio.gather(watch.look(), watch.look())
    assert len(server.connections) == 2


async def test_what_nobody_foresaw_does_not_end_the_watch(
    ca: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "_LOOK_SECONDS", 0)
    server = Server(ca)
    watch = await server.watched()
    server.errors = [LookupError("canary"), LookupError("canary")]
    renew(ca)
    running = asyncio.create_task(watch.run())
    await asyncio.wait_for(server.is_again.wait(), 20)
    running.cancel()
    warned = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == ["the former key and certificates stay in use: LookupError"]
