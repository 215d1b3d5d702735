"""What a name holds at some point of a method, told without running it (MTHDS section 7). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pipelex.language.pipes import Step
from pipelex.values.slots import Slot

Lack = Literal["never", "tolerated", "maybe"]
"""Whether a value may be absent; `tolerated` when only an old spelling of the language lets it be so."""

_LACKS: tuple[Lack, ...] = ("never", "tolerated", "maybe")

SHAPELESS = ("native.Anything", "native.Dynamic")
"""Concepts that take single values and lists alike."""


def worst(*lacks: Lack) -> Lack:
    """The most doubtful of them."""
    return max(lacks, key=_LACKS.index, default="never")


@dataclass(frozen=True)
class Held:
    """`depth` counts the lists around the content: 0 a single one, 1 a list, None when it cannot be told.

    `count` is the number of items of the outermost list, if it is known. `may_nest` says that the items may be lists
    themselves, because a caller decides; `may_be_empty` that a list holds nothing, whatever its count, when what makes
    it is skipped. `maker` is for messages. `parts` are the components of a Composite, if known.
    """

    concept: str
    depth: int | None = 0
    count: int | None = None
    lack: Lack = "never"
    may_nest: bool = False
    may_be_empty: bool = False
    maker: str = ""
    parts: Mapping[str, Held] | None = None

    @classmethod
    def given(cls, slot: Slot, maker: str) -> Held:
        """What a caller gives for a declared input."""
        lack: Lack = "maybe" if slot.presence == "optional" else "never"
        return cls(slot.concept, _depth(slot), slot.count, lack, may_nest=slot.is_list, maker=maker)

    @classmethod
    def declared(cls, slot: Slot) -> Held:
        """What a pipe with this output gives."""
        lack: Lack = "maybe" if slot.presence == "optional" else "never"
        return cls(slot.concept, _depth(slot), slot.count, lack)

    def overridden(self, step: Step) -> Held:
        """The same, with the multiplicity that a step asks for."""
        if step.nb_output is not None:
            count = step.nb_output
            return replace(self, depth=0, count=None) if count == 1 else replace(self, depth=1, count=count)
        if step.multiple_output is not None:
            return replace(self, depth=max(self.depth or 0, 1) if step.multiple_output else 0, count=None)
        return self

    def item(self, maker: str) -> Held:
        """One item of the list."""
        depth = None if self.depth is None else self.depth - 1
        return replace(self, depth=depth, count=None, lack="never", maker=maker)

    def batched(self, over: Held) -> Held:
        """The list of what each item gives: nothing is flattened, and absent results are left out."""
        count = over.count if self.lack == "never" else None
        depth = None if self.depth is None else self.depth + 1
        return replace(self, depth=depth, count=count, lack="never", may_be_empty=over.may_be_empty)

    def skippable(self, lack: Lack) -> Held:
        """The same, when the pipe that makes it may be skipped: a list is then empty, anything else absent."""
        if self.depth:
            return replace(self, lack="never", may_be_empty=self.may_be_empty or worst(self.lack, lack) != "never")
        return replace(self, lack=worst(self.lack, lack))


def _depth(slot: Slot) -> int | None:
    if slot.is_list:
        return 1
    return None if slot.concept in SHAPELESS else 0
