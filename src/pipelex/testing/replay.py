"""Keep the histories of a run and run its workflows again from them: what code of today makes of runs of yesterday."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.worker import Replayer

from pipelex.temporal.converter import data_converter
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


async def histories(client: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The history of a workflow, then those of its children, depth first."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    found = [history]
    for child in _children(history):
        found += await histories(client, child)
    return found


async def record(client: Client, workflow_id: str, folder: Path) -> list[Path]:
    """Write the histories of a run to `folder`, one JSON file a workflow, in the order of `histories`.

    Payloads that were kept out of the histories stay in the payload store of the run.
    """
    found = await histories(client, workflow_id)
    return await asyncio.to_thread(_write, found, folder)


async def replay(folder: Path, *, payload_root: Path | None = None, converter: DataConverter | None = None) -> int:
    """Replay every history of `folder` against the workflow code, with no server; the number of them.

    Raises the SDK's NondeterminismError when the code would now do something else. `payload_root` is the payload
    store of the recorded runs, needed if they had large payloads; `converter` that of their settings, if they were
    compressed, encrypted or in a bucket.
    """
    found = [_history(text) for text in await asyncio.to_thread(_read, folder)]
    await replay_histories(found, payload_root or folder, converter)
    return len(found)


async def replay_histories(
    found: list[WorkflowHistory], payload_root: Path, converter: DataConverter | None = None
) -> None:
    """As `replay`, for histories at hand."""
    replayer = Replayer(
        workflows=[PipeWorkflow],
        workflow_runner=workflow_runner(),
        data_converter=converter or data_converter(payload_root),
    )
    for history in found:
        await replayer.replay_workflow(history)


def _children(history: WorkflowHistory) -> Iterator[str]:
    for event in history.events:
        if event.HasField("child_workflow_execution_started_event_attributes"):
            yield event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id


def _write(found: list[WorkflowHistory], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, history in enumerate(found):
        path = folder / f"{number:03}-{_UNSAFE.sub('-', history.workflow_id)[-80:]}.json"
        path.write_text(history.to_json())
        paths.append(path)
    return paths


def _read(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.glob("*.json"))]


def _history(text: str) -> WorkflowHistory:
    # The ids of children are made from the id of the workflow, so it must be the recorded one.
    history = WorkflowHistory.from_json("unknown", text)
    started = history.events[0].workflow_execution_started_event_attributes
    return WorkflowHistory(started.workflow_id, history.events)
