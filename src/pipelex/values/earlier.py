"""Inputs taken from the full output of another run (MTHDS section 16.1). Pure; runs at submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelex.errors import InputError
from pipelex.values.slots import Slot
from pipelex.values.value import MAIN

WORKING_MEMORY = "working_memory"


def is_full_output(document: object) -> bool:
    """Whether a JSON document is what a run prints with its memory, and not inputs by name."""
    return isinstance(document, Mapping) and WORKING_MEMORY in document


def inputs_from(document: Mapping[str, Any], declared: Mapping[str, Slot]) -> dict[str, object]:
    """The declared inputs found in the memory of another run by name, as envelopes that keep their concepts.

    An input declared alone takes the main stuff when nothing has its name. Raises InputError with what was there and
    what was expected when a required input is not found.
    """
    memory = document[WORKING_MEMORY]
    root, aliases = (memory.get(key, {}) if isinstance(memory, Mapping) else None for key in ("root", "aliases"))
    if not isinstance(root, Mapping) or not isinstance(aliases, Mapping):
        raise InputError(
            "the working_memory of the other run is not an object with a root of values by name",
            hint="give what `pipelex run ... --with-memory` prints",
        )
    found = {name: root.get(name, root.get(aliases.get(name))) for name in declared}
    if len(declared) == 1:
        only = next(iter(declared))
        found[only] = found[only] or root.get(MAIN, root.get(aliases.get(MAIN)))
    missing = [name for name, slot in declared.items() if found[name] is None and slot.presence != "optional"]
    if missing:
        listed = [f"{name} ({_concept(stuff)})" for name, stuff in root.items()]
        wanted = [f"{name} ({slot})" for name, slot in declared.items()]
        raise InputError(
            f"the other run has no value for: {', '.join(missing)}",
            hint=f"it has {', '.join(listed) or 'no values'}; the pipe takes {', '.join(wanted)}",
        )
    return {name: _envelope(name, stuff) for name, stuff in found.items() if stuff is not None}


def _envelope(name: str, stuff: object) -> dict[str, object]:
    if not isinstance(stuff, Mapping) or not {"concept", "content"} <= stuff.keys():
        raise InputError(f"the value of {name!r} in the other run has no concept or no content")
    return {"concept": stuff["concept"], "content": stuff["content"]}


def _concept(stuff: object) -> object:
    return stuff.get("concept", "?") if isinstance(stuff, Mapping) else "?"
