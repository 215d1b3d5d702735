"""What providers offer: completions, images, searches; files are already loaded. Runs on workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import JsonValue

from pipelex.inference.backends import ModelSpec
from pipelex.pipes.requests import ImageRequest, PromptRequest, SearchReply, SearchRequest, Usage


@dataclass(frozen=True)
class Part:
    """A file sent with a prompt, under the label that the prompt calls it by (`[Image 1]`)."""

    label: str
    kind: Literal["image", "file", "text"]
    data: bytes
    mime_type: str
    filename: str | None = None


@dataclass(frozen=True)
class Reask:
    """A reply that did not fit, and what is wrong with it."""

    reply: str
    complaint: str


@dataclass(frozen=True)
class Prompt:
    """One completion to make. With `schema`, the reply is the JSON text of one object that fits it."""

    request: PromptRequest
    model: ModelSpec
    parts: tuple[Part, ...] = ()
    name: str | None = None
    schema: dict[str, JsonValue] | None = None
    reasks: tuple[Reask, ...] = ()


@dataclass(frozen=True)
class Completion:
    """The text of a reply, complete and not empty, and what it consumed."""

    text: str
    usage: Usage


@dataclass(frozen=True)
class ImagePrompt:
    """Images to make; `parts` are those to start from."""

    request: ImageRequest
    model: ModelSpec
    parts: tuple[Part, ...] = ()


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


class Provider(Closable, Protocol):
    """Makes completions. One attempt per call: whoever hosts the run retries."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Make one completion. Raises an InferenceError that says whether to try again."""
        ...
