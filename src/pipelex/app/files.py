"""The local files that inputs name: checked all at once, then stored as blobs. Submitter side."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelex.errors import DocumentError
from pipelex.storage.blobs import Blobs
from pipelex.storage.fetch import ingest_file
from pipelex.values.concepts import Concepts
from pipelex.values.inputs import map_files
from pipelex.values.value import Memory

REMOTE = ("http", "https", "data", "pipelex-storage")
"""Schemes of urls that are left as they are; anything else names a file on this machine."""


async def store_files(
    memory: Memory, concepts: Concepts, base: Path, blobs: Blobs, *, max_bytes: int, keep: bool
) -> Memory:
    """Store the local files that the inputs name and put their references in place of the paths.

    Every missing file is reported at once. With `keep` false (a dry run) they are only checked.
    """
    local: dict[str, Path] = {}

    def collect(url: str, kind: str) -> str:
        if (path := _local_path(url, base)) is not None:
            local[url] = path
        return url

    map_files(memory, concepts, collect)
    _check_files(local.values(), base)
    if not keep or not local:
        return memory
    stored = {url: await ingest_file(path, blobs, max_bytes=max_bytes) for url, path in local.items()}
    return map_files(memory, concepts, lambda url, kind: stored.get(url, url))


def _check_files(paths: Iterable[Path], base: Path) -> None:
    """Raise one DocumentError that names every file that is not there."""
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        count = "a file given as input does" if len(missing) == 1 else f"{len(missing)} files given as inputs do"
        hint = f"relative paths start from {base.resolve()}"
        raise DocumentError(f"{count} not exist: {', '.join(missing)}", hint=hint)


def _local_path(url: str, base: Path) -> Path | None:
    """The file of this machine that a url names; None when it names something else."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme in REMOTE:
        return None
    return base / Path(url).expanduser()
