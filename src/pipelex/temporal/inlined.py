"""What pipes read that ran inside the workflow of another: no history says it, so it is concluded. Submitter side.

Only what is certain is told: a name that nothing stores again means the same value to whoever reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelex.values.value import MAIN

_READS = ("batch_over", "input_list_name", "from")
"""Keys of declarations under which a name is read, never stored."""


@dataclass(frozen=True)
class Items:
    """The items of one list for each of which a workflow ran a pipe: their name, and which of all items they are."""

    name: str
    data: list[Any]
    first: int
    total: int


class Reads:
    """Which values go by which names in the workflows of one run; `pipes` are those of its crate, as plain data."""

    def __init__(self, pipes: Mapping[str, Any]) -> None:
        self._pipes = pipes
        texts = [found for pipe in pipes.values() for found in _texts(pipe)]
        self._stores = Counter(text for key, text in texts if key not in _READS)
        self._mentions = Counter(text for _, text in texts)

    def items(self, ref: str, call: Mapping[str, Any], stored: Mapping[str, Any]) -> Items | None:
        """For which items the workflow of `call` ran the pipe `ref`, in this order; None when it is not certain.

        `stored` is what the workflow stored under names, as far as its result says.
        """
        own, batch = str(call.get("pipe", "")), call.get("batch")
        if batch is not None:
            data = self._data(batch["over"], call, stored, is_own=True) if ref == own else None
            return None if data is None else Items(batch["item"], data, int(batch.get("first", 0)), batch["total"])
        over, name = self._batch(ref, own) or (None, None)
        data = self._data(over, call, stored) if over else None
        return Items(str(name), data, 0, len(data)) if isinstance(data, list) else None

    def inputs(
        self, ref: str, call: Mapping[str, Any], stored: Mapping[str, Any], items: Items | None, index: int
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The contents that the pipe `ref` read in the workflow of `call`, and the names of those not known.

        With `items`, it ran for that one of them.
        """
        is_step = items is not None or any(step.get("pipe") == ref for step in self._steps(call))
        known: dict[str, Any] = {}
        unknown: list[str] = []
        for name, slot in self._pipe(ref).get("inputs", {}).items():
            # Whoever stands between may leave out what is optional.
            is_certain = is_step or not str(slot).endswith("?")
            data = self._data(name, call, stored) if is_certain else None
            if items is not None and name == items.name:
                data = items.data[index]
            if data is None:
                unknown.append(name)
            else:
                known[name] = data
        return known, tuple(unknown)

    def _data(self, name: str, call: Mapping[str, Any], stored: Mapping[str, Any], *, is_own: bool = False) -> Any:
        """The content under a name that has only one in the whole workflow; None otherwise."""
        given = call.get("memory", {}).get("root", {})
        if name == MAIN:
            return None
        if name in given:
            return given[name].get("data") if is_own or not self._stores[name] else None
        is_stored_once = any(step.get("result") == name for step in self._steps(call)) and self._stores[name] == 1
        # A sequence that a pipe calls may run several times in one workflow.
        if not is_stored_once or self._mentions[str(call.get("pipe", ""))]:
            return None
        return stored.get(name, {}).get("data")

    def _batch(self, ref: str, own: str) -> tuple[str, str] | None:
        """The names of the list and of its item, where a pipe is called in one place, and there for each item."""
        if self._mentions[ref] != 1:
            return None
        for caller, pipe in self._pipes.items():
            steps = pipe.get("steps", ())
            if pipe.get("branch_pipe_code") == ref and (caller == own or self._is_step_once(caller, own)):
                return pipe["input_list_name"], pipe["input_item_name"]
            for step in steps if caller == own and not self._mentions[own] else ():
                if step.get("pipe") == ref and step.get("batch_over") and step.get("batch_as"):
                    return step["batch_over"], step["batch_as"]
        return None

    def _is_step_once(self, ref: str, own: str) -> bool:
        """Whether a pipe is called in one place, which is a plain step of the workflow's own sequence."""
        if self._mentions[ref] != 1 or self._mentions[own]:
            return False
        return any(step.get("pipe") == ref and not step.get("batch_over") for step in self._pipe(own).get("steps", ()))

    def _pipe(self, ref: str) -> Mapping[str, Any]:
        return self._pipes.get(ref) or {}

    def _steps(self, call: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self._pipe(str(call.get("pipe", ""))).get("steps", ())
        return found


def _texts(declared: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a declaration, with the key it stands under: each may be a name under which a value is stored."""
    if isinstance(declared, str):
        yield key, declared
    elif isinstance(declared, Mapping):
        for inner, value in declared.items():
            yield from _texts(value, inner)
    elif isinstance(declared, list | tuple):
        for value in declared:
            yield from _texts(value, key)
