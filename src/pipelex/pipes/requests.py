"""The requests a pipe may make of the world, with their replies. Frozen JSON; each crosses the wire to an activity."""

from __future__ import annotations

from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import JsonValue

from pipelex.values.concepts import Concept
from pipelex.values.frozen import Frozen
from pipelex.values.slots import Slot
from pipelex.values.value import Memory

ReplyT = TypeVar("ReplyT", bound="Reply")


class Usage(Frozen):
    """What calls consumed. `cost_usd` None means the price is unknown, never that it is 0."""

    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    pages: int = 0
    cost_usd: float | None = 0.0
    is_simulated: bool = False

    def __add__(self, other: Usage) -> Usage:
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            pages=self.pages + other.pages,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
            is_simulated=self.is_simulated or other.is_simulated,
        )


class ModelSetting(Frozen):
    """A model handle with its parameters, resolved at submit time. `backend` None lets the worker's routing choose."""

    handle: str
    backend: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    image_detail: Literal["high", "low", "auto"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    reasoning_budget: int | None = None
    seed: int | None = None


class Attachment(Frozen):
    """A file sent with a prompt; `url` is a storage reference, http(s) or data url.

    The n-th of its kind is what the prompt calls `[Image n]` or `[Document n]`.
    """

    kind: Literal["image", "document"]
    url: str
    mime_type: str | None = None


class Reply(Frozen):
    """What comes back from a request."""

    usage: Usage = Usage()


class TextReply(Reply):
    """A plain text."""

    text: str


class ObjectReply(Reply):
    """JSON data that fits the schema of the request: an object, or an array when the request asked for a list."""

    data: JsonValue


class PagesReply(Reply):
    """Pages in document order, each the data of a `native.Page`."""

    pages: list[dict[str, JsonValue]]


class FunctionReply(Reply):
    """What the function returned, as JSON data not yet fitted to the output concept."""

    data: JsonValue


class Request(Frozen, Generic[ReplyT]):
    """Something only the host can do. `activity` is the documented Temporal activity type that performs it."""

    activity: ClassVar[str]


class TextRequest(Request[TextReply]):
    """One completion as plain text."""

    activity: ClassVar[str] = "act_llm_gen_text"
    model: ModelSetting
    system: str | None = None
    prompt: str
    attachments: tuple[Attachment, ...] = ()


class ObjectRequest(Request[ObjectReply]):
    """One object that fits `output_schema` (a JSON Schema), named `name` (the concept code)."""

    activity: ClassVar[str] = "act_llm_gen_object"
    model: ModelSetting
    system: str | None = None
    prompt: str
    attachments: tuple[Attachment, ...] = ()
    name: str
    output_schema: dict[str, JsonValue]


class ObjectListRequest(Request[ObjectReply]):
    """A list of objects, each of which fits `output_schema`; exactly `count` of them when it is given."""

    activity: ClassVar[str] = "act_llm_gen_object_list"
    model: ModelSetting
    system: str | None = None
    prompt: str
    attachments: tuple[Attachment, ...] = ()
    name: str
    output_schema: dict[str, JsonValue]
    count: int | None = None


class ExtractRequest(Request[PagesReply]):
    """The pages of one document or image."""

    activity: ClassVar[str] = "act_extract_gen_extract_pages"
    model: ModelSetting
    url: str
    mime_type: str | None = None
    max_page_images: int | None = None
    page_views: bool = False
    page_views_dpi: int = 150


class FunctionRequest(Request[FunctionReply]):
    """A call of a Python function with the declared inputs; `concepts` are those its values and output need."""

    activity: ClassVar[str] = "act_func_call"
    function_name: str
    memory: Memory
    output: Slot
    concepts: dict[str, Concept]


PromptRequest = TextRequest | ObjectRequest | ObjectListRequest
"""The requests that send a prompt to a language model."""
