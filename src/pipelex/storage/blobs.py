"""Blobs: bytes kept under their digest, and how references to them are spelled. Runs on workers and submitters."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from typing import NamedTuple, Protocol

from pipelex.errors import DocumentError

SCHEME = "pipelex-storage://"

_REFERENCE = re.compile(r"pipelex-storage://(?P<digest>[0-9a-f]{64})\.(?P<extension>[a-z0-9]{1,8})")
_EXTENSION = re.compile(r"[a-z0-9]{1,8}")
_EXTENSIONS = {
    "application/json": "json",
    "application/pdf": "pdf",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_TYPES = {extension: mime_type for mime_type, extension in _EXTENSIONS.items()} | {"jpeg": "image/jpeg"}
_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Blobs(Protocol):
    """Keeps bytes for as long as runs may need them, under a reference that says what they are."""

    async def put(self, data: bytes, *, mime_type: str | None, filename: str | None = None) -> str:
        """Store `data` and give its reference; the same bytes of the same kind give the same reference."""
        ...

    async def get(self, reference: str) -> bytes:
        """Read the bytes of a reference. Raises DocumentError when they are missing or altered."""
        ...


class Objects(Protocol):
    """Keeps bytes under keys. A key always stands for the same bytes: what is there is not written again.

    `place` is where they are, and `setting` what says so, for messages.
    """

    place: str
    setting: str

    async def put(self, key: str, data: bytes) -> None:
        """Keep `data`, durably. What is there already counts as stored now. Raises ConfigError or a retryable error."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Read what is kept under `key`; None when nothing is. Raises ConfigError or a retryable error."""
        ...


class StoredBlobs:
    """Keeps each blob as the object `<2 first hex digits>/<sha256>.<extension>`."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    async def put(self, data: bytes, *, mime_type: str | None, filename: str | None = None) -> str:
        """Store `data`, durably, unless it is there already."""
        reference = reference_to(data, mime_type=mime_type, filename=filename)
        await self.objects.put(_key(reference), data)
        return str(reference)

    async def get(self, reference: str) -> bytes:
        """Read a blob and check its digest."""
        parsed = parse_reference(reference)
        data = await self.objects.get(_key(parsed))
        if data is None:
            raise DocumentError(
                f"the stored file {parsed} is not here",
                where=self.objects.place,
                hint=f"submitter and workers must share one storage: check {self.objects.setting} on each machine",
            )
        if hashlib.sha256(data).hexdigest() != parsed.digest:
            raise DocumentError(
                f"the stored file {parsed} has been altered where it is kept",
                where=f"{self.objects.place}/{_key(parsed)}",
                hint="delete it, and give the original file again",
            )
        return data


class Reference(NamedTuple):
    """The parts of `pipelex-storage://<sha256>.<extension>`."""

    digest: str
    extension: str

    @property
    def mime_type(self) -> str | None:
        """The media type that the extension stands for."""
        return mime_type_of(f"blob.{self.extension}")

    def __str__(self) -> str:
        return f"{SCHEME}{self.digest}.{self.extension}"


def parse_reference(text: str) -> Reference:
    """Read a storage reference. Raises DocumentError on any other spelling."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise DocumentError(
            f"{text[:120]!r} is not a storage reference of this version",
            hint="a reference is pipelex-storage://<sha256>.<extension>; give the file again to store it anew",
        )
    return Reference(found["digest"], found["extension"])


def _key(reference: Reference) -> str:
    # Both parts are matched by a closed pattern (hex digits, letters): no reference can leave the store.
    return f"{reference.digest[:2]}/{reference.digest}.{reference.extension}"


def reference_to(data: bytes, *, mime_type: str | None, filename: str | None = None) -> Reference:
    """The reference under which `data` is stored."""
    return Reference(hashlib.sha256(data).hexdigest(), _extension(data, mime_type, filename))


def mime_type_of(filename: str) -> str | None:
    """The media type that a file's name suggests."""
    extension = filename.rpartition(".")[2].lower()
    return _TYPES.get(extension) or mimetypes.guess_type(filename)[0]


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes show, for the kinds we read; None when they say nothing."""
    for magic, mime_type in _MAGIC:
        if data.startswith(magic):
            return mime_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    # Some producers put a few bytes before the header of a PDF, and readers accept it within the first kilobyte.
    return "application/pdf" if b"%PDF-" in data[:1024] else None


def _extension(data: bytes, mime_type: str | None, filename: str | None) -> str:
    for known in (sniff(data), mime_type):
        if known in _EXTENSIONS:
            return _EXTENSIONS[known]
    suffix = filename.rpartition(".")[2].lower() if filename and "." in filename else ""
    if _EXTENSION.fullmatch(suffix):
        return suffix
    guessed = (mimetypes.guess_extension(mime_type) or "").lstrip(".") if mime_type else ""
    return guessed if _EXTENSION.fullmatch(guessed) else "bin"
