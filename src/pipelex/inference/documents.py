"""Pages of documents and images: text, embedded pictures, views, OCR. Runs on workers; files are opened elsewhere.

What takes a library to read is read in processes of its own (reader_process.py), several of them for one document
when its pages take long. Plain text is decoded here.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from pipelex.errors import ConfigError, DocumentError
from pipelex.inference import kinds
from pipelex.inference.kinds import kind_of, plain_text
from pipelex.inference.reader_process import COMMAND, Answer, ReaderCrashed, ReaderProcess
from pipelex.inference.settings import DocumentSettings
from pipelex.storage.fetch import FetchedFile

ResultT = TypeVar("ResultT")

_LOG = logging.getLogger(__name__)
_COMMAND = COMMAND
_PAGES_WORTH_A_PROCESS: Final = 200
"""Pages with a text layer are read faster than a process starts."""
_INSTALL_OCR: Final = (
    'install tesseract (apt install tesseract-ocr) and pip install "pipelex[ocr]" on the workers; or let a PipeExtract '
    "use an OCR model, such as mistral-ocr-latest"
)
_PROBLEMS: Final = {
    "encrypted": ("the PDF is protected by a password", "save a copy without the password"),
    "corrupt": ("the PDF is damaged or is not a PDF ({detail})", "open it in a PDF viewer, and save a new copy"),
    "no-page": ("the PDF has no page", "check the file"),
    "too-many-pages": ("the PDF has {detail} pages, more than the {max_pages} allowed", "split it, or raise max_pages"),
    "pictures-too-large": ("the pictures of one page take more than {detail} bytes", "lower max_page_images"),
    "too-many-pixels": (
        "the image has {detail} pixels, more than the {max_image_pixels} allowed",
        "make it smaller, or raise max_image_pixels",
    ),
    "image-too-large": (
        "the image has {detail} bytes, more than the {max_image_bytes} allowed",
        "make it smaller, or raise max_image_bytes under [inference.documents]",
    ),
    "image-damaged": ("the image is damaged: {detail}", "open it in a viewer, and save a new copy"),
    "word-damaged": ("the Word document is damaged ({detail})", "open it in a word processor, and save a new copy"),
    "bomb": (
        "the Word document would unpack to more than {max_unpacked_bytes} bytes ({detail})",
        "save it with smaller pictures, or as PDF",
    ),
    "not-text": ("the page is in no character encoding that it declares, nor in UTF-8", "save it as UTF-8"),
    "memory": (
        "the file needs more than {detail} bytes of memory to be read",
        "split it, or raise max_memory_bytes under [inference.documents]",
    ),
    "ocr-failed": ("tesseract could not read a page: {detail}", 'try again, or set ocr = "off"'),
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


class Documents:
    """Reads documents within limits, in at most `processes` processes at a time."""

    def __init__(self, settings: DocumentSettings) -> None:
        self._settings = settings
        self._places = _Places(settings.processes or os.cpu_count() or 1)

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
        kind = kinds.reader_of(mime_type)
        if kind is None:
            yield PageParts(await asyncio.to_thread(plain_text, file))
            return
        if kind == "image":
            await asyncio.to_thread(check_image, file, self._settings)
        is_read = text and self._settings.ocr == "auto"
        languages = self._settings.ocr_languages if is_read else None
        wanted = {"max_images": max_images, "views": views, "dpi": dpi, "text": text, "ocr_languages": languages}
        no_ocr = is_empty = True
        async with _on_disk(file.data) as path:
            crew = _Crew(self._settings, self._places, _opening(kind, path, file, self._settings))
            async with contextlib.aclosing(crew.pages(wanted)) as pages:
                async for page, notes in pages:
                    no_ocr, is_empty = no_ocr and "no-ocr" in notes, is_empty and not page.text.strip()
                    yield page
        if crew.notes:
            _tell(crew.notes, is_unread=kind == "pdf" and no_ocr and is_empty and not views)


class _Places:
    """Processes that may still be started. A document that waits for its first is served before another's second."""

    def __init__(self, count: int) -> None:
        self._semaphore = asyncio.Semaphore(count)
        self.waiting = 0

    @property
    def is_one_free(self) -> bool:
        """Whether taking one would not wait."""
        return not self._semaphore.locked()

    async def take(self) -> None:
        """Wait for a place."""
        self.waiting += 1
        try:
            await self._semaphore.acquire()
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """Give one back."""
        self._semaphore.release()


