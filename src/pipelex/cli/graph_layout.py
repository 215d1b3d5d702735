"""Where the boxes and wires of a drawing go: rows from top to bottom, box in box. Pure arithmetic, always the same.

Each box is laid out on its own and then stands as one cell in the box around it. Wires that pass a row get a lane in
it, so that no wire ever crosses a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipelex.library.drawing import Box, End, Wire, WireKind

PILL = 22.0
LEAF_BODY = 56.0
EACH_LINE = 17.0
CHIP = 24.0
_PAD = 20.0
_GAP = 26.0
_LANE = 10.0
_ROW_GAP = 34.0
_LONGEST_TEXT = 38

CellKind = Literal["input", "title", "child", "output", "lane"]


def cut(text: str) -> str:
    """The text, with an ellipsis where it is too long for a label."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def width_of(text: str, size: float = 12.0) -> float:
    """The width of a text in a monospaced font of that size."""
    return len(text) * size * 0.61


@dataclass
class Path:
    """A wire as points, with curves between rows (`is_curve` says so of the part that ends at the point)."""

    kind: WireKind
    is_optional: bool
    points: list[tuple[float, float, bool]]


@dataclass
class Place:
    """A box with its size and its place in the box around it; ports are x offsets from its left."""

    box: Box
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    inputs: list[float] = field(default_factory=list)
    outputs: list[float] = field(default_factory=list)
    title_x: float = 0.0
    children: list[Place] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    @property
    def top(self) -> float:
        """How far below the top of the place the frame begins: half a pill, where there are input pills."""
        return PILL / 2 if self.box.children and self.box.inputs else 0.0

    @property
    def bottom(self) -> float:
        """How far above the bottom of the place the frame ends."""
        return PILL / 2 if self.box.outputs else 0.0


@dataclass(eq=False)
class _Cell:
    kind: CellKind
    width: float
    height: float
    index: int = 0
    weight: float = 1.0
    x: float = 0.0  # of its centre
    top: float = 0.0


@dataclass(eq=False)
class _Link:
    """A part of a wire, from a cell to a cell of the next row; offsets are from the centres of the cells."""

    upper: _Cell
    lower: _Cell
    leaves: float = 0.0
    arrives: float = 0.0


def place(box: Box) -> Place:
    """The box with everything in it laid out."""
    return _Group(box).place() if box.children else _leaf(box)


def _leaf(box: Box) -> Place:
    pill = max((width_of(cut(port.text), 11.0) + 18 for port in box.outputs), default=0.0)
    if box.kind in ("label", "end"):
        return Place(box, width_of(cut(box.title), 11.0) + 22, CHIP, outputs=[0.0])
    lines = (subtitle(box), each_text(box), *box.notes)
    words = max(width_of(cut(box.title), 13.0), *(width_of(line, 11.0) for line in lines))
    width = max(words + 34, pill + 20, 120.0)
    body = LEAF_BODY if box.kind in ("operator", "controller") else 34.0
    height = body + EACH_LINE * (bool(box.each) + len(box.notes)) + (PILL / 2 if box.outputs else 0.0)
    return Place(box, width, height, inputs=[width / 2] * len(box.inputs), outputs=[width / 2])


def subtitle(box: Box) -> str:
    """The second line of a box: what kind it is, and with what."""
    return " · ".join(part for part in (box.type.removeprefix("Pipe"), cut(box.detail)) if part)


def each_text(box: Box) -> str:
    """The line of a box that runs once per item."""
    return f"\N{MULTIPLICATION SIGN}N  each {cut(box.each)}" if box.each else ""


def heading(box: Box) -> str:
    """The second part of the title line of a box with something in it; its notes stand below, each on its line."""
    return " · ".join(part for part in (subtitle(box), each_text(box)) if part)


