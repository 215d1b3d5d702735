"""What a dotted path reaches, told from declared structures without any value (MTHDS section 4.2). Pure; replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelex.values.concepts import Concepts, Field, FieldType

_LIST_ACCESS = ("items", "index", "count")
_CONTENT_ACCESS = ("get", "iter_keys", "iter_items", "iter_values")
"""What a template may read on a value besides its fields (section 10.4)."""

_SCALARS = frozenset({"native.Text", "native.Number", "native.YesNo", "native.Date", "native.Time"})
"""The natives that are one plain value, and can become a plain field."""


@dataclass(frozen=True)
class Reached:
    """The end of a path. `concept` is that of the content there, or of each item when `depth` (of lists) is not 0.

    `concept` None is a plain value: of the type `scalar` if that is known, else of any shape.
    """

    concept: str | None
    depth: int | None = 0
    scalar: FieldType | None = None


@dataclass(frozen=True)
class NoField:
    """A path that names a field the concept does not have. `known` are those it has; none for a list."""

    concept: str
    segment: str
    known: tuple[str, ...]


_ANY = Reached(concept=None, depth=None)


def walk(concepts: Concepts, start: Reached, segments: Sequence[str]) -> Reached | NoField:
    """Follow the segments from `start`, as far as structures are declared; beyond, what is reached has any shape."""
    current = start
    for segment in segments:
        if current.concept is None or current.depth is None:
            return _ANY
        if current.depth:
            return _ANY if segment in _LIST_ACCESS else NoField(current.concept, segment, ())
        if concepts.is_open(current.concept):
            return _ANY
        fields = concepts.structure(current.concept)
        if segment not in fields:
            is_access = segment in _CONTENT_ACCESS or segment.startswith("_")
            return _ANY if is_access else NoField(current.concept, segment, tuple(fields))
        current = _into(fields[segment])
    return current


def _into(field: Field) -> Reached:
    if field.type is FieldType.CONCEPT:
        return Reached(field.concept)
    if field.type is not FieldType.LIST:
        return Reached(None, scalar=field.type)
    if field.item_type is FieldType.CONCEPT:
        return Reached(field.concept, depth=1)
    return Reached(None, depth=1, scalar=field.item_type)


def field_fault(concepts: Concepts, field: Field, reached: Reached) -> str | None:
    """Why what is reached cannot become the value of a field, in words; None if it can, or if it cannot be told."""
    if reached.depth is None or (reached.concept is None and reached.scalar is None):
        return None
    if field.type is FieldType.DICT:
        return None
    if field.type is FieldType.LIST:
        if not reached.depth:
            return "is a list"
        if field.item_type is None or reached.depth > 1:
            return None
        item = Field(description="", type=field.item_type, concept=field.concept)
        return field_fault(concepts, item, replace(reached, depth=0))
    if reached.depth:
        return "is a single value"
    if field.type is FieldType.CONCEPT:
        assert field.concept is not None
        if reached.concept is None or reached.concept == "native.Anything":
            return None
        if concepts.accepts(field.concept, reached.concept):
            return None
        return f"is {field.concept.rpartition('.')[2]}"
    if reached.concept is None:
        is_plain = reached.scalar is not FieldType.DICT
    else:
        is_plain = concepts.is_open(reached.concept) or concepts.root(reached.concept) in _SCALARS
    return None if is_plain else f"is {field.type.value}"
