"""Concepts once linked: absolute names, resolved references, and the questions one asks of them. Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from pydantic import JsonValue

from pipelex.values.frozen import Frozen


class FieldType(StrEnum):
    """The types a structure field may have (MTHDS section 4.3)."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    LIST = "list"
    DICT = "dict"
    CONCEPT = "concept"


class Field(Frozen):
    """One field of a structured concept.

    `concept` is the absolute reference when `type` is concept, or a list whose `item_type` is concept.
    `item_type` None on a list means unconstrained items; `value_type` None on a dict means unconstrained values.
    """

    description: str
    type: FieldType = FieldType.TEXT
    required: bool = False
    default: JsonValue = None
    choices: tuple[str, ...] = ()
    item_type: FieldType | None = None
    value_type: FieldType | None = None
    concept: str | None = None
    minimum: float | None = None
    """Natives only: the lowest value allowed."""
    maximum: float | None = None
    """Natives only: the highest value allowed."""
    hints: dict[str, str] = {}


class Concept(Frozen):
    """A named, singular type of content.

    `fields` None and `refines` None is a text-valued concept; `refines` inherits the parent's whole structure.
    """

    ref: str
    description: str
    refines: str | None = None
    fields: dict[str, Field] | None = None
    is_open: bool = False
    """Natives only (Composite, Dynamic, Anything): any keys are allowed."""
    hints: dict[str, str] = {}

    @property
    def code(self) -> str:
        """The bare PascalCase code."""
        return self.ref.rpartition(".")[2]


class Concepts(Mapping[str, Concept]):
    """The concepts of one library plus the natives, by absolute reference."""

    def __init__(self, own: Mapping[str, Concept]) -> None:
        from pipelex.values.natives import NATIVES

        self._all: dict[str, Concept] = {**NATIVES, **own}

    def __getitem__(self, ref: str) -> Concept:
        return self._all[ref]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def ancestry(self, ref: str) -> tuple[str, ...]:
        """`ref`, then its parents, nearest first. Ends at the first repeat, so that a cycle does not loop."""
        chain: list[str] = []
        current: str | None = ref
        while current is not None and current not in chain:
            chain.append(current)
            found = self._all.get(current)
            current = found.refines if found else None
        return tuple(chain)

    def structure(self, ref: str) -> dict[str, Field]:
        """The fields a content of this concept has, inherited ones included; `{text}` for text-valued concepts."""
        root = self._all[self.ancestry(ref)[-1]]
        if root.fields is None and not root.is_open:
            return self.structure("native.Text")
        return root.fields or {}

    def root(self, ref: str) -> str:
        """The native a concept goes back to (`native.Text` for text-valued ones), or the last ancestor."""
        last = self.ancestry(ref)[-1]
        found = self._all[last]
        return "native.Text" if found.fields is None and not found.is_open else last

    def is_text(self, ref: str) -> bool:
        """Whether a content of this concept is a plain text."""
        return self.root(ref) == "native.Text"

    def is_a(self, actual: str, native: str) -> bool:
        """Whether `actual` is that native or goes back to it, e.g. `is_a("acme.Photo", "native.Image")`."""
        return native in self.ancestry(actual) or (native == "native.Text" and self.is_text(actual))

    def accepts(self, expected: str, actual: str) -> bool:
        """Whether a value of `actual` may be used where `expected` is declared (MTHDS section 4.5)."""
        if expected == actual or expected in ("native.Anything", "native.Dynamic") or actual == "native.Dynamic":
            return True
        return expected in self.ancestry(actual) or (expected == "native.Text" and self.is_text(actual))
