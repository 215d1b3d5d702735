"""What each kind of pipe declares: one frozen class a kind. Pure; travels inside the LibraryCrate.

The same classes hold references as written (after parsing) and absolute references (after linking).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from pipelex.values.frozen import Frozen
from pipelex.values.slots import Slot

ModelChoice = str | dict[str, JsonValue]
"""A reference (`$preset`, `@alias`, `~waterfall`, bare handle) or an inline setting with its `model` key."""

TagStyle = Literal["xml", "square_brackets", "ticks", "no_tag"]
TextFormat = Literal["plain", "markdown", "html", "json"]
TemplateCategory = Literal["basic", "html", "markdown", "mermaid"]


BY_ALIAS = ConfigDict(
    frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
)
"""For the models with a key of MTHDS that cannot be a Python attribute name."""


class TemplatingStyle(Frozen):
    """How values are printed into a prompt (MTHDS section 11.2)."""

    tag_style: TagStyle = "xml"
    text_format: TextFormat = "plain"


class BasePipe(Frozen):
    """What every pipe declares. `inputs` keeps the order of declaration."""

    description: str
    inputs: dict[str, Slot] = {}
    output: Slot
    input_hints: dict[str, dict[str, str]] = {}


class PipeLLM(BasePipe):
    """Ask a language model (MTHDS section 9.1)."""

    type: Literal["PipeLLM"]
    prompt: str | None = None
    system_prompt: str | None = None
    model: ModelChoice | None = None
    templating_style: TemplatingStyle | None = None
    structuring_method: Literal["direct", "preliminary_text"] | None = None
    """As written; linking rewrites `preliminary_text` into three pipes (section 9.1.5), so that no run meets it."""
    model_to_structure: ModelChoice | None = None


class PipeStructure(BasePipe):
    """Fill a structure from one text (MTHDS section 9.2)."""

    type: Literal["PipeStructure"]
    model: ModelChoice | None = None


AspectRatio = Literal[
    "square",
    "landscape_4_3",
    "landscape_3_2",
    "landscape_16_9",
    "landscape_21_9",
    "landscape_4_1",
    "landscape_8_1",
    "portrait_3_4",
    "portrait_2_3",
    "portrait_9_16",
    "portrait_9_21",
    "portrait_1_4",
    "portrait_1_8",
]


class PipeImgGen(BasePipe):
    """Generate images from a prompt (MTHDS section 9.5). `size` is a tier (`1k`, `2k`, `4k`) or `WxH`."""

    type: Literal["PipeImgGen"]
    prompt: str
    negative_prompt: str | None = None
    model: ModelChoice | None = None
    aspect_ratio: AspectRatio | None = None
    size: str | None = None
    is_raw: bool | None = None
    seed: int | Literal["auto"] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None


class PipeSearch(BasePipe):
    """Search the web for an answer with its sources (MTHDS section 9.7). Dates are `YYYY-MM-DD`."""

    type: Literal["PipeSearch"]
    prompt: str
    model: ModelChoice | None = None
    include_images: bool | None = None
    max_results: int | None = Field(default=None, ge=1)
    from_date: str | None = None
    to_date: str | None = None
    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()


class Level(Frozen):
    """One level of a rating question; all levels of a question are labelled, or none."""

    label: str | None = None
    description: str


class Question(Frozen):
    """A typed question: yes/no unless it has `options` (a choice) or `levels` (a rating)."""

    question: str
    options: dict[str, str] = {}
    levels: tuple[Level, ...] = ()
    criteria: dict[str, str] = {}
    threshold: float = Field(default=0.5, gt=0, lt=1)


class PipeJudge(BasePipe):
    """Ask typed questions about evidence (MTHDS section 9.8): exactly one of `question`, `questions`."""

    type: Literal["PipeJudge"]
    prompt: str | None = None
    """The evidence; None only in the older form, where all inputs are shown."""
    model: ModelChoice | None = None
    question: Question | None = None
    questions: dict[str, Question] = {}


class PipeDocGen(BasePipe):
    """Lay values out as a file (MTHDS section 9.10)."""

    type: Literal["PipeDocGen"]
    format: Literal["pdf", "xlsx", "docx", "pptx"]
    template: str | None = None
    """Inline HTML, pdf only. A `template_file` of the bundle is read into it when the library is loaded."""
    template_file: str | None = None
    """The path of a template, relative to the bundle, as written."""
    filename: str | None = None


class PipeSignature(BasePipe):
    """A contract without a body (MTHDS section 8.2); a pipe table without a `type`."""

    type: Literal["PipeSignature"]
    signature_for: str | None = None


class PipeExtract(BasePipe):
    """Read the pages of a document or an image (MTHDS section 9.6)."""

    type: Literal["PipeExtract"]
    model: ModelChoice | None = None
    max_page_images: int | None = Field(default=None, ge=0)
    page_views: bool = False
    page_views_dpi: int = Field(default=150, gt=0, le=600)
    page_image_captions: bool = False
    render_js: bool | None = None
    include_raw_html: bool | None = None


class FromPath(Frozen):
    """A construct value read at a path of an input."""

    model_config = BY_ALIAS

    from_: str = Field(alias="from")
    list_to_dict_keyed_by: str | None = None


class FromTemplate(Frozen):
    """A construct value rendered from a template."""

    template: str


class Literally(Frozen):
    """A construct value written in the file."""

    value: JsonValue


class Nested(Frozen):
    """A construct value made of named values."""

    fields: dict[str, ConstructValue]


ConstructValue = FromPath | FromTemplate | Literally | Nested


class ComposeTemplate(Frozen):
    """A template that makes a text or an Html."""

    template: str
    category: TemplateCategory = "basic"
    templating_style: TemplatingStyle | None = None
    extra_context: dict[str, JsonValue] = {}


class PipeCompose(BasePipe):
    """Make a value from others without a model: exactly one of `template`, `construct` (MTHDS section 9.9)."""

    model_config = BY_ALIAS

    type: Literal["PipeCompose"]
    template: ComposeTemplate | None = None
    construct_fields: dict[str, ConstructValue] | None = Field(default=None, alias="construct")


class PipeFunc(BasePipe):
    """Call a Python function (MTHDS section 9.3)."""

    type: Literal["PipeFunc"]
    function_name: str = Field(min_length=1)


class Step(Frozen):
    """One call of a pipe in a sequence or a parallel; `batch_over`/`batch_as` run it once per item."""

    pipe: str
    result: str | None = None
    nb_output: int | None = Field(default=None, ge=1)
    multiple_output: bool | None = None
    batch_over: str | None = None
    batch_as: str | None = None


class Binding(Frozen):
    """A step that names a value inside something in memory: a dotted path, or one name (MTHDS section 9A.1)."""

    model_config = BY_ALIAS

    from_: str = Field(alias="from")
    result: str
    slot: Slot | None = None
    """What the path gives, found by linking: a list when it crosses one, optional when it may reach nothing."""


class PipeSequence(BasePipe):
    """Run steps in order, in one memory (MTHDS section 9A.1)."""

    type: Literal["PipeSequence"]
    steps: tuple[Step | Binding, ...]


class PipeParallel(BasePipe):
    """Run branches concurrently, each in its own copy of the memory (MTHDS section 9A.2)."""

    type: Literal["PipeParallel"]
    branches: tuple[Step, ...]
    add_each_output: bool = False


class PipeCondition(BasePipe):
    """Choose a pipe by an expression: exactly one of `expression`, `expression_template` (MTHDS section 9A.3)."""

    type: Literal["PipeCondition"]
    expression: str | None = None
    expression_template: str | None = None
    outcomes: dict[str, str]
    default_outcome: str
    add_alias_from_expression_to: str | None = None


class PipeBatch(BasePipe):
    """Run a pipe once per item of a list (MTHDS section 9A.4)."""

    type: Literal["PipeBatch"]
    branch_pipe_code: str
    input_list_name: str
    input_item_name: str
    max_concurrency: int | None = Field(default=None, ge=1)


Pipe = Annotated[
    PipeLLM
    | PipeStructure
    | PipeImgGen
    | PipeExtract
    | PipeSearch
    | PipeJudge
    | PipeCompose
    | PipeDocGen
    | PipeFunc
    | PipeSequence
    | PipeParallel
    | PipeCondition
    | PipeBatch
    | PipeSignature,
    Field(discriminator="type"),
]


def steps_of(pipe: Pipe) -> tuple[Step, ...]:
    """The pipe steps of a sequence or the branches of a parallel; none for other kinds."""
    if isinstance(pipe, PipeSequence):
        return tuple(step for step in pipe.steps if isinstance(step, Step))
    return pipe.branches if isinstance(pipe, PipeParallel) else ()


CONTROLLERS = (PipeSequence, PipeParallel, PipeCondition, PipeBatch)
OUTCOME_WORDS = frozenset({"fail", "continue"})
"""Words an outcome may be instead of a pipe."""
