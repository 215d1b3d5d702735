"""What a drawing contains, told from declarations; how it looks is tested where it is printed."""

from __future__ import annotations

from pipelex.library.drawing import Box, End, draw
from pipelex.library.library import Library, library_from_texts

HEAD = 'domain = "d"\n[concept]\nNote = "A note"\n'


def leaf(code: str, inputs: str) -> str:
    return controller(code, "PipeFunc", inputs, f'function_name = "{code}"')


def controller(code: str, kind: str, inputs: str, body: str, output: str = "Note") -> str:
    return (
        f'[pipe.{code}]\ntype = "{kind}"\ndescription = "About {code}"\ninputs = {{ {inputs} }}\n'
        f'output = "{output}"\n{body}\n'
    )


def library(*parts: str) -> Library:
    return library_from_texts({"d.mthds": HEAD + "\n".join(parts)})[0]


def wires(box: Box) -> set[tuple[str, str, str]]:
    """The wires in a box: where from, where to, and the kind, with ports by name."""

    def start(end: End) -> str:
        ports = box.inputs if end.box is None else box.children[end.box].outputs
        name = ports[end.port].name if ports else None
        return f"{'' if end.box is None else box.children[end.box].title + '.'}{name or ''}"

    def end(end: End) -> str:
        if end.box is None:
            return f"out.{box.outputs[end.port].name or ''}"
        ports = box.children[end.box].inputs
        return f"{box.children[end.box].title}.{ports[end.port].name if ports else ''}"

    return {(start(wire.start), end(wire.end), wire.kind) for wire in box.wires}


A, B = leaf("a", 'x = "Text"'), leaf("b", 'y = "Note"')
B_WITH_OPTIONAL = leaf("b", 'y = "Note", z = "Text?"')


def test_a_sequence_has_its_steps_one_below_the_other_and_values_by_name() -> None:
    steps = 'steps = [{ pipe = "a", result = "y" }, { pipe = "b", result = "r" }]'
    box = draw(library(A, B_WITH_OPTIONAL, controller("s", "PipeSequence", 'x = "Text", z = "Text?"', steps)), "d.s")
    assert [child.title for child in box.children] == ["a", "b"]
    assert box.rows == ((0,), (1,))
    assert wires(box) == {("x", "a.x", "data"), ("a.y", "b.y", "data"), ("z", "b.z", "data"), ("b.r", "out.", "data")}
    assert [wire.is_optional for wire in box.wires] == [False, False, True, False]
    assert [port.text for port in box.children[0].outputs] == ["y: Note"]
    assert (box.children[0].type, box.children[0].detail, box.children[0].about) == ("PipeFunc", "a", "About a")


def test_steps_without_a_value_between_them_are_in_order() -> None:
    steps = 'steps = [{ pipe = "a", result = "y" }, { pipe = "a", result = "r" }]'
    box = draw(library(A, controller("s", "PipeSequence", 'x = "Text"', steps)), "d.s")
    assert ("a.y", "a.x", "order") in wires(box)


def test_a_batched_step_says_so_and_gives_a_list() -> None:
    steps = 'steps = [{ pipe = "a", batch_over = "xs", batch_as = "x", result = "ys" }]'
    box = draw(library(A, controller("s", "PipeSequence", 'xs = "Text[]"', steps, "Note[]")), "d.s")
    (child,) = box.children
    assert child.each == "x in xs"
    assert child.outputs[0].text == "ys: Note[]"
    assert ("xs", "a.x", "each") in wires(box)


def test_a_batch_contains_its_branch() -> None:
    body = 'branch_pipe_code = "a"\ninput_list_name = "xs"\ninput_item_name = "x"'
    box = draw(library(A, controller("m", "PipeBatch", 'xs = "Text[]"', body, "Note[]")), "d.m")
    assert wires(box) == {("xs", "a.x", "each"), ("a.", "out.", "data")}


