"""A provider on loopback for tests and benchmarks: real HTTP, OpenAI chat completions and images, scripted faults.

Alone: `python -m pipelex.testing.provider_stub --latency 0.05 --port 0` prints the base url, and `GET /count` counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Final

import h11
from pydantic import JsonValue

_READ_SIZE: Final = 256 * 1024
_PATHS: Final = ("/chat/completions", "/images/generations", "/images/edits", "/search")
PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
"""The image that is given by default: one pixel, as base64."""


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


class StubProvider:
    """An async context manager around a server on 127.0.0.1.

    The default answer is "ok" for texts and searches, a mock of the schema for objects and one pixel for images, after
    `latency` seconds.
    """

    def __init__(
        self, behaviour: Behaviour | None = None, *, latency: float = 0.0, port: int = 0, keep_requests: bool = True
    ) -> None:
        self.behaviour = behaviour
        self.latency = latency
        self.calls = 0
        self.calls_by_prompt: Counter[str] = Counter()
        self.running = 0
        self.most_running = 0
        self.requests: list[Received] = []
        self._keep_requests = keep_requests
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What to set as the endpoint of a backend."""
        return f"http://127.0.0.1:{self._port}/v1"

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
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def __aenter__(self) -> StubProvider:
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
            answer = await self._answer(request, body)
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

    async def _answer(self, request: h11.Request, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        path = request.target.decode().partition("?")[0]
        json_type = {"content-type": "application/json"}
        if request.method == b"GET":
            return 200, json_type, json.dumps({"calls": self.calls}).encode()
        if not path.endswith(_PATHS):
            return 404, json_type, b'{"error": {"message": "no such path", "code": "not_found"}}'
        # A form with files is kept as it came; its fields are those of the JSON request.
        asked = {"form": body.decode("latin-1")} if body[:2] == b"--" else json.loads(body)
        n = self.calls
        self.calls += 1
        self.calls_by_prompt[prompt_of(asked)] += 1
        if self._keep_requests:
            headers = {key.decode(): value.decode() for key, value in request.headers}
            self.requests.append(Received(path, headers, asked))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            answer = (self.behaviour(asked, n) if self.behaviour else None) or _default(asked, path)
            delay = self.latency if answer.delay is None else answer.delay
            if delay > 0:
                await asyncio.sleep(delay)
        finally:
            self.running -= 1
        if answer.drop:
            return None
        return answer.status, {**json_type, **answer.headers}, _content(answer, asked)


def prompt_of(asked: dict[str, Any]) -> str:
    """The text of the first user message of a request; the prompt or query of one that has no messages."""
    if "messages" not in asked:
        return next((str(asked[key]) for key in ("prompt", "q", "query") if key in asked), "")
    content = next((item["content"] for item in asked.get("messages", []) if item.get("role") == "user"), "")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


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


def _default(asked: dict[str, Any], path: str) -> StubAnswer:
    if "/images/" in path:
        return StubAnswer(body={"created": 0, "data": [{"b64_json": PIXEL}] * int(asked.get("n", 1))})
    if path.endswith("/search"):
        words: dict[str, JsonValue] = {"name": "One", "title": "One", "snippet": "s", "content": "s"}
        source: dict[str, JsonValue] = {"url": "https://example.invalid/1", **words}
        return StubAnswer(body={"answer": "ok", "sources": [source], "results": [source]})
    asked_format = asked.get("response_format") or {}
    if asked_format.get("type") != "json_schema":
        return StubAnswer(text="ok")
    return StubAnswer(text=_mock(json.dumps(asked_format["json_schema"]["schema"])))


@lru_cache(maxsize=64)
def _mock(schema: str) -> str:
    from pipelex.values.mock import mock

    return json.dumps(mock(json.loads(schema)))


def _content(answer: StubAnswer, asked: dict[str, Any]) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    if answer.body is not None:
        return json.dumps(answer.body).encode()
    if answer.status != 200:
        error = {"message": answer.text or f"scripted {answer.status}", "code": None}
        return json.dumps({"error": error}).encode()
    text = answer.text if answer.text is not None else json.dumps(answer.data)
    usage = answer.usage or {"prompt_tokens": len(prompt_of(asked)) // 4 + 1, "completion_tokens": len(text) // 4 + 1}
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {
            "id": "chatcmpl-stub",
            "object": "chat.completion",
            "model": asked.get("model"),
            "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
            "usage": usage,
        }
    ).encode()


async def _stand_alone(latency: float, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with StubProvider(latency=latency, port=port, keep_requests=False) as stub:
        print(stub.base_url, flush=True)
        await stop.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m pipelex.testing.provider_stub", description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    given = parser.parse_args()
    asyncio.run(_stand_alone(given.latency, given.port))


if __name__ == "__main__":
    main()
