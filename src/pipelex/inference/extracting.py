"""PipeExtract's request: pages read here, or by a provider, with their pictures stored. Runs on workers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from pydantic import JsonValue

from pipelex.errors import ConfigError, DocumentError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.checkpoint import Checkpoint
from pipelex.inference.documents import Documents, PageParts, Picture, declared
from pipelex.inference.kinds import IMAGES, PDF, kind_of
from pipelex.inference.providers.provider import PageReader
from pipelex.pipes.requests import ExtractRequest, PagesReply, Usage
from pipelex.storage.blobs import Blobs
from pipelex.storage.fetch import FetchedFile, read_url
from pipelex.storage.settings import StorageSettings


async def extract(
    request: ExtractRequest,
    model: ModelSpec,
    reader: PageReader | None,
    *,
    checkpoint: Checkpoint,
    documents: Documents,
    blobs: Blobs,
    storage: StorageSettings,
) -> PagesReply:
    """Read the pages of a file with `reader`, or here when there is none."""
    if request.page_image_captions:
        raise ConfigError(
            f"the extraction model {request.model.handle!r} writes no captions",
            hint="drop page_image_captions, and describe the images with a PipeLLM",
        )
    file = declared(await read_url(request.url, blobs, storage), request.mime_type)
    pages: list[dict[str, JsonValue]] = []
    try:
        usage = Usage(calls=1)
        if reader is not None and kind_of(file) in (PDF, *IMAGES):
            read, usage = await reader.read(request, file, kind_of(file), model, checkpoint)
            read = await _with_views(read, request, file, documents)
            pages = [await _stored(page, blobs) for page in read]
        else:
            async with contextlib.aclosing(_read_here(request, file, documents)) as found:
                async for page in found:
                    pages.append(await _stored(page, blobs))
            usage = Usage(calls=1, pages=len(pages))
    except DocumentError as error:
        error.where = error.where or request.url[:120]
        raise
    return PagesReply(pages=pages, usage=usage)


def _read_here(request: ExtractRequest, file: FetchedFile, documents: Documents) -> AsyncGenerator[PageParts, None]:
    return documents.read_pages(
        file, max_images=request.max_page_images, views=request.page_views, dpi=request.page_views_dpi
    )


async def _with_views(
    read: list[PageParts], request: ExtractRequest, file: FetchedFile, documents: Documents
) -> list[PageParts]:
    """The pages that a provider has read, with the views that it does not give."""
    if not request.page_views:
        return read
    views = documents.read_pages(file, max_images=0, views=True, dpi=request.page_views_dpi, text=False)
    shown = [page.view async for page in views]
    return [replace(page, view=view) for page, view in zip(read, shown, strict=False)] + read[len(shown) :]


async def _stored(parts: PageParts, blobs: Blobs) -> dict[str, JsonValue]:
    images: list[JsonValue] = [await stored_image(picture, blobs) for picture in parts.pictures]
    content: dict[str, JsonValue] = {"text": {"text": parts.text}, "images": images}
    view = await stored_image(parts.view, blobs) if parts.view else None
    return {"text_and_images": content, "page_view": view}


async def stored_image(picture: Picture, blobs: Blobs) -> dict[str, JsonValue]:
    """Store a picture, and give the data of its Image. The same bytes are stored once."""
    url = await blobs.put(picture.data, mime_type=picture.mime_type)
    return {"url": url, "mime_type": picture.mime_type, "width": picture.width, "height": picture.height}
