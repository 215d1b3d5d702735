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
