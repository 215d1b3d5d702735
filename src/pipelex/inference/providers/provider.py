"""What every provider offers: one completion for one prompt, files already loaded. Runs on workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import JsonValue

from pipelex.inference.backends import ModelSpec
from pipelex.pipes.requests import PromptRequest, Usage


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


class Provider(Protocol):
    """Makes completions. One attempt per call: whoever hosts the run retries."""

    async def complete(self, prompt: Prompt) -> Completion:
        """Make one completion. Raises an InferenceError that says whether to try again."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...
