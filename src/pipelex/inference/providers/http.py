"""One provider's HTTP API: a request out, JSON back, every fault told by who can act. Runs on workers; one attempt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx2

from pipelex.errors import ConfigError, ProviderDownError, ReplyError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.providers.refusals import refusal
from pipelex.inference.settings import InferenceSettings


class Api:
    """The API of one backend, over connections that are kept."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self.name = name
        self._access = access
        self._settings = settings
        total = settings.request_timeout.total_seconds()
        headers = {"authorization": f"Bearer {access.api_key}"} if access.api_key else {}
        try:
            self._client = httpx2.AsyncClient(
                headers=headers,
                # Waiting for a free connection is our own queueing, so it gets the whole time of a request.
                timeout=httpx2.Timeout(total, connect=settings.connect_timeout.total_seconds(), pool=None),
                limits=httpx2.Limits(max_connections=settings.max_connections, max_keepalive_connections=None),
            )
        except (UnicodeError, ValueError):
            # Neither the message nor the chained exception may show the key.
            raise ConfigError(f"the key of backend {name!r} holds characters that cannot be sent") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(
        self,
        path: str,
        model: ModelSpec,
        *,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        files: list[tuple[str, tuple[str, bytes, str]]] | None = None,
    ) -> Any:
        """Post a JSON body, or a form with files, and return the JSON of the answer (None when it is not JSON).

        Raises the error that a refusal, a fault or a broken connection means.
        """
        sent: dict[str, Any] = {"json": body} if body is not None else {"data": form, "files": files}
        status, headers, received = await self._send(path, model, sent)
        try:
            answer = json.loads(received)
        except ValueError:
            answer = None
        error = answer.get("error") if isinstance(answer, dict) else None
        if status != 200 or error:
            # Some gateways answer 200 with an error inside.
            inner = error.get("code") if isinstance(error, dict) else None
            status = inner if status == 200 and isinstance(inner, int) else status
            raise refusal(self.name, model.handle, status, headers, received, self._access.api_key)
        return answer

    async def _send(self, path: str, model: ModelSpec, sent: dict[str, Any]) -> tuple[int, httpx2.Headers, bytes]:
        url = f"{self._access.endpoint}/{path}"
        where: dict[str, Any] = {"provider": self.name, "model": model.handle, "where": url.partition("?")[0]}
        received = bytearray()
        try:
            async with (
                asyncio.timeout(self._settings.request_timeout.total_seconds()),
                self._client.stream("POST", url, headers=dict(model.headers), **sent) as response,
            ):
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > self._settings.max_reply_bytes:
                        limit = self._settings.max_reply_bytes
                        raise ReplyError(f"the answer of {self.name} is larger than {limit} bytes", **where)
                return response.status_code, response.headers, bytes(received)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ConfigError(
                f"the endpoint of backend {self.name!r} is not a valid url: {error}", hint="it starts with https://"
            ) from None
        except (TimeoutError, httpx2.TimeoutException) as error:
            within = f"{self._settings.request_timeout.total_seconds():g} s"
            raise ProviderDownError(
                f"{self.name} did not answer in {within} ({type(error).__name__})",
                retryable=True,
                hint="raise request_timeout under [inference], or ask for a shorter answer",
                **where,
            ) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            message = f"the connection to {self.name} failed: {type(error).__name__} {error}".strip()
            hint = "check the endpoint of this backend and that this machine can reach it; each attempt made failed"
            raise ProviderDownError(message, retryable=True, hint=hint, **where) from None
