"""What people see of a run in Temporal: summaries, details, ids, search attributes, progress. Pure; replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from pipelex.language.pipes import Pipe, steps_of
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.port import PipeCall
from pipelex.pipes.progress import Spent
from pipelex.pipes.requests import (
    DocumentRequest,
    ExtractRequest,
    FunctionRequest,
    ImageRequest,
    ObjectListRequest,
    ObjectRequest,
    Request,
    SearchObjectRequest,
    SearchRequest,
    TextRequest,
    Usage,
)
from pipelex.values.frozen import Frozen

SUMMARY_BYTES = 200
ID_LENGTH = 400
_PREFIX_LENGTH = 240
_LIVE_LINES = 20
_NAMED_NOW = 3

State = Literal["running", "done", "failed"]
End = Literal["done", "failed", "canceled"]

SEARCH_ATTRIBUTE_KEYS: Mapping[str, SearchAttributeKey[Any]] = {
    **{
        name: SearchAttributeKey.for_keyword(name)
        for name in (
            "PipeCode",
            "PipelineRunId",
            "SessionId",
            "UserId",
            "DomainCode",
            "PipelexStatus",
            "CrateFingerprint",
        )
    },
    "PipelexCostUsd": SearchAttributeKey.for_float("PipelexCostUsd"),
    "PipelexTokens": SearchAttributeKey.for_int("PipelexTokens"),
    "PipelexModels": SearchAttributeKey.for_keyword_list("PipelexModels"),
}
"""Every attribute a workflow may carry; those that are set are named by the routes of the run."""


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
    """The Markdown table shown for a workflow: five rows that are always there, then those that say something.

    The row `Item` is the only one that says which of the many workflows of a batch this is.
    """
    rows = {
        "Pipe": pipe_code(call.pipe),
        "Domain": call.pipe.rpartition(".")[0],
        "Pipeline run": call.run.run_id,
        "User": call.run.user_id,
        "Session": call.run.session_id,
    }
    optional = {
        "Library crate": crate.fingerprint[:12],
        "Input": ", ".join([*call.memory.root, *call.memory.absences]),
        "Item": "" if call.item is None else f"{call.item.index + 1} of {call.item.total}",
    }
    lines = ["| Field | Value |", "| --- | --- |"]
    for name, value in (rows | {name: value for name, value in optional.items() if value}).items():
        text = shortened(value, 2000).replace("`", "'").replace("|", "\\|")
        lines.append(f"| {name} | `{text}` |" if text else f"| {name} |  |")
    return "\n".join(lines)


def activity_summary(request: Request[Any], ref: str) -> str:
    """The one line shown for an activity: what it is, for which pipe, with which model, class or function."""
    extras: tuple[str, ...] = ()
    match request:
        case ImageRequest() if request.count > 1:
            label, extras = "Img gen N×", (f"model={request.model.handle}", f"n={request.count}")  # noqa: RUF001
        case SearchRequest() | ImageRequest() | TextRequest():
            label, extras = _LABELS[request.activity], (f"model={request.model.handle}",)
        case ExtractRequest():
            label, extras = _LABELS[request.activity], (f"handle={request.model.handle}",)
        case ObjectRequest() | ObjectListRequest() | SearchObjectRequest():
            label, extras = _LABELS[request.activity], (f"class={request.name}",)
        case DocumentRequest():
            label, extras = _LABELS[request.activity], (f"format={request.format}",)
        case FunctionRequest():
            label, extras = _LABELS[request.activity], (f"function={request.function_name}",)
        case _:
            label = request.activity
    return shortened(" · ".join((label, f"pipe={pipe_code(ref)}", *extras)), SUMMARY_BYTES)


_LABELS = {
    "act_llm_gen_text": "LLM text",
    "act_llm_gen_object": "LLM object",
    "act_llm_gen_object_list": "LLM object list",
    "act_img_gen_images": "Img gen 1×",  # noqa: RUF001
    "act_extract_gen_extract_pages": "Extract pages",
    "act_search_gen_sourced_answer": "Search sourced answer",
    "act_search_gen_structured": "Search structured",
    "act_doc_gen_document": "Document",
    "act_func_call": "Function",
}


def child_id(parent: str, ref: str, hex8: str) -> str:
    """The workflow id of a child: the parent's, the pipe, eight hex digits; a deep chain is cut in its middle."""
    suffix = f"_{pipe_code(ref)[:100]}-{hex8}"
    if len(parent) + len(suffix) >= ID_LENGTH:
        parent = f"{parent[:_PREFIX_LENGTH]}~{hashlib.sha256(parent.encode()).hexdigest()[:8]}"
    return parent + suffix


def search_attributes(names: Iterable[str], call: PipeCall, crate: LibraryCrate) -> TypedSearchAttributes:
    """The attributes named, as a workflow starts with them; empty when they are off."""
    return TypedSearchAttributes(
        _pairs(
            names,
            {
                "PipeCode": pipe_code(call.pipe),
                "DomainCode": call.pipe.rpartition(".")[0],
                "PipelineRunId": call.run.run_id,
                "UserId": call.run.user_id,
                "SessionId": call.run.session_id,
                "CrateFingerprint": crate.fingerprint,
                "PipelexStatus": "running",
            },
        )
    )


