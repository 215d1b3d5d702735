"""Ids, summaries, details and labels as operators and their scripts know them, from runs on a real server."""

# ruff: noqa: RUF001
from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from inline_snapshot import snapshot
from temporal_bench import TEXT, Bench, Scripted, ask, batch, crate, sequence, text, texts
from temporalio.client import WorkflowHistory

from pipelex.language.pipes import Step
from pipelex.library.library import library_from_texts
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ExtractRequest,
    FunctionReply,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    SearchReply,
    SearchRequest,
    TextReply,
)
from pipelex.temporal.waiting import described
from pipelex.testing.replay import histories

pytestmark = pytest.mark.server

METHOD = """
domain = "d"
[concept.Order]
description = "An order"
[concept.Order.structure]
name = { type = "text", description = "n" }
[pipe.write]
type = "PipeLLM"
description = "Write an answer"
inputs = { letter = "Text" }
output = "Text"
prompt = "$letter"
[pipe.read]
type = "PipeLLM"
description = "Read the order"
inputs = { letter = "Text" }
output = "Order"
prompt = "$letter"
[pipe.read_all]
type = "PipeLLM"
description = "Read all orders"
inputs = { letter = "Text" }
output = "Order[]"
prompt = "$letter"
[pipe.draw]
type = "PipeImgGen"
description = "Draw one"
inputs = { letter = "Text" }
output = "Image"
prompt = "$letter"
[pipe.draw_more]
type = "PipeImgGen"
description = "Draw three"
inputs = { letter = "Text" }
output = "Image[3]"
prompt = "$letter"
[pipe.scan]
type = "PipeExtract"
description = "Get the pages"
inputs = { scanned = "Document" }
output = "Page[]"
[pipe.look]
type = "PipeSearch"
description = "Look it up"
inputs = { letter = "Text" }
output = "SearchResult"
prompt = "$letter"
[pipe.print]
type = "PipeDocGen"
description = "Print it"
inputs = { letter = "Text" }
output = "Document"
format = "pdf"
[pipe.clean]
type = "PipeFunc"
description = "Clean it"
inputs = { letter = "Text" }
output = "Text"
function_name = "tidy"
[pipe.main]
type = "PipeSequence"
description = "Everything at once"
inputs = { letter = "Text", scanned = "Document" }
output = "Text"
steps = [
  { pipe = "write", result = "answer" },
  { pipe = "read", result = "order" },
  { pipe = "read_all", result = "orders" },
  { pipe = "draw", result = "image" },
  { pipe = "draw_more", result = "images" },
  { pipe = "scan", result = "pages" },
  { pipe = "look", result = "found" },
  { pipe = "print", result = "file" },
  { pipe = "clean", result = "cleaned" },
]
"""


def answer(request: Any) -> Any:
    match request:
        case ObjectListRequest():
            return ObjectReply(data=[{"name": "tea"}])
        case ObjectRequest():
            return ObjectReply(data={"name": "tea"})
        case ImageRequest():
            return ImagesReply(images=[{"url": f"https://x.invalid/{n}.png"} for n in range(request.count)])
        case ExtractRequest():
            return PagesReply(pages=[{"text_and_images": {"text": {"text": "one"}}}])
        case SearchRequest():
            return SearchReply(result={"answer": "yes", "sources": []})
        case DocumentRequest():
            return DocumentReply(document={"url": "pipelex-storage://x.pdf", "filename": request.filename})
        case FunctionRequest():
            return FunctionReply(data={"text": "clean"})
        case _:
            return TextReply(text="hello")


async def told(bench: Bench, payload: Any) -> str:
    return str((await bench.client.data_converter.decode([payload], [str]))[0]) if payload.ByteSize() else ""


async def shown(bench: Bench, workflow_id: str) -> tuple[str, str]:
    """The summary and the details of a workflow, as the server tells them."""
    metadata = (await described(bench.client, workflow_id)).execution_config.user_metadata
    return await told(bench, metadata.summary), await told(bench, metadata.details)


