"""One concept once linked: its fields, or the concept it refines. Pure; replayed."""

from __future__ import annotations

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
    """Natives only: the lowest number allowed, in a dict for each of its values."""
    maximum: float | None = None
    """Natives only: the highest number allowed, in a dict for each of its values."""
    key_pattern: str | None = None
    """Natives only: what each key of a dict must match."""
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
    structure_class: str | None = None
    """The name of the Python class that the fields were read from."""

    @property
    def code(self) -> str:
        """The bare PascalCase code."""
        return self.ref.rpartition(".")[2]
