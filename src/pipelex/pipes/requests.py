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
    images: int = 0
    searches: int = 0
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
            images=self.images + other.images,
            searches=self.searches + other.searches,
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
    quality: Literal["low", "medium", "high"] | None = None
    nb_steps: int | None = None
    guidance_scale: float | None = None
    is_moderated: bool | None = None
    safety_tolerance: int | None = None
    include_images: bool | None = None
    include_inline_citations: bool | None = None
    max_results: int | None = None


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
    """JSON data that fits the schema of the request: an object, or an array when the request asked for a list.

    `probabilities` maps a key of the object to the probability of each value it could have taken, the value written
    as JSON. Only a provider that measures them fills it: what a model says of its own certainty is no measure.
    """

    data: JsonValue
    probabilities: dict[str, dict[str, float]] = {}


class PagesReply(Reply):
    """Pages in document order, each the data of a `native.Page`."""

    pages: list[dict[str, JsonValue]]


class ImagesReply(Reply):
    """Generated images, stored: each the data of a `native.Image`."""

    images: list[dict[str, JsonValue]]


class SearchReply(Reply):
    """An answer with its sources: the data of a `native.SearchResult`."""

    result: dict[str, JsonValue]


class DocumentReply(Reply):
    """A file that was made and stored: the data of a `native.Document`."""

    document: dict[str, JsonValue]


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
    page_image_captions: bool = False
    render_js: bool | None = None
    include_raw_html: bool | None = None


class ImageRequest(Request[ImagesReply]):
    """`count` images from one prompt; `attachments` are reference images."""

    activity: ClassVar[str] = "act_img_gen_images"
    model: ModelSetting
    prompt: str
    negative_prompt: str | None = None
    attachments: tuple[Attachment, ...] = ()
    count: int = 1
    aspect_ratio: str | None = None
    size: str | None = None
    is_raw: bool | None = None
    seed: int | None = None
    background: str | None = None
    output_format: str | None = None


class SearchRequest(Request[SearchReply]):
    """One web search answered with sources."""

    activity: ClassVar[str] = "act_search_gen_sourced_answer"
    model: ModelSetting
    prompt: str
    include_images: bool = False
    include_inline_citations: bool = True
    max_results: int | None = None
    from_date: str | None = None
    to_date: str | None = None
    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()


class DocumentRequest(Request[DocumentReply]):
    """A file of that format from rendered HTML; `filename` has its suffix."""

    activity: ClassVar[str] = "act_doc_gen_document"
    format: str
    html: str
    filename: str


class FunctionRequest(Request[FunctionReply]):
    """A call of a Python function with the declared inputs; `concepts` are those its values and output need."""

    activity: ClassVar[str] = "act_func_call"
    function_name: str
    memory: Memory
    output: Slot
    concepts: dict[str, Concept]


PromptRequest = TextRequest | ObjectRequest | ObjectListRequest
"""The requests that send a prompt to a language model."""
