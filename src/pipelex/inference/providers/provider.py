"""What providers offer: completions, images, searches; files are already loaded. Runs on workers."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from pydantic import JsonValue

from pipelex.inference.backends import ModelSpec
from pipelex.inference.checkpoint import Checkpoint, KeptCheckpoint
from pipelex.inference.documents import PageParts
from pipelex.pipes.requests import (
    ExtractRequest,
    ImageRequest,
    ObjectReply,
    PromptRequest,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    Usage,
)
from pipelex.storage.fetch import FetchedFile


@dataclass(frozen=True)
class Part:
    """A file sent with a prompt, under the label that the prompt calls it by (`[Image 1]`)."""

    label: str
    kind: Literal["image", "file", "text"]
    data: bytes
    mime_type: str
    filename: str | None = None

    @property
    def labelled_text(self) -> str:
        """The text of the file under its label, as a prompt has it."""
        return f"{self.label}\n{self.data.decode('utf-8', 'replace')}"

    @property
    def data_url(self) -> str:
        """A url that holds the file."""
        return f"data:{self.mime_type};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True)
class Reask:
    """A reply that did not fit, and what is wrong with it."""

    reply: str
    complaint: str


@dataclass(frozen=True)
class Prompt:
    """One completion to make. With `schema`, the reply is the JSON text of one object that fits it.

    `key` tells this call from all others, for providers that honour idempotency keys.
    """

    request: PromptRequest
    model: ModelSpec
    parts: tuple[Part, ...] = ()
    name: str | None = None
    schema: dict[str, JsonValue] | None = None
    reasks: tuple[Reask, ...] = ()
    key: str | None = None


@dataclass(frozen=True)
class Completion:
    """The text of a reply, complete and not empty, and what it consumed."""

    text: str
    usage: Usage


@dataclass(frozen=True)
class ImagePrompt:
    """Images to make; `parts` are those to start from, `key` is as in `Prompt`.

    `checkpoint` holds the jobs that an earlier attempt began.
    """

    request: ImageRequest
    model: ModelSpec
    parts: tuple[Part, ...] = ()
    checkpoint: Checkpoint = field(default_factory=KeptCheckpoint)
    key: str | None = None


@dataclass(frozen=True)
class Images:
    """Images as files, or as the urls where they can be had for a while."""

    images: tuple[bytes | str, ...]
    usage: Usage


class Closable(Protocol):
    """What every provider is."""

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class Warmable(Closable, Protocol):
    """A provider that takes long to build."""

    async def warm(self) -> None:
        """Build now what the first call would wait for, beside the event loop."""
        ...


class ImageMaker(Closable, Protocol):
    """Makes images, one attempt per call."""

    async def images(self, prompt: ImagePrompt) -> Images:
        """Make the images of one request. Raises an InferenceError that says whether to try again."""
        ...


class Searcher(Closable, Protocol):
    """Searches the web, one attempt per call."""

    async def search(self, request: SearchRequest, model: ModelSpec) -> SearchReply:
        """Search, and answer with sources. Raises an InferenceError that says whether to try again."""
        ...


@runtime_checkable
class ObjectSearcher(Closable, Protocol):
    """Searches the web for an object; not every searcher can."""

    async def search_object(self, request: SearchObjectRequest, model: ModelSpec) -> ObjectReply:
        """Search, and fill the schema of the request. The data is not checked against it yet."""
        ...


class PageReader(Closable, Protocol):
    """Reads the pages of PDF files and images, one attempt per call."""

    async def read(
        self, request: ExtractRequest, file: FetchedFile, mime_type: str, model: ModelSpec, checkpoint: Checkpoint
    ) -> tuple[list[PageParts], Usage]:
        """Read all pages, in order. Raises an InferenceError that says whether to try again.

        `checkpoint` holds the job that an earlier attempt began, where the provider takes jobs.
        """
        ...


class Provider(Closable, Protocol):
    """Makes completions. One attempt per call: whoever hosts the run retries."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Make one completion. Raises an InferenceError that says whether to try again."""
        ...
