"""What is recorded: one run per kind of pipe and per way of ending. For the tests and scripts/record_histories.py.

Keep a case as it is once it is recorded: a history is of use only as long as its method is the one that was run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

from temporalio.client import Client
from temporalio.worker import Worker

from pipelex.errors import PipelexError, ProviderDownError, RequestRefusedError
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ExtractRequest,
    FunctionReply,
    ImageRequest,
    ImagesReply,
    ModelSetting,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    Request,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
    Usage,
)
from pipelex.temporal.activities import activities
from pipelex.temporal.client import DurableRun, submit
from pipelex.temporal.routing import routes_for
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES, TemporalSettings
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner
from pipelex.values.value import Absence, Memory, Outcome, Value

METHODS = """
domain = "d"

[concept.Card]
description = "A card"
[concept.Card.structure]
title = { type = "text", description = "Title", required = true }
due = { type = "date", description = "Due" }

[pipe.tell]
type = "PipeLLM"
description = "Tell"
inputs = { note = "Text" }
output = "Text"
prompt = "Tell $note"

[pipe.again]
type = "PipeLLM"
description = "Tell again"
inputs = { told = "Text" }
output = "Text"
prompt = "Again $told"

[pipe.make_card]
type = "PipeLLM"
description = "Make a card"
inputs = { note = "Text" }
output = "Card"
prompt = "Make a card of $note"

[pipe.make_cards]
type = "PipeLLM"
description = "Make cards"
inputs = { note = "Text" }
output = "Card[]"
prompt = "Make cards of $note"

[pipe.read_pages]
type = "PipeExtract"
description = "Read"
inputs = { doc = "Document" }
output = "Page[]"

[pipe.greet]
type = "PipeCompose"
description = "Greet"
inputs = { note = "Text" }
output = "Text"
template = "Hello {{ note.text }}"

[pipe.build_card]
type = "PipeCompose"
description = "Build a card"
inputs = { note = "Text" }
output = "Card"
[pipe.build_card.construct]
title = { from = "note" }
due = 2031-02-03

[pipe.call]
type = "PipeFunc"
description = "Call"
inputs = { note = "Text" }
output = "Text"
function_name = "shout"

[pipe.steps]
type = "PipeSequence"
description = "Steps"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "first_steps", result = "begun" }, { pipe = "again", result = "end" }]

[pipe.first_steps]
type = "PipeSequence"
description = "First steps"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "tell", result = "told" }, { pipe = "call", result = "called" }]

[pipe.perhaps]
type = "PipeSequence"
description = "Steps on what may be absent"
inputs = { note = "Text?" }
output = "Text?"
steps = [{ pipe = "tell", result = "told" }, { pipe = "again", result = "end" }]

[pipe.branches]
type = "PipeParallel"
description = "Branches"
inputs = { note = "Text" }
output = "Composite"
branches = [{ pipe = "tell", result = "a" }, { pipe = "make_card", result = "b" }]
add_each_output = true

[pipe.choose]
type = "PipeCondition"
description = "Choose"
inputs = { note = "Text" }
output = "Text"
expression = "note.text"
outcomes = { short = "greet", stop = "fail" }
default_outcome = "tell"

[pipe.each]
type = "PipeBatch"
description = "Each"
inputs = { notes = "Text[]" }
output = "Text[]"
branch_pipe_code = "tell"
input_list_name = "notes"
input_item_name = "note"

[pipe.divide]
type = "PipeCompose"
description = "Divide"
inputs = { size = "Number" }
output = "Text"
template = "{{ 1 // size.number }}"

[pipe.divided]
type = "PipeSequence"
description = "Divide, then tell"
inputs = { size = "Number" }
output = "Text"
steps = [{ pipe = "divide", result = "told" }, { pipe = "again", result = "end" }]

[pipe.draw]
type = "PipeImgGen"
description = "Draw"
inputs = { note = "Text" }
output = "Image"
prompt = "$note"

[pipe.find]
type = "PipeSearch"
description = "Find"
inputs = { note = "Text" }
output = "SearchResult"
prompt = "$note"

[pipe.find_card]
type = "PipeSearch"
description = "Find a card"
inputs = { note = "Text" }
output = "Card"
prompt = "$note"

