"""Blobs in a folder of this machine: written whole or not at all, verified when read. Runs on every side."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

from pipelex.errors import DocumentError
from pipelex.storage.blobs import Reference, parse_reference, reference_to


class LocalBlobs:
    """Keeps each blob as `<root>/<2 first hex digits>/<sha256>.<extension>`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def put(self, data: bytes, *, mime_type: str | None, filename: str | None = None) -> str:
        """Store `data`, durably, unless it is there already."""
        return await asyncio.to_thread(self._put, data, mime_type, filename)

    async def get(self, reference: str) -> bytes:
        """Read a blob and check its digest."""
        return await asyncio.to_thread(self._get, parse_reference(reference))

    def _path(self, reference: Reference) -> Path:
        # Both parts are matched by a closed pattern (hex digits, letters): no reference can leave the root.
        return self.root / reference.digest[:2] / f"{reference.digest}.{reference.extension}"

    def _put(self, data: bytes, mime_type: str | None, filename: str | None) -> str:
        reference = reference_to(data, mime_type=mime_type, filename=filename)
        path = self._path(reference)
        if path.is_file() and path.stat().st_size == len(data):
            return str(reference)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, data)
        except OSError as error:
            raise DocumentError(
                f"cannot store a file of {len(data)} bytes: {error.strerror}",
                where=str(path.parent),
                hint="check the space and the rights of the storage folder (local_storage_path)",
            ) from error
        return str(reference)

    def _get(self, reference: Reference) -> bytes:
        path = self._path(reference)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DocumentError(
                f"the stored file {reference} is not here: {error.strerror}",
                where=str(self.root),
                hint="submitter and workers must share one storage: check local_storage_path on each machine",
            ) from error
        if hashlib.sha256(data).hexdigest() != reference.digest:
            raise DocumentError(
                f"the stored file {reference} has been altered on disk",
                where=str(path),
                hint="delete it, and give the original file again",
            )
        return data


def _write(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".blob-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
