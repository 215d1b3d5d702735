"""A drawing printed as SVG and as Mermaid text. Needs no network, no script, no font."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from pipelex.cli.graph_layout import CHIP, EACH_LINE, PILL, Path, Place, cut, each_text, heading, place, subtitle
from pipelex.cli.graph_layout import width_of as _width
from pipelex.library.drawing import Box, End, Wire

_MARGIN = 24.0

_FAMILIES = {
    "PipeLLM": "model",
    "PipeStructure": "model",
    "PipeJudge": "model",
    "PipeImgGen": "model",
    "PipeSearch": "model",
    "PipeExtract": "read",
    "PipeCompose": "make",
    "PipeDocGen": "make",
    "PipeFunc": "code",
    "PipeSignature": "todo",
}

_PALETTE = {
    "paper": ("#ffffff", "#14181f"),
    "group": ("#f6f7f9", "#1b2029"),
    "inner": ("#eceff3", "#232a35"),
    "card": ("#ffffff", "#2b3340"),
    "line": ("#c9d0d9", "#434e5e"),
    "ink": ("#1c2430", "#e8ecf2"),
    "soft": ("#5d6878", "#a3aebd"),
    "wire": ("#76839a", "#8695ab"),
    "model": ("#6b4fd8", "#a797ff"),
    "read": ("#0a739b", "#4fc0e8"),
    "make": ("#267a42", "#6fce8d"),
    "code": ("#a9530b", "#f0a35e"),
    "todo": ("#676b72", "#9aa3b0"),
    "choice": ("#b0368a", "#ee86cd"),
    "each": ("#0f766e", "#4fd1c5"),
    "pill": ("#ffffff", "#14181f"),
    "stop": ("#c0392b", "#ff8577"),
}
"""Each colour in the light and in the dark."""

STYLE = """
.pipelex text { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 11px; fill: var(--soft); }
.pipelex .name { font-size: 13px; font-weight: 600; fill: var(--ink); }
.pipelex .frame { stroke: var(--line); fill: var(--group); }
.pipelex .frame.odd { fill: var(--inner); }
.pipelex .card { stroke: var(--line); fill: var(--card); }
.pipelex .dashed { stroke-dasharray: 4 3; }
.pipelex .model { fill: var(--model); } .pipelex .read { fill: var(--read); } .pipelex .make { fill: var(--make); }
.pipelex .code { fill: var(--code); } .pipelex .todo { fill: var(--todo); } .pipelex .control { fill: var(--soft); }
.pipelex .pill { fill: var(--pill); stroke: var(--line); }
.pipelex .pilltext { fill: var(--ink); text-anchor: middle; }
.pipelex .wire { fill: none; stroke: var(--wire); stroke-width: 1.5; }
.pipelex .tip { fill: var(--wire); }
.pipelex .wire.each { stroke: var(--each); stroke-width: 3; } .pipelex .tip.each { fill: var(--each); }
.pipelex .wire.choice { stroke: var(--choice); } .pipelex .tip.choice { fill: var(--choice); }
.pipelex .wire.order { stroke-dasharray: 1 5; stroke-linecap: round; } .pipelex .tip.order { opacity: .5; }
.pipelex .wire.optional { stroke-dasharray: 6 4; }
.pipelex .chip { fill: var(--paper); stroke: var(--choice); } .pipelex .chiptext { fill: var(--choice); }
.pipelex .chip.fail { stroke: var(--stop); } .pipelex .chiptext.fail { fill: var(--stop); }
.pipelex .eachtext { fill: var(--each); font-weight: 600; }
.pipelex .done { fill: var(--make); } .pipelex .failed { fill: var(--stop); font-weight: 600; }
.pipelex .running { fill: var(--read); } .pipelex .canceled, .pipelex .idle { fill: var(--soft); }
.pipelex rect.at-failed { stroke: var(--stop); stroke-width: 2.5; } .pipelex rect.at-idle { stroke-dasharray: 4 3; }
.pipelex .middle { text-anchor: middle; }"""


def svg(drawing: Box) -> str:
    """The drawing as one SVG document that follows the colour scheme of whoever looks at it."""
    light, dark = (" ".join(f"--{name}: {pair[side]};" for name, pair in _PALETTE.items()) for side in (0, 1))
    colours = f"\n.pipelex {{ {light} }}\n@media (prefers-color-scheme: dark) {{ .pipelex {{ {dark} }} }}"
    return "\n".join(_svg(drawing, f"<style>{colours}{STYLE}\n</style>"))


def svg_of_page(drawing: Box) -> str:
    """The drawing as a part of a page that has the colours and the style: what can be picked has its number."""
    return "\n".join(_svg(drawing, ""))


def page_colours() -> str:
    """The colours for a page, which itself is light or dark by its `color-scheme`."""
    return " ".join(f"--{name}: light-dark({light}, {dark});" for name, (light, dark) in _PALETTE.items())


def _svg(drawing: Box, style: str) -> Iterator[str]:
    placed = place(drawing)
    width, height = placed.width + 2 * _MARGIN, placed.height + 2 * _MARGIN
    role = 'role="img"' if style else f'role="group" aria-label="{escape(drawing.title)}"'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pipelex" {role} width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">'
    )
    if style:
        yield f"<title>{escape(drawing.title)}</title>"
    if style:
        yield style
        yield '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    yield f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">'
    yield from _place(placed, 0)
    yield "</g></svg>"


def _place(placed: Place, depth: int) -> Iterator[str]:
    picked = ""
    if placed.box.key is not None:
        told = escape(", ".join((placed.box.title, *placed.box.notes)))
        picked = f' class="pick" data-place="{placed.box.key}" tabindex="0" role="button" aria-label="{told}"'
    yield f'<g transform="translate({placed.x:.1f} {placed.y:.1f})"{picked}>'
    if placed.box.about:
        yield f"<title>{escape(placed.box.ref or placed.box.title)}: {escape(placed.box.about)}</title>"
    if placed.box.children:
        yield from _group(placed, depth)
    elif placed.box.kind in ("label", "end"):
        mark = " fail" if placed.box.title == "fail" and placed.box.kind == "end" else ""
        round_by = CHIP / 2 if placed.box.kind == "label" else 4
        yield _rect(0, 0, placed.width, CHIP, round_by, f"chip{mark}")
        yield _text(placed.width / 2, 16, cut(placed.box.title), f"chiptext middle{mark}")
    else:
        yield from _leaf(placed)
    yield "</g>"


def _group(placed: Place, depth: int) -> Iterator[str]:
    box, top = placed.box, placed.top
    tall = placed.height - top - placed.bottom
    parity = (" odd" if depth % 2 else "") + (f" at-{box.mark}" if box.mark else "")
    if box.each:
        yield _rect(7, top + 7, placed.width, tall, 12, f"frame{parity}")
    yield _rect(0, top, placed.width, tall, 12, f"frame{parity}")
    for path in placed.paths:
        yield _wire(path)
    y = (PILL + 8 if box.inputs else 10) + 14
    yield _text(placed.title_x, y, cut(box.title), "name")
    x = placed.title_x + _width(cut(box.title), 13.0) + 12
    if said := heading(box):
        yield _text(x, y, said, "eachtext" if box.each else "")
    for number, note in enumerate(box.notes, 1):
        yield _text(placed.title_x, y + EACH_LINE * number + 1, note, box.mark)
    for child in placed.children:
        yield from _place(child, depth + 1)
    for port, center in zip(box.inputs, placed.inputs, strict=True):
        yield from _pill(center, 0, port.text)
    for port, center in zip(box.outputs, placed.outputs, strict=True):
        yield from _pill(center, placed.height - PILL, port.text)


def _leaf(placed: Place) -> Iterator[str]:
    box = placed.box
    tall = placed.height - placed.bottom
    is_part = box.kind in ("binding", "decision")
    look = "card dashed" if box.kind == "binding" or box.type == "PipeSignature" else "card"
    look += f" at-{box.mark}" if box.mark else ""
    if box.each:
        for step in (8, 4):
            yield _rect(step, step, placed.width, tall, 8, "card")
    yield _rect(0, 0, placed.width, tall, 17 if box.kind == "decision" else 8, look)
    if is_part:
        yield _text(placed.width / 2, 18, cut(box.title), "name middle")
    else:
        family = _FAMILIES.get(box.type, "control")
        yield _rect(6, 9, 3, tall - (20 if box.outputs else 18), 2, family)
        yield _text(18, 21, cut(box.title), "name")
        yield _text(18, 37, subtitle(box), family if box.type == "PipeSignature" else "")
        if box.each:
            yield _text(18, 37 + EACH_LINE - 1, each_text(box), "eachtext")
        for number, note in enumerate(box.notes, bool(box.each) + 1):
            yield _text(18, 37 + EACH_LINE * number - 1, note, box.mark)
    for port in box.outputs:
        yield from _pill(placed.width / 2, placed.height - PILL, port.text)


def _pill(center: float, y: float, text: str) -> Iterator[str]:
    text = cut(text)
    width = _width(text, 11.0) + 18
    yield _rect(center - width / 2, y, width, PILL, PILL / 2, "pill")
    yield _text(center, y + 15, text, "pilltext")


def _rect(x: float, y: float, width: float, height: float, radius: float, style: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} rx="{radius:.0f}" class="{style}"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}>{escape(text)}</text>'


def _wire(path: Path) -> str:
    (x, y, _), *rest = path.points
    line = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y, is_curve in rest:
        if is_curve and abs(to_x - x) > 0.5:
            middle = (y + to_y) / 2
            line.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        else:
            line.append(f"L{to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    style = f" {path.kind}{' optional' if path.is_optional else ''}" if path.kind != "data" or path.is_optional else ""
    tip = f"M{x - 4:.1f} {y - 7:.1f}L{x:.1f} {y:.1f}L{x + 4:.1f} {y - 7:.1f}z"
    return f'<path class="wire{style}" d="{"".join(line)}"/><path class="tip{style}" d="{tip}"/>'


LEGEND = (
    ("wire", "a value"),
    ("wire each", "each item of a list"),
    ("wire optional", "a value that may be absent"),
    ("wire choice", "a choice"),
    ("wire order", "only the order"),
)
"""How the lines of a drawing look, and what they mean."""


# Mermaid.


def mermaid(drawing: Box) -> str:
    """The drawing as a Mermaid flowchart: controllers are subgraphs, and wires go between what is in them."""
    writer = _Mermaid()
    writer.inputs(drawing)
    writer.box(drawing, "n", 1)
    writer.wires(drawing, "n")
    writer.result(drawing)
    return "\n".join(["flowchart TD", *writer.lines, ""])


class _Mermaid:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def inputs(self, drawing: Box) -> None:
        for index, port in enumerate(drawing.inputs):
            self.lines.append(f"  in{index}([{_quoted(port.text)}])")

    def box(self, box: Box, name: str, depth: int) -> None:
        pad = "  " * depth
        words = " · ".join(part for part in (subtitle(box), each_text(box)) if part)
        if box.children:
            self.lines.append(f"{pad}subgraph {name}[{_quoted(' · '.join(filter(None, (box.title, words))))}]")
            for index, child in enumerate(box.children):
                if child.kind != "label":
                    self.box(child, f"{name}_{index}", depth + 1)
            self.lines.append(f"{pad}end")
            return
        text = _quoted(box.title, words if box.kind in ("operator", "controller") else "")
        marks = {"decision": ("{{", "}}"), "end": ("([", "])"), "binding": (">", "]")}.get(box.kind, ("[", "]"))
        self.lines.append(f"{pad}{name}{marks[0]}{text}{marks[1]}")

    def wires(self, box: Box, name: str) -> None:
        for index, child in enumerate(box.children):
            self.wires(child, f"{name}_{index}")
        for wire in box.wires:
            if wire.end.box is None or (wire.start.box is None and name != "n"):
                continue  # followed from the other side of the border
            self.wire(box, name, wire)

    def wire(self, box: Box, name: str, wire: Wire) -> None:
        end = box.children[wire.end.box or 0]
        if end.kind == "label":
            onward = next(other for other in box.wires if other.start.box == wire.end.box)
            for target in self.targets(box, name, onward.end):
                self.lines.append(f"  {name}_{wire.start.box} -->|{_quoted(end.title)}| {target}")
            return
        if wire.start.box is not None and box.children[wire.start.box].kind == "label":
            return
        label, starts = self.starts(box, name, wire.start)
        arrow = "-.->" if wire.is_optional or wire.kind == "order" else "==>" if wire.kind == "each" else "-->"
        text = f"|{_quoted(label)}|" if label and wire.kind != "order" else ""
        for start in starts:
            for target in self.targets(box, name, wire.end):
                line = f"  {start} {arrow}{text} {target}"
                if line not in self.lines:
                    self.lines.append(line)

    def starts(self, box: Box, name: str, end: End) -> tuple[str | None, list[str]]:
        """The name of the value at that end, and the innermost boxes that make it."""
        if end.box is None:
            return None, [f"in{end.port}"]
        child, inner = box.children[end.box], f"{name}_{end.box}"
        label = child.outputs[end.port].name if child.outputs else None
        if not child.children:
            return label, [inner]
        makers = [wire.start for wire in child.wires if wire.end == End(None, end.port) and wire.start.box is not None]
        return label, [start for maker in makers for start in self.starts(child, inner, maker)[1]]

    def targets(self, box: Box, name: str, end: End) -> list[str]:
        """The innermost boxes that read the value at that end; the box itself when nothing in it does."""
        child, inner = box.children[end.box or 0], f"{name}_{end.box}"
        readers = [wire.end for wire in child.wires if wire.start == End(None, end.port) and wire.end.box is not None]
        found = [target for reader in readers for target in self.targets(child, inner, reader)]
        return list(dict.fromkeys(found)) or [inner]

    def result(self, drawing: Box) -> None:
        self.lines.append(f"  out([{_quoted(drawing.outputs[0].text)}])")
        makers = [wire.start for wire in drawing.wires if wire.end == End(None) and wire.start.box is not None]
        for start in dict.fromkeys(start for maker in makers for start in self.starts(drawing, "n", maker)[1]):
            self.lines.append(f"  {start} --> out")


def _quoted(*lines: str) -> str:
    """Lines of text that Mermaid takes as they are."""
    safe = (
        line.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;") for line in lines
    )
    return '"' + "<br>".join(line for line in safe if line) + '"'
