"""`[temporal.payloads]`: what is kept out of histories, where, and what is compressed and encrypted. No SDK."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelex.storage.settings import GcpBucket, Method, S3Bucket, need_bucket
from pipelex.temporal.setting_types import did_you_mean
from pipelex.values.frozen import Frozen

MOST_INLINE_BYTES = 1024 * 1024
"""The highest threshold: the server refuses payloads above 2 MiB."""
_TRUE = ("true", "1", "yes", "on")


class EncryptionKey(Frozen):
    """`keys.<name>`: where one key is, as base64 of 32 bytes: in an environment variable, or in a file."""

    env: str | None = None
    """The environment variable that holds the key."""
    file: Path | None = None
    """The file that holds it."""

    @model_validator(mode="after")
    def _is_in_one_place(self) -> EncryptionKey:
        if (self.env is None) == (self.file is None):
            raise ValueError("a key is named by `env` or by `file`, exactly one of them")
        return self

    def below(self, root: Path) -> EncryptionKey:
        """The same with an absolute path."""
        return self if self.file is None else self.model_copy(update={"file": root / self.file})


class NamespaceEncryption(Frozen):
    """`namespaces.<namespace>`: the key that encrypts in one namespace."""

    active_key: str
    """The name of that key."""


class Encryption(Frozen):
    """`[temporal.payloads.encryption]`: `active_key` encrypts what is sent, every key decrypts. Off without one.

    The name of a key travels with what it encrypted: it is never given to another key.
    """

    active_key: str | None = None
    """The name of the key that encrypts."""
    keys: dict[str, EncryptionKey] = {}
    namespaces: dict[str, NamespaceEncryption] = {}

    @model_validator(mode="after")
    def _keys_exist(self) -> Encryption:
        named = {"active_key": self.active_key}
        named |= {f"namespaces.{name}.active_key": item.active_key for name, item in self.namespaces.items()}
        for where, name in named.items():
            if name is not None and name not in self.keys:
                raise ValueError(
                    f"{where} names the key {name!r}, which is not under `keys`.{did_you_mean(name, self.keys)}"
                    f" Add [temporal.payloads.encryption.keys.{name}] with `env` or `file`"
                )
        return self

    def active_in(self, namespace: str) -> str | None:
        """The name of the key that encrypts in that namespace."""
        own = self.namespaces.get(namespace)
        return own.active_key if own else self.active_key


class Payloads(Frozen):
    """`[temporal.payloads]`: payloads of `threshold_bytes` or more are kept in a folder or bucket, not in histories.

    The server refuses payloads above 2 MiB; a relative path is relative to the project. `path` is also where payloads
    of runs that began before a bucket was chosen are read.
    """

    threshold_bytes: Annotated[int, Field(gt=0, le=MOST_INLINE_BYTES)] = 64 * 1024
    """From which size on a payload is kept out of histories."""
    method: Method = "local"
    """Where it is kept: in a folder, or in a bucket."""
    path: Path = Path(".pipelex/temporal-payload-store")
    """The folder, which all processes must see."""
    s3: S3Bucket = S3Bucket()
    gcp: GcpBucket = GcpBucket()
    compression: Literal["none", "zlib"] = "none"
    """Whether payloads are compressed before they are kept or sent."""
    encryption: Encryption = Encryption()

    @model_validator(mode="after")
    def _bucket_is_named(self) -> Payloads:
        need_bucket(self.method, self.s3, self.gcp)
        return self

    @property
    def bucket(self) -> Method | None:
        """The bucket that payloads are in, or were in before they were kept in a folder again."""
        if self.method != "local":
            return self.method
        return "s3" if self.s3.bucket_name else "gcp" if self.gcp.bucket_name else None

    def below(self, root: Path) -> Payloads:
        """The same with absolute paths: relative ones are relative to `root`."""
        keys = {name: key.below(root) for name, key in self.encryption.keys.items()}
        encryption = self.encryption.model_copy(update={"keys": keys})
        return self.model_copy(update={"path": root / self.path, "encryption": encryption})


class EarlierStorage(Frozen):
    """`storage_provider_config`: where the former codec kept payloads."""

    method: Literal["local", "in_memory", "s3", "gcp"] = "local"
    """Read as `method` of `[temporal.payloads]`."""
    local: dict[str, Any] = {}
    """Where `local_storage_path` may stand as well."""
    in_memory: dict[str, Any] = {}
    """Refused: other processes could not read it."""
    s3: S3Bucket = S3Bucket()
    gcp: GcpBucket = GcpBucket()
    local_storage_path: str | None = None
    """Read, with the prefix, as `path` of `[temporal.payloads]`."""
    uri_format: str | None = None
    """Accepted and unused."""


class PayloadCodecConfig(Frozen):
    """`[temporal.payload_codec_config]`: the former way to keep large payloads out of histories, read as payloads."""

    is_enabled: bool = False
    """Whether this table counts."""
    size_threshold: Annotated[int, Field(gt=0)] = MOST_INLINE_BYTES
    """Read as `threshold_bytes`."""
    storage_prefix: str = "temporal-payloads/"
    """The folder below the path, or the prefix in the bucket."""
    storage_provider_config: EarlierStorage = EarlierStorage()

    @property
    def warning(self) -> str | None:
        """What to tell the operator who still uses it."""
        if not self.is_enabled:
            return None
        said = "[temporal.payload_codec_config] is read as [temporal.payloads]: write that table instead"
        if self.size_threshold > MOST_INLINE_BYTES:
            said += f"; size_threshold counts as {MOST_INLINE_BYTES}, the most that may stay in a history"
        return said


def with_earlier_codec(temporal: Mapping[str, Any]) -> dict[str, Any]:
    """The tables under `[temporal]`, with those of an enabled former codec put under `payloads`.

    What is no table of that kind is left to the checks that follow. Raises ValueError when both say different things.
    """
    codec = temporal.get("payload_codec_config")
    payloads = temporal.get("payloads", {})
    if not isinstance(codec, Mapping) or not isinstance(payloads, Mapping):
        return dict(temporal)
    if str(codec.get("is_enabled", False)).lower() not in _TRUE:
        return dict(temporal)
    store = codec.get("storage_provider_config", {})
    if not isinstance(store, Mapping):
        return dict(temporal)
    return {**temporal, "payloads": _merged(payloads, _as_payloads(codec, store), "payloads")}


def _as_payloads(codec: Mapping[str, Any], store: Mapping[str, Any]) -> dict[str, Any]:
    prefix = codec.get("storage_prefix", "temporal-payloads/")
    method = store.get("method", "local")
    if method == "in_memory":
        raise ValueError(
            "payload_codec_config.storage_provider_config.method is 'in_memory': other processes could not read"
            " the payloads. Use 'local', 's3' or 'gcp'"
        )
    read: dict[str, Any] = {"method": method}
    try:
        threshold = int(codec.get("size_threshold", MOST_INLINE_BYTES))
        read["threshold_bytes"] = min(threshold, MOST_INLINE_BYTES)
    except (TypeError, ValueError):
        pass  # told by the check of the table itself
    local = store.get("local", {})
    inner = local.get("local_storage_path") if isinstance(local, Mapping) else None
    folder = store.get("local_storage_path") or inner
    if method == "local" and folder:
        read["path"] = str(Path(folder) / str(prefix))
    bucket = store.get(str(method)) if method != "local" else None
    if isinstance(bucket, Mapping):
        read[str(method)] = {**bucket, "prefix": bucket.get("prefix") or prefix}
    return read


def _merged(given: Mapping[str, Any], earlier: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Both tables as one; a key with two values is a contradiction."""
    merged = dict(given)
    for key, value in earlier.items():
        if key not in given:
            merged[key] = value
        elif isinstance(value, Mapping) and isinstance(given[key], Mapping):
            merged[key] = _merged(given[key], value, f"{where}.{key}")
        elif str(given[key]) != str(value):
            raise ValueError(
                f"{where}.{key} is {str(given[key])!r}, and the enabled payload_codec_config makes it {str(value)!r}:"
                " set payload_codec_config.is_enabled = false"
            )
    return merged
