"""Show how far a run is, on stderr: a live tree on a terminal, nothing but a line at each end elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelex.cli.run_tree import SIGNS, duration
from pipelex.cli.session import say
from pipelex.errors import PipelexError
from pipelex.values.terminal import for_terminal

if TYPE_CHECKING:
    from pipelex.app import RunHandle, RunResult
    from pipelex.pipes.progress import Progress

MOST_CHILDREN = 12
"""Children shown under one pipe; the finished ones are the first to be left out."""

PATIENCE_SECONDS = 3.0
"""How often a durable run is asked whether it waits for a worker."""


async def watch(handle: RunHandle, *, seconds: float) -> RunResult:
    """Wait for the result; meanwhile show the progress every `seconds`, and why nothing happens, if so."""
    result = asyncio.ensure_future(handle.result())
    try:
        if sys.stderr.isatty():
            await _live(handle, result, seconds)
        elif handle.workflow_id is not None:
            await _plain(handle, result)
        return await result
    finally:
        result.cancel()


async def _live(handle: RunHandle, result: asyncio.Future[RunResult], seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    asked, reason = time.monotonic(), None
    with Live(console=Console(stderr=True), refresh_per_second=8, transient=True) as live:
        while not result.done():
            await asyncio.wait({result}, timeout=seconds)
            if handle.workflow_id is not None and time.monotonic() - asked > PATIENCE_SECONDS:
                asked, reason = time.monotonic(), await handle.waiting_reason()
            if (progress := await _progress(handle)) is not None:
                live.update(Text(for_terminal("\n".join([*lines(progress), *([reason] if reason else [])]))))


async def _plain(handle: RunHandle, result: asyncio.Future[RunResult]) -> None:
    told: str | None = None
    while not result.done():
        await asyncio.wait({result}, timeout=PATIENCE_SECONDS)
        if not result.done() and (reason := await handle.waiting_reason()) != told:
            told = reason
            if reason is not None:
                say(f"waiting: {reason}")


async def _progress(handle: RunHandle) -> Progress | None:
    """What the host answers; a host that cannot answer now must not end the run."""
    try:
        return await asyncio.wait_for(handle.progress(), timeout=2)
    except (PipelexError, TimeoutError, OSError, RuntimeError):
        return None


def lines(progress: Progress, indent: str = "") -> Iterator[str]:
    """The tree as text, one pipe a line; what is done is folded, so that a screen holds what is under way."""
    counted = f" {progress.done or 0}/{progress.total}" if progress.total is not None else ""
    yield f"{indent}{SIGNS[progress.state]} {progress.pipe}{counted}  {duration(progress.elapsed_seconds)}"
    if progress.state == "done":
        return
    children = progress.children
    if len(children) > MOST_CHILDREN:
        unfinished = [child for child in children if child.state != "done"]
        children = tuple(unfinished[:MOST_CHILDREN])
    for child in children:
        yield from lines(child, indent + "  ")
    if hidden := len(progress.children) - len(children):
        yield f"{indent}  … and {hidden} more"
