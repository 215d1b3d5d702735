"""Files sent with a prompt, made ready for what the model can take. Runs on workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from pipelex.errors import ConfigError, DocumentError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.documents import Documents, check_image, declared
from pipelex.inference.kinds import PDF, kind_of
from pipelex.inference.providers.provider import Part
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import Attachment
from pipelex.storage.blobs import Blobs
from pipelex.storage.fetch import FetchedFile, read_url, shown
from pipelex.storage.settings import StorageSettings


async def load_parts(
    attachments: Sequence[Attachment],
    model: ModelSpec,
    *,
    blobs: Blobs,
    storage: StorageSettings,
    documents: Documents,
    settings: InferenceSettings,
) -> tuple[Part, ...]:
    """Load the files of a prompt in order, labelled as the prompt calls them.

    A PDF goes as it is to a model that reads PDFs, and as page images to one that reads images only. Word documents,
    web pages and other texts go as text.
    """
    limit = settings.max_prompt_images if model.max_prompt_images is None else model.max_prompt_images
    numbers: Counter[str] = Counter()
    parts: list[Part] = []
    for attachment in attachments:
        numbers[attachment.kind] += 1
        label = f"[{attachment.kind.capitalize()} {numbers[attachment.kind]}]"
        file = declared(await read_url(attachment.url, blobs, storage), attachment.mime_type)
        try:
            parts += await _parts(label, attachment.kind, file, model, documents, settings)
        except DocumentError as error:
            error.where = error.where or f"{label} {shown(attachment.url)}"
            raise
        if sum(part.kind == "image" for part in parts) > limit:
            raise DocumentError(
                f"the prompt carries more than {limit} images, pages of documents included",
                hint="read long documents with a PipeExtract first, or raise max_prompt_images",
            )
    return tuple(parts)


async def _parts(
    label: str, kind: str, file: FetchedFile, model: ModelSpec, documents: Documents, settings: InferenceSettings
) -> list[Part]:
    mime_type = kind_of(file)
    if mime_type.startswith("image/"):
        _check_takes(model, label, "images", "image")
        await asyncio.to_thread(check_image, file, settings.documents)
        return [Part(label, "image", file.data, mime_type, file.filename)]
    if kind == "image":
        raise DocumentError(f"{label} is not an image but {mime_type}", hint="declare the input as a Document")
    if mime_type != PDF:
        texts = [page.text async for page in documents.read_pages(file, max_images=0)]
        return [Part(label, "text", "\n\n".join(texts).encode(), "text/plain", file.filename)]
    if "pdf" in model.inputs:
        return [Part(label, "file", file.data, mime_type, file.filename or f"{label.strip('[]').lower()}.pdf")]
    _check_takes(model, label, "images", "image")
    dpi = settings.documents.prompt_dpi
    parts: list[Part] = []
    async for page in documents.read_pages(file, max_images=0, views=True, dpi=dpi, text=False):
        if page.view is not None:
            parts.append(Part(f"{label}, page {len(parts) + 1}", "image", page.view.data, page.view.mime_type))
        if len(parts) > settings.max_prompt_images:
            break
    return parts


def _check_takes(model: ModelSpec, label: str, *kinds: str) -> None:
    if not any(kind in model.inputs for kind in kinds):
        raise ConfigError(
            f"the model {model.handle!r} takes no images, so {label} cannot be sent to it",
            hint='use a model that does, such as "$vision", or read the file with a PipeExtract first',
        )
