"""The progress of a run in this process, kept small however many items a batch has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pipelex.pipes.port import PipeCall
from pipelex.pipes.progress import Progress, Spent
from pipelex.pipes.requests import Usage

MOST_CHILDREN = 50
"""How many children of one pipe are kept; the oldest that ended make room for new ones."""


class Watch:
    """One pipe being run, or one batch of it; its children are the pipes it called, in order of call."""

    __slots__ = (
        "_above",
        "_children",
        "_clock",
        "_ended",
        "_item",
        "_spent",
        "_started",
        "done",
        "pipe",
        "state",
        "total",
    )

    def __init__(
        self,
        pipe: str,
        clock: Callable[[], float],
        *,
        total: int | None = None,
        item: int | None = None,
        above: Watch | None = None,
    ) -> None:
        self.pipe = pipe
        self.state: Literal["running", "done", "failed"] = "running"
        self.total = total
        self.done = None if total is None else 0
        self._children: list[Watch] = []
        self._clock = clock
        self._started = clock()
        self._ended: float | None = None
        self._item = item
        self._spent = Spent()
        self._above = above

    @classmethod
    def of(cls, call: PipeCall, clock: Callable[[], float]) -> Watch:
        """The watch of an entry pipe."""
        return cls(_code(call), clock)

    def begin(self, call: PipeCall) -> Watch:
        """Note that this pipe calls another; items of one batch are told under one child that counts them."""
        if call.item is None:
            child = Watch(_code(call), self._clock, above=self)
            self._keep(child)
            return child
        batch = self._batch(call, call.item.total)
        child = Watch(_code(call), self._clock, item=call.item.index, above=batch)
        batch._keep(child)
        return child

    def spend(self, usage: Usage) -> None:
        """Note what a call of this pipe consumed; the pipes above count it too."""
        spent = Spent.of(usage)
        watch: Watch | None = self
        while watch is not None:
            watch._spent += spent
            watch = watch._above

    def end(self, *, failed: bool) -> None:
        """Note that this pipe ended."""
        self.state = "failed" if failed else "done"
        self._ended = self._clock()
        batch = self._above
        if batch is None or batch.done is None:
            return
        if failed:
            batch.state = "failed"
        else:
            batch.done += 1
        if batch.done == batch.total or failed:
            if batch.state == "running":
                batch.state = "done"
            batch._ended = self._ended

    def snapshot(self) -> Progress:
        """The tree as plain data."""
        return Progress(
            pipe=self.pipe,
            state=self.state,
            elapsed_seconds=(self._clock() if self._ended is None else self._ended) - self._started,
            item=self._item,
            done=self.done,
            total=self.total,
            spent=self._spent,
            children=tuple(child.snapshot() for child in self._children),
        )

    def _batch(self, call: PipeCall, total: int) -> Watch:
        """The child for the batch that an item belongs to: the running one of that pipe, else a new one."""
        for child in reversed(self._children):
            if child.total == total and child.pipe == _code(call) and child.state == "running":
                return child
        child = Watch(_code(call), self._clock, total=total, above=self)
        self._keep(child)
        return child

    def _keep(self, child: Watch) -> None:
        if len(self._children) >= MOST_CHILDREN:
            ended = next((index for index, each in enumerate(self._children) if each.state != "running"), None)
            if ended is None:
                return
            del self._children[ended]
        self._children.append(child)


def _code(call: PipeCall) -> str:
    return call.pipe.rpartition(".")[2]
