"""One provider's HTTP API: a request out, JSON back, every fault told by who can act. Runs on workers; one attempt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from pipelex.errors import ConfigError, InferenceError, PipelexError, ProviderDownError, ReplyError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.providers.refusals import refusal, request_id
from pipelex.inference.redaction import shown_url
from pipelex.inference.settings import InferenceSettings

_POOL_SIZE: Final = 16
_OF_THE_WIRE: Final = ("content-encoding", "content-length", "transfer-encoding")
"""The headers that are no longer true of an answer once read."""


class Api:
    """The API of one backend, over connections that are kept.

    `headers` carry the key where it is not sent as a bearer token, `query` goes with every request, and `place` says
    where the path of a request about a model is under the endpoint, when it is not simply there.
    """

    def __init__(
        self,
        name: str,
        access: Access,
        settings: InferenceSettings,
        headers: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        place: Callable[[str, ModelSpec], str] | None = None,
    ) -> None:
        self.name = name
        self._access = access
        self._settings = settings
        self._query = dict(query or {})
        self._place = place
        bearer = {"authorization": f"Bearer {access.api_key}"} if access.api_key else {}
        try:
            self._connections = Connections(name, settings, bearer if headers is None else dict(headers))
        except (UnicodeError, ValueError):
            # Neither the message nor the chained exception may show the key.
            raise ConfigError(f"the key of backend {name!r} holds characters that cannot be sent") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.aclose()

    async def post(
        self,
        path: str,
        model: ModelSpec,
        *,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        files: list[tuple[str, tuple[str, bytes, str]]] | None = None,
        key: str | None = None,
    ) -> Any:
        """Post a JSON body, or a form with files, and return the JSON of the answer (None when it is not JSON).

        To a provider that honours idempotency keys, posts with the same `key` are one.
        Raises the error that a refusal, a fault or a broken connection means.
        """
        sent: dict[str, Any] = {"json": body} if body is not None else {"data": form, "files": files}
        sent["headers"] = {"idempotency-key": key} if key else {}
        status, headers, received = await self._send("POST", path, model, sent)
        answer = _json(received)
        error = answer.get("error") if isinstance(answer, dict) else None
        if not 200 <= status < 300 or error:
            # Some gateways answer 200 with an error inside.
            inner = error.get("code") if isinstance(error, dict) else None
            status = inner if status == 200 and isinstance(inner, int) else status
            raise refusal(self.name, model.handle, status, headers, received, self._secrets(model))
        return answer

    def _secrets(self, model: ModelSpec) -> tuple[str, ...]:
        return (*self._access.secrets, *model.headers.values())

    async def begin(self, path: str, model: ModelSpec, body: Mapping[str, Any]) -> Mapping[str, str]:
        """Post a JSON body that begins a job, and return the headers, which say where to ask for it.

        Raises as `post` does.
        """
        status, headers, received = await self._send("POST", path, model, {"json": body})
        if not 200 <= status < 300:
            raise refusal(self.name, model.handle, status, headers, received, self._secrets(model))
        return headers

    async def tell(self, method: str, path: str, model: ModelSpec) -> None:
        """Send a request without a body, whose answer does not matter. Raises when there is none."""
        await self._send(method, path, model, {})

    async def get_bytes(self, path: str, model: ModelSpec, *, query: Mapping[str, str] | None = None) -> bytes:
        """Get a file. Raises as `get` does."""
        status, headers, received = await self._send("GET", path, model, {"params": query or None})
        if not 200 <= status < 300:
            raise refusal(self.name, model.handle, status, headers, received, self._secrets(model))
        return received

    async def get(self, path: str, model: ModelSpec, *, query: Mapping[str, str] | None = None) -> Any:
        """Get what is there and return its JSON (None when it is not JSON), which may tell of an error itself.

        Raises as `post` does when the status of the answer is an error.
        """
        return _json(await self.get_bytes(path, model, query=query))

    async def _send(
        self, method: str, path: str, model: ModelSpec, sent: dict[str, Any]
    ) -> tuple[int, httpx2.Headers, bytes]:
        url = f"{self._access.endpoint}/{self._place(path, model) if self._place else path}"
        try:
            headers = {**model.headers, **sent.pop("headers", {})}
            if self._query:
                sent["params"] = {**self._query, **(sent.get("params") or {})}
            return await self._connections.exchange(self._connections.request(method, url, headers=headers, **sent))
        except httpx2.InvalidURL as error:
            raise broken(error, self.name, self._settings) from None
        except InferenceError as error:
            error.model = model.handle
            raise


class SdkClient(httpx2.AsyncClient):
    """The HTTP client given to the SDK of a provider: its requests get the bounds and the errors of our own.

    Whatever the answer, the SDK sees a whole success or nothing: a refusal is raised here, and found again by `ours`.
    """

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._connections = Connections(name, settings)
        super().__init__(timeout=self._connections.timeout, verify=self._connections.tls)
        if access.api_key and not access.api_key.isascii():
            raise ConfigError(f"the key of backend {name!r} holds characters that cannot be sent")
        self._name = name
        self._access = access

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connections.aclose()
        await super().aclose()

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send one request, once, and read the whole answer."""
        request.extensions = {**request.extensions, "timeout": self.timeout.as_dict()}
        status, headers, received = await self._connections.exchange(request)
        if status != 200:
            raise refusal(self._name, None, status, headers, received, self._access.secrets)
        kept = {key: value for key, value in headers.items() if key not in _OF_THE_WIRE}
        return httpx2.Response(status, headers=kept, content=received, request=request)