class _Group:
    """The layout of one box with children: cells in layers, with links between consecutive layers."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.children = [place(child) for child in box.children]
        words = width_of(cut(box.title), 13.0) + width_of(heading(box), 11.0) + 12
        width = max(words, *(width_of(note, 11.0) for note in box.notes), 0.0) + 18
        title = _Cell("title", width, 20.0 + EACH_LINE * len(box.notes), weight=0.01)
        self.inputs = [_pill("input", port.text, index) for index, port in enumerate(box.inputs)]
        self.outputs = [_pill("output", port.text, index) for index, port in enumerate(box.outputs)]
        self.cells = [_Cell("child", child.width, child.height, i) for i, child in enumerate(self.children)]
        rows = [[self.cells[index] for index in row] for row in box.rows]
        self.layers: list[list[_Cell]] = [list(self.inputs), [title], *rows, list(self.outputs)]
        self.layer_of = {cell: number for number, layer in enumerate(self.layers) for cell in layer}
        self.lanes: dict[tuple[End, int], _Cell] = {}
        self.links: dict[tuple[_Cell, _Cell, float, float], _Link] = {}
        self.chains = [(wire, self.chain(wire)) for wire in sorted(box.wires, key=self.length, reverse=True)]

    # What is linked with what.

    def ends(self, wire: Wire) -> tuple[_Cell, float, _Cell, float]:
        """The two cells of a wire, each with the offset of the port from its centre."""
        upper, leaves = self.inputs[wire.start.port] if wire.start.box is None else self.cells[wire.start.box], 0.0
        if wire.start.box is not None:
            start = self.children[wire.start.box]
            leaves = 0.0 if start.box.kind in ("label", "end") else start.outputs[wire.start.port] - start.width / 2
        lower, arrives = self.outputs[wire.end.port] if wire.end.box is None else self.cells[wire.end.box], 0.0
        if wire.end.box is not None:
            end = self.children[wire.end.box]
            is_port = bool(end.box.children) and wire.kind in ("data", "each") and end.inputs
            if is_port:
                arrives = end.inputs[wire.end.port] - end.width / 2
            elif end.top and wire.kind == "order":
                arrives = _PAD - end.width / 2
        return upper, leaves, lower, arrives

    def length(self, wire: Wire) -> int:
        upper, _, lower, _ = self.ends(wire)
        return self.layer_of[lower] - self.layer_of[upper]

    def chain(self, wire: Wire) -> list[_Link]:
        """The parts of a wire; wires from the same place share their lanes."""
        upper, leaves, lower, arrives = self.ends(wire)
        chain: list[_Link] = []
        current = upper
        for layer in range(self.layer_of[upper] + 1, self.layer_of[lower]):
            lane = self.lanes.get((wire.start, layer))
            if lane is None:
                lane = self.lanes[(wire.start, layer)] = _Cell("lane", _LANE, 0.0, weight=3.0)
                self.layers[layer].append(lane)
                self.layer_of[lane] = layer
            chain.append(self.link(current, lane, leaves if current is upper else 0.0, 0.0))
            current = lane
        chain.append(self.link(current, lower, leaves if current is upper else 0.0, arrives))
        return chain

    def link(self, upper: _Cell, lower: _Cell, leaves: float, arrives: float) -> _Link:
        return self.links.setdefault((upper, lower, leaves, arrives), _Link(upper, lower, leaves, arrives))

    # Where the cells go.

    def place(self) -> Place:
        self.settle()
        self.draw_near()
        self.stack()
        left = min(cell.x - cell.width / 2 for layer in self.layers for cell in layer) - _PAD
        right = max(cell.x + cell.width / 2 for layer in self.layers for cell in layer) + _PAD
        for layer in self.layers:
            for cell in layer:
                cell.x -= left
        for cell, child in zip(self.cells, self.children, strict=True):
            child.x, child.y = cell.x - cell.width / 2, cell.top
        self.spread()
        bottom = max(cell.top + cell.height for cell in (*self.cells, *self.outputs))
        height = bottom if self.outputs else bottom + _PAD
        made = Place(self.box, right - left, height, children=self.children, title_x=16.0)
        made.inputs = [cell.x for cell in self.inputs]
        made.outputs = [cell.x for cell in self.outputs]
        made.paths = [Path(wire.kind, wire.is_optional, self.points(wire, chain)) for wire, chain in self.chains]
        return made

    def settle(self) -> None:
        """Order each layer and choose its x places, pulled towards what its cells are linked with."""
        above: dict[_Cell, list[_Link]] = {}
        below: dict[_Cell, list[_Link]] = {}
        for link in self.links.values():
            above.setdefault(link.lower, []).append(link)
            below.setdefault(link.upper, []).append(link)
        for layer in self.layers:
            _spaced(layer, [0.0] * len(layer))
        for turn in range(12):
            is_down, is_last = turn % 2 == 0, turn >= 8
            for layer in self.layers if is_down else reversed(self.layers):
                wanted = []
                for cell in layer:
                    ups = [link.upper.x + link.leaves - link.arrives for link in above.get(cell, ())]
                    downs = [link.lower.x + link.arrives - link.leaves for link in below.get(cell, ())]
                    near = ups + downs if is_last else (ups if is_down else downs)
                    wanted.append(sum(near) / len(near) if near else cell.x)
                if not is_last:
                    _reorder(layer, wanted)
                _spaced(layer, wanted)

    def draw_near(self) -> None:
        """Put the title right beside what it must not touch; it has no place of its own to go to."""
        title, *beside = self.layers[1]
        if beside:
            title.x = beside[0].x - beside[0].width / 2 - _LANE - title.width / 2
        else:
            others = [cell.x - cell.width / 2 for layer in self.layers for cell in layer if cell is not title]
            title.x = min(others) + title.width / 2

    def stack(self) -> None:
        """Choose the y places; rows with wires that go far aside are further apart."""
        y = 0.0
        for number, layer in enumerate(self.layers):
            if layer:
                for cell in layer:
                    cell.top = y
                y += max(cell.height for cell in layer)
            if number == 0:
                y += 8.0 if layer else 10.0
            else:
                links = [link for link in self.links.values() if self.layer_of[link.upper] == number]
                far = max((abs(link.upper.x - link.lower.x) for link in links), default=0.0)
                y += (22.0 if number == 1 else _ROW_GAP) + min(far * 0.05, 26.0)

    def spread(self) -> None:
        """Let the wires that arrive on top of a plain box arrive side by side."""
        for cell, child in zip(self.cells, self.children, strict=True):
            if child.box.children:
                continue
            links = [link for link in self.links.values() if link.lower is cell]
            links.sort(key=lambda link: link.upper.x + link.leaves)
            step = min(cell.width * 0.8 / max(len(links), 1), 46.0)
            for number, link in enumerate(links):
                link.arrives = (number - (len(links) - 1) / 2) * step

    def points(self, wire: Wire, chain: Sequence[_Link]) -> list[tuple[float, float, bool]]:
        first = chain[0]
        x = first.upper.x + first.leaves
        points = [(x, first.upper.top + first.upper.height, False)]
        for link in chain:
            layer = self.layers[self.layer_of[link.upper]]
            points.append((x, link.upper.top + max(cell.height for cell in layer), False))
            x = link.lower.x + link.arrives
            points.append((x, link.lower.top, True))
        if wire.kind == "order" and wire.end.box is not None:
            points[-1] = (x, chain[-1].lower.top + self.children[wire.end.box].top, True)
        return points


def _pill(kind: CellKind, text: str, index: int) -> _Cell:
    return _Cell(kind, width_of(cut(text), 11.0) + 18, PILL, index)


def _reorder(layer: list[_Cell], wanted: list[float]) -> None:
    """Sort a layer by what its cells want; the title stays first, and children keep their order among themselves."""
    order = sorted(range(len(layer)), key=lambda i: (layer[i].kind != "title", wanted[i]))
    cells = [layer[i] for i in order]
    values = sorted(zip([wanted[i] for i in order], cells, strict=True), key=lambda pair: pair[1].kind != "title")
    children = iter(sorted((cell for cell in cells if cell.kind == "child"), key=lambda cell: cell.index))
    places = [next(children) if cell.kind == "child" else cell for _, cell in values]
    by_cell = dict(zip(layer, wanted, strict=True))
    layer[:] = places
    wanted[:] = [by_cell[cell] for cell in places]


def _spaced(layer: Sequence[_Cell], wanted: Sequence[float]) -> None:
    """Put the cells as near as can be to the x they want, in their order and without touching each other.

    Least squares under minimal distances: pool adjacent violators.
    """
    shifts: list[float] = []
    at = 0.0
    for index, cell in enumerate(layer):
        if index:
            before = layer[index - 1]
            gap = _LANE if "lane" in (before.kind, cell.kind) else _GAP
            at += before.width / 2 + gap + cell.width / 2
        shifts.append(at)
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of cells
    for cell, x, shift in zip(layer, wanted, shifts, strict=True):
        mean, weight, count = x - shift, cell.weight, 1
        while pools and pools[-1][0] > mean:
            other, more, cells = pools.pop()
            mean = (mean * weight + other * more) / (weight + more)
            weight, count = weight + more, count + cells
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for cell, mean, shift in zip(layer, means, shifts, strict=True):
        cell.x = mean + shift
