"""The reply cache, for development: what models answered to the same requests, kept in files. Runs on workers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, cast

from pydantic import ValidationError

from pipelex.errors import DocumentError
from pipelex.inference.backends import SIMULATED, Route
from pipelex.inference.settings import CacheSettings
from pipelex.pipes.requests import (
    Attachment,
    ImagesReply,
    ModelSetting,
    ObjectReply,
    PagesReply,
    Reply,
    ReplyT,
    Request,
    SearchReply,
    TextReply,
    Usage,
)
from pipelex.storage.blobs import SCHEME, Blobs
from pipelex.storage.fetch import read_url
from pipelex.storage.settings import StorageSettings

_LOG = logging.getLogger(__name__)
_VERSION: Final = 1
"""Raised when what is kept, or what it is kept under, changes its meaning."""
_REPLIES: Final[dict[str, type[Reply]]] = {
    kind.__name__: kind for kind in (TextReply, ObjectReply, PagesReply, ImagesReply, SearchReply)
}
_STORED: Final = re.compile(re.escape(SCHEME) + r"[0-9a-f]{64}\.[a-z0-9]{1,8}")


class ReplyCache:
    """Replies by the digest of what they depend on; only whole ones, of models, that were paid for.

    `clock` gives seconds since the epoch. What cannot be read is as if it were not there, what cannot be written is
    not kept: the cache never fails a call.
    """

    def __init__(
        self,
        settings: CacheSettings,
        blobs: Blobs,
        storage: StorageSettings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._blobs = blobs
        self._storage = storage
        self._clock = clock

    async def through(
        self,
        request: Request[ReplyT],
        served: Callable[[], tuple[Route, str | None]],
        perform: Callable[[Request[ReplyT]], Awaitable[ReplyT]],
    ) -> ReplyT:
        """Answer from the cache where that is wanted and possible; else perform the request, and keep the reply.

        `served` gives who would answer, and at which endpoint.
        """
        model = getattr(request, "model", None)
        if not isinstance(model, ModelSetting) or not self._is_wanted(model):
            return await perform(request)
        route, endpoint = served()
        if route.model.sdk == SIMULATED:
            return await perform(request)
        file = self._file(await self._digest(request, [route.backend.name, endpoint, route.model.model_id]))
        found = await self._found(file)
        if found is not None:
            return cast("ReplyT", found)
        reply = await perform(request)
        if not reply.usage.is_simulated and type(reply).__name__ in _REPLIES:
            await asyncio.to_thread(self._keep, file, reply)
        return reply

    def _is_wanted(self, model: ModelSetting) -> bool:
        return self._settings.is_enabled if model.use_cache is None else model.use_cache

    async def _digest(self, request: Request[Any], backend: list[str | None]) -> str:
        """Everything that a reply depends on: the request as the provider gets it, files by what is in them."""
        data = request.model_dump(mode="json", exclude={"model": {"use_cache", "rehearsal", "backend"}})
        attachments: tuple[Attachment, ...] = getattr(request, "attachments", ())
        data["attachments"] = [[item.kind, item.mime_type, await self._content(item.url)] for item in attachments]
        if isinstance(data.get("url"), str):
            data["url"] = await self._content(data["url"])
        canonical = json.dumps([_VERSION, request.activity, backend, data], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    async def _content(self, url: str) -> str:
        if url.startswith(SCHEME):
            return url
        return hashlib.sha256((await read_url(url, self._blobs, self._storage)).data).hexdigest()

    def _file(self, digest: str) -> Path:
        return self._settings.path / digest[:2] / f"{digest}.json"

    async def _found(self, file: Path) -> Reply | None:
        """The reply in a file, if it is whole, young enough, and the files it names are still stored."""
        try:
            kept = json.loads(await asyncio.to_thread(file.read_bytes))
            if self._clock() - kept["time"] > self._settings.ttl.total_seconds():
                return None
            reply = _REPLIES[kept["reply"]].model_validate({**kept["data"], "usage": Usage(cached_calls=1)})
            for reference in dict.fromkeys(_STORED.findall(json.dumps(kept["data"]))):
                await self._blobs.get(reference)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ValidationError, DocumentError) as error:
            _LOG.warning("a kept reply is not used: %s: %s", file, type(error).__name__)
            return None
        return reply

    def _keep(self, file: Path, reply: Reply) -> None:
        data = reply.model_dump(mode="json", exclude={"usage"}, exclude_defaults=True)
        text = json.dumps({"time": self._clock(), "reply": type(reply).__name__, "data": data}, ensure_ascii=False)
        beside = file.with_name(f".{token_hex(8)}")
        try:
            self._settings.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.parent.mkdir(exist_ok=True)
            if not (ignore := self._settings.path / ".gitignore").exists():
                ignore.write_text("*\n")
            try:
                beside.write_text(text, "utf-8")
                os.replace(beside, file)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("a reply is not kept: %s: %s", file, error.strerror)
