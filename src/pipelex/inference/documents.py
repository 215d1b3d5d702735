"""Pages of documents and images: text, embedded pictures, views. Runs on workers; PDFs in a process of their own.

pdfium is not thread-safe and may crash on a bad file. A process per document, started by path, keeps that away from
the worker, can be ended when it takes too long, and never imports the user's main script again.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import sys
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pipelex.errors import DocumentError
from pipelex.inference.settings import DocumentSettings
from pipelex.storage.blobs import mime_type_of, sniff
from pipelex.storage.fetch import FetchedFile

ResultT = TypeVar("ResultT")

_LOG = logging.getLogger(__name__)
_READER: Final = Path(__file__).with_name("pdf_reader.py")
_IMAGES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
_TEXTS: Final = ("text/plain", "text/markdown", "text/csv", "application/json")
_READABLE: Final = "PDF, PNG, JPEG, WebP, GIF, plain text and Markdown can be read; convert other files to PDF first"
_MAX_LINE: Final = 64 * 1024 * 1024
_PROBLEMS: Final = {
    "encrypted": ("the PDF is protected by a password", "save a copy without the password"),
    "corrupt": ("the PDF is damaged or is not a PDF ({detail})", "open it in a PDF viewer, and save a new copy"),
    "no-page": ("the PDF has no page", "check the file"),
    "too-many-pages": ("the PDF has {detail} pages, more than the {max_pages} allowed", "split it, or raise max_pages"),
}


@dataclass(frozen=True)
class Picture:
    """A picture as bytes, with its size in pixels."""

    data: bytes
    mime_type: str
    width: int
    height: int


@dataclass(frozen=True)
class PageParts:
    """What was read of one page."""

    text: str
    pictures: tuple[Picture, ...] = ()
    view: Picture | None = None


class _ReaderCrashed(Exception):
    """The process that reads a PDF ended before it was done."""


class Documents:
    """Reads documents within limits, some at a time."""

    def __init__(self, settings: DocumentSettings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(settings.processes)

    async def read_pages(
        self,
        file: FetchedFile,
        *,
        max_images: int | None = None,
        views: bool = False,
        dpi: int = 150,
        text: bool = True,
    ) -> AsyncGenerator[PageParts, None]:
        """Yield the pages in order. Raises DocumentError, which is never worth a retry."""
        mime_type = kind_of(file)
        if mime_type == "application/pdf":
            options = {"max_images": max_images, "views": views, "dpi": dpi, "text": text}
            async with contextlib.aclosing(self._read_pdf(file.data, options)) as pages:
                async for page in pages:
                    yield page
        elif mime_type in _IMAGES:
            picture = await asyncio.to_thread(read_image, file.data, self._settings.max_image_pixels)
            kept = () if max_images == 0 else (picture,)
            yield PageParts("", kept, picture if views else None)
        else:
            yield PageParts(_decode(file.data))

    async def _read_pdf(self, data: bytes, options: dict[str, Any]) -> AsyncGenerator[PageParts, None]:
        """Read once more from where it stopped if the process crashes: the cause may be outside (memory, a signal)."""
        done = 0
        for attempt in (1, 2):
            try:
                async with self._places, contextlib.aclosing(self._run_reader(data, options)) as pages:
                    index = 0
                    async for page in pages:
                        index += 1
                        if index > done:
                            done = index
                            yield page
                return
            except _ReaderCrashed as error:
                _LOG.warning("the PDF reader ended early (attempt %d): %s", attempt, error)
                if attempt == 2:
                    raise DocumentError(
                        f"the PDF makes the reader crash at page {done + 1}",
                        hint="open it in a PDF viewer, and print it to a new PDF",
                    ) from error

    async def _run_reader(self, data: bytes, options: dict[str, Any]) -> AsyncGenerator[PageParts, None]:
        limits = {"max_pages": self._settings.max_pages, "max_pixels": self._settings.max_image_pixels}
        pipe = asyncio.subprocess.PIPE
        # -P keeps this folder off the import path of the reader.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(_READER), stdin=pipe, stdout=pipe, stderr=pipe, limit=_MAX_LINE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        feed = asyncio.create_task(_feed(process.stdin, json.dumps({**options, **limits}).encode() + b"\n" + data))
        complaints = asyncio.create_task(process.stderr.read())
        try:
            seen, total = 0, 1
            while head := await self._within(_head(process.stdout, limits)):
                seen, total = seen + 1, head["total"]
                yield await self._within(_page(head, process.stdout))
            await process.wait()
            if seen < total:
                last = (await complaints).decode("utf-8", "replace").strip().splitlines()[-1:]
                raise _ReaderCrashed(f"exit status {process.returncode} {' '.join(last)}")
        except (asyncio.IncompleteReadError, json.JSONDecodeError) as error:
            raise _ReaderCrashed(f"its answer stops in the middle ({error})") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.gather(feed, complaints, return_exceptions=True)

    async def _within(self, step: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Bound one page. A bound around the whole loop would also fire in the code of whoever takes the pages."""
        seconds = self._settings.page_timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await step
        except TimeoutError as error:
            raise DocumentError(
                f"a page of the PDF could not be read in {seconds:g} s", hint="leave that page out"
            ) from error


