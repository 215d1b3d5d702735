"""Large payloads kept by content digest in a folder or a bucket; histories hold references. Workers and submitters.

A payload must outlive every history that refers to it: nothing here deletes.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from pipelex.errors import ConfigError, PipelexError, ProviderDownError, UnreachableError
from pipelex.storage.blobs import Objects
from pipelex.temporal.failures import application_error

DISK_DRIVER = "pipelex-disk"
"""Written into histories and looked up when they are read, as the next one: never rename them."""
BUCKET_DRIVER = "pipelex-bucket"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PROBE, _PROBED = "probe/pipelex", b"pipelex\n"
_PATIENCE_SECONDS = 20
_RECENT_BYTES = 64 * 1024 * 1024
_RECENT_SECONDS = 600.0


class Recent:
    """What this process wrote or read a while ago, so that a crate sent to a hundred children is one request.

    An entry is forgotten after ten minutes: a store goes by the time of last use when it is cleaned up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def get(self, digest: str) -> bytes | None:
        """The bytes of that digest, if they are known."""
        found = self._kept.get(digest)
        if found is None or self._clock() - found[0] > _RECENT_SECONDS:
            return None
        self._kept.move_to_end(digest)
        return found[1]

    def add(self, digest: str, raw: bytes) -> None:
        """Know these bytes from now on, and forget what was used longest ago where there is no room."""
        if len(raw) > _RECENT_BYTES // 8:
            return
        before = self._kept.pop(digest, None)
        self._bytes += len(raw) - (len(before[1]) if before else 0)
        self._kept[digest] = (self._clock(), raw)
        while self._bytes > _RECENT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1][1])


class StoredPayloads(StorageDriver):
    """One object `ab/abcd…` for each distinct payload, whoever sends it; without objects, it says what is not set.

    Its errors are failures of Temporal already: what an operator must mend ends a run at once, an outage is retried.
    """

    def __init__(self, name: str, objects: Objects | None) -> None:
        self._name = name
        self.objects = objects
        self._recent = Recent()
        self._under_way: dict[str, asyncio.Future[bytes]] = {}

    def name(self) -> str:
        """The name that references in histories carry."""
        return self._name

    def type(self) -> str:
        """The kind of driver, as worker heartbeats show it."""
        return self._name.replace("-", ".")

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        """Keep each payload; the claims come in the same order."""
        try:
            return list(await asyncio.gather(*(self._put(payload) for payload in payloads)))
        except PipelexError as error:
            raise application_error(error) from error

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Give back each payload in the order of the claims, its digest verified."""
        try:
            return list(await asyncio.gather(*(self._get(claim) for claim in claims)))
        except PipelexError as error:
            raise application_error(error) from error

    async def check(self) -> None:
        """Write and read a probe, so that a store that cannot be used is known before work is taken."""
        objects = self._objects()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await objects.put(_PROBE, _PROBED)
                found = await objects.get(_PROBE)
        except ProviderDownError as error:
            raise UnreachableError(error.message, hint=error.hint) from error
        except TimeoutError:
            hint = f"check that the store is up, and the endpoint of {objects.setting}"
            raise UnreachableError(
                f"{objects.place} has not answered for {_PATIENCE_SECONDS} seconds", hint=hint
            ) from None
        if found != _PROBED:
            raise ConfigError(
                f"what is written to {objects.place} cannot be read back",
                hint=f"check {objects.setting}, and delete {_PROBE} there if something else wrote it",
            )

    def _objects(self) -> Objects:
        if self.objects is None:
            raise ConfigError(
                "a payload of this run is in a bucket, and this process knows no bucket of payloads",
                hint="set the same [temporal.payloads] on every worker and submitter: method, and its table s3 or gcp",
            )
        return self.objects

    async def _put(self, payload: Payload) -> StorageDriverClaim:
        raw = payload.SerializeToString(deterministic=True)
        digest = sha256(raw).hexdigest()
        if self._recent.get(digest) is None:
            await self._once(f"put {digest}", self._write(digest, raw))
        return StorageDriverClaim(claim_data={"sha256": digest})

    async def _get(self, claim: StorageDriverClaim) -> Payload:
        digest = claim.claim_data.get("sha256", "")
        # The digest comes from a history and becomes a path: nothing but hexadecimal may pass.
        if not _DIGEST.fullmatch(digest):
            raise ConfigError("a history refers to a payload by something that is not a SHA-256 digest")
        raw = self._recent.get(digest)
        if raw is None:
            raw = await self._once(f"get {digest}", self._read(digest))
        return Payload.FromString(raw)

    async def _write(self, digest: str, raw: bytes) -> bytes:
        await self._objects().put(f"{digest[:2]}/{digest}", raw)
        self._recent.add(digest, raw)
        return raw

    async def _read(self, digest: str) -> bytes:
        objects = self._objects()
        raw = await objects.get(f"{digest[:2]}/{digest}")
        if raw is None:
            raise ConfigError(
                f"the payload {digest} is not in {objects.place}",
                hint="workers and submitters must share one store: set the same [temporal.payloads] on every machine"
                " (a path must be on a shared disk if there are several)",
            )
        if sha256(raw).hexdigest() != digest:
            raise ConfigError(
                f"the payload {digest} in {objects.place} is damaged: its content does not match its digest",
                hint="restore it from a copy; a run that needs it cannot go on without",
            )
        self._recent.add(digest, raw)
        return raw

    async def _once(self, name: str, doing: Coroutine[Any, Any, bytes]) -> bytes:
        """Do it, or wait for whoever does: the children of a batch start at the same moment, with the same crate."""
        if (known := self._under_way.get(name)) is not None:
            doing.close()
        else:
            known = self._under_way[name] = asyncio.ensure_future(doing)
            known.add_done_callback(lambda _: self._under_way.pop(name, None))
        # Whoever gives up waiting does not take it from the others.
        return await asyncio.shield(known)
