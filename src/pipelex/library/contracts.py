"""What pipes take and give, told to programs: contracts, input forms, and which pipes may be skipped. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from pipelex.language.pipes import (
    OUTCOME_WORDS,
    Binding,
    Pipe,
    PipeBatch,
    PipeCondition,
    PipeParallel,
    PipeSequence,
    Step,
)
from pipelex.library.held import Held
from pipelex.library.library import Library
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.schema import slot_schema
from pipelex.values.slots import Slot

Json = dict[str, JsonValue]

_PRESENCE = {"plain": "plain", "optional": "optional", "forced": "force"}
_KINDS = {
    "native.Text": "text",
    "native.Number": "number",
    "native.YesNo": "boolean",
    "native.Date": "date",
    "native.Time": "time",
    "native.Image": "image",
    "native.Document": "document",
    "native.Html": "html",
    "native.JSON": "json",
    "native.Choice": "choice",
    "native.Rating": "rating",
    "native.Anything": "any",
    "native.Dynamic": "any",
    "native.Composite": "composite",
}


def io_contract(library: Library, ref: str) -> Json:
    """What a pipe takes, by input name, and what it gives (MTHDS section 16.2)."""
    pipe = library.pipe(ref)
    inputs: Json = {
        name: {
            "concept_ref": slot.concept,
            "json_schema": _schema(slot, library.concepts),
            "presence": _PRESENCE[slot.presence],
            **_multiplicity(slot),
        }
        for name, slot in pipe.inputs.items()
    }
    given = pipe.output
    output: Json = {"concept_ref": given.concept, **_multiplicity(given), "optional": given.presence == "optional"}
    return {"inputs": inputs, "output": output}


def _multiplicity(slot: Slot) -> Json:
    word = "single" if not slot.is_list else "variable" if slot.count is None else "fixed"
    return {"multiplicity": word, "item_count": slot.count}


def _schema(slot: Slot, concepts: Concepts) -> Json:
    """The schema of a slot, titled with the whole name of its concept."""
    schema: dict[str, Any] = slot_schema(slot, concepts)
    if not slot.is_list:
        return {**schema, "title": slot.concept}
    return {**schema, "items": {**schema["items"], "title": slot.concept}}


# Forms.


def input_form(library: Library, ref: str) -> list[JsonValue]:
    """The inputs of a pipe as those who draw forms want them: kinds, choices, defaults, hints, nested fields."""
    pipe = library.pipe(ref)
    return [_input(name, slot, pipe, library.concepts) for name, slot in pipe.inputs.items()]


def _input(name: str, slot: Slot, pipe: Pipe, concepts: Concepts) -> Json:
    hints = {**_hints(slot.concept, concepts), **pipe.input_hints.get(name, {})}
    return {
        "name": name,
        **_content(slot.concept, concepts),
        **_multiplicity(slot),
        "required": slot.presence != "optional",
        **({"hints": dict(hints)} if hints else {}),
    }


def _content(ref: str, concepts: Concepts) -> Json:
    """The kind of a concept, with its fields when it is one of the library's own structures or has no kind."""
    root = concepts.root(ref)
    kind = _KINDS.get(root, "structure")
    found: Json = {"kind": kind, "concept_ref": ref, "description": concepts[ref].description}
    if kind == "structure":
        found["fields"] = [_field(name, field, concepts) for name, field in concepts.structure(ref).items()]
    return found


def _field(name: str, field: Field, concepts: Concepts) -> Json:
    found: Json = {"name": name}
    hints = dict(field.hints)
    if field.type is FieldType.CONCEPT and field.concept is not None:
        found |= _content(field.concept, concepts)
        hints = {**_hints(field.concept, concepts), **hints}
    else:
        found["kind"] = "choice" if field.choices else field.type.value
    found["description"] = field.description
    if field.type is FieldType.LIST and field.item_type is not None:
        is_content = field.item_type is FieldType.CONCEPT and field.concept is not None
        found["item"] = _content(field.concept, concepts) if is_content and field.concept else {"kind": field.item_type}
    if field.choices:
        found["choices"] = list(field.choices)
    if field.default is not None:
        found["default"] = field.default
    found["required"] = field.required
    return {**found, "hints": dict(hints)} if hints else found


