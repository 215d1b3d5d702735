"""Show how far a run is, on stderr: a live tree on a terminal, elsewhere a line for each change. User's machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelex.cli.progress_tree import Place, drawn, near, text
from pipelex.cli.session import say
from pipelex.errors import PipelexError

if TYPE_CHECKING:
    from pipelex.app import RunHandle, RunResult
    from pipelex.pipes.progress import Progress

PATIENCE_SECONDS = 3.0
"""How often a durable run is asked why it waits; and, where there is no terminal, any run how far it is."""
REASON_SECONDS = 10.0
"""How long is waited for the reason: a server that does not answer must not hold up a result that has come."""
LOOK_SECONDS = 1.0
LOOK_HERE_SECONDS = 0.2
"""How often a run in this process is looked at: that costs next to nothing."""


async def watch(handle: RunHandle, *, is_streamed: bool = False) -> RunResult:
    """Wait for the result; meanwhile show how far the run is, and why nothing happens, if so.

    `is_streamed` prints each change as a line of JSON on stdout, in place of what is for people.
    """
    result = asyncio.ensure_future(handle.result())
    try:
        if is_streamed:
            await _streamed(handle, result)
        elif is_terminal():
            await _live(handle, result)
        else:
            await _plain(handle, result)
        return await result
    finally:
        result.cancel()


def is_terminal() -> bool:
    """Whether stderr is a screen on which lines can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


async def _live(handle: RunHandle, result: asyncio.Future[RunResult]) -> None:
    from rich.console import Console
    from rich.live import Live

    is_durable = handle.workflow_id is not None
    console = Console(stderr=True, highlight=False)
    asked, reason = time.monotonic(), None
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        while not result.done():
            await asyncio.wait({result}, timeout=LOOK_SECONDS if is_durable else LOOK_HERE_SECONDS)
            if not is_durable or time.monotonic() - asked > PATIENCE_SECONDS:
                asked, reason = time.monotonic(), await _reason(handle, result)
            if (progress := await _progress(handle)) is not None:
                width, height = console.size
                live.update(drawn(progress, reason, width=width, height=height), refresh=True)


async def _plain(handle: RunHandle, result: asyncio.Future[RunResult]) -> None:
    changes, told = Changes(), None
    while not result.done():
        await asyncio.wait({result}, timeout=PATIENCE_SECONDS)
        if result.done():
            return
        if (reason := await _reason(handle, result)) != told:
            told = reason
            if reason is not None:
                say(f"waiting: {reason}")
        if (progress := await _progress(handle)) is not None:
            for line in changes.since(progress):
                say(line)


async def _streamed(handle: RunHandle, result: asyncio.Future[RunResult]) -> None:
    told: Any = None
    while not result.done():
        await asyncio.wait({result}, timeout=LOOK_SECONDS)
        if result.done() or (progress := await _progress(handle)) is None:
            continue
        line = {"run_id": handle.run_id, "state": "running", "waiting": await _reason(handle, result)}
        tree = progress.model_dump(mode="json")
        if (now := (line["waiting"], _timeless(tree))) != told:
            told = now
            print(json.dumps({**line, "progress": tree}, ensure_ascii=False), flush=True)


async def _reason(handle: RunHandle, result: asyncio.Future[Any]) -> str | None:
    """Why the run waits, if it does and if that is known before the run ends."""
    asking: asyncio.Future[Any] = asyncio.ensure_future(handle.waiting_reason())
    try:
        await asyncio.wait({asking, result}, timeout=REASON_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    except (PipelexError, OSError, RuntimeError):
        return None
    finally:
        asking.cancel()


async def _progress(handle: RunHandle) -> Progress | None:
    """What the host answers; a host that cannot answer now must not end the run."""
    try:
        return await asyncio.wait_for(handle.progress(), timeout=2)
    except (PipelexError, TimeoutError, OSError, RuntimeError):
        return None


def _timeless(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree without its times, which change at each look."""
    rest = {name: value for name, value in tree.items() if name != "elapsed_seconds"}
    return {**rest, "children": [_timeless(child) for child in tree["children"]]}


class Changes:
    """What is worth a line of a log: the steps of a run and their own steps, as they begin and end.

    Items of batches are counted, not told: a batch says again how far it is at each tenth. What began and ended between
    two looks is told once.
    """

    def __init__(self) -> None:
        self._told: dict[Place, tuple[str, int]] = {}

    def since(self, progress: Progress) -> Iterator[str]:
        """What changed since the last look."""
        for place, node in near(progress):
            tenth = 10 * (node.done or 0) // node.total if node.total and node.state == "running" else 0
            if self._told.get(place) != (node.state, tenth):
                self._told[place] = (node.state, tenth)
                yield "  " * (len(place) - 1) + text(node)
