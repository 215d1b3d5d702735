"""An HTTP server that decodes payloads for the Web UI and the `temporal` CLI. Runs beside them, with the keys.

It speaks Temporal's remote codec protocol: POST /decode and /encode, JSON of Payloads. It also reads large payloads
from their store. What it answers is all that runs are about: who may ask is checked before anything else.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType

import h11
from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads
from temporalio.common import RawValue
from temporalio.converter import DataConverter
from temporalio.exceptions import FailureError

from pipelex.errors import ConfigError, PipelexError
from pipelex.temporal.failures import raised

_log = logging.getLogger(__name__)

MOST_BODY_BYTES = 32 * 1024 * 1024
_MOST_CONNECTIONS = 64
_MOST_NAMESPACES = 4
"""Requests may name any; the converter of each keeps what it read lately."""
_PATIENCE_SECONDS = 30.0
_READ_BYTES = 256 * 1024
_PATHS = ("/decode", "/encode")
_CORS = {"access-control-allow-credentials": "true", "vary": "origin"}
_ALLOWED = {
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "content-type, x-namespace, authorization, authorization-extras",
    # A page of another machine, such as the Web UI of Temporal Cloud, may ask a server on this one.
    "access-control-allow-private-network": "true",
    "access-control-max-age": "600",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to that host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Asked:
    """One request, as far as it was read."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


class CodecServer:
    """An asynchronous context manager; `address` is known once it is entered.

    `converter` makes the converter of a namespace; `namespace` is the one of requests that name none. Pages of
    `origins` may ask. With a token, each request needs it as a bearer token; without, the host must be loopback.
    """

    def __init__(
        self,
        converter: Callable[[str], DataConverter],
        *,
        namespace: str,
        origins: Collection[str],
        host: str = "127.0.0.1",
        port: int = 8081,
        token: str | None = None,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ConfigError(
                f"a codec server on {host} would decrypt for everybody who reaches it",
                hint="require a token with --auth-token-env VARIABLE, or bind it to 127.0.0.1",
            )
        self._converter = lru_cache(maxsize=_MOST_NAMESPACES)(converter)
        self._namespace = namespace
        self._origins = {origin.rstrip("/") for origin in origins}
        self._host, self._port, self._token = host, port, token
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens, as a URL."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def __aenter__(self) -> CodecServer:
        # A missing key is told now, not to the first page that asks.
        self._converter(self._namespace)
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            raise ConfigError(
                f"the codec server cannot listen on {self.address}: {error.strerror or error}",
                hint="give another --host or --port",
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                asked, refused = await self._receive(connection, reader, writer)
            if asked is None:
                return
            status, headers, body = await self._answered(asked, refused)
            _log.info("%s %s: %s", asked.method, asked.path[:64], status)
            head = [*headers.items(), ("content-length", str(len(body))), ("cache-control", "no-store")]
            if refused is not None:
                head.append(("connection", "close"))
            sent = connection.send(h11.Response(status_code=status, headers=head)) or b""
            sent += connection.send(h11.Data(data=body)) or b""
            writer.write(sent + (connection.send(h11.EndOfMessage()) or b""))
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await writer.drain()
            if refused is not None or connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answered(self, asked: Asked, refused: Refused | None) -> tuple[int, dict[str, str], bytes]:
        origin = asked.headers.get("origin", "")
        cors = {**_CORS, "access-control-allow-origin": origin} if origin in self._origins else {}
        json_type = {"content-type": "application/json", "x-content-type-options": "nosniff"}
        try:
            if refused is not None:
                raise refused
            if asked.method == "OPTIONS":
                return 204, {**cors, **_ALLOWED}, b""
            text = await self._coded(asked)
            return 200, {**cors, **json_type}, text.encode()
        except Refused as error:
            body = json.dumps({"message": error.message}).encode()
            return error.status, {**cors, **json_type, **error.headers}, body

    async def _receive(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Asked | None, Refused | None]:
        """The next request; with a refusal, its body is not read."""
        asked: Asked | None = None
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                connection.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.Request):
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                asked = Asked(event.method.decode(), event.target.decode("latin-1"), headers, b"")
                try:
                    self._check(asked)
                except Refused as refused:
                    return asked, refused
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST_BODY_BYTES:
                    return asked, _too_much()
            elif isinstance(event, h11.EndOfMessage) and asked is not None:
                return replace(asked, body=bytes(body)), None
            else:
                return None, None

    def _check(self, asked: Asked) -> None:
        """Who may ask, before anything is read."""
        self._check_sender(asked, asked.headers.get("origin", ""))
        if asked.method != "OPTIONS":
            self._check_token(asked)
        length = asked.headers.get("content-length", "0")
        if length.isdigit() and int(length) > MOST_BODY_BYTES:
            raise _too_much()

    def _check_sender(self, asked: Asked, origin: str) -> None:
        if origin and origin not in self._origins:
            raise Refused(403, "this origin may not ask: start the codec server with --cors-origin for it")
        if self._token is None:
            # A page may make its own name stand for 127.0.0.1; the name it used is then in this header.
            host = asked.headers.get("host", "").rpartition(":")
            if not is_loopback(host[0] if host[1] and host[2].isdigit() else asked.headers.get("host", "")):
                raise Refused(403, "this server is only for this machine, by the name localhost or 127.0.0.1")

    def _check_token(self, asked: Asked) -> None:
        if self._token is None:
            return
        scheme, _, given = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), self._token.encode()):
            raise Refused(401, "a bearer token is needed, the one of this server", {"www-authenticate": "Bearer"})

    async def _coded(self, asked: Asked) -> str:
        path = asked.path.partition("?")[0]
        if path not in _PATHS:
            raise Refused(404, "there are /decode and /encode here")
        if asked.method != "POST":
            raise Refused(405, "use POST", {"allow": "POST, OPTIONS"})
        if asked.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send application/json")
        try:
            given = json_format.Parse(asked.body, Payloads(), ignore_unknown_fields=True).payloads
        except (json_format.ParseError, UnicodeDecodeError, ValueError):
            raise Refused(400, "the body is not the JSON of payloads") from None
        try:
            converter = self._converter(asked.headers.get("x-namespace") or self._namespace)
            if path == "/decode":
                values = await converter.decode(given, [RawValue] * len(given)) if given else []
                made = [value.payload for value in values]
            else:
                made = await converter.encode([RawValue(payload) for payload in given]) if given else []
        except (FailureError, PipelexError) as error:
            told = raised(error)
            raise Refused(502 if told.is_retryable else 422, told.render()) from None
        except Exception as error:  # noqa: BLE001 - what was sent may be anything, and its text may be data
            _log.warning("%s failed: %s", path, type(error).__name__)
            raise Refused(400, f"these payloads cannot be read: {type(error).__name__}") from None
        return json_format.MessageToJson(Payloads(payloads=made), indent=None)


def _too_much() -> Refused:
    return Refused(413, f"a request has {MOST_BODY_BYTES} bytes at most")
