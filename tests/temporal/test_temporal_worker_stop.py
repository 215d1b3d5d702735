"""A worker that is told to stop before it polls."""

from __future__ import annotations

import asyncio

from temporal_bench import Bench, Scripted
from temporalio.client import Client

from pipelex.temporal.worker import run_worker


async def test_a_worker_that_waits_for_its_server_stops_when_told(bench: Bench) -> None:
    host, _, port = bench.client.service_client.config.target_host.rpartition(":")
    is_silent, asks = asyncio.Event(), asyncio.Event()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if is_silent.is_set():
                asks.set()
            else:
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

    stop = asyncio.Event()
    readied: list[bool] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = await Client.connect(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        is_silent.set()
        work = run_worker(
            client=client,
            settings=bench.settings(),
            performer=Scripted(),
            stop=stop,
            on_ready=lambda: readied.append(True),
        )
        running = asyncio.create_task(work)
        await asyncio.wait_for(asks.wait(), 20)
        stop.set()
        # The SDK alone would take 45 seconds, and then fail.
        await asyncio.wait_for(running, 20)
    assert readied == []
