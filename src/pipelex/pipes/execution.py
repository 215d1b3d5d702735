"""One execution of a pipe while it lasts: its call, what it may ask, and how it calls other pipes. Pure; replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelex.errors import PipelexError
from pipelex.language.pipes import Pipe
from pipelex.library.library import Library
from pipelex.pipes.port import Host, PipeCall, PipeResult, Plan
from pipelex.values.concepts import Concepts
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Outcome, Value


@dataclass(frozen=True)
class Execution:
    """What every kind of pipe is given. `output` is the declared slot with the overrides of the call applied."""

    call: PipeCall
    pipe: Pipe
    output: Slot
    library: Library
    plan: Plan
    host: Host

    @property
    def concepts(self) -> Concepts:
        """The concepts of the library."""
        return self.library.concepts

    @property
    def memory(self) -> Memory:
        """The inputs."""
        return self.call.memory

    @property
    def code(self) -> str:
        """The code of the pipe, without its domain."""
        return code_of(self.call.pipe)

    @property
    def shares_memory(self) -> bool:
        """Whether the caller, or the application for the entry pipe, sees what is stored under names."""
        return self.call.shares_memory or not self.call.path

    def calling(self, pipe: str, memory: Memory, **options: Any) -> PipeCall:
        """A call of another pipe by this one, which hands over from `memory` what that pipe declares, no more."""
        return PipeCall(
            pipe=pipe,
            run=self.call.run,
            memory=inputs_from(memory, self.library.pipe(pipe).inputs),
            path=(*self.call.path, self.code),
            **options,
        )


class Halt(Exception):
    """A pipe ends the run because its author said so, or left it out. A dry run goes on with `instead`.

    Mocks prove nothing: that they lead to such a place says nothing against the method (MTHDS section 18.2).
    """

    def __init__(self, error: PipelexError, instead: Callable[[], PipeResult]) -> None:
        super().__init__(error.message)
        self.error = error
        self.instead = instead


def code_of(ref: str) -> str:
    """The code of an absolute reference, without its domain."""
    return ref.rpartition(".")[2]


def inputs_from(memory: Memory, inputs: Mapping[str, Slot]) -> Memory:
    """The part of a memory that declared inputs name; `main_stuff` is the last output."""
    root: dict[str, Value] = {}
    absences = {}
    for name in inputs:
        outcome = memory.get(name)
        if isinstance(outcome, Value):
            root[name] = outcome
        elif outcome is not None:
            absences[name] = outcome
    return Memory(root=root, absences=absences)


def overridden(slot: Slot, nb_output: int | None, multiple_output: bool | None) -> Slot:
    """The declared output with the multiplicity that a step asks for (MTHDS section 9A.1)."""
    if nb_output is not None:
        return replace(slot, is_list=nb_output > 1, count=nb_output if nb_output > 1 else None)
    if multiple_output is not None:
        return replace(slot, is_list=multiple_output, count=None)
    return slot


def renamed(outcome: Outcome, name: str | None) -> Outcome:
    """The outcome; an absence is told under the name its caller gives it."""
    if isinstance(outcome, Value) or name is None:
        return outcome
    return outcome.model_copy(update={"variable": name})
