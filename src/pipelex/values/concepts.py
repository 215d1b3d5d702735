"""The concepts of one library, and the questions one asks of them. Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelex.values.concept import Concept, Field, FieldType
from pipelex.values.natives import NATIVES

__all__ = ["Concept", "Concepts", "Field", "FieldType"]


class Concepts(Mapping[str, Concept]):
    """The concepts of one library plus the natives, by absolute reference."""

    def __init__(self, own: Mapping[str, Concept]) -> None:
        self._all: dict[str, Concept] = {**NATIVES, **own}
        self._classes: dict[str, Any] = {}  # content classes, filled and read by hydrate alone

    def __getitem__(self, ref: str) -> Concept:
        return self._all[ref]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def with_components(self, components: Mapping[str, str]) -> Concepts:
        """The same concepts, but for a Composite whose components are known; the others of it stay free."""
        composite = self["native.Composite"]
        known = {
            name: Field(description=name, type=FieldType.CONCEPT, concept=ref)
            for name, ref in components.items()
            if ref in self
        }
        return Concepts({**self, composite.ref: composite.model_copy(update={"fields": known})}) if known else self

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

    def is_open(self, ref: str) -> bool:
        """Whether contents of this concept may have any keys (Composite, Dynamic, Anything)."""
        return self._all[self.ancestry(ref)[-1]].is_open

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
