"""What an attempt leaves to the next one, so that a job which was paid for is found again. Runs on workers."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import JsonValue

from pipelex.pipes.requests import ExtractRequest, ImageRequest, Request


class Checkpoint(Protocol):
    """A few JSON data that outlive one attempt of a request. Each request has its own."""

    @property
    def last(self) -> JsonValue | None:
        """What was saved last, in this attempt or an earlier one."""
        ...

    def save(self, data: JsonValue | None) -> None:
        """Keep this instead, for this attempt and the next ones."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether no attempt follows one that is being cancelled, so that nobody will want its job."""
        ...


class KeptCheckpoint:
    """A checkpoint in memory, for attempts made in one process."""

    is_over = True

    def __init__(self, last: JsonValue | None = None) -> None:
        self.last = last

    def save(self, data: JsonValue | None) -> None:
        """Keep this instead."""
        self.last = data


def resumes(request: Request[Any]) -> bool:
    """Whether a later attempt of this request can go on with what an earlier one began."""
    return isinstance(request, ImageRequest | ExtractRequest)
