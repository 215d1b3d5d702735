"""Pictures of methods: complete, self-contained, and with nothing over anything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pipelex.cli.graph_layout import PILL, Place, place
from pipelex.cli.graph_picture import mermaid, svg
from pipelex.cli.run_page import method_page
from pipelex.library.drawing import Box, draw
from pipelex.library.library import load_library

Cli = Callable[..., Any]

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/bundle.mthds"))


def drawing_of(file: Path) -> Box:
    library, _ = load_library([file])
    return draw(library, library.entry(None))


@pytest.fixture(params=EXAMPLES, ids=lambda file: file.parent.name)
def drawing(request: pytest.FixtureRequest) -> Box:
    return drawing_of(request.param)


def groups(placed: Place) -> Iterator[Place]:
    if placed.children:
        yield placed
    for child in placed.children:
        yield from groups(child)


def test_no_two_boxes_overlap_and_all_stay_inside(drawing: Box) -> None:
    for group in groups(place(drawing)):
        for one, other in combinations(group.children, 2):
            is_beside = one.x + one.width <= other.x or other.x + other.width <= one.x
            is_above = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert is_beside or is_above, (one.box.title, other.box.title)
        for child in group.children:
            assert child.x >= 0
            assert child.x + child.width <= group.width
            assert child.y >= PILL
            assert child.y + child.height <= group.height - group.bottom


def test_no_wire_crosses_a_box(drawing: Box) -> None:
    for group in groups(place(drawing)):
        for path in group.paths:
            # Inside a row wires are vertical; only between rows they go aside.
            for (x, y, _), (to_x, to_y, is_curve) in zip(path.points, path.points[1:], strict=False):
                assert y <= to_y + 0.01
                for child in group.children:
                    is_over = max(y, child.y) + 0.01 < min(to_y, child.y + child.height)
                    if is_over and not is_curve:
                        assert not child.x < x < child.x + child.width
                    assert not (is_over and is_curve), (path, child.box.title)
                assert is_curve or x == to_x


def test_input_pills_do_not_overlap(drawing: Box) -> None:
    for group in groups(place(drawing)):
        for centers in (group.inputs, group.outputs):
            assert all(abs(one - other) > 60 for one, other in combinations(centers, 2))


def test_the_picture_names_every_pipe_and_asks_nothing_of_the_network(drawing: Box) -> None:
    text = svg(drawing)
    ElementTree.fromstring(text)
    assert all(box.title in text for box in drawing.walk() if box.ref)
    assert re.findall(r"""(?:href|src)=|url\(|<script|@import|https?://(?!www\.w3\.org/2000/svg)""", text) == []
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_the_page_holds_the_picture_and_a_table_of_the_pipes(file: Path) -> None:
    library, _ = load_library([file])
    ref = library.entry(None)
    text = method_page(library, ref, source="A <b> & c")
    assert "A &lt;b&gt; &amp; c" in text
    assert re.findall(r"""(?:href|src)="[^#]|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", text) == []
    rows = re.findall(r'<button type="button" class="name" data-place="\d+">(\w+)<', text)
    assert sorted(rows) == sorted({box.title for box in draw(library, ref).walk() if box.ref})


def test_the_same_method_gives_the_same_picture() -> None:
    assert len({svg(drawing_of(EXAMPLES[0])) for _ in range(2)}) == 1


def test_mermaid_has_subgraphs_nodes_and_named_edges() -> None:
    text = mermaid(drawing_of(next(file for file in EXAMPLES if file.parent.name == "support_triage")))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "flowchart TD"
    assert lines.count("end") == len([line for line in lines if line.startswith("subgraph")]) == 3
    assert 'n_0_1_0{{"triage.topic"}}' in lines
    assert 'n_0_1_0 -->|"billing"| n_0_1_5' in lines
    assert "in0 ==> n_0_0" in lines
    assert 'n_0_2 -->|"tickets"| n_1' in lines
    declared = set(re.findall(r"^(?:subgraph )?(\w+)[\[({>]", "\n".join(lines), re.MULTILINE))
    used = {name for line in lines if ">" in line for name in re.findall(r"\b(?:n(?:_\d+)*|in\d+|out)\b(?!\")", line)}
    assert used <= declared


def test_mermaid_takes_any_text() -> None:
    box = Box(kind="method", title='a "b" <c> & d', children=(Box(kind="operator", title="x", type="PipeLLM"),))
    assert '["a #quot;b#quot; #lt;c#gt; #amp; d"]' in mermaid(
        Box(**{**vars(box), "rows": ((0,),), "outputs": (box_port(),)})
    )


def box_port() -> Any:
    from pipelex.library.drawing import Port

    return Port(None, "Text")


def test_the_command_writes_a_page_named_after_the_pipe(cli: Cli, greet: Path, work: Path) -> None:
    done = cli("graph", "greet")
    assert (done.code, done.out) == (0, "greet.html\n"), done.err
    assert (work / "greet.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (["-o", "x.svg"], "<svg"),
        (["-o", "x.mmd"], "flowchart TD"),
        (["-o", "x.txt", "--format", "mermaid"], "flowchart TD"),
        (["-o", "deep/x.html"], "<!doctype html>"),
    ],
)
def test_the_name_of_the_file_says_what_to_write(cli: Cli, greet: Path, arguments: list[str], beginning: str) -> None:
    done = cli("graph", str(greet), "--pipe", "make_card", *arguments)
    assert done.out == f"{arguments[1]}\n"
    assert Path(arguments[1]).read_text().startswith(beginning)


def test_a_dash_is_stdout(cli: Cli, greet: Path) -> None:
    assert cli("graph", "greet", "-o", "-", "--format", "svg").out.startswith("<svg")
    assert cli("graph", "nowhere.mthds").code == 1
