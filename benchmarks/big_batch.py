"""One large batch at the default settings: `python -m benchmarks.big_batch N` runs N items and prints what they leave.

A server in memory, a worker and a provider that answers at once are started for it. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.request

from benchmarks.measure import Program
from benchmarks.stage import stage
from temporalio.client import WorkflowHistory

from pipelex.testing.replay import histories

METHOD = """
domain = "big"
main_pipe = "main"

[pipe.main]
type = "PipeBatch"
description = "One call per note"
inputs = { notes = "Text[]" }
output = "Text[]"
branch_pipe_code = "call"
input_list_name = "notes"
input_item_name = "note"

[pipe.call]
type = "PipeLLM"
description = "One call"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note"
"""


def calls(base_url: str) -> int:
    """How many calls the provider got."""
    with urllib.request.urlopen(f"{base_url}/count") as answer:
        return int(json.load(answer)["calls"])


def show(count: int, wall: float, made: int, found: list[WorkflowHistory], worker: Program, server: Program) -> None:
    """Print the figures."""
    figures = {
        "items": count,
        "calls": made,
        "workflows": len(found),
        "most events of a history": max(len(history.events) for history in found),
        "most bytes of a history": max(sum(event.ByteSize() for event in history.events) for history in found),
        "most bytes of an event": max(event.ByteSize() for history in found for event in history.events),
        "wall seconds": round(wall, 1),
        "worker CPU seconds": round(worker.cpu_seconds(), 1),
        "worker RSS MiB": round(worker.rss_mib()),
        "server CPU seconds": round(server.cpu_seconds(), 1),
    }
    for name, figure in figures.items():
        print(f"{name:26}{figure}")


async def main(count: int) -> None:
    """Run the batch and print the figures."""
    async with stage() as place, place.worker(place.project("batch")) as (worker, runtime):
        notes = [f"note {number}" for number in range(count)]
        method = runtime.load(METHOD)
        begun = time.perf_counter()
        handle = await runtime.start(None, {"notes": notes}, method=method, durable=True)
        result = await handle.result()
        wall = time.perf_counter() - begun
        if not isinstance(result.data, list) or len(result.data) != count:
            raise SystemExit("the result has not one item per note")
        found = await histories(place.client, handle.workflow_id or "")
        show(count, wall, await asyncio.to_thread(calls, place.base_url), found, worker, place.server)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
    sys.stdout.flush()
    # The SDK's native threads may abort the interpreter while it exits.
    os._exit(0)