[pipe.print]
type = "PipeDocGen"
description = "Print"
inputs = { note = "Text" }
output = "Document"
format = "pdf"
template = "<p>{{ note }}</p>"
"""


def text(data: str) -> Value:
    return Value(concept="native.Text", data={"text": data})


def texts(*data: str) -> Value:
    return Value(concept="native.Text", data=[{"text": item} for item in data])


NOTE = {"note": text("a note")}
MISSING = Absence(variable="note", absent="not_provided", reason="not given")


@dataclass(frozen=True)
class Case:
    """A run: its pipe, its inputs, and the class of the error it ends with, if it does."""

    pipe: str
    inputs: dict[str, Outcome] = field(default_factory=dict)
    error: str | None = None
    mode: Literal["every_pipe", "fan_out"] = "every_pipe"
    plan: dict[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


CASES = {
    "llm_text": Case("tell", NOTE),
    "llm_object": Case("make_card", NOTE),
    "llm_list": Case("make_cards", NOTE),
    "extract": Case("read_pages", {"doc": Value(concept="native.Document", data={"url": "https://example.org/a.pdf"})}),
    "compose_template": Case("greet", NOTE),
    "compose_construct": Case("build_card", NOTE),
    "function": Case("call", NOTE),
    "sequence": Case("steps", NOTE),
    "sequence_inline": Case("steps", NOTE, mode="fan_out"),
    "absent": Case("perhaps", {"note": MISSING}),
    "parallel": Case("branches", NOTE),
    "parallel_fan_out": Case("branches", NOTE, mode="fan_out"),
    "condition": Case("choose", {"note": text("short")}),
    "batch": Case("each", {"notes": texts("a", "b", "c")}, plan={"batch_window": 2}),
    "batch_tree": Case("each", {"notes": texts(*"abcde")}, plan={"batch_window": 4, "batch_chunk": 2}),
    "dry": Case("steps", NOTE, mode="fan_out", plan={"is_dry": True}),
    "refused": Case("steps", {"note": text("REFUSE")}, "RequestRefusedError"),
    "refused_inline": Case("steps", {"note": text("REFUSE")}, "RequestRefusedError", mode="fan_out"),
    "refused_item": Case("each", {"notes": texts("a", "REFUSE", "HANG", "d")}, "RequestRefusedError"),
    "retried": Case("tell", {"note": text("RETRY")}),
    "cancelled": Case("steps", {"note": text("HANG")}, "RunCancelledError"),
    "cancelled_batch": Case("each", {"notes": texts("HANG", "HANG", "c")}, "RunCancelledError"),
    "template_error": Case("divided", {"size": Value(concept="native.Number", data={"number": 0})}, "TemplateError"),
    "labelled": Case("steps", NOTE, labels=tuple(SEARCH_ATTRIBUTE_TYPES)),
    "labelled_refused": Case("steps", {"note": text("REFUSE")}, "RequestRefusedError", labels=("PipelexStatus",)),
    "image": Case("draw", NOTE),
    "search": Case("find", NOTE),
    "search_object": Case("find_card", NOTE),
    "document": Case("print", NOTE),
    "routing_error": Case("choose", {"note": text("stop")}, "RoutingError"),
}


class Scripted:
    """Answers by the prompt; `hanging` is set once every call that never ends has begun."""

    def __init__(self, hangs: int) -> None:
        self.hanging = asyncio.Event()
        self._hangs = hangs
        self._is_tried = False

    async def perform(self, request: Request[Any], *, key: str | None = None, checkpoint: Any = None) -> Any:
        usage = Usage(calls=1)
        prompt = getattr(request, "prompt", "")
        if "REFUSE" in prompt:
            # Not before the others are under way, so that their cancellation is recorded too.
            if self._hangs:
                await self.hanging.wait()
            raise RequestRefusedError("refused", provider="stub", status=400)
        if "RETRY" in prompt and not self._is_tried:
            self._is_tried = True
            raise ProviderDownError("down", retryable=True, retry_after=0.01)
        if "HANG" in prompt:
            self._hangs -= 1
            if self._hangs == 0:
                self.hanging.set()
            await asyncio.Event().wait()
        match request:
            case TextRequest():
                return TextReply(text=f"<{prompt}>", usage=usage)
            case ObjectRequest():
                return ObjectReply(data={"title": "Card"}, usage=usage)
            case ObjectListRequest():
                return ObjectReply(data=[{"title": "One"}, {"title": "Two"}], usage=usage)
            case ExtractRequest():
                return PagesReply(pages=[{"text_and_images": {"text": {"text": "page 1"}}}], usage=usage)
            case ImageRequest():
                return ImagesReply(images=[{"url": "https://example.org/a.png"}], usage=usage)
            case SearchRequest():
                return SearchReply(result={"answer": "found", "sources": []}, usage=usage)
            case SearchObjectRequest():
                return ObjectReply(data={"title": "Card"}, usage=usage)
            case DocumentRequest():
                return DocumentReply(document={"url": "https://example.org/a.pdf"}, usage=usage)
            case _:
                return FunctionReply(data={"text": "CALLED"}, usage=usage)


async def ended(client: Client, name: str, **worker: Any) -> tuple[DurableRun, PipelexError | Outcome]:
    """Run a case on a worker of its own; the run, and what it gave or failed with."""
    case = CASES[name]
    queue = f"replay-{name}"
    settings = TemporalSettings.model_validate(
        {
            "worker_config": {"default_task_queue": queue, "default_activity_heartbeat_timeout": "1s"},
            "execution": {"child_workflows": case.mode},
            "search_attributes": {"enabled": bool(case.labels), "attributes": case.labels},
        }
    )
    library, _ = library_from_texts({"method.mthds": METHODS})
    memory = Memory()
    for key, outcome in case.inputs.items():
        memory = memory.with_entry(key, outcome)
    ref = library.entry(case.pipe)
    found = library.slice(ref)
    models = {ask.key: ModelSetting(handle="small") for ask in model_asks(found).values()}
    plan = Plan(models=models, **case.plan)
    call = PipeCall(pipe=ref, run=RunInfo(run_id=name), memory=memory, shares_memory=True)
    performer = Scripted(str(case.inputs).count("HANG"))
    async with Worker(
        client,
        task_queue=queue,
        workflows=[PipeWorkflow],
        activities=activities(performer),
        workflow_runner=workflow_runner(),
        identity="worker",
        **worker,
    ):
        run = await submit(client, call, found, plan, routes_for(settings, found, models), settings)
        if case.error == "RunCancelledError":
            await performer.hanging.wait()
            await run.cancel()
        try:
            return run, (await run.result()).outcome
        except PipelexError as error:
            return run, error
