"""What kind of file it is, from its bytes first, and plain text in whatever encoding. Runs on workers."""

from __future__ import annotations

import logging
import re
from typing import Final

from pipelex.errors import DocumentError
from pipelex.storage.blobs import mime_type_of, sniff
from pipelex.storage.fetch import FetchedFile

_LOG = logging.getLogger(__name__)

PDF: Final = "application/pdf"
WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
IMAGES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
WEB: Final = ("text/html", "application/xhtml+xml")
TEXTS: Final = ("text/plain", "text/markdown", "text/csv", "text/xml", "application/xml", "application/json")
_SVG: Final = "image/svg+xml"
_UNKNOWN: Final = ("", "application/octet-stream", "binary/octet-stream")
_READABLE: Final = (
    "PDF, Word (.docx), HTML, Markdown, plain text, CSV, JSON, PNG, JPEG, WebP and GIF can be read; convert other "
    "files to PDF first"
)
_OFFICE: Final = (
    (b"word/document.xml", WORD),
    (b"xl/workbook.", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/presentation.xml", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
_ADVICE: Final = {
    _SVG: "SVG files are programs for drawing, and may refer to other files: save it as PNG or PDF",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "save the sheet as CSV, or print it to PDF",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "save the slides as PDF",
    "application/x-ole-storage": "it is an old Office file, or has a password: save it as .docx or PDF, without one",
}
_OPENING: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,500}\?>\s*)?(?:<!--.{0,2000}?-->\s*)*<(!doctype\s+)?(html|svg)\b",
    re.I | re.S,
)
_MAX_TEXT_BYTES: Final = 32 * 1024 * 1024
_BOMS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_MOST_ODD_BYTES: Final = 0.3


def kind_of(file: FetchedFile) -> str:
    """The media type of a file we can read, from its bytes, else from what is said of it. Raises DocumentError."""
    if not file.data:
        raise DocumentError("the file is empty", where=file.filename)
    found = _seen(file.data)
    said = (file.mime_type or "").partition(";")[0].strip().lower()
    if said in _UNKNOWN:
        said = (mime_type_of(file.filename) if file.filename else None) or ""
    mime_type = found or said
    if said == PDF and found != PDF and found not in IMAGES:
        is_page = found == "text/html"
        raise DocumentError(
            f"the file says it is a PDF but {'is a web page' if is_page else 'does not start like one'}",
            where=file.filename,
            hint="the link may lead to a page to log in: open it in a browser" if is_page else "check the file",
        )
    if mime_type in (PDF, WORD, *IMAGES, *WEB, *TEXTS):
        return mime_type
    if not mime_type and _is_text(file.data):
        return "text/plain"
    raise DocumentError(
        f"files of kind {mime_type or 'unknown'!r} cannot be read",
        where=file.filename,
        hint=_ADVICE.get(mime_type, _READABLE),
    )


def reader_of(mime_type: str) -> str | None:
    """The kind of reader for a media type; None for plain text, which needs none."""
    if mime_type in TEXTS:
        return None
    return {PDF: "pdf", WORD: "word"}.get(mime_type) or ("image" if mime_type in IMAGES else "web")


def plain_text(file: FetchedFile) -> str:
    """The text of a file: in the encoding it declares, else UTF-8, UTF-16 by its mark, else what Windows wrote.

    Raises DocumentError when that would be a guess.
    """
    data = file.data
    if len(data) > _MAX_TEXT_BYTES:
        raise DocumentError(f"the text has {len(data)} bytes, more than the {_MAX_TEXT_BYTES} allowed", hint="split it")
    marked = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    for encoding in (marked, file.charset, "utf-8-sig"):
        try:
            text = data.decode(encoding) if encoding else None
        except (UnicodeDecodeError, LookupError):
            continue
        if text is not None and "\0" not in text:
            return text
    odd = len(data.translate(None, bytes(range(128))))
    if b"\0" not in data and odd <= _MOST_ODD_BYTES * len(data):
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            pass
        else:
            _LOG.warning("a text is not in UTF-8; it is read as Windows-1252: %s", file.filename or "no file name")
            return text
    raise DocumentError(
        "the text is not in UTF-8, and does not say in what encoding it is",
        where=file.filename,
        hint="save it as UTF-8, for instance: iconv -f WINDOWS-1251 -t UTF-8 old.txt > new.txt",
    )


def _seen(data: bytes) -> str | None:
    """What the bytes show. A zip file is looked through for the one name that tells what it is."""
    if found := sniff(data):
        return found
    if data.startswith(b"PK\x03\x04"):
        return next((kind for name, kind in _OFFICE if name in data), None)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "application/x-ole-storage"
    opening = _OPENING.match(data[:8192])
    if opening is None:
        return None
    return _SVG if opening[2].lower() == b"svg" else "text/html"


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return b"\0" not in data
