"""DryHost: a host that answers every request with a mock, and leaves the rest to the host it wraps. Pure; replayed."""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

from pydantic import JsonValue

from pipelex.errors import InternalError
from pipelex.pipes.port import Host, PipeCall, PipeResult
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ExtractRequest,
    FunctionReply,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    Reply,
    ReplyT,
    Request,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
)
from pipelex.values.concepts import Concepts
from pipelex.values.mock import mock
from pipelex.values.schema import slot_schema

_ITEMS = 2


class DryHost:
    """Runs pipes where the inner host does, and calls nobody: no model, no function, no file, no cost.

    `run_pipe` puts one between each pipe of a dry run and the host.
    """

    def __init__(self, inner: Host) -> None:
        self._inner = inner

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        """Run another pipe where the inner host runs it."""
        return await self._inner.run_pipe(call)

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Answer with a mock that fits what is asked, the same every time."""
        return cast(ReplyT, mock_reply(request))


def mock_reply(request: Request[ReplyT]) -> Reply:
    """The mock of a reply. Its usage is nothing."""
    match request:
        case TextRequest():
            return TextReply(text="This is a mock text.")
        case ObjectRequest() | SearchObjectRequest():
            return ObjectReply(data=mock(request.output_schema))
        case ObjectListRequest():
            count = _ITEMS if request.count is None else request.count
            return ObjectReply(data=[mock(request.output_schema, seed=_seed(index)) for index in range(count)])
        case ExtractRequest():
            return PagesReply(pages=[_page(number) for number in range(1, _ITEMS + 1)])
        case ImageRequest():
            return ImagesReply(images=[_image(number) for number in range(1, request.count + 1)])
        case SearchRequest():
            return SearchReply(result={"answer": "This is a mock answer.", "sources": _sources(request.max_results)})
        case DocumentRequest():
            url = f"https://mock.invalid/{quote(request.filename)}"
            return DocumentReply(document={"url": url, "filename": request.filename})
        case FunctionRequest():
            return FunctionReply(data=mock(slot_schema(request.output, Concepts(request.concepts))))
        case _:
            raise InternalError(f"there is no mock of a {type(request).__name__}")


def _seed(index: int) -> str:
    """The first item is the plain mock; the others differ from it."""
    return "" if index == 0 else str(index)


def _image(number: int) -> dict[str, JsonValue]:
    return {"url": f"https://mock.invalid/image-{number}.png", "mime_type": "image/png", "width": 64, "height": 64}


def _sources(most: int | None) -> list[JsonValue]:
    count = _ITEMS if most is None else min(most, _ITEMS)
    return [
        {
            "url": f"https://mock.invalid/source-{number}",
            "title": f"Mock source {number}",
            "snippet": f"This is the snippet of mock source {number}.",
        }
        for number in range(1, count + 1)
    ]


def _page(number: int) -> dict[str, JsonValue]:
    return {"text_and_images": {"text": {"text": f"This is the text of mock page {number}."}}}
