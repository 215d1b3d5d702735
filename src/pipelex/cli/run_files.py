"""What `pipelex run` leaves about the run itself, beside its result: its pages, GraphSpec, the costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelex.errors import PipelexError
from pipelex.pipes.record import without_texts

if TYPE_CHECKING:
    from pipelex.app import RunHandle
    from pipelex.library.library import Library
    from pipelex.pipes.record import RunRecord
    from pipelex.pipes.requests import Usage
    from pipelex.values.value import Outcome

GRAPH = "graphspec.json"
PAGE = "index.html"
PICTURE = "execution_graph.html"
COSTS = "cost_report.json"
REHEARSAL = "rehearsal.json"


async def record_of(handle: RunHandle) -> RunRecord | None:
    """What the run did; None, and a warning, when that cannot be known now: it must not cost the result."""
    try:
        return await handle.record()
    except Exception as error:  # noqa: BLE001 - whatever it is, the result was paid for
        _say_missing(error)
        return None


def pictures(
    record: RunRecord,
    library: Library,
    outcome: Outcome | None = None,
    *,
    files: Mapping[str, bytes] | None = None,
    is_dry: bool = False,
) -> dict[str, bytes]:
    """The page of a run, its picture and its GraphSpec, by file name; `files` are those that the run made.

    The picture is the same page without what flowed: neither inputs, prompts as they were sent, outputs nor the result
    are in it. What the method itself says is, the templates of its prompts included.
    Where they cannot be drawn, that is said, and there are none: the result must not be lost to its picture.
    """
    from pipelex.cli.run_graph import graphspec
    from pipelex.cli.run_page import run_page

    if not record.root.pipe:  # it never started
        return {}
    try:
        spec = graphspec(record, library, mode="dry" if is_dry else "live")
        page = run_page(record, library, outcome, files=files)
        return {GRAPH: _json(spec), PAGE: page.encode(), PICTURE: run_page(without_texts(record), library).encode()}
    except Exception as error:  # noqa: BLE001 - a bug here is no reason to throw away what was paid for
        _say_missing(error)
        return {}


def _say_missing(error: Exception) -> None:
    from pipelex.cli.session import say

    say(f"warning: no picture of this run: {getattr(error, 'message', None) or type(error).__name__}")


def cost_report(usage: Usage) -> dict[str, bytes]:
    """The costs of a run, by file name; nothing when no model was called."""
    from pipelex.cli.costs import document

    return {COSTS: _json(document(usage))} if usage.calls or usage.cached_calls else {}


def rehearsal_report(record: RunRecord) -> dict[str, bytes]:
    """How a simulated run went, by file name."""
    from pipelex.cli.rehearsal import document

    return {REHEARSAL: _json(document(record))}


async def leave_failed(
    handle: RunHandle, library: Library, base: Path, *, graph: bool, costs: bool, is_rehearsal: bool = False
) -> None:
    """Write what a failed run did until then, and say what it consumed: that was paid for."""
    from pipelex.cli import costs as table
    from pipelex.cli import output
    from pipelex.cli.session import say

    record = await record_of(handle)
    if record is None or not (record.root.children or record.root.calls):
        return
    try:
        files = pictures(record, library) if graph else {}
        if costs:
            files |= cost_report(record.root.usage)
        if is_rehearsal:
            files |= rehearsal_report(record)
        if files:
            written = output.write_directory(files, base, record.root.code)
            say(f"what the run did until it ended: {written}")
    except PipelexError as error:
        say(f"warning: {error.message}")
    if costs:
        table.show(record.root.usage)
    if is_rehearsal:
        from pipelex.cli import rehearsal

        say(rehearsal.told(_json(rehearsal.document(record))))


def _json(data: object) -> bytes:
    return f"{json.dumps(data, ensure_ascii=False, indent=2)}\n".encode()