class _Crew:
    """The processes that read one document: one, and more while places are free and its pages take long."""

    def __init__(self, settings: DocumentSettings, places: _Places, opening: dict[str, Any]) -> None:
        self._settings = settings
        self._places = places
        self._opening = opening
        self._idle: asyncio.Queue[ReaderProcess | None] = asyncio.Queue()
        self._running: set[ReaderProcess] = set()
        self._size = 0
        self._is_slow = False
        self.notes: set[str] = set()

    async def pages(self, wanted: dict[str, Any]) -> AsyncGenerator[tuple[PageParts, tuple[str, ...]], None]:
        """Each page with what is to be noted of it, in order. Only a few are ahead of whoever takes them."""
        ahead: deque[asyncio.Task[tuple[PageParts, tuple[str, ...]]]] = deque()
        self._is_slow = bool(wanted["views"])
        await self._places.take()
        self._size = 1
        try:
            total, begun = await self._open(), 0
            while begun < total or ahead:
                await self._grow(total - begun)
                while begun < total and len(ahead) < 2 * self._size:
                    ahead.append(asyncio.create_task(self._page({**wanted, "index": begun})))
                    begun += 1
                yield await ahead[0]
                ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)
            await asyncio.gather(*(reader.aclose() for reader in self._running))
            for _ in range(self._size):
                self._places.release()

    async def _grow(self, left: int) -> None:
        useful = left if self._is_slow else left // _PAGES_WORTH_A_PROCESS
        while self._size < useful and self._places.is_one_free:
            await self._places.take()
            self._size += 1
            self._idle.put_nowait(None)

    async def _open(self) -> int:
        """How many pages there are. A process that crashes is tried once more: the cause may be outside."""
        for attempt in (1, 2):
            try:
                reader, total = await self._start()
            except ReaderCrashed as error:
                self._crashed(error, attempt, 0)
            else:
                self._idle.put_nowait(reader)
                return total
        raise AssertionError("not reached")

    async def _start(self) -> tuple[ReaderProcess, int]:
        reader = await ReaderProcess.start(Path(self._opening["path"]).parent, _COMMAND)
        self._running.add(reader)
        answer = await self._within(reader.ask(self._opening))
        return reader, int(answer.head["total"])

    async def _page(self, asked: dict[str, Any]) -> tuple[PageParts, tuple[str, ...]]:
        reader = await self._idle.get()
        try:
            for attempt in (1, 2):
                try:
                    if reader is None:
                        reader, _ = await self._start()
                    return self._parts(await self._within(reader.ask(asked)))
                except ReaderCrashed as error:
                    reader = None
                    self._crashed(error, attempt, asked["index"])
            raise AssertionError("not reached")
        except BaseException:
            # It may be in the middle of an answer.
            reader = None
            raise
        finally:
            await self._hand_back(reader)

    async def _hand_back(self, reader: ReaderProcess | None) -> None:
        if self._size > 1 and self._places.waiting:
            self._size -= 1
            if reader is not None:
                self._running.discard(reader)
                await reader.aclose()
            self._places.release()
        else:
            self._idle.put_nowait(reader)

    def _crashed(self, error: ReaderCrashed, attempt: int, index: int) -> None:
        _LOG.warning("the process that reads a document ended early (attempt %d): %s", attempt, error)
        if attempt == 2:
            raise DocumentError(
                f"the file makes the reader crash at page {index + 1}",
                hint="open it in a viewer, and print it to a new PDF; or raise max_memory_bytes",
            ) from error

    def _parts(self, answer: Answer) -> tuple[PageParts, tuple[str, ...]]:
        head = answer.head
        self._is_slow = self._is_slow or head["is_from_ocr"]
        self.notes.update(head["notes"])
        pictures = [
            Picture(data, about["mime_type"], about["width"], about["height"])
            for about, data in zip(head["pictures"], answer.blobs, strict=True)
        ]
        view = pictures.pop() if head["has_view"] else None
        return PageParts(head["text"], tuple(pictures), view), tuple(head["notes"])

    async def _within(self, step: Coroutine[Any, Any, Answer]) -> Answer:
        seconds = self._settings.page_timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                answer = await step
        except TimeoutError as error:
            raise DocumentError(
                f"a page of the document could not be read in {seconds:g} s",
                hint="leave that page out, or raise page_timeout under [inference.documents]",
            ) from error
        if problem := answer.head.get("problem"):
            raise _refused(problem, answer.head["detail"], self._settings)
        return answer


