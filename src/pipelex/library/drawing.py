"""What a picture of a method shows: boxes in boxes, and the values that go between them. Pure.

One box for each place where a pipe is called, so that a pipe called twice is there twice. No sizes, no places: how it
looks is decided where it is printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pipelex.language.pipes import (
    CONTROLLERS,
    OUTCOME_WORDS,
    Binding,
    Pipe,
    PipeBatch,
    PipeCondition,
    PipeFunc,
    PipeParallel,
    PipeSequence,
    Step,
)
from pipelex.language.templates import analyse, condition_template, template_fault
from pipelex.library.library import Library
from pipelex.values.slots import Slot

BoxKind = Literal["operator", "controller", "binding", "decision", "label", "end", "method"]
WireKind = Literal["data", "each", "choice", "order"]

_DEEPEST = 12
_MOST_BOXES = 400


@dataclass(frozen=True)
class Port:
    """A named value that goes into a box or comes out of it; `slot` with bare concept codes."""

    name: str | None
    slot: str

    @property
    def text(self) -> str:
        """As a label: `notes: PageNotes[]`."""
        return ": ".join(part for part in (self.name, self.slot) if part)


@dataclass(frozen=True)
class End:
    """One end of a wire: a port of a child, or (`box` None) of the box that the wire is in."""

    box: int | None
    port: int = 0


@dataclass(frozen=True)
class Wire:
    """A value that goes from one box to another (`data`, or item by item: `each`), a choice, or the mere order."""

    start: End
    end: End
    kind: WireKind = "data"
    is_optional: bool = False


@dataclass(frozen=True)
class Box:
    """A call of a pipe, or a part of one. `rows` are the indices of the children, from top to bottom.

    Wires go down: from the box's own inputs, or from a child, to a child of a lower row or to the box's own outputs.
    """

    kind: BoxKind
    title: str
    type: str = ""
    detail: str = ""
    about: str = ""
    ref: str | None = None
    each: str | None = None
    """`page in pages` when the box runs once per item."""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    children: tuple[Box, ...] = ()
    rows: tuple[tuple[int, ...], ...] = ()
    wires: tuple[Wire, ...] = ()
    mark: str = ""
    """In the picture of a run: the state of the pipe there (done, failed, running, canceled, idle)."""
    notes: tuple[str, ...] = ()
    """In the picture of a run: lines that say what happened there."""
    key: int | None = None
    """On a page: the number under which it tells of this box when somebody picks it."""

    def walk(self) -> Iterator[Box]:
        """This box and all those in it."""
        yield self
        for child in self.children:
            yield from child.walk()


def draw(library: Library, pipe: str) -> Box:
    """The drawing of a pipe: its own box, or a frame around it when it contains nothing.

    A pipe that calls itself is drawn closed where it comes back, and so is what is nested very deeply.
    """
    drawer = _Drawer(library.crate.pipes)
    box = _without_unread(drawer.call(Step(pipe=pipe), ()))
    return box if box.children else _framed(box, pipe)


def _framed(box: Box, pipe: str) -> Box:
    domain = pipe.rpartition(".")[0]
    wires = [Wire(End(None, index), End(0, index)) for index in range(len(box.inputs))]
    wires += [Wire(End(0), End(None))]
    return Box(
        kind="method",
        title=domain,
        inputs=box.inputs,
        outputs=box.outputs,
        children=(box,),
        rows=((0,),),
        wires=tuple(wires),
    )


@dataclass
class _Inside:
    """The inside of a controller while it is drawn: `names` says where each name comes from."""

    names: dict[str, End]
    children: list[Box] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    def add(self, box: Box, row: int | None = None) -> int:
        """Put a box in a row of its own, or in that row; its index."""
        self.children.append(box)
        index = len(self.children) - 1
        if row is None or row >= len(self.rows):
            self.rows.append([])
            row = len(self.rows) - 1
        self.rows[row].append(index)
        return index

    def feed(self, index: int, slots: Mapping[str, Slot], step: Step | None = None) -> None:
        """Wire the inputs of a child to where their names come from."""
        for port, (name, slot) in enumerate(slots.items()):
            is_item = step is not None and step.batch_over is not None and step.batch_as == name
            source = step.batch_over.partition(".")[0] if is_item and step and step.batch_over else name
            if start := self.names.get(source):
                kind: WireKind = "each" if is_item else "data"
                self.wires.append(Wire(start, End(index, port), kind, is_optional=slot.presence == "optional"))

    def box(self, box: Box, outputs: Iterable[tuple[Port, list[End]]]) -> Box:
        """The controller with this inside; each output says which ends make it."""
        ports = list(outputs)
        ends = [Wire(start, End(None, port)) for port, (_, starts) in enumerate(ports) for start in starts]
        return replace(
            box,
            outputs=tuple(port for port, _ in ports),
            children=tuple(self.children),
            rows=tuple(tuple(row) for row in self.rows),
            wires=(*self.wires, *ends),
        )


class _Drawer:
    def __init__(self, pipes: Mapping[str, Pipe]) -> None:
        self.pipes = pipes
        self.drawn = 0

    def call(self, step: Step, above: tuple[str, ...], result: str | None = None) -> Box:
        """The box of one call; `above` are the pipes it is drawn in."""
        pipe = self.pipes[step.pipe]
        self.drawn += 1
        name = result or step.result
        box = Box(
            kind="controller" if isinstance(pipe, CONTROLLERS) else "operator",
            title=step.pipe.rpartition(".")[2],
            type=pipe.type,
            detail=_detail(pipe),
            about=pipe.description,
            ref=step.pipe,
            each=f"{step.batch_as} in {step.batch_over}" if step.batch_over else None,
            inputs=tuple(Port(key, short(slot)) for key, slot in pipe.inputs.items()),
            outputs=(Port(name, short(_given(pipe.output, step))),),
        )
        if not isinstance(pipe, CONTROLLERS):
            return box
        if step.pipe in above:
            return replace(box, detail="calls itself again")
        if len(above) >= _DEEPEST or self.drawn > _MOST_BOXES:
            return replace(box, detail="its inside is not drawn")
        return self.inside(pipe, box, (*above, step.pipe))

    def inside(self, pipe: Pipe, box: Box, above: tuple[str, ...]) -> Box:
        inside = _Inside({name: End(None, index) for index, name in enumerate(pipe.inputs)})
        match pipe:
            case PipeSequence():
                outputs = self.sequence(pipe, box, inside, above)
            case PipeParallel():
                outputs = self.parallel(pipe, box, inside, above)
            case PipeCondition():
                outputs = self.condition(pipe, box, inside, above)
            case PipeBatch():
                step = Step(pipe=pipe.branch_pipe_code, batch_over=pipe.input_list_name, batch_as=pipe.input_item_name)
                inside.feed(inside.add(self.call(step, above)), self.pipes[step.pipe].inputs, step)
                outputs = [(box.outputs[0], [End(0)])]
            case _:
                outputs = []
        if box.each:
            outputs = outputs[:1]  # what is stored inside an item does not leave it
        return inside.box(box, outputs)

    def sequence(
        self, pipe: PipeSequence, box: Box, inside: _Inside, above: tuple[str, ...]
    ) -> list[tuple[Port, list[End]]]:
        stored: dict[str, tuple[Port, list[End]]] = {}
        paths: dict[str, str] = {}
        for step in pipe.steps:
            if isinstance(step, Binding) and step.result.startswith("_bound_"):
                # Linking made it of a dotted `batch_over`: drawn as it was written.
                paths[step.result] = step.from_
                continue
            if isinstance(step, Step) and step.batch_over in paths:
                step = step.model_copy(update={"batch_over": paths[step.batch_over]})
            if isinstance(step, Binding):
                slot = short(step.slot) if step.slot else ""
                bound = Box(kind="binding", title=step.from_, type="binding", outputs=(Port(step.result, slot),))
                index = inside.add(bound)
                if start := inside.names.get(step.from_.partition(".")[0]):
                    inside.wires.append(Wire(start, End(index)))
            else:
                index = inside.add(self.call(step, above))
                inside.feed(index, self.pipes[step.pipe].inputs, step)
            self.in_order(inside, index)
            for port, output in enumerate(inside.children[index].outputs):
                if output.name:
                    inside.names[output.name] = End(index, port)
                    stored[output.name] = (output, [End(index, port)])
        last = End(len(inside.children) - 1)
        made = inside.children[-1].outputs[0].name if inside.children else None
        rest = [kept for name, kept in stored.items() if name != made]
        return [(box.outputs[0], [last] if inside.children else []), *rest]

    def in_order(self, inside: _Inside, index: int) -> None:
        """Say that a step comes after the one before it, when no value says so."""
        before = index - 1
        if before < 0 or any(wire.start.box == before and wire.end.box == index for wire in inside.wires):
            return
        inside.wires.append(Wire(End(before), End(index), "order"))

    def parallel(
        self, pipe: PipeParallel, box: Box, inside: _Inside, above: tuple[str, ...]
    ) -> list[tuple[Port, list[End]]]:
        for branch in pipe.branches:
            index = inside.add(self.call(branch, above), row=0)
            inside.feed(index, self.pipes[branch.pipe].inputs, branch)
        outputs = [(box.outputs[0], [End(index) for index in range(len(inside.children))])]
        if pipe.add_each_output:
            outputs += [(child.outputs[0], [End(index)]) for index, child in enumerate(inside.children)]
        return outputs

    def condition(
        self, pipe: PipeCondition, box: Box, inside: _Inside, above: tuple[str, ...]
    ) -> list[tuple[Port, list[End]]]:
        asked = pipe.expression or pipe.expression_template or ""
        inside.add(Box(kind="decision", title=" ".join(asked.split()), type="decision"))
        inside.wires += [Wire(inside.names[name], End(0)) for name in _read_by(pipe) if name in inside.names]
        reasons: dict[str, list[str]] = {}
        for value, target in (*pipe.outcomes.items(), ("otherwise", pipe.default_outcome)):
            reasons.setdefault(target, []).append(value)
        made: list[End] = []
        for values in reasons.values():
            label = inside.add(Box(kind="label", title=" · ".join(values)), row=1)
            inside.wires.append(Wire(End(0), End(label), "choice"))
        for label, target in enumerate(reasons, start=1):
            if target in OUTCOME_WORDS:
                index = inside.add(Box(kind="end", title=target, type=target), row=2)
            else:
                index = inside.add(self.call(Step(pipe=target), above), row=2)
                inside.feed(index, self.pipes[target].inputs)
                made.append(End(index))
            inside.wires.append(Wire(End(label), End(index), "choice"))
        return [(box.outputs[0], made)]


def _read_by(pipe: PipeCondition) -> list[str]:
    """The inputs that the expression of a condition reads."""
    template = condition_template(pipe)
    if template_fault(template, "expression"):
        return list(pipe.inputs)
    return [name for name in analyse(template, "expression").roots if name in pipe.inputs]


def _given(slot: Slot, step: Step) -> Slot:
    """What a step gives, with the multiplicity that it asks for or that its batch makes."""
    if step.nb_output is not None:
        slot = Slot(slot.concept, is_list=step.nb_output > 1, count=step.nb_output if step.nb_output > 1 else None)
    elif step.multiple_output is not None:
        slot = Slot(slot.concept, is_list=step.multiple_output)
    return Slot(slot.concept, is_list=True) if step.batch_over else slot


def short(slot: Slot) -> str:
    """A slot as labels have it: its concept without the domain."""
    return str(replace(slot, concept=slot.concept.rpartition(".")[2]))


def _detail(pipe: Pipe) -> str:
    """What tells one pipe of a type from another: its model, or its function."""
    if isinstance(pipe, PipeFunc):
        return pipe.function_name
    model = getattr(pipe, "model", None)
    if isinstance(model, dict):
        return str(model.get("model", ""))
    return model or ""


def _without_unread(box: Box, read: Iterable[int] = ()) -> Box:
    """The box without the outputs, after the first, that nobody outside reads (`read` are those that are)."""
    kept = {0, *read}
    moved = {port: place for place, port in enumerate(sorted(kept))}
    outputs = tuple(port for index, port in enumerate(box.outputs) if index in kept)
    wires = [wire for wire in box.wires if wire.end.box is not None or wire.end.port in kept]
    wires = [replace(wire, end=End(None, moved[wire.end.port])) if wire.end.box is None else wire for wire in wires]
    children = list(box.children)
    for index, child in enumerate(children):
        used = sorted({0, *(wire.start.port for wire in wires if wire.start.box == index)})
        children[index] = _without_unread(child, used)
        places = {port: place for place, port in enumerate(used)}
        wires = [
            replace(wire, start=End(index, places[wire.start.port])) if wire.start.box == index else wire
            for wire in wires
        ]
    return replace(box, outputs=outputs, children=tuple(children), wires=tuple(wires))
