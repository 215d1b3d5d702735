"""An HTTP server on loopback that plays a provider: scripted answers, faults, counters. Subclasses say the words."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import h11
from pydantic import JsonValue

_READ_SIZE: Final = 256 * 1024
JSON_TYPE: Final = {"content-type": "application/json"}


@dataclass(frozen=True)
class StubAnswer:
    """What to answer. By default a completion with `text`, or with `data` as its JSON text.

    `body` replaces the whole body (JSON data, or raw bytes). `drop` closes the connection without an answer. `delay`
    is in seconds and replaces the latency of the stub.
    """

    text: str | None = None
    data: JsonValue = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: JsonValue | bytes = None
    finish_reason: str = "stop"
    usage: dict[str, JsonValue] | None = None
    drop: bool = False
    delay: float | None = None


Behaviour = Callable[[dict[str, Any], int], StubAnswer | None]
"""From the request's JSON and how many calls came before it, what to answer; None for the default answer."""


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    query: str = ""


Answered = tuple[int, dict[str, str], bytes] | None
"""Status, headers and body; None to close the connection."""


@dataclass(frozen=True)
class _Asked:
    """One request whose body is read."""

    path: str
    query: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """The other end of a connection, while its answer is not given."""

    connection: h11.Connection
    reader: asyncio.StreamReader

    async def waits(self, seconds: float) -> bool:
        """Let the time pass; False as soon as the caller closes the connection."""
        until = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                while more := await self.reader.read(_READ_SIZE):
                    self.connection.receive_data(more)
        except TimeoutError:
            return True
        except ConnectionError:
            pass
        return False


class HttpStub:
    """An async context manager around a server on 127.0.0.1. Answers come after `latency` seconds.

    With `honours_keys`, a request whose `Idempotency-Key` came before gets the answer of the first one, and counts as
    a replay, not as a call.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        latency: float = 0.0,
        port: int = 0,
        keep_requests: bool = True,
        honours_keys: bool = False,
    ) -> None:
        self.behaviour = behaviour
        self.latency = latency
        self.calls = 0
        self.replays = 0
        self.abandoned = 0
        """Calls whose caller closed the connection before the answer."""
        self.honours_keys = honours_keys
        self._by_key: dict[str, asyncio.Task[Answered]] = {}
        self.calls_by_prompt: Counter[str] = Counter()
        self.running = 0
        self.most_running = 0
        self.requests: list[Received] = []
        self._keep_requests = keep_requests
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def root_url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._port}"

    def knows(self, path: str) -> bool:
        """Whether requests to that path are answered."""
        raise NotImplementedError

    def decoded(self, body: bytes) -> dict[str, Any]:
        """The JSON of a request. A form with files is kept as it came: its fields are those of the JSON request."""
        found: dict[str, Any] = {"form": body.decode("latin-1")} if body[:2] == b"--" else json.loads(body or b"{}")
        return found

    def prompt(self, asked: dict[str, Any], path: str) -> str:
        """What calls are counted by."""
        raise NotImplementedError

    def default(self, asked: dict[str, Any], path: str) -> StubAnswer:
        """What is answered where the behaviour says nothing."""
        raise NotImplementedError

    def content(self, answer: StubAnswer, asked: dict[str, Any], path: str) -> tuple[dict[str, str], bytes]:
        """The headers and the body of an answer whose `body` is None."""
        raise NotImplementedError

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and drop the connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        for answer in self._by_key.values():
            answer.cancel()
        await asyncio.gather(*self._connections, *self._by_key.values(), return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, h11.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            request, body = await _receive(connection, reader)
            if request is None:
                return
            answer = await self._answer(request, body, Caller(connection, reader))
            if answer is None:
                return
            status, headers, content = answer
            head = [(key.lower(), value) for key, value in headers.items()]
            head.append(("content-length", str(len(content))))
            sent = connection.send(h11.Response(status_code=status, headers=head)) or b""
            sent += connection.send(h11.Data(data=content)) or b""
            writer.write(sent + (connection.send(h11.EndOfMessage()) or b""))
            await writer.drain()
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answer(self, request: h11.Request, body: bytes, caller: Caller) -> Answered:
        path, _, query = request.target.decode().partition("?")
        is_get = request.method == b"GET"
        if is_get and not self.knows(path):
            return 200, JSON_TYPE, json.dumps({"calls": self.calls}).encode()
        if not self.knows(path):
            return 404, JSON_TYPE, b'{"error": {"message": "no such path", "code": "not_found"}}'
        headers = {key.decode(): value.decode() for key, value in request.headers}
        asked = _Asked(path, query, headers, dict(parse_qsl(query)) if is_get else self.decoded(body))
        key = headers.get("idempotency-key") if self.honours_keys else None
        if key is None:
            return await self._call(asked, caller)
        if key in self._by_key:
            self.replays += 1
        else:
            # It goes on to its end whether or not the caller stays.
            self._by_key[key] = asyncio.create_task(self._call(asked, None))
        return await asyncio.shield(self._by_key[key])

    async def _call(self, asked: _Asked, caller: Caller | None) -> Answered:
        body, path, n = asked.body, asked.path, self.calls
        self.calls += 1
        self.calls_by_prompt[self.prompt(body, path)] += 1
        if self._keep_requests:
            self.requests.append(Received(path, asked.headers, body, asked.query))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            answer = (self.behaviour(body, n) if self.behaviour else None) or self.default(body, path)
            delay = self.latency if answer.delay is None else answer.delay
            if caller is None:
                await asyncio.sleep(delay)
            elif delay > 0 and not await caller.waits(delay):
                self.abandoned += 1
                return None
        finally:
            self.running -= 1
        if answer.drop:
            return None
        if answer.body is None:
            headers, content = self.content(answer, body, path)
        elif isinstance(answer.body, bytes):
            headers, content = JSON_TYPE, answer.body
        else:
            headers, content = JSON_TYPE, json.dumps(answer.body).encode()
        return answer.status, {**headers, **answer.headers}, content


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request | None, bytes]:
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_SIZE))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return request, bytes(body)
        else:
            return None, b""