@contextlib.asynccontextmanager
async def _on_disk(data: bytes) -> AsyncIterator[Path]:
    """The file where several processes can read it, in a folder that goes with all they leave there."""
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="pipelex-", ignore_cleanup_errors=True)
    try:
        path = Path(folder.name) / "document"
        await asyncio.to_thread(path.write_bytes, data)
        yield path
    finally:
        folder.cleanup()


def _opening(kind: str, path: Path, file: FetchedFile, settings: DocumentSettings) -> dict[str, Any]:
    limits = {
        "max_pages": settings.max_pages,
        "max_pixels": settings.max_image_pixels,
        "max_page_bytes": settings.max_memory_bytes // 8,
        "max_unpacked_bytes": settings.max_unpacked_bytes,
    }
    return {
        "kind": kind,
        "path": str(path),
        "charset": file.charset,
        "max_memory_bytes": settings.max_memory_bytes,
        "limits": limits,
    }


def _refused(problem: str, detail: str, settings: DocumentSettings) -> DocumentError | ConfigError:
    if problem == "no-documents-extra":
        return ConfigError(
            f"Word documents and web pages cannot be read here: {detail} is not installed",
            hint='pip install "pipelex[documents]", where the document is read',
        )
    if problem == "no-ocr-language":
        packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in detail.split("+"))
        return ConfigError(
            f"tesseract has no data for the languages {detail!r}",
            hint=f"apt install {packages}, or set ocr_languages under [inference.documents]",
        )
    message, hint = _PROBLEMS[problem]
    return DocumentError(message.format(**settings.model_dump(), detail=detail), hint=hint)


def _tell(notes: set[str], *, is_unread: bool) -> None:
    """One line for the whole document. A scan of which nothing was read is an error, unless its views were wanted."""
    if is_unread:
        raise DocumentError(
            "no page of the PDF has a text layer, and there is no OCR here to read it with", hint=_INSTALL_OCR
        )
    if "no-ocr" in notes:
        _LOG.warning("pages without a text layer were left without text: there is no OCR here; %s", _INSTALL_OCR)
    if "picture-left-out" in notes:
        _LOG.warning("pictures of a Word document that are linked, damaged or of a rare kind were left out")


def check_image(file: FetchedFile, settings: DocumentSettings) -> None:
    """Look at the size of an image in its header, without decoding it. Raises DocumentError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(file.data)) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        # Its message has the number of pixels, and says so in words for programmers.
        number = next((word for word in str(error).replace("(", " ").split() if word.isdigit()), "too many")
        raise _refused("too-many-pixels", number, settings) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _refused("image-damaged", str(error), settings) from error
    if len(file.data) > settings.max_image_bytes:
        raise _refused("image-too-large", str(len(file.data)), settings)
    if width * height > settings.max_image_pixels:
        raise _refused("too-many-pixels", f"{width}x{height}", settings)


def declared(file: FetchedFile, mime_type: str | None) -> FetchedFile:
    """The file, with a media type that somebody else gives when it has none itself."""
    return replace(file, mime_type=mime_type) if mime_type and not file.mime_type else file