def kind_of(file: FetchedFile) -> str:
    """The media type of a file we can read, from its bytes, else from what is said of it. Raises DocumentError."""
    if not file.data:
        raise DocumentError("the file is empty", where=file.filename)
    found = sniff(file.data) or file.mime_type or (mime_type_of(file.filename) if file.filename else None)
    mime_type = (found or "").partition(";")[0].strip().lower()
    if mime_type == "application/pdf" and sniff(file.data) != "application/pdf":
        raise DocumentError(
            "the file says it is a PDF but does not start like one", where=file.filename, hint="check the file"
        )
    if mime_type in ("application/pdf", *_IMAGES, *_TEXTS):
        return mime_type
    if not mime_type and _is_text(file.data):
        return "text/plain"
    if mime_type == "text/html":
        raise DocumentError("web pages cannot be read by this version", where=file.filename, hint=_READABLE)
    raise DocumentError(f"files of kind {mime_type or 'unknown'!r} cannot be read", where=file.filename, hint=_READABLE)


def read_image(data: bytes, max_pixels: int) -> Picture:
    """Check that an image is whole and not too large, and keep it as it is. Raises DocumentError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise DocumentError(
                    f"the image has {width}x{height} pixels, more than the {max_pixels} allowed",
                    hint="make it smaller, or raise max_image_pixels",
                )
            picture.load()
            mime_type = Image.MIME.get(picture.format or "", "image/png")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise DocumentError(
            f"the image is damaged: {error}", hint="open it in a viewer, and save a new copy"
        ) from error
    return Picture(data, mime_type, width, height)


async def _feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    # The reader may end before it has read everything: then its answer tells why.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(data)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _head(stdout: asyncio.StreamReader, limits: dict[str, int]) -> dict[str, Any] | None:
    """What is said of the next page; None at the end. Raises DocumentError when the PDF cannot be read."""
    line = await stdout.readline()
    head: dict[str, Any] | None = json.loads(line) if line else None
    if head is not None and (problem := head.get("problem")):
        message, hint = _PROBLEMS[problem]
        raise DocumentError(message.format(**limits, detail=head["detail"]), hint=hint)
    return head


async def _page(head: dict[str, Any], stdout: asyncio.StreamReader) -> PageParts:
    pictures = [
        Picture(await stdout.readexactly(item["bytes"]), "image/png", item["width"], item["height"])
        for item in head["pictures"]
    ]
    view = pictures.pop() if head["has_view"] else None
    return PageParts(head["text"], tuple(pictures), view)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _decode(data: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")
