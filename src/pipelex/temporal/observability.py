"""What people see of a run in Temporal: summaries, details, ids, search attributes, progress. Pure; replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from pipelex.language.pipes import Pipe
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import PipeCall
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ObjectListRequest,
    ObjectRequest,
    Request,
    SearchRequest,
    TextRequest,
)
from pipelex.values.frozen import Frozen

SUMMARY_BYTES = 200
DETAILS_BYTES = 20_000
ID_LENGTH = 400
_PREFIX_LENGTH = 240
_LIVE_LINES = 20

State = Literal["running", "done", "failed"]


def shortened(text: str, limit: int) -> str:
    """The text on one line, cut to `limit` UTF-8 bytes with an ellipsis."""
    line = " ".join(text.split())
    if len(line.encode()) <= limit:
        return line
    return line.encode()[: limit - len("…".encode())].decode(errors="ignore").rstrip() + "…"


def pipe_code(ref: str) -> str:
    """The bare code of a pipe reference."""
    return ref.rpartition(".")[2]


def summary(ref: str, pipe: Pipe) -> str:
    """The one line shown for a workflow."""
    description = f" — {pipe.description}" if pipe.description.strip() else ""
    return shortened(pipe_code(ref) + description, SUMMARY_BYTES)


def details(call: PipeCall, crate: LibraryCrate) -> str:
    """The Markdown table shown for a workflow."""
    names = ", ".join([*call.memory.root, *call.memory.absences])
    rows = {
        "Pipe": pipe_code(call.pipe),
        "Domain": call.pipe.rpartition(".")[0],
        "Pipeline run": call.run.run_id,
        "User": call.run.user_id,
        "Session": call.run.session_id,
        "Library crate": crate.fingerprint[:12],
        "Input names": names,
    }
    if call.item is not None:
        rows["Item"] = f"{call.item.index + 1} of {call.item.total}"
    lines = ["| Field | Value |", "| --- | --- |"]
    for name, value in rows.items():
        if value:
            text = shortened(value, 2000).replace("`", "'").replace("|", "\\|")
            lines.append(f"| {name} | `{text}` |")
    return "\n".join(lines)


def activity_summary(request: Request[Any], ref: str) -> str:
    """The one line shown for an activity."""
    match request:
        case TextRequest():
            label, extra = "LLM text", f"model={request.model.handle}"
        case ObjectRequest():
            label, extra = "LLM object", f"class={request.name}"
        case ObjectListRequest():
            label, extra = "LLM object list", f"class={request.name}"
        case ExtractRequest():
            label, extra = "Extract pages", f"handle={request.model.handle}"
        case ImageRequest():
            number = f" · n={request.count}" if request.count > 1 else ""
            label, extra = f"Img gen {request.count}×", f"model={request.model.handle}{number}"  # noqa: RUF001
        case SearchRequest():
            label, extra = "Search sourced answer", f"model={request.model.handle}"
        case DocumentRequest():
            label, extra = "Document", f"format={request.format}"
        case FunctionRequest():
            label, extra = "Function", f"function={request.function_name}"
        case _:
            label, extra = request.activity, ""
    return shortened(" · ".join(filter(None, (label, f"pipe={pipe_code(ref)}", extra))), SUMMARY_BYTES)


def child_id(parent: str, ref: str, hex8: str) -> str:
    """The workflow id of a child: the parent's, the pipe, eight hex digits; a deep chain is cut in its middle."""
    suffix = f"_{pipe_code(ref)[:100]}-{hex8}"
    if len(parent) + len(suffix) >= ID_LENGTH:
        parent = f"{parent[:_PREFIX_LENGTH]}~{hashlib.sha256(parent.encode()).hexdigest()[:8]}"
    return parent + suffix


def search_attributes(names: Iterable[str], call: PipeCall) -> TypedSearchAttributes:
    """The values of the search attributes named; empty when they are off."""
    values = {
        "PipeCode": pipe_code(call.pipe),
        "DomainCode": call.pipe.rpartition(".")[0],
        "PipelineRunId": call.run.run_id,
        "UserId": call.run.user_id,
        "SessionId": call.run.session_id,
    }
    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), values[name]) for name in names if name in values]
    )


class PipeProgress(Frozen):
    """The answer to the query `progress`: one pipe, and those it called. Times are seconds since the epoch.

    `workflow_id` names the workflow that knows more, when the pipe runs in another one.
    """

    pipe: str
    state: State = "running"
    started: float
    ended: float | None = None
    done: int | None = None
    total: int | None = None
    workflow_id: str | None = None
    children: tuple[PipeProgress, ...] = ()


@dataclass
class Watch:
    """The progress of one pipe while it runs. The items or parts of a batch gather under one watch that counts."""

    pipe: str
    started: float
    workflow_id: str | None = None
    state: State = "running"
    ended: float | None = None
    done: int | None = None
    total: int | None = None
    children: list[Watch] = field(default_factory=list)
    group: Watch | None = None
    weight: int = 1

    @classmethod
    def of(cls, call: PipeCall, now: float, workflow_id: str | None = None) -> Watch:
        """Watch a call; a part of a batch counts its own items."""
        if call.batch is None:
            return cls(call.pipe, now, workflow_id)
        length = _length(call)
        return cls(call.pipe, now, workflow_id, done=0, total=length, weight=length)

    def begin(self, call: PipeCall, now: float, workflow_id: str | None = None) -> Watch:
        """Note that a pipe was called."""
        child = Watch.of(call, now, workflow_id)
        whole = call.item or call.batch
        if whole is not None:
            counts_itself = self.total is not None and self.pipe == call.pipe
            child.group = self if counts_itself else self._group_of(call.pipe, whole.total, now)
        (child.group or self).children.append(child)
        return child

    def end(self, child: Watch, now: float, *, failed: bool) -> None:
        """Note that a call ended. Items that went well are only counted: a batch may have thousands."""
        child.state, child.ended = ("failed" if failed else "done"), now
        group = child.group
        if group is None or failed:
            return
        group.children.remove(child)
        group.done = (group.done or 0) + child.weight
        if group is not self and group.done == group.total:
            group.state, group.ended = "done", now

    def _group_of(self, pipe: str, total: int, now: float) -> Watch:
        for child in self.children:
            if child.pipe == pipe and child.total == total and child.group is None and child.state == "running":
                return child
        group = Watch(pipe, now, done=0, total=total)
        self.children.append(group)
        return group

    def snapshot(self) -> PipeProgress:
        """The progress so far, frozen."""
        return PipeProgress(
            pipe=self.pipe,
            state=self.state,
            started=self.started,
            ended=self.ended,
            done=self.done,
            total=self.total,
            workflow_id=self.workflow_id,
            children=tuple(child.snapshot() for child in self.children),
        )

    def live(self) -> str:
        """A few lines of Markdown for the Web UI: what is done, what runs now."""
        lines = list(self._lines(0))
        hidden = len(lines) - _LIVE_LINES
        return "\n".join([*lines[:_LIVE_LINES], f"- … and {hidden} more"] if hidden > 0 else lines)

    def _lines(self, depth: int) -> Iterator[str]:
        mark = {"running": "▶", "done": "✓", "failed": "✗"}[self.state]
        count = f" {self.done}/{self.total}" if self.total is not None else ""
        yield f"{'  ' * depth}- {mark} `{pipe_code(self.pipe)}`{count}"
        for child in self.children:
            yield from child._lines(depth + 1)


def _length(call: PipeCall) -> int:
    found = call.memory.root.get(call.batch.over) if call.batch else None
    return len(found.data) if found is not None and isinstance(found.data, list) else 1
