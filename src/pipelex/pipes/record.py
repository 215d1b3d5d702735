"""What a run did: its pipes, their calls, with times, attempts, usage and errors. Plain data, alike for every host.

Made beside the run, never by it: the host in this process notes it down, a durable run is read from its histories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from pipelex.pipes.port import Item
from pipelex.pipes.requests import Usage
from pipelex.values.frozen import Frozen

RecordState = Literal["running", "done", "failed", "canceled"]


class CallError(Frozen):
    """Why a call failed: the stable code of the error, and its message."""

    code: str
    message: str


class Texts(Frozen):
    """What went in, by name, and what came out: beginnings of texts that are the user's data (`pipes.excerpts`).

    They are for the page of a run alone: no dump of a record and no log has them. `unknown` names what went in and
    nobody wrote down: the pipe ran inside the workflow of another.
    """

    given: dict[str, str] = {}
    unknown: tuple[str, ...] = ()
    made: str | None = None


class CallRecord(Frozen):
    """One request that a pipe made. Times are seconds since the epoch; `attempts` is 0 while it waits for a worker.

    `queue` and `worker` are those of a durable run: the task queue it went to, and the identity of who took it.
    While a failed call waits for its next attempt, `error` says how the last one failed.
    """

    activity: str
    handle: str | None = None
    queue: str | None = None
    attempts: int = 0
    state: RecordState = "running"
    scheduled: float | None = None
    started: float | None = None
    ended: float | None = None
    worker: str | None = None
    usage: Usage = Usage()
    error: CallError | None = None
    texts: Texts | None = Field(default=None, exclude=True, repr=False)


class PipeRecord(Frozen):
    """One execution of a pipe, by its absolute reference; `kind` is its type (PipeLLM), empty when it is unknown.

    `usage` counts the children too. `error` is the report of the error it ended with. The parts of a long batch are
    not told: its items are children of the pipe that runs the batch. `omitted` counts the children that are left out;
    with `is_partial` what happened under the pipe was not read at all.
    """

    pipe: str
    kind: str = ""
    item: Item | None = None
    state: RecordState = "running"
    started: float | None = None
    ended: float | None = None
    usage: Usage = Usage()
    error: dict[str, Any] | None = None
    workflow_id: str | None = None
    calls: tuple[CallRecord, ...] = ()
    children: tuple[PipeRecord, ...] = ()
    omitted: int = 0
    is_partial: bool = False
    texts: Texts | None = Field(default=None, exclude=True, repr=False)

    @property
    def code(self) -> str:
        """The code of the pipe, without its domain."""
        return self.pipe.rpartition(".")[2]

    def walk(self) -> Iterator[PipeRecord]:
        """This pipe and every pipe under it, in the order of their calls."""
        waiting = [self]
        while waiting:
            found = waiting.pop()
            yield found
            waiting += reversed(found.children)


class RunRecord(Frozen):
    """What one run did. `host` says where its pipes ran."""

    run_id: str
    host: Literal["in_process", "temporal"]
    root: PipeRecord


def without_texts(record: RunRecord) -> RunRecord:
    """The same run without what flowed in it."""
    return RunRecord.model_validate(record.model_dump())


def in_groups(children: Iterable[PipeRecord]) -> list[tuple[PipeRecord, ...]]:
    """The children of a pipe in order of call, with the items of one batch together, by their index.

    Batches that run side by side begin their items in no fixed order; told so, every host tells the same.
    """
    groups: list[dict[int, PipeRecord]] = []
    batches: dict[tuple[str, int], list[dict[int, PipeRecord]]] = {}
    for child in children:
        if child.item is None:
            groups.append({0: child})
            continue
        known = batches.setdefault((child.pipe, child.item.total), [])
        # The same batch may run again: an index that is taken begins the next one.
        group = next((found for found in known if child.item.index not in found), None)
        if group is None:
            group = {}
            known.append(group)
            groups.append(group)
        group[child.item.index] = child
    return [tuple(group[index] for index in sorted(group)) for group in groups]


def ordered(children: Iterable[PipeRecord]) -> tuple[PipeRecord, ...]:
    """The children in the order of `in_groups`."""
    return tuple(child for group in in_groups(children) for child in group)


def consumed(calls: Iterable[CallRecord], children: Iterable[PipeRecord]) -> Usage:
    """What a pipe that gave no result consumed: its calls and its children, in order."""
    usage = Usage()
    for call in calls:
        usage += call.usage.under(call.handle or "")
    for child in children:
        usage += child.usage
    return usage
