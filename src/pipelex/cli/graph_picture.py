"""A drawing printed as SVG, as a page that holds it, and as Mermaid text. Needs no network, no script, no font."""

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

COLOURS = """
.pipelex { --paper: #ffffff; --group: #f6f7f9; --inner: #eceff3; --card: #ffffff; --line: #c9d0d9; --ink: #1c2430;
  --soft: #5d6878; --wire: #76839a; --model: #6b4fd8; --read: #0b7fab; --make: #2b8a4b; --code: #b3580c;
  --todo: #8a8f98; --choice: #b0368a; --each: #0f766e; --pill: #ffffff; --stop: #c0392b; }
@media (prefers-color-scheme: dark) {
.pipelex { --paper: #14181f; --group: #1b2029; --inner: #232a35; --card: #2b3340; --line: #434e5e; --ink: #e8ecf2;
  --soft: #a3aebd; --wire: #8695ab; --model: #a797ff; --read: #4fc0e8; --make: #6fce8d; --code: #f0a35e;
  --todo: #9aa3b0; --choice: #ee86cd; --each: #4fd1c5; --pill: #14181f; --stop: #ff8577; }
}"""

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
    return "\n".join(_svg(drawing, f"<style>{COLOURS}{STYLE}\n</style>"))


def _svg(drawing: Box, style: str) -> Iterator[str]:
    placed = place(drawing)
    width, height = placed.width + 2 * _MARGIN, placed.height + 2 * _MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pipelex" role="img" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">'
    )
    yield f"<title>{escape(drawing.title)}</title>"
    if style:
        yield style
        yield '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    yield f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">'
    yield from _place(placed, 0)
    yield "</g></svg>"


def _place(placed: Place, depth: int) -> Iterator[str]:
    yield f'<g transform="translate({placed.x:.1f} {placed.y:.1f})">'
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
        style = box.mark or ("eachtext" if box.each else "")
        yield _text(x, y, said, style)
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


# The page.

_PAGE = """
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { padding: 24px 28px 48px; } h1 { font-size: 20px; margin: 0; } p { color: var(--soft); margin: 4px 0 16px; }
.canvas { overflow: auto; border: 1px solid var(--line); border-radius: 12px; margin: 0 0 12px; }
.canvas svg { display: block; margin: 0 auto; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: 6px 22px; padding: 0; margin: 0 0 28px; color: var(--soft);
  font-size: 13px; }
li svg { vertical-align: middle; margin-right: 6px; } table { border-collapse: collapse; width: 100%; font-size: 13px; }
th { text-align: left; color: var(--soft); font-weight: 500; } th, td { border-bottom: 1px solid var(--line);
  padding: 6px 14px 6px 0; vertical-align: top; } code { font: 12px ui-monospace, Menlo, Consolas, monospace; }
.tablebox { overflow-x: auto; } td:first-child { white-space: nowrap; }"""

_LEGEND = (
    ("wire", "a value"),
    ("wire each", "each item of a list"),
    ("wire optional", "a value that may be absent"),
    ("wire choice", "a choice"),
    ("wire order", "only the order"),
)


def page(drawing: Box, *, description: str, source: str) -> str:
    """The drawing as a self-contained HTML page, with a table of its pipes below."""
    return framed_page(drawing, source, description, "\n".join(_table(drawing)))


def framed_page(drawing: Box, source: str, description: str, table: str) -> str:
    """A self-contained HTML page: the description, a line that says where from, the drawing, and a table below."""
    title = escape(drawing.title)
    legend = "".join(
        f'<li><svg class="pipelex" width="34" height="10"><path class="{style}" d="M0 5H34"/></svg>{text}</li>'
        for style, text in _LEGEND
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">',
            f"<title>{title}</title><style>{COLOURS}{STYLE}{_PAGE}\n</style></head>",
            f'<body class="pipelex"><main><h1>{title}</h1>',
            f"<p>{escape(description)}<br><code>{escape(source)}</code></p>",
            '<div class="canvas">',
            *_svg(drawing, ""),
            f"</div><ul>{legend}</ul>",
            table,
            "</main></body></html>\n",
        ]
    )


def _table(drawing: Box) -> Iterator[str]:
    yield '<div class="tablebox"><table><tr><th>Pipe</th><th>Type</th><th>Reads</th><th>Gives</th><th></th></tr>'
    shown: set[str] = set()
    for box in drawing.walk():
        if box.ref is None or box.ref in shown:
            continue
        shown.add(box.ref)
        reads = "<br>".join(f"<code>{escape(port.text)}</code>" for port in box.inputs)
        gives = f"<code>{escape(box.outputs[0].slot)}</code>"
        kind = escape(box.type.removeprefix("Pipe"))
        about = escape(box.about)
        yield f"<tr><td><code>{escape(box.title)}</code></td><td>{kind}</td><td>{reads}</td><td>{gives}</td>"
        yield f"<td>{about}</td></tr>"
    yield "</table></div>"


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
