"""Pages read by Mistral's OCR, over its REST API. Runs on workers; one attempt per call."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pipelex.errors import ReplyError
from pipelex.inference.backends import Access, ModelSpec
from pipelex.inference.checkpoint import Checkpoint
from pipelex.inference.documents import PageParts
from pipelex.inference.pricing import unit_cost_usd
from pipelex.inference.printing import picture_of
from pipelex.inference.providers.http import Api
from pipelex.inference.settings import InferenceSettings
from pipelex.pipes.requests import ExtractRequest, Usage
from pipelex.storage.fetch import FetchedFile


class MistralOcr:
    """One POST with the file inside; the answer has Markdown and pictures, page by page."""

    def __init__(self, name: str, access: Access, settings: InferenceSettings) -> None:
        self._api = Api(name, access, settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def read(
        self, request: ExtractRequest, file: FetchedFile, mime_type: str, model: ModelSpec, checkpoint: Checkpoint
    ) -> tuple[list[PageParts], Usage]:
        """Read all pages. The file is sent as it is: the provider could not fetch what is in our storage."""
        answer = await self._api.post("ocr", model, body=_body(request, file, mime_type, model))
        try:
            pages = [_page(page, request) for page in sorted(answer["pages"], key=lambda page: int(page["index"]))]
            count = int((answer.get("usage_info") or {}).get("pages_processed") or len(pages))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ReplyError(
                f"{self._api.name} answered with something that is not a list of pages",
                retryable=True,
                hint="check the endpoint of the backend",
                provider=self._api.name,
                model=model.handle,
                status=200,
            ) from None
        return pages, Usage(calls=1, pages=count, cost_usd=unit_cost_usd(model.costs, "page", count))


def _body(request: ExtractRequest, file: FetchedFile, mime_type: str, model: ModelSpec) -> dict[str, Any]:
    kind = "image_url" if mime_type.startswith("image/") else "document_url"
    url = f"data:{mime_type};base64,{base64.b64encode(file.data).decode()}"
    return {
        "model": model.model_id,
        "document": {"type": kind, kind: url},
        "include_image_base64": request.max_page_images != 0,
    }


def _page(page: dict[str, Any], request: ExtractRequest) -> PageParts:
    found = [image["image_base64"] for image in page.get("images") or () if image.get("image_base64")]
    pictures = [picture_of(_bytes(text)) for text in found[: request.max_page_images]]
    return PageParts(str(page["markdown"]).strip(), tuple(pictures))


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except binascii.Error:
        raise ValueError(text[:20]) from None
