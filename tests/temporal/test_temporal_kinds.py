"""The kinds of pipe beyond the first, on a real server: each request is the activity of its name, told by a summary."""

from __future__ import annotations

from typing import Any

import pytest
from temporal_bench import Bench, Scripted, text

from pipelex.errors import PipeError
from pipelex.library.library import library_from_texts
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ImageRequest,
    ImagesReply,
    ObjectReply,
    ObjectRequest,
    SearchReply,
    SearchRequest,
    TextReply,
)

pytestmark = pytest.mark.server

METHOD = """
domain = "d"
[concept.Order]
description = "An order"
[concept.Order.structure]
names = { type = "list", item_type = "text", description = "n" }
[concept.Checks]
description = "Checks"
[concept.Checks.structure]
urgent = { type = "concept", concept_ref = "YesNo", description = "u", required = true }
[pipe.read]
type = "PipeStructure"
description = "Read"
inputs = { letter = "Text" }
output = "Order"
[pipe.judge]
type = "PipeJudge"
description = "Judge"
inputs = { letter = "Text" }
output = "Checks"
prompt = "@letter"
questions = { urgent = { question = "Urgent?" } }
[pipe.draw]
type = "PipeImgGen"
description = "Draw"
inputs = { letter = "Text" }
output = "Image[2]"
prompt = "$letter"
[pipe.look]
type = "PipeSearch"
description = "Look"
inputs = { letter = "Text" }
output = "SearchResult"
prompt = "$letter"
[pipe.both]
type = "PipeParallel"
description = "Both"
inputs = { letter = "Text" }
output = "Composite"
branches = [{ pipe = "draw", result = "images" }, { pipe = "look", result = "found" }]
[pipe.show]
type = "PipeLLM"
description = "Show"
inputs = { made = "Composite", names = "Text[]" }
output = "Text"
prompt = "$made.images {{ names | join('+') }}"
[pipe.print]
type = "PipeDocGen"
description = "Print"
inputs = { checks = "Checks", shown = "Text" }
output = "Document"
format = "pdf"
template = "<h1>{{ checks.urgent }}</h1>{{ shown | markdown }}"
[pipe.main]
type = "PipeSequence"
description = "Main"
inputs = { letter = "Text" }
output = "Document"
steps = [
  { pipe = "read", result = "order" },
  { from = "order.names", result = "names" },
  { pipe = "judge", result = "checks" },
  { pipe = "both", result = "made" },
  { pipe = "show", result = "shown" },
  { pipe = "print", result = "file" },
]
[pipe.later]
description = "Not written yet"
inputs = { letter = "Text" }
output = "Order"
"""


def crate(**strictness: Any) -> Any:
    return library_from_texts({"d.mthds": METHOD}, **strictness)[0].crate


def answer(request: Any) -> Any:
    match request:
        case ObjectRequest(name="Verdicts"):
            return ObjectReply(data={"urgent": True})
        case ObjectRequest():
            return ObjectReply(data={"names": ["a", "b"]})
        case ImageRequest():
            return ImagesReply(images=[{"url": f"https://x.invalid/{n}.png"} for n in range(request.count)])
        case SearchRequest():
            return SearchReply(result={"answer": "yes", "sources": []})
        case DocumentRequest():
            return DocumentReply(document={"url": "pipelex-storage://x.pdf", "filename": request.filename})
        case _:
            return TextReply(text=f"**{request.prompt}**")


SUMMARIES = [
    "Document · pipe=print · format=pdf",
    "Img gen N× · pipe=draw · model=small · n=2",  # noqa: RUF001
    "LLM object · pipe=judge · class=Verdicts",
    "LLM object · pipe=read · class=Order",
    "LLM text · pipe=show · model=small",
    "Search sourced answer · pipe=look · model=small",
]


SEARCH = """domain = "d"
[concept.Firm]
description = "A firm"
[concept.Firm.structure]
city = { type = "text", description = "c" }
[pipe.find]
type = "PipeSearch"
description = "Find"
inputs = { letter = "Text" }
output = "Firm"
prompt = "$letter"
"""


async def test_a_search_that_fills_a_structure_runs_durably(bench: Bench) -> None:
    found = library_from_texts({"d.mthds": SEARCH})[0].crate
    async with bench.worker(performer := Scripted(lambda request: ObjectReply(data={"city": "Ada"}))):
        run = await bench.start(found, "find", {"letter": text("tea")})
        result = await run.result()
        summaries = await summaries_of(bench, run.workflow_id)
    assert (result.outcome.concept, result.outcome.data) == ("d.Firm", {"city": "Ada"})
    assert [request.activity for request in performer.asked] == ["act_search_gen_structured"]
    assert "Search structured · pipe=find · class=Firm" in summaries


@pytest.mark.parametrize("children", ["every_pipe", "fan_out"])
async def test_every_kind_runs_durably(bench: Bench, children: str) -> None:
    settings = bench.settings(execution={"child_workflows": children})
    async with bench.worker(performer := Scripted(answer)):
        run = await bench.start(crate(), "main", {"letter": text("tea")}, settings=settings)
        result = await run.result()
        summaries = await summaries_of(bench, run.workflow_id)
    assert result.outcome.data["filename"] == "print.pdf"
    (shown,) = [request for request in performer.asked if getattr(request, "prompt", "").endswith("a+b")]
    assert shown.prompt == "[Image 1]\n[Image 2] a+b"
    (page,) = [request for request in performer.asked if isinstance(request, DocumentRequest)]
    assert page.html == "<h1>yes</h1><p><strong>[Image 1]\n[Image 2] a+b</strong></p>"
    assert sorted(summaries) == SUMMARIES


async def summaries_of(bench: Bench, workflow_id: str) -> list[str]:
    """The summary of every activity of a run, children included."""
    from temporalio.converter import default

    found: list[str] = []
    waiting = [workflow_id]
    while waiting:
        history = await bench.history(waiting.pop())
        for event in history.events:
            if event.HasField("child_workflow_execution_started_event_attributes"):
                waiting.append(event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id)
            if event.HasField("activity_task_scheduled_event_attributes"):
                payload = event.user_metadata.summary
                found.append(default().payload_converter.from_payload(payload, str))
    return found


async def test_a_dry_run_on_a_server_asks_nobody(bench: Bench) -> None:
    async with bench.worker(performer := Scripted(answer)):
        run = await bench.start(crate(), "main", {"letter": text("tea")}, is_dry=True)
        result = await run.result()
        later = await (await bench.start(crate(), "later", {"letter": text("tea")}, is_dry=True)).result()
    assert performer.asked == []
    assert result.outcome.data["url"] == "https://mock.invalid/print.pdf"
    assert list(later.outcome.data) == ["names"]


async def test_a_signature_ends_the_run(bench: Bench) -> None:
    async with bench.worker(Scripted(answer)):
        run = await bench.start(crate(), "later", {"letter": text("tea")})
        with pytest.raises(PipeError, match="'later' has no body"):
            await run.result()
