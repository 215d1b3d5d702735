"""Binding steps: name a value inside something in memory (MTHDS section 9A.1). Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pydantic import JsonValue

from pipelex.errors import OutputError, PipeError
from pipelex.pipes.views import typed_components
from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.decode import Mismatch, decode
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Memory, Outcome, Value

_CONTENTS = {
    FieldType.TEXT: "native.Text",
    FieldType.NUMBER: "native.Number",
    FieldType.INTEGER: "native.Number",
    FieldType.BOOLEAN: "native.YesNo",
    FieldType.DATE: "native.Date",
    FieldType.DATETIME: "native.Date",
    FieldType.TIME: "native.Time",
    FieldType.DICT: "native.JSON",
}
"""The concept that a plain value gets once it has a name of its own."""


def bound(
    path: str, memory: Memory, concepts: Concepts, *, name: str, producer: str, slot: Slot | None = None
) -> Outcome:
    """What stands at a path, as an outcome called `name`. Lists on the way are gone through and end as one list.

    `slot` is what linking found the path to give; without it, that is told from the values.
    Raises PipeError for a root that is not in memory, or a path that leads into something without fields.
    """
    root, *segments = path.split(".")
    outcome = memory.get(root)
    if outcome is None:
        raise PipeError(f"'{producer}' takes '{path}', and '{root}' is not there")
    if isinstance(outcome, Absence):
        reason = f"'{name}' is taken from '{root}', which is absent"
        return Absence(variable=name, absent="skipped", reason=reason, producer=producer, upstream=outcome)
    if not segments:
        return outcome
    if outcome.components:
        concepts = typed_components(concepts, outcome.components)
    reached = _Reached.root(outcome)
    empty: str | None = None
    for segment in segments:
        reached = reached.into(segment, concepts, path)
        if not reached.found and empty is None:
            empty = segment
    if slot is not None:
        reached = replace(reached, is_list=slot.is_list or reached.is_list, concept=reached.concept or slot.concept)
    if not reached.is_list and not reached.found:
        reason = f"'{path}' holds nothing at '{empty}'"
        return Absence(variable=name, absent="declared_absent", reason=reason, producer=producer)
    return reached.value(concepts, path)


@dataclass(frozen=True)
class _Reached:
    """The values at some point of a path, and what they are: contents of `concept`, or plain values of `plain`."""

    found: tuple[JsonValue, ...]
    is_list: bool
    concept: str | None
    plain: FieldType | None = None

    @classmethod
    def root(cls, value: Value) -> _Reached:
        return cls(tuple(_flat([value.data])), value.is_list, value.concept)

    def into(self, segment: str, concepts: Concepts, path: str) -> _Reached:
        """The values one segment further. What holds nothing is dropped."""
        if self.concept is None and self.plain is not FieldType.CONCEPT:
            raise PipeError(f"'{path}': '{segment}' is taken from a plain value")
        fields = concepts.structure(self.concept) if self.concept is not None else {}
        field = fields.get(segment)
        is_open = self.concept is None or concepts.is_open(self.concept)
        if field is None and not is_open:
            what = str(self.concept).rpartition(".")[2]
            raise PipeError(f"'{path}': a {what} has no '{segment}'", hint=f"its fields are {', '.join(fields)}")
        given = [item.get(segment) for item in self.found if isinstance(item, dict)]
        is_list = self.is_list or (field is not None and field.type is FieldType.LIST)
        is_list = is_list or (field is None and any(isinstance(item, list) for item in given))
        found = tuple(item for item in _flat(given) if item is not None)
        return _Reached(found, is_list or _holds_list(field, given), *_kind(field))

    def value(self, concepts: Concepts, path: str) -> Value:
        """What was reached as a value of its own."""
        concept = self.concept
        if concept is None and self.plain is not None:
            concept = _CONTENTS.get(self.plain)
        if concept is None:
            concept = _guess(self.found)
        slot = Slot(concept, is_list=self.is_list)
        data: list[JsonValue] = [{"json_obj": item} if self.plain is FieldType.DICT else item for item in self.found]
        try:
            return Value(concept=concept, data=decode(data if self.is_list else data[0], slot, concepts))
        except Mismatch as error:
            raise OutputError(f"'{path}' cannot be taken: {'; '.join(error.problems[:10])}") from None


def _kind(field: Field | None) -> tuple[str | None, FieldType | None]:
    """The concept of what a field holds, or the type of its plain values; of its items, for a list."""
    if field is None:
        return None, FieldType.CONCEPT  # a component of an open content, of whatever kind
    kind = field.item_type if field.type is FieldType.LIST else field.type
    return (field.concept, None) if kind is FieldType.CONCEPT else (None, kind)


def _holds_list(field: Field | None, given: list[JsonValue]) -> bool:
    """Whether a component typed as a content is a list of such contents."""
    is_content = field is not None and field.type is FieldType.CONCEPT
    return is_content and any(isinstance(item, list) for item in given)


def _guess(found: tuple[JsonValue, ...]) -> str:
    """The concept of values that nothing declares."""
    if any(not isinstance(item, dict) for item in found):
        first = next(item for item in found if not isinstance(item, dict))
        return (
            "native.Text" if isinstance(first, str) else "native.YesNo" if isinstance(first, bool) else "native.Number"
        )
    keys = {key for item in found if isinstance(item, dict) for key in item}
    return "native.Text" if keys == {"text"} else "native.Dynamic"


def _flat(items: Iterable[JsonValue]) -> Iterator[JsonValue]:
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item
