"""Slots: what an input or an output of a pipe accepts (concept, multiplicity, presence). Pure; replayed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_SLOT = re.compile(r"(?P<concept>[^\[\]?!\s]+)(?:\[(?P<count>\d*)\])?(?P<presence>[?!])?")

Presence = Literal["plain", "optional", "forced"]


@dataclass(frozen=True)
class Slot:
    """One declared input or output: `X`, `X[]`, `X[3]`, `X?`, `X!` (MTHDS section 7.1).

    `concept` is a reference as written, or absolute (`domain.Code`) once the library is linked.
    `count` is None for any number of items and is only meaningful when `is_list`.
    """

    concept: str
    is_list: bool = False
    count: int | None = None
    presence: Presence = "plain"

    @classmethod
    def parse(cls, text: str) -> Slot:
        """Read the spelling of a slot. Raises ValueError with a sentence that says what is wrong."""
        found = _SLOT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a slot: write a concept, then optionally [] or [N], or ? or !")
        digits, mark = found["count"], found["presence"]
        presence: Presence = {None: "plain", "?": "optional", "!": "forced"}[mark]  # type: ignore[assignment]
        if digits is None:
            return cls(found["concept"], presence=presence)
        if presence != "plain":
            raise ValueError(f"{text!r}: a plural slot is never absent, it is empty; drop the {mark!r}")
        if digits == "":
            return cls(found["concept"], is_list=True)
        if int(digits) == 0:
            raise ValueError(f"{text!r}: a list of exactly 0 items is not a slot")
        return cls(found["concept"]) if int(digits) == 1 else cls(found["concept"], is_list=True, count=int(digits))

    def __str__(self) -> str:
        multiplicity = "" if not self.is_list else f"[{self.count or ''}]"
        return f"{self.concept}{multiplicity}{ {'plain': '', 'optional': '?', 'forced': '!'}[self.presence] }"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Slot:
            return value if isinstance(value, Slot) else Slot.parse(value)

        return core_schema.no_info_before_validator_function(
            read,
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )
