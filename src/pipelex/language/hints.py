"""Intent hints at sites of the wrong kind (MTHDS section 4.6, rule 86), as far as one file can tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelex.language.bundle import Bundle, ConceptDeclaration, FieldDeclaration
from pipelex.language.findings import NUMBER_INTENTS, TEXT_INTENTS, Path
from pipelex.values.concepts import FieldType
from pipelex.values.natives import NATIVES

_FITTING = {"text": TEXT_INTENTS, "number": NUMBER_INTENTS, "other": ()}
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_NATIVE_KINDS = {"Text": "text", "Markdown": "text", "Number": "number"}


def misplaced_intents(bundle: Bundle) -> Iterator[tuple[Path, str]]:
    """The place of each known intent that cannot apply there, with what is there instead."""
    for path, hints, kind in _sites(bundle):
        intent = hints.get("intent")
        if kind is not None and intent in (*TEXT_INTENTS, *NUMBER_INTENTS) and intent not in _FITTING[kind]:
            is_for = "texts" if intent in TEXT_INTENTS else "numbers"
            there = "neither a text nor a number" if kind == "other" else f"a {kind}"
            yield (*path, "hints", "intent"), f"the intent '{intent}' is for {is_for}, and this is {there}"


def _sites(bundle: Bundle) -> Iterator[tuple[Path, Mapping[str, str], str | None]]:
    """Everything that has hints: its path, its hints, and whether it is a text, a number or something else."""
    concepts = bundle.concepts
    for code, concept in concepts.items():
        if concept.hints:
            yield ("concept", code), concept.hints, _kind_of(code, concepts)
        for name, field in (concept.structure or {}).items():
            if field.hints:
                yield ("concept", code, "structure", name), field.hints, _field_kind(field, concepts)
    for code, pipe in bundle.pipes.items():
        for name, hints in pipe.input_hints.items():
            if name in pipe.inputs:
                ref = pipe.inputs[name].concept.removeprefix(f"{bundle.domain}.")
                yield ("pipe", code, "inputs", name), hints, _kind_of(ref, concepts)


def _field_kind(field: FieldDeclaration, concepts: Mapping[str, ConceptDeclaration]) -> str | None:
    kind = field.item_type if field.type is FieldType.LIST else field.type
    ref = field.item_concept_ref if field.type is FieldType.LIST else field.concept_ref
    if kind is FieldType.CONCEPT:
        return _kind_of(ref or "", concepts)
    if kind is None:
        return None
    return "text" if kind is FieldType.TEXT else "number" if kind in _NUMBERS else "other"


def _kind_of(ref: str, concepts: Mapping[str, ConceptDeclaration]) -> str | None:
    """The kind of a concept; None for one of another file."""
    for _ in range(len(concepts) + 1):
        native = ref.removeprefix("native.")
        if f"native.{native}" in NATIVES:
            is_open = NATIVES[f"native.{native}"].is_open
            return None if is_open else _NATIVE_KINDS.get(native, "other")
        declared = concepts.get(ref)
        if declared is None or declared.structure_class is not None:
            return None
        if declared.refines is None:
            return "text" if declared.structure is None else "other"
        ref = declared.refines
    return None
