"""What a run did, in the drawing of its method: states, times, attempts and costs of each box; and as GraphSpec."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pipelex.cli.run_tree import Spot, counts, duration, left_out, merged, money, retries
from pipelex.language.pipes import CONTROLLERS
from pipelex.library.drawing import Box, draw
from pipelex.library.library import Library
from pipelex.pipes.record import RunRecord
from pipelex.pipes.requests import Usage

_MOST_ERRORS = 10
_MOST_MESSAGE = 2000
_STATUS = {"done": "succeeded", "failed": "failed", "running": "running", "canceled": "canceled"}
_EDGES = {"data": "data", "each": "batch_item", "order": "control"}
_CONTROLLERS = frozenset(kind.__name__ for kind in CONTROLLERS)


@dataclass
class Matched:
    """The boxes of a drawing, with the spots of a run; `wires` says which spot follows which, and how.

    `places` are what a page tells of: the spots, then the pipes that were not reached, each by the `key` of its box.
    """

    root: Spot
    wires: list[tuple[Spot, Spot, str, str | None]] = field(default_factory=list)
    places: list[tuple[str, Spot | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = [(spot.ref, spot) for spot in self.root.walk()]
        self._keys = {spot: key for key, (_, spot) in enumerate(self.places) if spot is not None}

    def key(self, ref: str, spot: Spot | None) -> int:
        """The number of a place."""
        if spot is not None and spot in self._keys:
            return self._keys[spot]
        self.places.append((ref, spot))
        return len(self.places) - 1

    def box(self, box: Box, spot: Spot | None, below: tuple[Spot, ...] = ()) -> Box:
        """The box with what happened in it. `below` are spots of pipes somewhere in it, run by a pipe around it."""
        spots = [*(spot.children if spot is not None else ()), *below]
        direct, deeper = self._shared_out(box, spots)
        found = {index: merged(here) if len(here) > 1 else here[0] for index, here in direct.items()}
        children = tuple(
            self.box(child, found.get(index), tuple(deeper.get(index, ()))) for index, child in enumerate(box.children)
        )
        for wire in box.wires:
            if wire.start.box is None or wire.end.box is None or wire.kind == "choice":
                continue
            start, end = found.get(wire.start.box), found.get(wire.end.box)
            if start is not None and end is not None:
                output = box.children[wire.start.box].outputs
                name = output[wire.start.port].name if wire.start.port < len(output) else None
                self.wires.append((start, end, _EDGES[wire.kind], name))
        told = spot or (merged(below) if below and box.ref else None)
        if box.ref is None:
            return replace(box, children=children)
        mark = told.state if told else "idle"
        return replace(box, children=children, mark=mark, notes=notes(told), key=self.key(box.ref, told))

    @staticmethod
    def _shared_out(box: Box, spots: list[Spot]) -> tuple[dict[int, list[Spot]], dict[int, list[Spot]]]:
        """Which spots are those of which children, and which are of pipes further inside."""
        direct: dict[int, list[Spot]] = {}
        deeper: dict[int, list[Spot]] = {}
        places: dict[str, list[int]] = {}
        for index, child in enumerate(box.children):
            if child.ref is not None:
                places.setdefault(child.ref, []).append(index)
        seen: dict[str, int] = {}
        for spot in spots:
            number = seen[spot.ref] = seen.get(spot.ref, -1) + 1
            if spot.ref in places:
                here = places[spot.ref]
                direct.setdefault(here[min(number, len(here) - 1)], []).append(spot)
                continue
            inside = [index for index, child in enumerate(box.children) if any(b.ref == spot.ref for b in child.walk())]
            if inside:
                deeper.setdefault(inside[min(number, len(inside) - 1)], []).append(spot)
        return direct, deeper


def notes(spot: Spot | None) -> tuple[str, ...]:
    """The lines that a box gets: state and time, then attempts, tokens and costs."""
    if spot is None:
        return ("○ not run",)
    usage = spot.usage
    first = " · ".join(part for part in (counts(spot), duration(spot.seconds), retries(spot), left_out(spot)) if part)
    tokens = (
        f"{usage.input_tokens:,} → {usage.output_tokens:,} tokens" if usage.input_tokens or usage.output_tokens else ""
    )
    second = " · ".join(part for part in (tokens, money(usage)) if part) if usage.calls else ""
    return (first, second) if second else (first,)


def drawing_of(record: RunRecord, library: Library) -> tuple[Box, Matched]:
    """The method of a run as a drawing that says what happened, and which spot is where in it."""
    drawing, matched = draw(library, record.root.pipe), Matched(Spot((record.root,)))
    if drawing.kind == "method":  # a frame around a pipe that contains nothing
        return replace(drawing, children=(matched.box(drawing.children[0], matched.root),)), matched
    return matched.box(drawing, matched.root), matched


def graphspec(record: RunRecord, library: Library, *, mode: Literal["live", "dry"] = "live") -> dict[str, Any]:
    """The run as a GraphSpec document: a node for each place where a pipe was called, one for all items of a batch."""
    _, matched = drawing_of(record, library)
    root = matched.root
    ids = {spot: f"{record.run_id}:node_{number}" for number, spot in enumerate(root.walk())}
    edges: list[dict[str, Any]] = []
    for spot in ids:
        is_choice = spot.kind == "PipeCondition"
        for child in spot.children:
            edges.append(_edge(ids[spot], ids[child], "selected_outcome" if is_choice else "contains"))
    edges += [
        _edge(ids[start], ids[end], kind, name)
        for start, end, kind, name in matched.wires
        if start in ids and end in ids
    ]
    domain = root.ref.rpartition(".")[0]
    return {
        "graph_id": record.run_id,
        "created_at": _when(root.started),
        "pipeline_ref": {"domain": domain, "main_pipe": root.code, "entrypoint": root.ref},
        "nodes": [_node(spot, name, library) for spot, name in ids.items()],
        "edges": [{"id": f"{record.run_id}:edge_{number}", **edge} for number, edge in enumerate(edges)],
        "usage": _usage(root.usage),
        "meta": {"format": "mthds", "mode": mode, "host": record.host},
    }


def _node(spot: Spot, name: str, library: Library) -> dict[str, Any]:
    pipe = library.crate.pipes.get(spot.ref)
    metrics: dict[str, Any] = {"calls": len(spot.calls), "attempts": spot.attempts}
    if spot.is_batch:
        metrics["runs"] = {_STATUS[state]: number for state, number in sorted(spot.states.items())}
    if spot.omitted:
        metrics["omitted"] = spot.omitted
    errors = [
        {"error_type": failed.error["code"], "message": str(failed.error["message"])[:_MOST_MESSAGE]}
        | ({"item": failed.item.index} if failed.item else {})
        for failed, _ in zip(spot.failures, range(_MOST_ERRORS), strict=False)
        if failed.error
    ]
    workflows = [record.workflow_id for record in spot.records if record.workflow_id]
    return {
        "id": name,
        "kind": "controller" if spot.kind in _CONTROLLERS else "operator",
        "pipe_code": spot.code,
        "pipe_type": spot.kind,
        "description": pipe.description if pipe is not None else "",
        "domain_code": spot.ref.rpartition(".")[0],
        "status": _STATUS[spot.state],
        "timing": {
            "started_at": _when(spot.started),
            "ended_at": _when(spot.ended),
            "duration": None if spot.seconds is None else round(spot.seconds, 3),
        },
        "error": errors[0] if errors else None,
        "errors": errors[1:],
        "metrics": metrics,
        "usage": _usage(spot.usage),
        "workflow_id": workflows[0] if len(workflows) == 1 else None,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return usage.model_dump(mode="json")


def _edge(source: str, target: str, kind: str, label: str | None = None) -> dict[str, Any]:
    return {"source": source, "target": target, "kind": kind} | ({"label": label} if label else {})


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
