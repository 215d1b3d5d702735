"""Where blobs are kept, and what may be fetched from the network. Read where a process starts; pure data."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipelex.values.durations import Duration
from pipelex.values.frozen import Frozen


class StorageSettings(Frozen):
    """The `storage` slice of the configuration.

    `allow_private_hosts` lets a document url reach loopback and private networks, and the proxies of the environment.
    """

    method: Literal["local"] = "local"
    local_storage_path: str = ".pipelex/storage"
    uri_format: str | None = None
    """Accepted for older files and unused: a blob is always named by its digest."""
    max_file_bytes: int = Field(default=100 * 1024 * 1024, gt=0)
    fetch_timeout: Duration = timedelta(seconds=60)
    allow_private_hosts: bool = False


class PackageSettings(Frozen):
    """The `packages` slice of the configuration: how packages that a method depends on are fetched.

    `mirrors` maps the address of a repository, or the beginning of addresses, to the URL to clone in its place. `cache`
    is `~/.mthds/packages` unless set.
    """

    mirrors: dict[str, str] = {}
    cache: Path | None = None
    git_timeout: Duration = timedelta(minutes=5)
