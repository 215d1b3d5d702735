"""How far a run is, as people read it: a line for a log, and a tree that fits a screen. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelex.cli.run_tree import MOST_CHILDREN, SIGNS, duration
from pipelex.values.terminal import for_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelex.pipes.progress import Progress, Spent

SOME_ITEMS = 4
"""Items of a batch that are shown: the others are in the count."""
NARROW = 60
"""On a screen that is less wide, names and times are all there is place for."""
_NEAR = 2
_NOTE_LINES = 4
Place = tuple[tuple[str, int], ...]
"""Where a pipe is in a tree: the pipes above it and itself, each with how many of the same name came before it."""
_STYLES = {"running": "bold cyan", "done": "green", "failed": "bold red"}


@dataclass(frozen=True)
class Row:
    """One line of the tree; `state` is empty for what is left out."""

    depth: int
    state: str
    name: str
    numbers: tuple[str, str, str] = ("", "", "")


def rows(progress: Progress, depth: int = 0) -> Iterator[Row]:
    """The tree from its top, one pipe a line; what is done is folded, so that a screen holds what is under way."""
    yield Row(depth, progress.state, f"{SIGNS[progress.state]} {_name(progress)}", _numbers(progress))
    if progress.state == "done":
        return
    shown, hidden = _shown(progress)
    for child in shown:
        yield from rows(child, depth + 1)
    if hidden:
        yield Row(depth + 1, "", f"… and {hidden} more")


def text(progress: Progress) -> str:
    """One pipe on a line, without those under it."""
    return "  ".join([f"{SIGNS[progress.state]} {_name(progress)}", *filter(None, _numbers(progress))])


def near(progress: Progress, path: Place = ()) -> Iterator[tuple[Place, Progress]]:
    """The pipes one and two levels under a run, items of batches excepted, each with its place."""
    seen: Counter[str] = Counter()
    for child in progress.children:
        if child.item is not None:
            continue
        place = (*path, (child.pipe, seen[child.pipe]))
        seen[child.pipe] += 1
        yield place, child
        if len(place) < _NEAR:
            yield from near(child, place)


def drawn(progress: Progress, reason: str | None, *, width: int, height: int) -> RenderableType:
    """The tree for a screen of that size; under it why the run waits, if it does, and that costs are made up."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    notes = textwrap.wrap(f"waiting: {reason}", width, max_lines=_NOTE_LINES, placeholder=" …") if reason else []
    if progress.spent.is_simulated:
        notes.append("simulated: no model is called")
    grid = Table.grid(padding=(0, 2, 0, 0))
    # Numbers keep their place: on a narrow screen it is the names that are cut.
    grid.add_column()
    columns = 3 if width >= NARROW else 1
    for _ in range(columns):
        grid.add_column(justify="right", no_wrap=True)
    for row in _fitting(list(rows(progress)), height - 1 - len(notes)):
        style = _STYLES.get(row.state, "dim")
        name = Text(for_terminal("  " * row.depth + row.name), style=style, no_wrap=True, overflow="ellipsis")
        grid.add_row(name, *(Text(number, style="dim") for number in row.numbers[:columns]))
    return Group(grid, *(Text(for_terminal(note), style="yellow", no_wrap=True, overflow="ellipsis") for note in notes))


def _fitting(found: list[Row], height: int) -> list[Row]:
    """As many rows as there is place for: the deepest go first."""
    deepest = max(row.depth for row in found)
    while len(found) > max(height, 1) and deepest > 0:
        found = [row for row in found if row.depth < deepest]
        deepest -= 1
    return found


def _shown(progress: Progress) -> tuple[list[Progress], int]:
    """The children that a screen has place for, in their order, and how many are left out: the oldest that are done.

    Items that are done are in the count of their batch.
    """
    children, most = list(progress.children), MOST_CHILDREN
    if any(child.item is not None for child in children):
        children, most = [child for child in children if child.state != "done"], SOME_ITEMS
    if len(children) <= most:
        return children, 0
    order = sorted(range(len(children)), key=lambda place: _urgency(children[place], place))
    return [children[place] for place in sorted(order[:most])], len(children) - most


def _urgency(progress: Progress, place: int) -> tuple[int, int]:
    """What failed is shown first, then what has run for longest, then what was done last."""
    return (2, -place) if progress.state == "done" else (int(progress.state == "running"), place)


def _name(progress: Progress) -> str:
    count = f" {progress.done or 0}/{progress.total}" if progress.total is not None else ""
    item = f" [{progress.item + 1}]" if progress.item is not None else ""
    return f"{progress.pipe.rpartition('.')[2]}{item}{count}"


def _numbers(progress: Progress) -> tuple[str, str, str]:
    spent = progress.spent
    tokens = f"{spent.tokens:,} tokens" if spent.tokens else ""
    return duration(progress.elapsed_seconds), tokens, _cost(spent)


def _cost(spent: Spent) -> str:
    if spent.cost_usd is None:
        return "price unknown"
    if not spent.cost_usd:
        return ""
    return f"{spent.cost_usd:.4f} USD"