def test_a_parallel_has_its_branches_side_by_side_and_only_the_results_that_are_read() -> None:
    branches = 'add_each_output = true\nbranches = [{ pipe = "a", result = "y" }, { pipe = "a", result = "unread" }]'
    parallel = controller("p", "PipeParallel", 'x = "Text"', branches, "Composite")
    steps = 'steps = [{ pipe = "p", result = "both" }, { pipe = "b", result = "r" }]'
    box = draw(library(A, B, parallel, controller("s", "PipeSequence", 'x = "Text"', steps)), "d.s")
    inner = box.children[0]
    assert inner.rows == ((0, 1),)
    assert [port.name for port in inner.outputs] == ["both", "y"]
    assert ("p.y", "b.y", "data") in wires(box)
    assert wires(inner) >= {("a.y", "out.both", "data"), ("a.unread", "out.both", "data"), ("a.y", "out.y", "data")}


def test_names_stored_inside_a_nested_sequence_come_out_of_it_when_they_are_read() -> None:
    inner = controller("i", "PipeSequence", 'x = "Text"', 'steps = [{ pipe = "a", result = "y" }, { pipe = "a" }]')
    steps = 'steps = [{ pipe = "i" }, { pipe = "b", result = "r" }]'
    box = draw(library(A, B, inner, controller("s", "PipeSequence", 'x = "Text"', steps)), "d.s")
    assert [port.name for port in box.children[0].outputs] == [None, "y"]
    assert ("i.y", "b.y", "data") in wires(box)


def test_a_condition_has_a_decision_its_answers_and_its_outcomes() -> None:
    body = 'expression = "x.text"\ndefault_outcome = "fail"\noutcomes = { one = "a", two = "a", three = "b" }'
    box = draw(library(A, B, controller("c", "PipeCondition", 'x = "Text", y = "Note"', body)), "d.c")
    assert [child.title for child in box.children] == ["x.text", "one · two", "three", "otherwise", "a", "b", "fail"]
    assert box.rows == ((0,), (1, 2, 3), (4, 5, 6))
    assert ("x", "x.text.", "data") in wires(box)
    assert ("y", "x.text.", "data") not in wires(box)
    choices = [(wire.start.box, wire.end.box) for wire in box.wires if wire.kind == "choice"]
    assert choices == [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6)]
    assert {wire.start.box for wire in box.wires if wire.end.box is None} == {4, 5}


def test_a_single_operator_gets_a_frame() -> None:
    box = draw(library(A), "d.a")
    assert (box.kind, box.title, box.children[0].title) == ("method", "d", "a")
    assert wires(box) == {("x", "a.x", "data"), ("a.", "out.", "data")}


def test_a_pipe_that_calls_itself_is_drawn_once() -> None:
    body = 'expression = "x.text"\ndefault_outcome = "a"\noutcomes = { again = "c" }'
    box = draw(library(A, controller("c", "PipeCondition", 'x = "Text"', body)), "d.c")
    again = next(child for child in box.children if child.title == "c")
    assert (again.children, again.detail) == ((), "calls itself again")


def test_what_calls_very_many_is_cut() -> None:
    levels = [
        controller(f"s{n}", "PipeSequence", 'x = "Text"', f'steps = [{{ pipe = "{m}" }}, {{ pipe = "{m}" }}]')
        for n, m in ((n, f"s{n + 1}" if n < 11 else "a") for n in range(12))
    ]
    box = draw(library(A, *levels), "d.s0")
    assert 400 < len(list(box.walk())) < 1000
    assert any(inner.detail == "its inside is not drawn" for inner in box.walk())


def test_bindings_are_boxes_and_a_dotted_batch_is_drawn_as_it_is_written() -> None:
    steps = (
        'steps = [{ from = "scan.page_view", result = "view" }, '
        '{ pipe = "look", batch_over = "scan.text_and_images.images", batch_as = "image", result = "notes" }]'
    )
    look = leaf("look", 'image = "Image", view = "Image?"')
    box = draw(library(look, controller("s", "PipeSequence", 'scan = "Page"', steps, "Note[]")), "d.s")
    assert [(child.kind, child.title) for child in box.children] == [
        ("binding", "scan.page_view"),
        ("operator", "look"),
    ]
    assert box.children[0].outputs[0].text == "view: Image?"
    assert box.children[1].each == "image in scan.text_and_images.images"
    assert wires(box) >= {("scan", "look.image", "each"), ("scan.page_view.view", "look.view", "data")}
