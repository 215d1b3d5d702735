"""The requests a pipe may make of the world, with their replies. Frozen JSON; each crosses the wire to an activity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import (
    JsonValue,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from pipelex.pipes.rehearsal import Rehearsal
from pipelex.values.concepts import Concept
from pipelex.values.frozen import Frozen
from pipelex.values.slots import Slot
from pipelex.values.value import Memory

ReplyT = TypeVar("ReplyT", bound="Reply")
RequestT = TypeVar("RequestT", bound="Request[Any]")


class ModelUsage(Frozen):
    """What the calls of one model consumed. `cost_usd` None means the price is unknown, never that it is 0.

    `cached_tokens` are the part of `input_tokens` that the provider had in its cache, `reasoning_tokens` the part of
    `output_tokens` that the reply does not show. `cached_calls` were answered by the reply cache: they are no `calls`,
    and cost nothing. `price` says in a few letters where the price comes from (`inference.prices`).

    `repeats` are those of the `calls` that asked again for what an earlier one did not give. `unsure` attempts are no
    `calls`: they were lost under way, or useless, and may have been paid as well.
    """

    calls: int = 0
    cached_calls: int = 0
    repeats: int = 0
    unsure: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    pages: int = 0
    images: int = 0
    searches: int = 0
    cost_usd: float | None = 0.0
    price: str = ""
    is_simulated: bool = False


NOTHING = ModelUsage()
MIXED = "mixed"
"""The `price` of a sum of calls that were not all priced alike."""


class Usage(ModelUsage):
    """What calls consumed: the totals, and `by_model` what each model handle did.

    The reply of one call is flat; the host that made the call adds the handle (`credited`). On the wire the totals are
    left out wherever `by_model` has the parts they are the sums of. Under "" is what no model consumed.
    """

    by_model: dict[str, ModelUsage] = {}

    @classmethod
    def of(cls, parts: Mapping[str, ModelUsage]) -> Usage:
        """The usage of several models; the totals are summed in the order of the parts."""
        total: ModelUsage = NOTHING
        for part in parts.values():
            total = _sum(total, part)
        return cls.model_construct(**_flat(total), by_model=dict(parts))

    @model_validator(mode="before")
    @classmethod
    def _with_totals(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("by_model"):
            return data
        parts = {name: ModelUsage.model_validate(part) for name, part in data["by_model"].items()}
        return dict(cls.of(parts))

    @model_serializer(mode="wrap")
    def _without_sums(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {"by_model": written["by_model"]} if self.by_model and info.exclude_defaults else written

    def __add__(self, other: Usage) -> Usage:
        if not self.by_model and not other.by_model:
            return Usage.model_construct(**_flat(_sum(self, other)), by_model={})
        parts = self.parts()
        for handle, part in other.parts().items():
            parts[handle] = _sum(parts.get(handle, NOTHING), part)
        return Usage.of(parts)

    def parts(self) -> dict[str, ModelUsage]:
        """What each model consumed; what was never credited to a model is under ""."""
        if self.by_model:
            return dict(self.by_model)
        flat = ModelUsage.model_construct(**_flat(self))
        return {} if flat == NOTHING else {"": flat}

    def under(self, handle: str) -> Usage:
        """The usage of one call, credited to that model."""
        parts = self.parts()
        return Usage.of({handle: parts[""]}) if list(parts) == [""] else self


_FIELDS = tuple(ModelUsage.model_fields)


def _flat(usage: ModelUsage) -> dict[str, Any]:
    return {name: getattr(usage, name) for name in _FIELDS}


def _sum(one: ModelUsage, other: ModelUsage) -> ModelUsage:
    known = one.cost_usd is not None and other.cost_usd is not None
    return ModelUsage.model_construct(
        calls=one.calls + other.calls,
        cached_calls=one.cached_calls + other.cached_calls,
        repeats=one.repeats + other.repeats,
        unsure=one.unsure + other.unsure,
        input_tokens=one.input_tokens + other.input_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        pages=one.pages + other.pages,
        images=one.images + other.images,
        searches=one.searches + other.searches,
        # Rounded, so that the order of the parts of a batch leaves no trace.
        cost_usd=round((one.cost_usd or 0.0) + (other.cost_usd or 0.0), 12) if known else None,
        price=one.price if one.price == other.price or not other.price else MIXED if one.price else other.price,
        is_simulated=one.is_simulated or other.is_simulated,
    )


class ModelSetting(Frozen):
    """A model handle with its parameters, resolved at submit time. `backend` None lets the worker's routing choose.

    `use_cache` None leaves it to the settings of the worker whether its reply cache may answer. `rehearsal` is how the
    simulated backend behaves.
    """

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
    use_cache: bool | None = None
    rehearsal: Rehearsal | None = None


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


class SearchObjectRequest(Request[ObjectReply]):
    """One web search whose findings fill `output_schema` (a JSON Schema), named `name` (the concept code)."""

    activity: ClassVar[str] = "act_search_gen_structured"
    model: ModelSetting
    prompt: str
    max_results: int | None = None
    from_date: str | None = None
    to_date: str | None = None
    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()
    name: str
    output_schema: dict[str, JsonValue]


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
SearchAsk = SearchRequest | SearchObjectRequest
"""The requests that search the web."""


def handle_of(request: Request[Any]) -> str | None:
    """The name a request is known by: its model's handle, or its function."""
    if isinstance(request, FunctionRequest):
        return request.function_name
    model = getattr(request, "model", None)
    return model.handle if isinstance(model, ModelSetting) else None


def credited(request: Request[Any], reply: ReplyT) -> ReplyT:
    """The reply, with its usage under the handle of the model that the request named; as it is when it named none."""
    model = getattr(request, "model", None)
    if not isinstance(model, ModelSetting):
        return reply
    return reply.model_copy(update={"usage": reply.usage.under(model.handle)})


def attempted(request: RequestT, attempt: int) -> RequestT:
    """The request as its host makes it for the n-th time: a rehearsal is told which time it is, others are the same."""
    model = getattr(request, "model", None)
    if not isinstance(model, ModelSetting) or model.rehearsal is None or attempt == model.rehearsal.attempt:
        return request
    rehearsal = model.rehearsal.model_copy(update={"attempt": attempt})
    return request.model_copy(update={"model": model.model_copy(update={"rehearsal": rehearsal})})
