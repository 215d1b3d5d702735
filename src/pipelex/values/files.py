"""The files that contents name: found at any depth, replaced, and described by their urls. Pure; runs at submission."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from pipelex.values.concepts import Concepts
from pipelex.values.value import Memory

Content = dict[str, JsonValue]

_KINDS = {"native.Image": "image", "native.Document": "document"}
_WEB = ("http", "https")
_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "heic": "image/heic",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "md": "text/markdown",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "webp": "image/webp",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
}
"""Written down here, because what a machine's own table says differs from one machine to the next."""


def map_files(memory: Memory, concepts: Concepts, replace: Callable[[str, str], str]) -> Memory:
    """The same memory with the url of each image and document, at any depth, replaced by `replace(url, kind)`.

    `kind` is "image" or "document". Contents of open concepts are left as they are: nothing says what is a file there.
    """

    def change(content: Content, kind: str) -> Content:
        url = content.get("url")
        return {**content, "url": replace(url, kind)} if isinstance(url, str) else content

    root = {
        name: value.model_copy(update={"data": map_file_contents(value.data, value.concept, concepts, change)})
        for name, value in memory.root.items()
    }
    return memory.model_copy(update={"root": root})


def map_file_contents(
    data: JsonValue, concept: str, concepts: Concepts, change: Callable[[Content, str], Content]
) -> JsonValue:
    """The same data with each image and document, at any depth, replaced by `change(content, kind)`."""
    if isinstance(data, list):
        return [map_file_contents(item, concept, concepts, change) for item in data]
    if not isinstance(data, dict):
        return data
    kind = _KINDS.get(concepts.root(concept))
    if kind is not None:
        return change(data, kind)
    nested = {name: found.concept for name, found in concepts.structure(concept).items() if found.concept is not None}
    return {
        name: map_file_contents(found, nested[name], concepts, change) if name in nested else found
        for name, found in data.items()
    }


def described(data: JsonValue, concept: str, concepts: Concepts) -> JsonValue:
    """The same data, in which each image and document has the media type and the file name that its url tells.

    What is given already stays.
    """

    def describe(content: Content, kind: str) -> Content:
        url = content.get("url")
        if not isinstance(url, str):
            return content
        told = {"mime_type": mime_type_of(url), "filename": filename_of(url)}
        return {**content, **{key: found for key, found in told.items() if content.get(key) is None}}

    return map_file_contents(data, concept, concepts, describe)


def mime_type_of(url: str) -> str | None:
    """The media type that a data: url says, or that the extension of a url or path stands for; None if neither."""
    if url[:5].lower() == "data:":
        declared = url[5:].partition(",")[0].partition(";")[0].strip().lower()
        return declared or "text/plain"
    stem, dot, extension = _last_segment(url).rpartition(".")
    return _TYPES.get(extension.lower()) if dot and stem else None


def filename_of(url: str) -> str | None:
    """The file name at the end of a url or path; None for a data: url or a storage reference, which have none."""
    return None if _scheme(url) in ("data", "pipelex-storage") else _last_segment(url) or None


def _scheme(url: str) -> str:
    before, colon, _ = url.partition(":")
    return before.lower() if colon and len(before) > 1 else ""  # one letter is a drive, not a scheme


def _last_segment(url: str) -> str:
    scheme = _scheme(url)
    if not scheme:
        return url.replace("\\", "/").rpartition("/")[2]  # a path: `?`, `#` and `%` are letters like others
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    place = parts.path if scheme in (*_WEB, "file") else parts.netloc + parts.path
    return unquote(place).rpartition("/")[2]
