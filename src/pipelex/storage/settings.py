"""Where blobs are kept, and what may be fetched from the network. Read where a process starts; pure data."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipelex.values.durations import Duration
from pipelex.values.frozen import Frozen

Method = Literal["local", "s3", "gcp"]
"""A folder, a bucket of S3 or of what speaks like it, a bucket of Google Cloud Storage."""


class S3Bucket(Frozen):
    """A bucket of S3, or of a store that speaks like it at `endpoint`. Keys of objects start with `prefix`.

    The `…_env` settings name the environment variables of the credentials. When these are not set, the roles of the
    machine are asked (web identity, container, instance).
    """

    bucket_name: str = ""
    """The bucket; it must exist."""
    region: str = ""
    """Its region, where the store has any."""
    prefix: str = ""
    """What the keys of objects start with."""
    endpoint: str = ""
    """The URL of a store that is not that of AWS."""
    access_key_id_env: str = "AWS_ACCESS_KEY_ID"
    """The environment variable of the id of the key."""
    secret_access_key_env: str = "AWS_SECRET_ACCESS_KEY"
    """The environment variable of the secret key."""
    session_token_env: str = "AWS_SESSION_TOKEN"
    """The environment variable of the token of a session, for temporary credentials."""
    uri_format: str | None = None
    """Accepted for older files and unused, as the next one: an object is always named by its digest."""
    signed_urls_lifespan_seconds: int | Literal["disabled"] | None = None
    """Accepted for older files and unused."""


class GcpBucket(Frozen):
    """A bucket of Google Cloud Storage. Keys of objects start with `prefix`.

    `credentials_file_env` names the environment variable that holds the path of the credentials file. When it is not
    set, the defaults of Google are tried: GOOGLE_APPLICATION_CREDENTIALS, then the service account of the machine. With
    `endpoint`, an emulator is spoken to, without credentials.
    """

    bucket_name: str = ""
    """The bucket; it must exist."""
    prefix: str = ""
    """What the keys of objects start with."""
    endpoint: str = ""
    """The URL of an emulator."""
    credentials_file_env: str = "GCP_CREDENTIALS_FILE_PATH"
    """The environment variable of the path of the credentials."""
    project_id: str | None = None
    """Accepted for older files and unused, as the next two."""
    uri_format: str | None = None
    """Accepted for older files and unused."""
    signed_urls_lifespan_seconds: int | Literal["disabled"] | None = None
    """Accepted for older files and unused."""


class LocalFolder(Frozen):
    """`[storage.local]`: the former place of `local_storage_path`."""

    local_storage_path: str | None = None
    """The folder."""
    uri_format: str | None = None
    """Accepted for older files and unused."""


def need_bucket(method: Method, s3: S3Bucket, gcp: GcpBucket) -> None:
    """Raise ValueError when the method needs a bucket that has no name."""
    if method != "local" and not (s3 if method == "s3" else gcp).bucket_name:
        raise ValueError(f"method is {method!r}, and {method}.bucket_name is not set")


class StorageSettings(Frozen):
    """The `storage` slice of the configuration.

    `allow_private_hosts` lets a document url reach loopback and private networks, and the proxies of the environment.
    """

    method: Method = "local"
    """Where files of runs are kept: in a folder, or in a bucket."""
    local_storage_path: str = ".pipelex/storage"
    """The folder, which all processes must see."""
    local: LocalFolder = LocalFolder()
    s3: S3Bucket = S3Bucket()
    gcp: GcpBucket = GcpBucket()
    uri_format: str | None = None
    """Accepted for older files and unused: a blob is always named by its digest."""
    max_file_bytes: int = Field(default=100 * 1024 * 1024, gt=0)
    """The largest file that is stored or fetched."""
    fetch_timeout: Duration = timedelta(seconds=60)
    """How long a file may take to be fetched from its URL."""
    allow_private_hosts: bool = False
    """Whether URLs of documents may lead to loopback and private networks."""

    @model_validator(mode="after")
    def _place_is_known(self) -> StorageSettings:
        need_bucket(self.method, self.s3, self.gcp)
        former = self.local.local_storage_path
        if former and "local_storage_path" in self.model_fields_set and former != self.local_storage_path:
            raise ValueError("local_storage_path is given twice, here and under `local`: keep one")
        return self

    @property
    def folder(self) -> str:
        """The folder of blobs, wherever it was written."""
        return self.local.local_storage_path or self.local_storage_path


class PackageSettings(Frozen):
    """The `packages` slice of the configuration: how packages that a method depends on are fetched.

    `mirrors` maps the address of a repository, or the beginning of addresses, to the URL to clone in its place. `cache`
    is `~/.mthds/packages` unless set.
    """

    mirrors: dict[str, str] = {}
    """What to clone in place of an address, or of addresses that begin so."""
    cache: Path | None = None
    """The folder of the packages."""
    git_timeout: Duration = timedelta(minutes=5)
    """How long one call of git may take."""
