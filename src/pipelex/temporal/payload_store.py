"""Large payloads kept on disk by content digest, so that histories hold references. Runs beside workers and submitters.

A payload must outlive every history that refers to it: nothing here deletes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from pipelex.errors import ConfigError

DRIVER_NAME = "pipelex-disk"
"""Written into histories and looked up when they are read: never rename it."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class DiskPayloads(StorageDriver):
    """One file per distinct payload, `root/ab/abcd…`, shared by every process that reads the same histories."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def name(self) -> str:
        """The name that references in histories carry."""
        return DRIVER_NAME

    def type(self) -> str:
        """The kind of driver, as worker heartbeats show it."""
        return "pipelex.disk"

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        """Keep each payload; the claims come in the same order."""
        return list(await asyncio.gather(*(asyncio.to_thread(self._put, payload) for payload in payloads)))

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Give back each payload in the order of the claims, its digest verified."""
        return list(await asyncio.gather(*(asyncio.to_thread(self._get, claim) for claim in claims)))

    def _place(self, digest: str) -> Path:
        return self.root / digest[:2] / digest

    def _put(self, payload: Payload) -> StorageDriverClaim:
        raw = payload.SerializeToString(deterministic=True)
        digest = sha256(raw).hexdigest()
        place = self._place(digest)
        try:
            if place.is_file() and place.stat().st_size == len(raw):
                # The time of last use is what a later clean-up can go by.
                with contextlib.suppress(PermissionError):
                    os.utime(place)
            else:
                _write_whole(place, raw)
        except OSError as error:
            raise ConfigError(
                f"a large payload cannot be written under {self.root}: {error.strerror or error}",
                hint="set `path` of [temporal.payloads] to a folder that this process may write to",
            ) from error
        return StorageDriverClaim(claim_data={"sha256": digest})

    def _get(self, claim: StorageDriverClaim) -> Payload:
        digest = claim.claim_data.get("sha256", "")
        # The digest comes from a history and becomes a path: nothing but hexadecimal may pass.
        if not _DIGEST.fullmatch(digest):
            raise ConfigError("a history refers to a payload by something that is not a SHA-256 digest")
        hint = (
            "workers and submitters must share one folder: set the same `path` of [temporal.payloads] on every"
            " machine, on a shared disk if there are several"
        )
        try:
            raw = self._place(digest).read_bytes()
        except FileNotFoundError:
            raise ConfigError(f"the payload {digest} is not in {self.root}", hint=hint) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"the payload {digest} in {self.root} cannot be read: {reason}", hint=hint) from error
        if sha256(raw).hexdigest() != digest:
            raise ConfigError(
                f"the payload {digest} in {self.root} is damaged: its content does not match its digest",
                hint="restore the file from a copy; a run that needs it cannot go on without",
            )
        return Payload.FromString(raw)


def _write_whole(place: Path, raw: bytes) -> None:
    """Write so that readers, and a machine that loses power, see the whole file or none."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable, where the system lets folders be opened."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
