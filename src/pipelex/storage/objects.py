"""Objects in a bucket of S3 or of Google Cloud Storage, and the choice between a bucket and a folder. On every side."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelex.errors import ConfigError, PipelexError, ProviderDownError
from pipelex.storage.blobs import Objects, StoredBlobs
from pipelex.storage.local import LocalObjects
from pipelex.storage.settings import GcpBucket, Method, S3Bucket, StorageSettings

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_REFRESH_AFTER = timedelta(days=1)
_STATUS = re.compile(r"status code: (\d{3})")


class BucketObjects:
    """Keeps each object as `<prefix>/<key>` of one bucket; connects at the first use.

    An object that is there is left alone, unless it is older than `refresh_after`: then it is written again, so that a
    rule of the bucket that deletes by age spares what is still used.
    """

    def __init__(
        self,
        place: str,
        open_store: Callable[[], ObjectStore],
        *,
        prefix: str = "",
        setting: str = "[storage]",
        refresh_after: timedelta = _REFRESH_AFTER,
    ) -> None:
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.place = f"{place}/{self._prefix}".rstrip("/")
        self.setting = setting
        self._open = open_store
        self._refresh_after = refresh_after
        self._opened: ObjectStore | None = None

    async def put(self, key: str, data: bytes) -> None:
        """Create the object; what is there and young is not sent again."""
        store = self._store()
        from obstore.exceptions import BaseError

        name = self._prefix + key
        try:
            try:
                found = await store.head_async(name)
            except FileNotFoundError:
                await _create(store, name, data)
                return
            if found["size"] != len(data) or datetime.now(UTC) - found["last_modified"] >= self._refresh_after:
                await store.put_async(name, data, use_multipart=False)
        except (BaseError, OSError, ValueError) as error:
            raise self._told(error, "written") from None

    async def get(self, key: str) -> bytes | None:
        """Read the object."""
        store = self._store()
        from obstore.exceptions import BaseError

        try:
            found = await store.get_async(self._prefix + key)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError, ValueError) as error:
            raise self._told(error, "read") from None

    def _store(self) -> ObjectStore:
        if self._opened is None:
            try:
                from obstore.exceptions import BaseError
            except ModuleNotFoundError:
                extra = "s3" if self.place.startswith("s3:") else "gcs"
                raise ConfigError(
                    f"{self.place} cannot be reached: obstore is not installed", hint=f'pip install "pipelex[{extra}]"'
                ) from None
            try:
                self._opened = self._open()
            except (BaseError, OSError, ValueError) as error:
                raise ConfigError(
                    f"{self.place} cannot be opened ({type(error).__name__})",
                    hint=f"check region, endpoint and credentials of {self.setting}",
                ) from None
        return self._opened

    def _told(self, error: Exception, done: str) -> PipelexError:
        """What an error of the store means. Its own text stays out: stores put credentials and signatures in it."""
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        found = _STATUS.search(str(error))
        status = int(found[1]) if found else None
        if isinstance(error, FileNotFoundError):
            return ConfigError(f"there is no bucket at {self.place}", hint=f"create it, or correct {self.setting}")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403):
            return ConfigError(
                f"{self.place} cannot be {done}: the store refuses the credentials of this process",
                hint=f"they must allow to read and create objects: check those that {self.setting} names",
            )
        reason = f"status {status}" if status else type(error).__name__
        return ProviderDownError(
            f"{self.place} cannot be {done} now ({reason})",
            retryable=True,
            status=status,
            hint=f"check that the store is up, and endpoint, region and credentials of {self.setting}",
        )


async def _create(store: ObjectStore, name: str, data: bytes) -> None:
    from obstore.exceptions import AlreadyExistsError

    # Whoever was quicker wrote the same bytes.
    with contextlib.suppress(AlreadyExistsError):
        await store.put_async(name, data, mode="create", use_multipart=False)


def open_objects(
    method: Method, folder: Path, s3: S3Bucket, gcp: GcpBucket, *, environ: Mapping[str, str], setting: str
) -> Objects:
    """The store that the settings describe; nothing is imported, made or connected before it is used."""
    match method:
        case "s3":
            return _s3_objects(s3, environ, f"{setting[:-1]}.s3]")
        case "gcp":
            return _gcp_objects(gcp, environ, f"{setting[:-1]}.gcp]")
        case "local":
            key = "local_storage_path" if setting == "[storage]" else "`path`"
            return LocalObjects(folder, setting=f"{key} of {setting}")


def open_blobs(settings: StorageSettings, root: Path, environ: Mapping[str, str]) -> StoredBlobs:
    """The blobs of `[storage]`; a relative folder is relative to `root`."""
    folder = root / settings.folder
    objects = open_objects(settings.method, folder, settings.s3, settings.gcp, environ=environ, setting="[storage]")
    return StoredBlobs(objects)


def _limits(endpoint: str) -> dict[str, Any]:
    return {
        "client_options": {
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=60),
            "allow_http": endpoint.startswith("http://"),
        },
        # What is not over after this is retried by Temporal, or told to a person.
        "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
    }


def _s3_objects(bucket: S3Bucket, environ: Mapping[str, str], setting: str) -> BucketObjects:
    def open_store() -> ObjectStore:
        from obstore.store import S3Store

        names = {
            "access_key_id": bucket.access_key_id_env,
            "secret_access_key": bucket.secret_access_key_env,
            "token": bucket.session_token_env,
        }
        given: dict[str, Any] = {key: environ[name] for key, name in names.items() if environ.get(name)}
        region = bucket.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        given |= {"region": region} if region else {}
        given |= {"endpoint": bucket.endpoint} if bucket.endpoint else {}
        return S3Store(bucket.bucket_name, **given, **_limits(bucket.endpoint))

    return BucketObjects(f"s3://{bucket.bucket_name}", open_store, prefix=bucket.prefix, setting=setting)


def _gcp_objects(bucket: GcpBucket, environ: Mapping[str, str], setting: str) -> BucketObjects:
    def open_store() -> ObjectStore:
        from obstore.store import GCSStore

        given: dict[str, Any] = {}
        if bucket.endpoint:
            # How the client is told to speak to an emulator, and to ask nobody for a token.
            blank = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
            account = {**blank, "gcs_base_url": bucket.endpoint, "disable_oauth": True}
            given["service_account_key"] = json.dumps(account)
        elif file := environ.get(bucket.credentials_file_env) or environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            given["application_credentials"] = file
        return GCSStore(bucket.bucket_name, **given, **_limits(bucket.endpoint))

    return BucketObjects(f"gs://{bucket.bucket_name}", open_store, prefix=bucket.prefix, setting=setting)
