"""What flows between pipes: values, absences, and the memory that names them. Frozen, JSON-safe; crosses every wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import JsonValue

from pipelex.values.frozen import Frozen


class Absence(Frozen):
    """Why a name has no value (MTHDS section 7.4)."""

    variable: str
    absent: Literal["declared_absent", "skipped", "not_provided"]
    reason: str
    producer: str | None = None
    upstream: Absence | None = None


class Value(Frozen):
    """A content with its concept. `data` is an object, or an array for a list (then `concept` is the item's).

    `components` are the concepts of the components of a Composite, which no declaration tells. `note` says why a list
    is empty when what should have filled it did not run: a list is never absent (MTHDS section 7.4).
    """

    concept: str
    data: JsonValue
    components: dict[str, str] = {}
    note: Absence | None = None

    @property
    def is_list(self) -> bool:
        """Whether this is a list of contents."""
        return isinstance(self.data, list)


Outcome = Value | Absence
"""What a pipe run resolves its output to: never a silent hole."""

MAIN = "main_stuff"


class Memory(Frozen):
    """Named values. `main` names the entry that holds the last output (`main_stuff` if its step gave no name)."""

    root: dict[str, Value] = {}
    absences: dict[str, Absence] = {}
    main: str | None = None

    def get(self, name: str) -> Outcome | None:
        """The value or the absence of that name; None if the name was never given. `main_stuff` is the last output."""
        if name == MAIN and self.main is not None:
            name = self.main
        return self.root.get(name) or self.absences.get(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def with_entry(self, name: str, outcome: Outcome) -> Memory:
        """A memory that also holds `outcome` under `name`, replacing what was there."""
        root = {key: value for key, value in self.root.items() if key != name}
        absences = {key: value for key, value in self.absences.items() if key != name}
        if isinstance(outcome, Value):
            root[name] = outcome
        else:
            absences[name] = outcome
        return Memory(root=root, absences=absences, main=self.main)

    def with_output(self, name: str | None, outcome: Outcome) -> Memory:
        """As `with_entry`, and make it the main stuff; without a name it is stored as `main_stuff` itself."""
        stored = self.with_entry(name or MAIN, outcome)
        return Memory(root=stored.root, absences=stored.absences, main=name or MAIN)

    def merged(self, other: Memory) -> Memory:
        """This memory overlaid by `other`; the main stuff is the other's if it has one."""
        root = {key: value for key, value in self.root.items() if key not in other.absences} | other.root
        absences = {key: value for key, value in self.absences.items() if key not in other.root} | other.absences
        return Memory(root=root, absences=absences, main=other.main or self.main)

    def only(self, names: Iterable[str]) -> Memory:
        """The entries of those names, without a main stuff."""
        wanted = list(names)
        return Memory(
            root={name: self.root[name] for name in wanted if name in self.root},
            absences={name: self.absences[name] for name in wanted if name in self.absences},
        )