async def activities(bench: Bench, found: list[WorkflowHistory]) -> list[tuple[str, str, str]]:
    return [
        (
            event.activity_task_scheduled_event_attributes.activity_id,
            event.activity_task_scheduled_event_attributes.activity_type.name,
            await told(bench, event.user_metadata.summary),
        )
        for history in found
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


def plain(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"(?<=-)[0-9a-f]{8}(?=\W|_|$)", "xxxxxxxx", re.sub(r"`[0-9a-f]{12}`", "`0123456789ab`", text))


async def test_everything_that_is_shown_of_a_run(bench: Bench) -> None:
    found = library_from_texts({"d.mthds": METHOD})[0].crate
    scanned = text("x").model_copy(update={"concept": "native.Document", "data": {"url": "https://x.invalid/a.pdf"}})
    async with bench.worker(Scripted(answer)):
        run = await bench.start(found, "main", {"letter": text("hi"), "scanned": scanned}, run_id=f"f{bench.number}")
        await run.result()
        left = await histories(bench.client, run.run_id)
    assert run.workflow_id == run.run_id
    ids = [plain(history.workflow_id).replace(run.run_id, "run-1") for history in left]
    assert ids == snapshot(
        [
            "run-1",
            "run-1_write-xxxxxxxx",
            "run-1_read-xxxxxxxx",
            "run-1_read_all-xxxxxxxx",
            "run-1_draw-xxxxxxxx",
            "run-1_draw_more-xxxxxxxx",
            "run-1_scan-xxxxxxxx",
            "run-1_look-xxxxxxxx",
            "run-1_print-xxxxxxxx",
            "run-1_clean-xxxxxxxx",
        ]
    )
    assert [(await shown(bench, history.workflow_id))[0] for history in left] == snapshot(
        [
            "main — Everything at once",
            "write — Write an answer",
            "read — Read the order",
            "read_all — Read all orders",
            "draw — Draw one",
            "draw_more — Draw three",
            "scan — Get the pages",
            "look — Look it up",
            "print — Print it",
            "clean — Clean it",
        ]
    )
    tables = [plain((await shown(bench, history.workflow_id))[1]).replace(run.run_id, "run-1") for history in left[:2]]
    assert tables[0].splitlines() == snapshot(
        [
            "| Field | Value |",
            "| --- | --- |",
            "| Pipe | `main` |",
            "| Domain | `d` |",
            "| Pipeline run | `run-1` |",
            "| User | `ada` |",
            "| Session | `s1` |",
            "| Library crate | `0123456789ab` |",
            "| Input | `letter, scanned` |",
        ]
    )
    assert tables[1].splitlines() == snapshot(
        [
            "| Field | Value |",
            "| --- | --- |",
            "| Pipe | `write` |",
            "| Domain | `d` |",
            "| Pipeline run | `run-1` |",
            "| User | `ada` |",
            "| Session | `s1` |",
            "| Library crate | `0123456789ab` |",
            "| Input | `letter` |",
        ]
    )
    assert await activities(bench, left) == snapshot(
        [
            ("1", "act_llm_gen_text", "LLM text · pipe=write · model=small"),
            ("1", "act_llm_gen_object", "LLM object · pipe=read · class=Order"),
            ("1", "act_llm_gen_object_list", "LLM object list · pipe=read_all · class=Order"),
            ("1", "act_img_gen_images", "Img gen 1× · pipe=draw · model=small"),
            ("1", "act_img_gen_images", "Img gen N× · pipe=draw_more · model=small · n=3"),
            ("1", "act_extract_gen_extract_pages", "Extract pages · pipe=scan · handle=small"),
            ("1", "act_search_gen_sourced_answer", "Search sourced answer · pipe=look · model=small"),
            ("1", "act_doc_gen_document", "Document · pipe=print · format=pdf"),
            ("1", "act_func_call", "Function · pipe=clean · function=tidy"),
        ]
    )


async def test_items_of_a_batch_say_which_they_are(bench: Bench) -> None:
    each = crate(each=batch("d.tell", "things", "thing"), tell=ask("$thing", thing=TEXT))
    async with bench.worker(Scripted()):
        run = await bench.start(each, "each", {"things": texts("a", "b")})
        await run.result()
        left = await histories(bench.client, run.run_id)
    rows = [(await shown(bench, history.workflow_id))[1].splitlines()[-2:] for history in left]
    assert rows[0][-1] == "| Input | `things` |"
    assert sorted(rows[1:]) == snapshot(
        [["| Input | `thing` |", "| Item | `1 of 2` |"], ["| Input | `thing` |", "| Item | `2 of 2` |"]]
    )


async def test_a_deep_id_keeps_its_beginning_and_its_end(bench: Bench) -> None:
    names = [f"step_{number}_{'x' * 60}" for number in range(8)]
    pipes = {name: sequence(Step(pipe=f"d.{after}", result="made")) for name, after in pairwise(names)}
    async with bench.worker(Scripted()):
        run = await bench.start(crate(**pipes, **{names[-1]: ask("x")}), names[0])
        await run.result()
        left = await histories(bench.client, run.run_id)
    assert len(left) == len(names)
    for history in left[1:]:
        assert len(history.workflow_id) < 400
        assert history.workflow_id.startswith(f"{run.run_id}_step_1_")
    assert f"_{names[-1]}-" in left[-1].workflow_id
