"""What ran, as two hosts tell it: the tree of pipes with their items, states and calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from differential_runs import Case, End

from pipelex.pipes.record import PipeRecord


def told(record: PipeRecord) -> dict[str, Any]:
    """A tree without what is of one host only: times, workers, queues, ids."""
    return {
        "pipe": record.pipe,
        "kind": record.kind,
        "item": record.item,
        "state": record.state,
        "calls": Counter(calls_of([record])),
        "usage": record.usage,
        "children": [told(child) for child in record.children],
        "left out": (record.omitted, record.is_partial),
    }


def calls_of(records: Iterable[PipeRecord]) -> list[tuple[Any, ...]]:
    """The calls that these pipes make themselves."""
    return [
        (record.pipe, call.activity, call.handle, call.attempts, call.state)
        for record in records
        for call in record.calls
    ]


def record_differences(case: Case, expected: End, end: End, *, is_inline: bool) -> Iterable[str]:
    """What the records of two runs differ in. Of pipes that run inline a durable run tells the calls, and no more."""
    found = end.record
    state = "failed" if end.error else "done"
    if found.state != state:
        yield f"is told to be {found.state}, and is {state}"
    if end.error and not is_inline and end.error[2] not in failed_paths(found):
        yield f"is told to fail in {failed_paths(found)}, and fails in {end.error[2]}"
    if end.error and (end.error != expected.error or case.is_side_by_side):
        # What a failure finds under way beside it, and so stops, differs from run to run.
        return
    if is_inline:
        calls, wanted = (Counter(calls_of(each.walk())) for each in (found, expected.record))
        if calls != wanted:
            yield f"tells of the calls {calls - wanted}, and not of {wanted - calls}"
    else:
        yield from _places(told(found), told(expected.record), found.code)


def failed_paths(record: PipeRecord) -> list[tuple[str, ...]]:
    """The codes of pipes that failed one inside the other, from the outermost on to each innermost."""
    if record.state != "failed":
        return []
    inner = [path for child in record.children for path in failed_paths(child)]
    return [(record.code, *path) for path in inner] or [(record.code,)]


def _places(found: dict[str, Any], wanted: dict[str, Any], where: str) -> Iterable[str]:
    """Where two trees differ, each place on its own."""
    for key in found.keys() - {"children"}:
        if found[key] != wanted[key]:
            yield f"{where} is told with {key} {found[key]}, not {wanted[key]}"
    inner, others = ([child["pipe"] for child in each["children"]] for each in (found, wanted))
    if inner != others:
        yield f"{where} is told to call {inner}, not {others}"
        return
    for child, other in zip(found["children"], wanted["children"], strict=True):
        yield from _places(child, other, f"{where} > {child['pipe'].rpartition('.')[2]}")
