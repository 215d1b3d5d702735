"""What happens to payloads between their JSON and the history: compression, then encryption. Workers and submitters.

AES-256-GCM with a key and nonce of its own for each payload: see docs/decisions/0010-encrypted-payloads.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from hashlib import sha256, sha512
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from pipelex.errors import ConfigError, CredentialError, PipelexError
from pipelex.temporal.failures import application_error
from pipelex.temporal.payload_settings import Encryption, Payloads

ENCRYPTED, COMPRESSED = b"binary/encrypted", b"binary/zlib"
"""Written into histories, as the name of the key in the metadata `pipelex-key`: never rename them."""
KEY = "pipelex-key"
SHARED = "pipelex-shared"
"""In the metadata of what many children are given: it is stored once even when it is not large."""
LARGEST_BYTES = 128 * 1024 * 1024
"""No value that travels is larger: bounds what a compressed payload may grow to."""

_LEAST_COMPRESSED_BYTES = 1024
_SEED_BYTES = 32
_ADDED_BYTES = 128
"""Encryption adds about so much, which may take a payload over the threshold."""
_WORK_BYTES = 256 * 1024
"""From so many bytes on, the work is done beside the event loop."""
_TABLE = "[temporal.payloads.encryption]"


class PayloadSeal(PayloadCodec):
    """Compresses and encrypts as the settings say, and undoes whatever it has the keys for.

    What goes to a store, because it is large or shared, is encrypted to the same bytes each time: it is kept once.
    """

    def __init__(self, payloads: Payloads, keys: Mapping[str, bytes], namespace: str) -> None:
        self._compresses = payloads.compression == "zlib"
        self._same_from = payloads.threshold_bytes
        self._keys = dict(keys)
        self._active = payloads.encryption.active_in(namespace)
        self._namespace = namespace

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Compress, then encrypt."""
        if not self._compresses and self._active is None:
            return list(payloads)
        if sum(payload.ByteSize() for payload in payloads) < _WORK_BYTES:
            return [self._sealed(payload) for payload in payloads]
        return await asyncio.to_thread(lambda: [self._sealed(payload) for payload in payloads])

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt and decompress what is encrypted or compressed; the rest stays as it is."""
        if not any(payload.metadata.get("encoding") in (ENCRYPTED, COMPRESSED) for payload in payloads):
            return list(payloads)
        try:
            if sum(payload.ByteSize() for payload in payloads) < _WORK_BYTES:
                return [self._unsealed(payload) for payload in payloads]
            return await asyncio.to_thread(lambda: [self._unsealed(payload) for payload in payloads])
        except PipelexError as error:
            raise application_error(error) from error

    def _sealed(self, payload: Payload) -> Payload:
        shared = payload.metadata.get(SHARED)
        if self._compresses and payload.ByteSize() >= _LEAST_COMPRESSED_BYTES:
            squeezed = zlib.compress(payload.SerializeToString(deterministic=True))
            if len(squeezed) < payload.ByteSize():
                payload = Payload(metadata={"encoding": COMPRESSED}, data=squeezed)
        if self._active is not None:
            payload = self._encrypted(payload, self._active, is_shared=shared is not None)
        if shared is not None:
            payload.metadata[SHARED] = shared
        return payload

    def _unsealed(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") == ENCRYPTED:
            payload = self._decrypted(payload)
        if payload.metadata.get("encoding") == COMPRESSED:
            payload = _decompressed(payload)
        return payload

    def _encrypted(self, payload: Payload, name: str, *, is_shared: bool) -> Payload:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        plain = payload.SerializeToString(deterministic=True)
        bound, key = self._bound(name), self._keys[name]
        if len(plain) + _ADDED_BYTES < self._same_from and not is_shared:
            seed = secrets.token_bytes(_SEED_BYTES)
        else:
            seed = hmac.digest(hmac.digest(key, b"pipelex payload seed", sha256), bound + b"\0" + plain, sha256)
        own, nonce = _derived(key, seed)
        data = seed + AESGCM(own).encrypt(nonce, plain, bound)
        return Payload(metadata={"encoding": ENCRYPTED, KEY: name.encode()}, data=data)

    def _decrypted(self, payload: Payload) -> Payload:
        name = payload.metadata.get(KEY, b"").decode(errors="replace")
        key = self._keys.get(name)
        if key is None:
            raise ConfigError(
                f"a payload is encrypted with the key {name!r}, which this process does not have",
                hint=f"add [temporal.payloads.encryption.keys.{name}] with `env` or `file` to the configuration of"
                " every worker, submitter and codec server",
            )
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        seed, data = payload.data[:_SEED_BYTES], payload.data[_SEED_BYTES:]
        own, nonce = _derived(key, seed)
        try:
            return Payload.FromString(AESGCM(own).decrypt(nonce, data, self._bound(name)))
        except (InvalidTag, ValueError):
            raise ConfigError(
                f"a payload encrypted with the key {name!r} cannot be decrypted here",
                hint=f"either the key {name!r} of this process is another one than the key that encrypted it, or the"
                f" payload was altered, or it is not from the namespace {self._namespace!r}",
            ) from None

    def _bound(self, name: str) -> bytes:
        """What a payload cannot be moved away from: its key's name and its namespace."""
        return json.dumps(["pipelex payload 1", name, self._namespace]).encode()


def _derived(key: bytes, seed: bytes) -> tuple[bytes, bytes]:
    """The AES key and the nonce of one payload."""
    made = hmac.digest(key, b"pipelex payload key" + seed, sha512)
    return made[:32], made[32:44]


def _decompressed(payload: Payload) -> Payload:
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(payload.data, LARGEST_BYTES + 1024)
    except zlib.error:
        plain = b""
    if not inflate.eof:
        raise ConfigError("a compressed payload is damaged, or larger than any that pipelex writes")
    return Payload.FromString(plain)


def load_keys(encryption: Encryption, environ: Mapping[str, str]) -> dict[str, bytes]:
    """Read every key that the settings name. Raises CredentialError or ConfigError, which never show a key."""
    if not encryption.keys:
        return {}
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError(
            "payloads cannot be encrypted here: cryptography is not installed", hint='pip install "pipelex[encryption]"'
        ) from None
    keys: dict[str, bytes] = {}
    for name, source in encryption.keys.items():
        if source.env is not None:
            text, where = environ.get(source.env, ""), f"the environment variable {source.env}"
        else:
            text, where = _content(source.file or Path()), f"the file {source.file}"
        if not text.strip():
            raise CredentialError(
                f"the key {name!r} of payloads is needed, and {where} is missing or empty",
                hint=f"make it readable for this process, or take the key out of {_TABLE} if nothing needs it any more",
            )
        keys[name] = _key(text.strip(), name, where)
    return keys


def _content(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _key(text: str, name: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ConfigError(
            f"the key {name!r} of payloads, in {where}, is not 32 bytes written as base64",
            hint="make one with: openssl rand -base64 32",
        )
    return key
