"""ScriptedPerformer: answers requests from a script and remembers them. For tests of methods; calls nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from pipelex.inference.checkpoint import Checkpoint
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ExtractRequest,
    FunctionReply,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ObjectReply,
    PagesReply,
    Reply,
    ReplyT,
    Request,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
    Usage,
)

Answer = Any
"""A Reply, an exception to raise, or plain data: a text, an object, a list of objects, pages or images."""

ONE_CALL = Usage(calls=1)


class ScriptedPerformer:
    """Carries out requests by a script: a callable asked for each answer, or answers given in order.

    `requests` holds what was asked, in order. An answer that is an exception is raised.
    """

    def __init__(self, script: Callable[[Request[Any]], Answer] | Iterable[Answer] = ()) -> None:
        self.requests: list[Request[Any]] = []
        self._ask = script if callable(script) else None
        self._answers = iter(()) if callable(script) else iter(script)

    async def perform(
        self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Checkpoint | None = None
    ) -> ReplyT:
        """Answer one request. Raises AssertionError when the script is over."""
        self.requests.append(request)
        answer = self._ask(request) if self._ask is not None else next(self._answers, _END)
        if answer is _END:
            raise AssertionError(f"the script has no answer to request {len(self.requests)}: {type(request).__name__}")
        if isinstance(answer, BaseException):
            raise answer
        return cast(ReplyT, as_reply(request, answer))

    async def aclose(self) -> None:
        """Nothing to close."""


_END = object()


def as_reply(request: Request[Any], answer: Answer) -> Reply:
    """Plain data as the reply that the kind of request wants, at the cost of one call."""
    if isinstance(answer, Reply):
        return answer
    match request:
        case TextRequest():
            return TextReply(text=answer, usage=ONE_CALL)
        case ExtractRequest():
            return PagesReply(pages=answer, usage=ONE_CALL)
        case ImageRequest():
            return ImagesReply(images=answer, usage=ONE_CALL)
        case SearchRequest():
            return SearchReply(result=answer, usage=ONE_CALL)
        case DocumentRequest():
            return DocumentReply(document=answer, usage=ONE_CALL)
        case FunctionRequest():
            return FunctionReply(data=answer)
        case _:
            return ObjectReply(data=answer, usage=ONE_CALL)
