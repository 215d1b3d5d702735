"""How a rehearsal went, from the record of the run: time, calls, retries, simulated cost, waiting. Submitter side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelex.pipes.record import CallRecord, RunRecord

HERE = "this process"


def document(record: RunRecord) -> dict[str, Any]:
    """The report as JSON data. `calls` are what pipes asked for, `attempts` how often that was tried in all.

    A queue is told by calls that one attempt answered: what the others waited for cannot be told from their retries.
    """
    root, pipes = record.root, list(record.root.walk())
    calls = [call for pipe in pipes for call in pipe.calls]
    queues: dict[str, list[CallRecord]] = {}
    models: dict[str, list[CallRecord]] = {}
    for call in calls:
        queues.setdefault(call.queue or HERE, []).append(call)
        models.setdefault(call.handle or call.activity, []).append(call)
    return {
        "is_simulated": True,
        "run_id": record.run_id,
        "host": record.host,
        "state": root.state,
        "wall_seconds": _apart(root.started, root.ended),
        "pipes": len(pipes),
        "pipes_not_told": sum(pipe.omitted + pipe.is_partial for pipe in pipes),
        **_counts(calls),
        "asked_again": root.usage.repeats,
        "input_tokens": root.usage.input_tokens,
        "output_tokens": root.usage.output_tokens,
        "simulated_cost_usd": root.usage.cost_usd,
        "by_model": [{"model": name, **_counts(found)} for name, found in models.items()],
        "queues": [{"queue": name, **_counts(found), **_waiting(found)} for name, found in queues.items()],
    }


def told(report: bytes) -> str:
    """The report for a person, from its JSON."""
    return "\n".join(_lines(json.loads(report)))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    from pipelex.cli.costs import plain

    cost = report["simulated_cost_usd"]
    yield f"rehearsal: {report['state']} after {_seconds(report['wall_seconds'])}; every reply and cost is simulated"
    again = f"; asked again because a reply did not fit: {report['asked_again']}" if report["asked_again"] else ""
    failed = f", {report['failed_calls']} failed" if report["failed_calls"] else ""
    retries = "1 retry" if report["retries"] == 1 else f"{report['retries']} retries"
    yield f"  calls    {report['calls']} in {report['attempts']} attempts, {retries}{failed}{again}"
    yield f"  tokens   {report['input_tokens']} in, {report['output_tokens']} out"
    yield f"  cost     {'unknown' if cost is None else f'{cost:.6f} USD'} (simulated)"
    table = [["Queue", "", "Calls", "Retries", "Waited (mean)", "Waited (most)", "Retrying"]]
    for queue in report["queues"]:
        times = (queue[key] for key in ("waited_seconds_mean", "waited_seconds_most", "retrying_seconds"))
        table.append([queue["queue"], "", str(queue["calls"]), str(queue["retries"]), *map(_seconds, times)])
    if len(table) > 1:
        yield from (f"  {line.rstrip()}" for line in plain(table))
    if report["pipes_not_told"]:
        yield f"  {report['pipes_not_told']} pipes more are only in the totals of tokens and costs"


def _counts(calls: Iterable[CallRecord]) -> dict[str, int]:
    found = list(calls)
    return {
        "calls": len(found),
        "attempts": sum(call.attempts for call in found),
        "retries": sum(max(0, call.attempts - 1) for call in found),
        "failed_calls": sum(call.state == "failed" for call in found),
    }


def _waiting(calls: Iterable[CallRecord]) -> dict[str, float | None]:
    """How long the calls of one queue waited for a worker, and how long until the last attempt of those retried."""
    found = list(calls)
    waited = [_apart(call.scheduled, call.started) or 0.0 for call in found if call.attempts == 1]
    again = [_apart(call.scheduled, call.started) or 0.0 for call in found if call.attempts > 1]
    return {
        "waited_seconds_mean": round(sum(waited) / len(waited), 3) if waited else None,
        "waited_seconds_most": max(waited, default=None),
        "retrying_seconds": round(sum(again), 3),
    }


def _apart(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start), 3)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}s"
