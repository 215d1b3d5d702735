"""`/live` and `/ready` over HTTP, for whoever supervises a worker. Runs in the event loop of the worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Literal

from pipelex.errors import ConfigError

State = Literal["starting", "ready", "draining"]
_SECONDS = 5
_MOST_HEADERS = 100


def listen_address(given: str, flag: str) -> tuple[str, int]:
    """The host and the port that a flag names; without a host, every interface."""
    host, colon, port = given.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{flag} is {given!r}, which is no HOST:PORT", hint=f"for instance {flag} 0.0.0.0:8080")
    return host.strip("[]") or "0.0.0.0", int(port)


@contextlib.asynccontextmanager
async def health_endpoint(address: str | None, state: Callable[[], State]) -> AsyncIterator[None]:
    """Answer probes at HOST:PORT while the block runs; without an address, do nothing.

    `/live` is 200 as long as the event loop responds, `/ready` 200 while the state is ready and 503 otherwise.
    Raises ConfigError when nothing can listen there.
    """
    if address is None:
        yield
        return
    host, port = listen_address(address, "--health-address")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A probe that breaks off, or says nothing, is no matter.
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_SECONDS):
                method, path = await _asked(reader)
                writer.write(_answer(method, path, state()))
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, host, port)
    except OSError as error:
        raise ConfigError(
            f"the health endpoint cannot listen at {address}: {error.strerror or error}",
            hint="give --health-address a free port of this machine",
        ) from error
    try:
        yield
    finally:
        server.close()


async def _asked(reader: asyncio.StreamReader) -> tuple[str, str]:
    line = (await reader.readline()).decode("latin-1")
    for _ in range(_MOST_HEADERS):
        if (await reader.readline()) in (b"\r\n", b"\n", b""):
            break
    method, path, _ = line.split(" ", 2)
    return method, path.partition("?")[0]


def _answer(method: str, path: str, state: State) -> bytes:
    if path not in ("/live", "/ready"):
        status, text = HTTPStatus.NOT_FOUND, "there is /live and /ready\n"
    elif method not in ("GET", "HEAD"):
        status, text = HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD\n"
    else:
        is_good = path == "/live" or state == "ready"
        status, text = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE, f"{state}\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return (head + ("" if method == "HEAD" else text)).encode()
