"""How `pipelex runs` shows runs: a table of many, one as a tree of pipes and calls, both as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelex.cli.columns import columns
from pipelex.cli.run_tree import MOST_CHILDREN, SIGNS, duration

if TYPE_CHECKING:
    from pipelex.pipes.record import CallRecord, PipeRecord, RunRecord
    from pipelex.pipes.requests import Usage
    from pipelex.temporal.runs import FoundRun


def table(runs: Sequence[FoundRun]) -> Iterator[str]:
    """The runs in columns; that of the costs only when one is known."""
    rows = [["RUN ID", "PIPE", "STATE", "STARTED", "DURATION"]]
    rows += [[run.run_id, run.pipe or "?", run.state, _local(run.started), _lasted(run)] for run in runs]
    if any(run.cost_usd is not None for run in runs):
        costs = ["" if run.cost_usd is None else f"{run.cost_usd:.4f}" for run in runs]
        rows = [[*row, cost] for row, cost in zip(rows, ["COST USD", *costs], strict=True)]
    yield from columns(rows)


def list_document(runs: Sequence[FoundRun]) -> str:
    """The runs as one JSON list."""
    return json.dumps([_facts(run) for run in runs], ensure_ascii=False)


def document(run: FoundRun, record: RunRecord, *, waiting: str | None, link: str | None) -> str:
    """One run as a JSON object; `record` is all that is known of its pipes and calls."""
    from pipelex.cli.costs import price_sources

    usage = record.root.usage
    facts = _facts(run) | {
        "paid_calls": usage.calls,
        "logical_calls": usage.calls - usage.repeats,
        "unsure_calls": usage.unsure,
        "cached_calls": usage.cached_calls,
        "price_sources": price_sources(usage),
        "waiting": waiting,
        "error": record.root.error,
        "web_ui": link,
        "record": record.model_dump(mode="json", exclude_defaults=True)["root"],
    }
    return json.dumps(facts, ensure_ascii=False)


def lines(run: FoundRun, record: RunRecord, *, waiting: str | None, link: str | None) -> Iterator[str]:
    """One run for a person: what it is, the tree of its pipes and calls, why it waits, what it failed with."""
    from pipelex.cli.costs import from_cache, paid, prices
    from pipelex.errors import from_report
    from pipelex.temporal.observability import consumed

    facts = {
        "run": run.run_id,
        "pipe": run.pipe or record.root.pipe,
        "state": run.state,
        "started": _local(run.started),
        "ended": "" if run.ended is None else f"{_local(run.ended)}, after {_lasted(run)}",
        "user": run.user,
        "used": ", ".join(consumed(record.root.usage)),
        "cache": from_cache(record.root.usage),
        "paid": paid(record.root.usage),
        "prices": prices(record.root.usage),
        "web ui": link or "",
        "waits": waiting or "",
    }
    for name, value in facts.items():
        if value:
            yield f"{name:<9}{value}"
    yield ""
    yield from _tree(record.root, "")
    if record.root.error is not None:
        yield ""
        yield from_report(record.root.error).render()


def _tree(pipe: PipeRecord, indent: str) -> Iterator[str]:
    item = f" [{pipe.item.index + 1}/{pipe.item.total}]" if pipe.item is not None else ""
    yield f"{indent}{SIGNS[pipe.state]} {pipe.code}{item}{_took(pipe.started, pipe.ended)}{_used(pipe.usage)}"
    inner = indent + "  "
    for call in pipe.calls:
        yield f"{inner}{SIGNS[call.state]} {_call(call)}"
    if pipe.is_partial:
        yield f"{inner}… not read"
    shown = _most_telling(pipe.children)
    for child in shown:
        yield from _tree(child, inner)
    if hidden := len(pipe.children) - len(shown) + pipe.omitted:
        yield f"{inner}… and {hidden} more"


def _most_telling(children: Sequence[PipeRecord]) -> list[PipeRecord]:
    """The children to show, in their order: of many, those that did not go well come first."""
    if len(children) <= MOST_CHILDREN:
        return list(children)
    order = sorted(range(len(children)), key=lambda index: (children[index].state == "done", index))
    return [children[index] for index in sorted(order[:MOST_CHILDREN])]


def _call(call: CallRecord) -> str:
    handle = f" {call.handle}" if call.handle else ""
    text = f"{call.activity}{handle}{_took(call.started, call.ended)}"
    if call.state == "running" and call.attempts == 0:
        text += f", waits on the task queue {call.queue!r}" if call.queue else ", waits"
    if call.attempts > 1:
        text += f", attempt {call.attempts}" if call.state == "running" else f", {call.attempts} attempts"
    return f"{text}: {call.error.message} [{call.error.code}]" if call.error is not None else text


def _facts(run: FoundRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "pipe": run.pipe,
        "state": run.state,
        "started": run.started.astimezone(UTC).isoformat(timespec="milliseconds"),
        "ended": None if run.ended is None else run.ended.astimezone(UTC).isoformat(timespec="milliseconds"),
        "duration_seconds": round(run.duration.total_seconds(), 3),
        "user": run.user,
        "cost_usd": run.cost_usd,
        "tokens": run.tokens,
    }


def _used(usage: Usage) -> str:
    if not usage.calls or usage.is_simulated or usage.cost_usd is None:
        return ""
    return f"  {usage.cost_usd:.4f} USD"


def _took(started: float | None, ended: float | None) -> str:
    if started is None:
        return ""
    return f"  {duration((ended or datetime.now(UTC).timestamp()) - started)}"


def _local(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _lasted(run: FoundRun) -> str:
    return duration(run.duration.total_seconds())
