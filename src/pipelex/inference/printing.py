"""Files from pages of HTML: the pictures are fetched here, the file is written in a thread. Runs on workers."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import logging

from pipelex.errors import ConfigError, DocumentError, ReplyError
from pipelex.inference.documents import Picture
from pipelex.inference.page import read_page
from pipelex.inference.settings import DocumentSettings
from pipelex.pipes.requests import DocumentReply, DocumentRequest, Usage
from pipelex.storage.blobs import Blobs, mime_type_of, sniff
from pipelex.storage.fetch import read_url
from pipelex.storage.settings import StorageSettings

_LOG = logging.getLogger(__name__)
_ENGINES = {"pdf": "fpdf", "xlsx": "openpyxl"}
_MOST_PICTURES = 200
_LARGEST_SIDE = 2000


def document_formats() -> tuple[str, ...]:
    """The formats that can be written here: their engines are installed. Imports none of them."""
    return tuple(kind for kind, engine in _ENGINES.items() if importlib.util.find_spec(engine) is not None)


async def make_document(
    request: DocumentRequest, blobs: Blobs, storage: StorageSettings, settings: DocumentSettings
) -> DocumentReply:
    """Write the file and store it. Raises ConfigError for a format that nothing here writes."""
    match request.format:
        case "pdf":
            from pipelex.inference.pdf_writer import write_pdf

            pictures = await _pictures(request.html, blobs, storage, settings)
            data = await asyncio.to_thread(write_pdf, request.html, pictures, font=settings.font)
        case "xlsx":
            from pipelex.inference.sheet_writer import write_xlsx

            data = await asyncio.to_thread(write_xlsx, request.html)
        case _:
            raise ConfigError(
                f"files of the format {request.format!r} cannot be written by this version", hint="use pdf or xlsx"
            )
    mime_type = mime_type_of(request.filename)
    url = await blobs.put(data, mime_type=mime_type, filename=request.filename)
    return DocumentReply(
        document={"url": url, "mime_type": mime_type, "filename": request.filename}, usage=Usage(calls=1)
    )


async def _pictures(html: str, blobs: Blobs, storage: StorageSettings, settings: DocumentSettings) -> dict[str, bytes]:
    """The pictures of a page by their source, as PNG files. One that cannot be had is left out, and logged."""
    sources = dict.fromkeys(block.source for block in read_page(html) if block.kind == "picture")
    if len(sources) > _MOST_PICTURES:
        raise DocumentError(f"the page has {len(sources)} pictures, more than the {_MOST_PICTURES} allowed")
    found: dict[str, bytes] = {}
    for source in sources:
        try:
            file = await read_url(source, blobs, storage)
            found[source] = await asyncio.to_thread(_as_png, file.data, settings.max_image_pixels)
        except DocumentError as error:
            _LOG.warning("a picture is left out of the document: %s", error.message)
    return found


def _as_png(data: bytes, max_pixels: int) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > max_pixels:
                raise DocumentError(f"a picture has more than {max_pixels:,} pixels")
            plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
            plain.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
            stream = io.BytesIO()
            plain.save(stream, "PNG")
            return stream.getvalue()
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DocumentError(f"a picture cannot be read ({type(error).__name__})") from None


def picture_of(data: bytes) -> Picture:
    """An image that a provider made, with its kind and size. Raises ReplyError when it is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            kind = sniff(data) or Image.MIME.get(image.format or "") or "image/png"
            return Picture(data, kind, image.width, image.height)
    except (OSError, ValueError, Image.DecompressionBombError):
        raise ReplyError("the provider gave something that is not an image", retryable=True) from None