def _hints(ref: str, concepts: Concepts) -> dict[str, str]:
    """The hints of a concept: its own over its parent's, key by key."""
    found: dict[str, str] = {}
    for name in reversed(concepts.ancestry(ref)):
        found |= concepts[name].hints
    return found


# What may be skipped (MTHDS section 7.4).


def liftable_pipes(library: Library, refs: Iterable[str]) -> list[JsonValue]:
    """The pipes that a run may skip, because a plain input of theirs may be absent there; with what makes it so.

    `refs` are the pipes whose calls are looked at.
    """
    absences = _Absences(library)
    for ref in refs:
        absences.follow(ref)
    return [
        {"pipe_ref": ref, "slots": list(slots), "origins": [origin for found in slots.values() for origin in found]}
        for ref, slots in absences.lifted.items()
    ]


class _Absences:
    """Follows values that may be absent; `lifted` holds, by pipe and input, where the absences come from."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.lifted: dict[str, dict[str, list[JsonValue]]] = {}
        self.left: dict[str, dict[str, Json | None]] = {}
        """By pipe: the names it leaves in the memory of its caller, each with what may make it absent."""

    def follow(self, ref: str) -> None:
        if ref in self.left:
            return
        self.left[ref] = {}
        pipe = self.library.pipe(ref)
        names: dict[str, Json | None] = {
            name: {"pipe_ref": ref, "slot": name, "kind": "optional_input"} if slot.presence == "optional" else None
            for name, slot in pipe.inputs.items()
        }
        match pipe:
            case PipeSequence():
                for step in pipe.steps:
                    made = self.binding(ref, step, names) if isinstance(step, Binding) else self.call(step, names)
                    names |= made
                    self.left[ref] |= made
            case PipeParallel():
                made = {}
                for branch in pipe.branches:
                    made |= {name: lack for name, lack in self.call(branch, names).items() if name == branch.result}
                self.left[ref] = made if pipe.add_each_output else {}
            case PipeCondition():
                for target in dict.fromkeys((*pipe.outcomes.values(), pipe.default_outcome)):
                    if target not in OUTCOME_WORDS:
                        self.call(Step(pipe=target), names)
            case PipeBatch():
                self.call(Step(pipe=pipe.branch_pipe_code), {**names, pipe.input_item_name: None})
            case _:
                pass

    def binding(self, ref: str, step: Binding, names: Mapping[str, Json | None]) -> dict[str, Json | None]:
        lack = names.get(step.from_.partition(".")[0])
        if lack is None and step.slot is not None and step.slot.presence == "optional":
            lack = {"pipe_ref": ref, "slot": step.from_, "kind": "binding"}
        return {step.result: None if step.slot is not None and step.slot.is_list else lack}

    def call(self, step: Step, names: Mapping[str, Json | None]) -> dict[str, Json | None]:
        """What a call leaves in memory, by name; the called pipe is noted when the call may be skipped."""
        self.follow(step.pipe)
        pipe = self.library.pipe(step.pipe)
        here = {**names, step.batch_as: None} if step.batch_as else names
        lacking = {
            name: lack for name, slot in pipe.inputs.items() if slot.presence == "plain" and (lack := here.get(name))
        }
        for name, lack in lacking.items():
            found = self.lifted.setdefault(step.pipe, {}).setdefault(name, [])
            if lack not in found:
                found.append(lack)
        if step.batch_over:
            return {step.result: None} if step.result else {}
        left = dict(self.left[step.pipe])
        if step.result:
            left[step.result] = self.made(step, pipe, is_lifted=bool(lacking))
        return left

    def made(self, step: Step, pipe: Pipe, *, is_lifted: bool) -> Json | None:
        if Held.declared(pipe.output).overridden(step).depth:
            return None
        if pipe.output.presence == "optional":
            return {"pipe_ref": step.pipe, "slot": "output", "kind": "optional_output"}
        return {"pipe_ref": step.pipe, "slot": "output", "kind": "skipped"} if is_lifted else None