def ours(error: BaseException) -> PipelexError | None:
    """The error of ours that an SDK has wrapped in its own."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, PipelexError):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None


class Connections:
    """The connections to one backend, up to `max_connections`, in pools that stay small.

    For each request a pool looks at every connection it has: with hundreds in one, that costs more than the request.
    """

    def __init__(self, name: str, settings: InferenceSettings, headers: Mapping[str, str] | None = None) -> None:
        self._name = name
        self._settings = settings
        self._headers = headers
        self.tls = httpx2.create_ssl_context()
        # Waiting for a free connection is our own queueing, so it gets the whole time of a request.
        self.timeout = httpx2.Timeout(
            settings.request_timeout.total_seconds(), connect=settings.connect_timeout.total_seconds(), pool=None
        )
        self._unopened = settings.max_connections
        self._pools: list[_Pool] = []
        self._open()

    async def aclose(self) -> None:
        """Close them."""
        for pool in self._pools:
            await pool.client.aclose()

    def request(self, method: str, url: str, **sent: Any) -> httpx2.Request:
        """A request with the headers of this backend, as `httpx2.AsyncClient.build_request` takes it."""
        return self._pools[0].client.build_request(method, url, **sent)

    async def exchange(self, request: httpx2.Request) -> tuple[int, httpx2.Headers, bytes]:
        """Send a request and read its answer, within the time and the size that the settings allow."""
        received = bytearray()
        where: dict[str, Any] = {"provider": self._name, "where": shown_url(str(request.url))}
        pool = self._free()
        pool.running += 1
        try:
            async with asyncio.timeout(self._settings.request_timeout.total_seconds()):
                response = await pool.client.send(request, stream=True)
                try:
                    where["request_id"] = request_id(response.headers)
                    async for chunk in response.aiter_bytes():
                        received += chunk
                        if len(received) > self._settings.max_reply_bytes:
                            limit = self._settings.max_reply_bytes
                            raise ReplyError(f"the answer of {self._name} is larger than {limit} bytes", **where)
                finally:
                    await response.aclose()
            return response.status_code, response.headers, bytes(received)
        except (TimeoutError, httpx2.HTTPError, httpx2.StreamError) as error:
            raise broken(error, self._name, self._settings, **where) from None
        finally:
            pool.running -= 1

    def _free(self) -> _Pool:
        """The first pool with a connection to spare, a new one, or, when all are busy, the one with fewest waiting."""
        for pool in self._pools:
            if pool.running < pool.size:
                return pool
        return self._open() if self._unopened else min(self._pools, key=lambda pool: pool.running / pool.size)

    def _open(self) -> _Pool:
        size = min(_POOL_SIZE, self._unopened)
        limits = httpx2.Limits(max_connections=size, max_keepalive_connections=None)
        client = httpx2.AsyncClient(headers=self._headers, timeout=self.timeout, verify=self.tls, limits=limits)
        self._unopened -= size
        self._pools.append(_Pool(client, size))
        return self._pools[-1]


@dataclass
class _Pool:
    client: httpx2.AsyncClient
    size: int
    running: int = 0


def broken(error: Exception, name: str, settings: InferenceSettings, **where: Any) -> PipelexError:
    """What it means that no whole answer came; `where` says more of the call."""
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        # What the library says may quote the credentials in it.
        return ConfigError(
            f"the endpoint of backend {name!r} is not a valid url",
            hint="it starts with https://, and has no space, and no / or @ in a user name or password",
        )
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return ProviderDownError(
            f"{name} did not answer in {settings.request_timeout.total_seconds():g} s ({type(error).__name__})",
            retryable=True,
            hint="raise request_timeout under [inference], or ask for a shorter answer",
            **where,
        )
    return ProviderDownError(
        f"the connection to {name} failed: {type(error).__name__} {error}".strip(),
        retryable=True,
        hint="check the endpoint of this backend and that this machine can reach it; each attempt made failed",
        **where,
    )


def _json(received: bytes) -> Any:
    try:
        return json.loads(received)
    except ValueError:
        return None
