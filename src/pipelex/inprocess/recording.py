"""The record of a run in this process, noted down while it lasts; kept small however many pipes it calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipelex.errors import PipelexError
from pipelex.library.library import Library
from pipelex.pipes.excerpts import Excerpts, texts
from pipelex.pipes.port import PipeCall, PipeResult
from pipelex.pipes.record import CallError, CallRecord, PipeRecord, RecordState, consumed, ordered
from pipelex.pipes.requests import Reply, Request, Usage, handle_of

MOST_PIPES = 5000
"""How many pipes of one run are kept; those called later are only counted, unless they fail."""


@dataclass
class Notes:
    """What the recordings of one run share. `clock` gives seconds since the epoch."""

    library: Library
    clock: Callable[[], float]
    kept: int = 0
    excerpts: Excerpts = field(default_factory=Excerpts)


@dataclass
class NotedCall:
    """One request while it is under way."""

    activity: str
    handle: str | None
    scheduled: float
    excerpts: Excerpts | None
    given: dict[str, str]
    attempts: int = 0
    state: RecordState = "running"
    started: float | None = None
    ended: float | None = None
    usage: Usage = field(default_factory=Usage)
    error: CallError | None = None
    made: str | None = None

    def try_at(self, now: float) -> None:
        """Note that an attempt begins."""
        self.attempts += 1
        self.started = now

    def failed(self, error: PipelexError) -> None:
        """Note how an attempt failed; whether it was the last one, `end` says."""
        self.error = CallError(code=error.code, message=error.message)

    def end(self, now: float, reply: Reply | None, *, is_cancelled: bool = False) -> None:
        """Note that the request ended: with a reply, or without."""
        self.ended = now
        self.state = "canceled" if is_cancelled else "failed" if reply is None else "done"
        if reply is not None:
            self.usage, self.error = reply.usage, None
            self.made = self.excerpts.reply(dict(reply)) if self.excerpts is not None else None

    def snapshot(self) -> CallRecord:
        """The call as plain data."""
        noted = {name: value for name, value in vars(self).items() if name in CallRecord.model_fields}
        return CallRecord(**noted, texts=texts(self.given, self.made))


class Recording:
    """One pipe while it runs, and under it the pipes it calls. A part of a long batch notes its items one level up."""

    def __init__(self, call: PipeCall, notes: Notes, *, owner: Recording | None = None, is_kept: bool = True) -> None:
        self._call = call
        self._notes = notes
        self._owner = owner
        self._is_kept = is_kept
        self._state: RecordState = "running"
        self._started = notes.clock()
        self._ended: float | None = None
        self._usage = Usage()
        self._error: dict[str, Any] | None = None
        self._calls: list[NotedCall] = []
        self._children: list[Recording] = []
        self._omitted = 0
        self._omitted_usage = Usage()
        self._given = self._inputs() if is_kept else {}
        self._made: str | None = None

    def begin(self, call: PipeCall) -> Recording:
        """Note that this pipe calls another."""
        owner = self._owner if self._call.batch is not None and self._owner is not None else self
        if call.batch is not None:
            return Recording(call, self._notes, owner=owner)
        is_kept = owner._is_kept and self._notes.kept < MOST_PIPES
        child = Recording(call, self._notes, owner=owner, is_kept=is_kept)
        if is_kept:
            self._notes.kept += 1
            owner._children.append(child)
        else:
            owner._omitted += 1
        return child

    def ask(self, request: Request[Any]) -> NotedCall:
        """Note that this pipe makes a request."""
        excerpts = self._notes.excerpts if self._is_kept else None
        given = excerpts.asked(dict(request)) if excerpts is not None else {}
        call = NotedCall(request.activity, handle_of(request), self._notes.clock(), excerpts, given)
        self._calls.append(call)
        return call

    def done(self, result: PipeResult) -> None:
        """Note that the pipe gave a result."""
        if self._is_kept and self._call.batch is None:
            self._made = self._notes.excerpts.outcome(result.outcome)
        self._end("done", result.usage)

    def stopped(self, error: BaseException) -> None:
        """Note that an error, or a cancellation, ended the pipe."""
        is_cancelled = isinstance(error, asyncio.CancelledError)
        self._error = error.report() if isinstance(error, PipelexError) else None
        self._end("canceled" if is_cancelled else "failed", self.snapshot().usage)

    def snapshot(self) -> PipeRecord:
        """The tree as plain data."""
        call, pipe = self._call, self._notes.library.crate.pipes.get(self._call.pipe)
        calls = tuple(found.snapshot() for found in self._calls)
        children = ordered(child.snapshot() for child in self._children)
        usage = self._usage if self._ended else consumed(calls, children) + self._omitted_usage
        return PipeRecord(
            pipe=call.pipe,
            kind=pipe.type if pipe is not None else "",
            item=call.item,
            state=self._state,
            started=self._started,
            ended=self._ended,
            usage=usage,
            error=self._error,
            calls=calls,
            children=children,
            omitted=self._omitted,
            texts=texts(self._given, self._made),
        )

    def _inputs(self) -> dict[str, str]:
        if self._call.batch is not None:  # a part of a batch is not told, its items are
            return {}
        return self._notes.excerpts.inputs({name: value.data for name, value in self._call.memory.root.items()})

    def _end(self, state: RecordState, usage: Usage) -> None:
        self._state, self._usage, self._ended = state, usage, self._notes.clock()
        owner = self._owner
        if owner is None or self._is_kept:
            return
        if state == "failed":
            # What failed is what people look for: it is told even where the rest is only counted.
            owner._omitted -= 1
            owner._children.append(self)
        else:
            owner._omitted_usage += usage
