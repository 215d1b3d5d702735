"""The functions that generated methods call: give this module to the hosts that run them. Part of the test kit.

What each gives follows from the working memory alone, contents and all, so that every host must get the same.
"""

from __future__ import annotations

import hashlib
from typing import Final

from pipelex.inference.functions import pipe_func
from pipelex.testing.made_concepts import FieldSpec
from pipelex.values.contents import ListContent, StructuredContent, TextContent
from pipelex.values.working_memory import WorkingMemory

TALLY: Final = "Tally"
"""The code of the concept that `tally` gives."""
TALLY_FIELDS: Final = {
    "count": FieldSpec("integer", required=True),
    "kinds": FieldSpec("list", item="text"),
    "is_odd": FieldSpec("boolean"),
    "title": FieldSpec("text"),
}


class Sums(StructuredContent):
    """What `tally` gives. It is no `Tally`: concepts with a class of their own name would take it for theirs."""

    count: int
    kinds: list[str]
    is_odd: bool
    title: str | None = None


@pipe_func(name="made_told")
async def told(working_memory: WorkingMemory) -> TextContent:
    """A text, from an async function."""
    return TextContent(text=f"{_print_of(working_memory)} {{{{ x }}}} $y <b>")


@pipe_func(name="made_perhaps")
def perhaps(working_memory: WorkingMemory) -> str | None:
    """A text or nothing, from a plain function that gives a plain value."""
    found = _print_of(working_memory)
    return found if int(found, 16) % 2 else None


@pipe_func(name="made_tally")
def tally(working_memory: WorkingMemory) -> Sums:
    """A structure, from a plain function."""
    count = int(_print_of(working_memory), 16) % 10
    return Sums(count=count, kinds=_kinds(working_memory), is_odd=bool(count % 2))


@pipe_func(name="made_parts")
async def parts(working_memory: WorkingMemory) -> ListContent[TextContent]:
    """A list of one text for each value in memory, from an async function."""
    return ListContent(items=[TextContent(text=kind) for kind in _kinds(working_memory)])


def _kinds(memory: WorkingMemory) -> list[str]:
    """The names in memory with the classes of their contents, which are built for that."""
    return [f"{name} is a {type(memory.get_stuff(name).content).__name__}" for name in memory.list_keys()]


def _print_of(memory: WorkingMemory) -> str:
    stuffs = [memory.get_stuff(name) for name in memory.list_keys()]
    whole = "\n".join([*_kinds(memory), *(f"{stuff.concept} {stuff.code()}" for stuff in stuffs)])
    return hashlib.sha256(whole.encode()).hexdigest()[:6]
