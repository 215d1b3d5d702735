"""Intent hints at sites of the wrong kind (MTHDS section 4.6, rule 86). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelex.language.bundle import Bundle, ConceptDeclaration, FieldDeclaration
from pipelex.language.findings import NUMBER_INTENTS, TEXT_INTENTS, Path
from pipelex.values.concepts import FieldType
from pipelex.values.natives import NATIVES

_FITTING = {"text": TEXT_INTENTS, "number": NUMBER_INTENTS, "other": ()}
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_NATIVE_KINDS = {"Text": "text", "Markdown": "text", "Number": "number"}


Declared = Mapping[str, ConceptDeclaration]
"""Concepts by `domain.Code`."""


def misplaced_intents(bundle: Bundle, declared: Declared) -> Iterator[tuple[Path, str]]:
    """The place of each known intent that cannot apply there, with what is there instead.

    `declared` are the concepts of the files of the package, this one included; empty when only this file is known.
    """
    declared = declared or {f"{bundle.domain}.{code}": concept for code, concept in bundle.concepts.items()}
    for path, hints, kind in _sites(bundle, declared):
        intent = hints.get("intent")
        if kind is not None and intent in (*TEXT_INTENTS, *NUMBER_INTENTS) and intent not in _FITTING[kind]:
            is_for = "texts" if intent in TEXT_INTENTS else "numbers"
            there = "neither a text nor a number" if kind == "other" else f"a {kind}"
            yield (*path, "hints", "intent"), f"the intent '{intent}' is for {is_for}, and this is {there}"


def _sites(bundle: Bundle, declared: Declared) -> Iterator[tuple[Path, Mapping[str, str], str | None]]:
    """Everything that has hints: its path, its hints, and whether it is a text, a number or something else."""
    domain = bundle.domain
    for code, concept in bundle.concepts.items():
        if concept.hints:
            yield ("concept", code), concept.hints, _kind_of(code, domain, declared)
        for name, field in (concept.structure or {}).items():
            if field.hints:
                yield ("concept", code, "structure", name), field.hints, _field_kind(field, domain, declared)
    for code, pipe in bundle.pipes.items():
        for name, hints in pipe.input_hints.items():
            if name in pipe.inputs:
                yield ("pipe", code, "inputs", name), hints, _kind_of(pipe.inputs[name].concept, domain, declared)


def _field_kind(field: FieldDeclaration, domain: str, declared: Declared) -> str | None:
    kind = field.item_type if field.type is FieldType.LIST else field.type
    ref = field.item_concept_ref if field.type is FieldType.LIST else field.concept_ref
    if kind is FieldType.CONCEPT:
        return _kind_of(ref or "", domain, declared)
    if kind is None:
        return None
    return "text" if kind is FieldType.TEXT else "number" if kind in _NUMBERS else "other"


def _kind_of(ref: str, domain: str, declared: Declared) -> str | None:
    """The kind of a concept, as written in that domain; None when its declaration is not known."""
    for _ in range(len(declared) + 1):
        native = ref.removeprefix("native.")
        if f"native.{native}" in NATIVES:
            is_open = NATIVES[f"native.{native}"].is_open
            return None if is_open else _NATIVE_KINDS.get(native, "other")
        domain = ref.rpartition(".")[0] or domain
        concept = declared.get(f"{domain}.{ref.rpartition('.')[2]}")
        if concept is None or concept.structure_class is not None:
            return None
        if concept.refines is None:
            return "text" if concept.structure is None else "other"
        ref = concept.refines
    return None