def final_attributes(names: Iterable[str], end: End, usage: Usage) -> list[SearchAttributePair[Any]]:
    """The attributes named, as a workflow ends with them. A cost that is unknown or made up is left out."""
    values: dict[str, Any] = {"PipelexStatus": end, "PipelexTokens": usage.input_tokens + usage.output_tokens}
    if usage.cost_usd is not None and not usage.is_simulated:
        values["PipelexCostUsd"] = round(usage.cost_usd, 6)
    if models := [handle for handle in usage.by_model if handle]:
        values["PipelexModels"] = models
    return _pairs(names, values)


def _pairs(names: Iterable[str], values: Mapping[str, Any]) -> list[SearchAttributePair[Any]]:
    return [SearchAttributePair(SEARCH_ATTRIBUTE_KEYS[name], values[name]) for name in names if name in values]


class PipeProgress(Frozen, extra="ignore"):
    """The answer to the query `progress`: one pipe, and those it called. Times are seconds since the epoch.

    `workflow_id` names the workflow that knows more, when the pipe runs in another one. `spent` is what this workflow
    knows: of a pipe in another one, nothing before its end. `item` is the place in a batch, from 0.
    What a worker of a later version adds is left out: whoever watches a run need not be of its version.
    """

    pipe: str
    state: State = "running"
    started: float
    ended: float | None = None
    done: int | None = None
    total: int | None = None
    workflow_id: str | None = None
    item: int | None = None
    spent: Spent = Spent()
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
    steps: int | None = None
    usage: Usage = field(default_factory=Usage)
    """What was consumed, as far as it is known: by the calls that ended and the workflows that went well."""
    item: int | None = None
    above: Watch | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, call: PipeCall, now: float, workflow_id: str | None = None, pipe: Pipe | None = None) -> Watch:
        """Watch a call; a part of a batch counts its own items. With its `pipe`, the steps are known too."""
        if call.batch is None:
            return cls(call.pipe, now, workflow_id, steps=(len(steps_of(pipe)) or None) if pipe else None)
        length = _length(call)
        return cls(call.pipe, now, workflow_id, done=0, total=length, weight=length)

    def begin(self, call: PipeCall, now: float, workflow_id: str | None = None) -> Watch:
        """Note that a pipe was called."""
        child = Watch.of(call, now, workflow_id)
        whole = call.item or call.batch
        if whole is not None:
            counts_itself = self.total is not None and self.pipe == call.pipe
            child.group = self if counts_itself else self._group_of(call.pipe, whole.total, now)
        child.item = call.item.index if call.item is not None else None
        child.above = child.group or self
        child.above.children.append(child)
        return child

    def spend(self, usage: Usage) -> None:
        """Count what a call, or a workflow that ended, consumed; the pipes above count it too."""
        watch: Watch | None = self
        while watch is not None:
            watch.usage += usage
            watch = watch.above

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
        group = Watch(pipe, now, done=0, total=total, above=self)
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
            item=self.item,
            spent=Spent.of(self.usage),
            children=tuple(child.snapshot() for child in self.children),
        )

    def live(self) -> str:
        """A few lines of Markdown for the Web UI: how much is done, what runs now, what it consumed; then the pipes."""
        lines = list(islice(self._lines(0), _LIVE_LINES))
        if (hidden := self._size() - _LIVE_LINES) > 0:
            lines.append(f"… and {hidden} more")
        # As it is written: the Web UI makes one line of nested lists.
        return "\n".join([" · ".join(self._headline()), "", "```text", *lines, "```"])

    def _headline(self) -> Iterator[str]:
        batches = [child for child in self.children if child.total is not None and child.group is None]
        counting = self if self.total is not None else batches[0] if len(self.children) == len(batches) == 1 else None
        if counting is not None:
            yield f"**{counting.done or 0} of {counting.total}** items"
        elif self.steps is not None:
            # Not with a slash, of which the Web UI makes a fraction.
            yield f"**{sum(child.state == 'done' for child in self.children)} of {self.steps}** steps"
        running = list(dict.fromkeys(pipe_code(child.pipe) for child in self.children if child.state == "running"))
        if self.state != "running":
            yield f"**{self.state}**"
        elif running:
            more = f" and {len(running) - _NAMED_NOW} more" if len(running) > _NAMED_NOW else ""
            yield "now " + ", ".join(f"`{code}`" for code in running[:_NAMED_NOW]) + more
        yield from consumed(self.usage)

    def _size(self) -> int:
        return 1 + sum(child._size() for child in self.children)

    def _lines(self, depth: int) -> Iterator[str]:
        mark = {"running": "▶", "done": "✓", "failed": "✗"}[self.state]
        count = f" {self.done} of {self.total}" if self.total is not None else ""
        yield f"{'  ' * depth}{mark} {pipe_code(self.pipe)}{count}"
        for child in self.children:
            yield from child._lines(depth + 1)


def consumed(usage: Usage) -> Iterator[str]:
    """What calls consumed, in words; nothing when there was none."""
    if not usage.calls:
        return
    yield f"{usage.calls} call{'s' if usage.calls > 1 else ''}"
    if usage.input_tokens or usage.output_tokens:
        yield f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    if usage.is_simulated:
        yield "simulated"
    else:
        yield "price unknown" if usage.cost_usd is None else f"{usage.cost_usd:.4f} USD"


def _length(call: PipeCall) -> int:
    found = call.memory.root.get(call.batch.over) if call.batch else None
    return len(found.data) if found is not None and isinstance(found.data, list) else 1
