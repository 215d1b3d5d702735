"""One self-contained page for a run, or for a method: result, graph, timeline, costs, pipes. Needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files as package_files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pipelex.cli import costs
from pipelex.cli.graph_picture import LEGEND, STYLE, page_colours, svg_of_page
from pipelex.cli.run_graph import Matched, drawing_of
from pipelex.cli.run_page_data import PageData, duration_of, price, tokens
from pipelex.cli.run_page_report import report
from pipelex.cli.run_tree import SIGNS, Spot, counts, left_out
from pipelex.library.drawing import Box, draw, short
from pipelex.library.library import Library
from pipelex.pipes.record import CallRecord, PipeRecord, RunRecord
from pipelex.values.value import Outcome

MOST_BARS = 2000
"""How many calls the timeline of a page shows."""
_MOST_MESSAGE = 500
_TICKS = 6


def run_page(
    record: RunRecord,
    library: Library,
    outcome: Outcome | None = None,
    *,
    files: Mapping[str, bytes] | None = None,
    note: str = "",
) -> str:
    """Make the page of a run: with its result when there is one, whose `files` are beside the page.

    `note` says what is missing on it.
    """
    drawing, matched = drawing_of(record, library)
    root, data = matched.root, PageData(library, record.root)
    for ref, spot in matched.places:
        data.place(ref, spot)
    bars, left = _timeline(record, data)
    told, length = data.document()
    error, pipes = record.root.error, list(_pipes(root, matched))
    return _render(
        title=root.code,
        about=library.pipe(root.ref).description,
        state=root.state,
        sign=SIGNS[root.state],
        facts=[fact for fact in _facts(record, root) if fact[1]],
        is_simulated=root.usage.is_simulated,
        error=_told(error) if error else "",
        note=note,
        result=report(outcome, library.concepts, files or {}) if outcome is not None else None,
        picture=Markup(svg_of_page(drawing)),
        bars=bars,
        bars_left=left,
        ticks=_ticks(record.root),
        pipes=pipes,
        has_errors=any(pipe["error"] for pipe in pipes),
        costs=costs.rows(root.usage) if root.usage.calls or root.usage.cached_calls else [],
        prices=costs.prices(root.usage),
        data=told,
        length=length,
    )


def method_page(library: Library, ref: str, *, source: str) -> str:
    """Make the page of a method, as its declarations tell it."""
    data = PageData(library)
    places: dict[str, int] = {}
    drawing = _with_keys(draw(library, ref), places)
    for place in places:
        data.place(place)
    told, length = data.document()
    return _render(
        title=ref.rpartition(".")[2],
        about=library.pipe(ref).description,
        facts=[("Declared in", source), ("Pipes", str(len(places)))],
        picture=Markup(svg_of_page(drawing)),
        declared=[(key, place, library.pipe(place)) for place, key in places.items()],
        data=told,
        length=length,
    )


def _with_keys(box: Box, places: dict[str, int]) -> Box:
    key = None if box.ref is None else places.setdefault(box.ref, len(places))
    return replace(box, key=key, children=tuple(_with_keys(child, places) for child in box.children))


def _render(**parts: Any) -> str:
    room = package_files("pipelex.cli")
    template, style, script = (room.joinpath(f"run_page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    data = json.dumps(parts.pop("data"), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    blank: dict[str, Any] = {
        "state": "",
        "sign": "",
        "is_simulated": False,
        "error": "",
        "note": "",
        "result": None,
        "bars": [],
    }
    blank |= {"bars_left": 0, "ticks": [], "pipes": [], "has_errors": False, "declared": [], "costs": [], "prices": ""}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        **(blank | parts),
        style=Markup(f":root {{ {page_colours()} }}\n{STYLE}\n{style}"),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        document=Markup(data),
        legend=LEGEND,
        short=short,
    )


def _told(error: dict[str, Any]) -> str:
    """Why a run failed, where, and what to do about it, as lines."""
    where = " > ".join(error.get("pipe_path") or ())
    lines = (
        str(error["message"])[:_MOST_MESSAGE],
        where and f"at: {where}",
        error.get("hint") and f"hint: {error['hint']}",
    )
    return "\n".join(line for line in lines if line)


def _facts(record: RunRecord, root: Spot) -> Iterator[tuple[str, str]]:
    usage = root.usage
    started = record.root.started
    calls = f"{usage.calls:,}" + (f" + {usage.cached_calls:,} from the cache" if usage.cached_calls else "")
    yield "Took", duration_of(started, record.root.ended)
    yield "Calls", calls
    yield "Tokens", tokens(usage)
    yield "Cost", price(usage)
    yield "Started", "" if started is None else datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    yield "Ran", "in process" if record.host == "in_process" else "on Temporal"
    yield "Run", record.run_id


# The timeline.


def _span(root: PipeRecord) -> tuple[float, float]:
    """The beginning of a run and its length in seconds, so far if it goes on."""
    moments = [root.started, root.ended]
    for pipe in root.walk():
        for call in pipe.calls:
            moments += [call.scheduled, call.started, call.ended]
    known = [moment for moment in moments if moment is not None]
    begun = min(known, default=0.0)
    return begun, max(max(known, default=0.0) - begun, 0.001)


def _timeline(record: RunRecord, data: PageData) -> tuple[list[dict[str, Any]], int]:
    """A bar for each call in the order of time, and how many are left out."""
    begun, length = _span(record.root)
    found = [
        (pipe, number, call)
        for pipe in record.root.walk()
        for number, call in enumerate(pipe.calls)
        if call.scheduled is not None
    ]
    found.sort(key=lambda entry: entry[2].scheduled or 0.0)
    bars: list[dict[str, Any]] = []
    for pipe, number, call in found[:MOST_BARS]:
        told = {"run": data.run(pipe), "call": number, "pipe": pipe.code, "which": data.items[id(pipe)]}
        bars.append(told | _bar(call, begun, length))
    return bars, len(found) - len(bars)


def _bar(call: CallRecord, begun: float, length: float) -> dict[str, Any]:
    """Where a bar begins and ends, in percent; what comes before its last attempt is a part of its own."""
    scheduled = call.scheduled or begun
    end = call.ended if call.ended is not None else begun + length
    started = min(call.started if call.started is not None else end, end)

    def percent(seconds: float) -> str:
        return f"{100 * seconds / length:.2f}"

    return {
        "from": percent(scheduled - begun),
        "wait": percent(max(0.0, started - scheduled)),
        "start": percent(started - begun),
        "width": percent(max(0.0, end - started)),
        "state": call.state,
        "sign": SIGNS[call.state],
        "model": call.handle or call.activity,
        "attempts": call.attempts,
        "took": duration_of(scheduled, call.ended),
    }


def _ticks(root: PipeRecord) -> list[tuple[str, str]]:
    """Round moments along the timeline: their places in percent, and what they say."""
    _, length = _span(root)
    step = 0.001
    for factor in (2, 2.5, 2) * 10:
        if length / step <= _TICKS:
            break
        step *= factor
    return [
        (f"{100 * number * step / length:.2f}", duration_of(0.0, number * step) if number else "0")
        for number in range(int(length / step) + 1)
    ]


# The table of pipes.


def _pipes(spot: Spot, matched: Matched, depth: int = 0) -> Iterator[dict[str, Any]]:
    usage = spot.usage
    errors = [str(failed.error["message"]) for failed in spot.failures if failed.error]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    yield {
        "key": matched.key(spot.ref, spot),
        "depth": depth,
        "code": spot.code,
        "kind": spot.kind.removeprefix("Pipe"),
        "state": spot.state,
        "told": " · ".join(filter(None, (counts(spot), left_out(spot)))),
        "took": duration_of(spot.started, spot.ended),
        "calls": usage.calls or "",
        "attempts": spot.attempts or "",
        "tokens": tokens(usage),
        "cost": price(usage),
        "error": (errors[0][:_MOST_MESSAGE] if errors else "") + more,
    }
    for child in spot.children:
        yield from _pipes(child, matched, depth + 1)
