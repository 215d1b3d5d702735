"""Objects in a folder of this machine, written whole or not at all; and blobs kept there. Runs on every side."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from secrets import token_hex

from pipelex.errors import ConfigError
from pipelex.storage.blobs import StoredBlobs


class LocalObjects:
    """Keeps each object as the file `<root>/<key>`, shared by every process that sees the folder."""

    def __init__(self, root: Path, *, setting: str = "local_storage_path of [storage]") -> None:
        self.root = root.absolute()
        self.place = str(self.root)
        self.setting = setting

    async def put(self, key: str, data: bytes) -> None:
        """Write the file, unless it is there with the same size: then it only gets a new date."""
        await asyncio.to_thread(self._put, key, data)

    async def get(self, key: str) -> bytes | None:
        """Read the file."""
        return await asyncio.to_thread(self._get, key)

    def _put(self, key: str, data: bytes) -> None:
        file = self.root / key
        try:
            if file.is_file() and file.stat().st_size == len(data):
                # The time of last use is what a clean-up can go by.
                with contextlib.suppress(PermissionError):
                    os.utime(file)
            else:
                _write_whole(file, data)
        except OSError as error:
            raise ConfigError(
                f"{len(data)} bytes cannot be written under {self.root}: {error.strerror or error}",
                hint=f"check the space and the rights of this folder, or change {self.setting}",
            ) from error

    def _get(self, key: str) -> bytes | None:
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"{key} cannot be read under {self.root}: {error.strerror or error}",
                hint=f"check the rights of this folder, or change {self.setting}",
            ) from error


class LocalBlobs(StoredBlobs):
    """Blobs in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        super().__init__(LocalObjects(root))


def _write_whole(file: Path, data: bytes) -> None:
    """Write so that readers, and a machine that loses power, see the whole file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{token_hex(8)}.part")
    try:
        with part.open("xb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    # Makes the rename durable, where the system lets folders be opened.
    with contextlib.suppress(PermissionError):
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
