"""What a binding step gives, told from declared structures (MTHDS section 9A.1, rule 66). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from pipelex.language.findings import did_you_mean
from pipelex.language.pipes import Binding, PipeSequence, Step
from pipelex.library.held import Held, worst
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.slots import Presence, Slot

_SCALARS: dict[FieldType, str] = {
    FieldType.TEXT: "native.Text",
    FieldType.NUMBER: "native.Number",
    FieldType.INTEGER: "native.Number",
    FieldType.BOOLEAN: "native.YesNo",
    FieldType.DATE: "native.Date",
    FieldType.DATETIME: "native.Date",
    FieldType.TIME: "native.Time",
    FieldType.DICT: "native.JSON",
}

_LEAVES = frozenset({"native.Text", "native.Number", "native.Time", "native.JSON"})

BOUND = "_bound_"
"""What the names start with that linking gives to the lists of dotted `batch_over`."""


@dataclass(frozen=True)
class Underived:
    """Why a path gives nothing that can be told: a sentence, and how to mend it."""

    message: str
    hint: str | None = None


def derive(concepts: Concepts, root: Held, path: str, shorthands: Collection[tuple[str, str]] = ()) -> Held | Underived:
    """What stands at a path below what `root` holds; several levels of lists become one.

    `shorthands` are fields, by concept and name, that the language requires and that may be empty all the same.
    """
    segments = path.split(".")[1:]
    if not segments:
        return root
    if root.parts is not None and segments[0] in root.parts:
        return derive(concepts, _part(root, root.parts[segments[0]]), ".".join(segments), shorthands)
    concept, is_plain, is_list = root.concept, False, bool(root.depth)
    lack = root.lack
    for index, segment in enumerate(segments):
        reached = ".".join(path.split(".")[: index + 1])
        if is_plain or concepts.is_open(concept) or concepts.root(concept) in _LEAVES:
            what = "a plain value" if is_plain else concept.rpartition(".")[2]
            return Underived(f"'{reached}' is {what}, and has nothing below it that is declared", _hint(is_plain))
        fields = concepts.structure(concept)
        field = fields.get(segment)
        if field is None:
            hint = did_you_mean(segment, fields) or f"its fields are {', '.join(fields)}"
            return Underived(f"'{path}': {concept.rpartition('.')[2]} has no field '{segment}'", hint)
        if not field.required and field.default is None:
            is_shorthand = (concepts.ancestry(concept)[-1], segment) in shorthands
            lack = worst(lack, "tolerated" if is_shorthand else "maybe")
        found = _into(field)
        if found is None:
            hint = "give the list an item_type"
            return Underived(f"'{path}': the list '{segment}' does not say what its items are", hint)
        concept, is_plain = found
        is_list = is_list or field.type is FieldType.LIST
    return Held(concept, 1 if is_list else 0, lack="never" if is_list else lack)


def _part(whole: Held, part: Held) -> Held:
    """A component of a Composite, or of each Composite of a list."""
    if not whole.depth:
        return replace(part, lack=worst(part.lack, whole.lack))
    return replace(part, depth=1, count=None, lack="never")


def _hint(is_plain: bool) -> str | None:
    return None if is_plain else "end the path here, or declare a structure for it"


def _into(field: Field) -> tuple[str, bool] | None:
    """The concept of one value of a field, and whether nothing can be below it; None for items of any shape."""
    kind = field.item_type if field.type is FieldType.LIST else field.type
    if kind is None:
        return None
    if kind is FieldType.CONCEPT:
        assert field.concept is not None
        return field.concept, False
    return _SCALARS[kind], True


def slot_of(held: Held) -> Slot:
    """What is held as the slot of a binding."""
    is_list = bool(held.depth)
    presence: Presence = "optional" if held.lack != "never" and not is_list else "plain"
    return Slot(held.concept, is_list=is_list, count=held.count if is_list else None, presence=presence)


def is_dotted(step: Step) -> bool:
    """Whether a step runs over something inside what memory holds."""
    return step.batch_over is not None and "." in step.batch_over


def bound(pipe: PipeSequence, slots: Mapping[int, Slot]) -> PipeSequence:
    """The sequence with what its bindings give; a dotted `batch_over` becomes a binding before its step."""
    steps: list[Step | Binding] = []
    for index, step in enumerate(pipe.steps):
        slot = slots.get(index)
        if slot is None:
            steps.append(step)
        elif isinstance(step, Binding):
            steps.append(step.model_copy(update={"slot": slot}))
        else:
            path = step.batch_over or ""
            name = BOUND + path.replace(".", "_")
            steps.append(Binding.model_validate({"from": path, "result": name, "slot": slot}))
            steps.append(step.model_copy(update={"batch_over": name}))
    return pipe.model_copy(update={"steps": tuple(steps)})
