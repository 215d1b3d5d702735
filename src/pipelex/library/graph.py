"""Which pipes a pipe calls, and orders over the calls of a library. Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelex.language.pipes import (
    OUTCOME_WORDS,
    Binding,
    Pipe,
    PipeBatch,
    PipeCondition,
    PipeParallel,
    PipeSequence,
    PipeSignature,
    steps_of,
)
from pipelex.values.slots import Slot


def callees(pipe: Pipe) -> tuple[str, ...]:
    """The references of the pipes that a pipe may call, each once, in order of appearance."""
    match pipe:
        case PipeSequence() | PipeParallel():
            called = [step.pipe for step in steps_of(pipe)]
        case PipeCondition():
            called = [ref for ref in (*pipe.outcomes.values(), pipe.default_outcome) if ref not in OUTCOME_WORDS]
        case PipeBatch():
            called = [pipe.branch_pipe_code]
        case _:
            called = []
    return tuple(dict.fromkeys(called))


def bottom_up(pipes: Mapping[str, Pipe]) -> Iterator[str]:
    """Every pipe, after those it calls as far as recursion allows. Deep chains of calls do not recurse here."""
    entered: set[str] = set()
    for start in pipes:
        stack = [] if start in entered else [(start, iter(callees(pipes[start])))]
        entered.add(start)
        while stack:
            ref, waiting = stack[-1]
            following = next((callee for callee in waiting if callee in pipes and callee not in entered), None)
            if following is None:
                yield ref
                stack.pop()
            else:
                entered.add(following)
                stack.append((following, iter(callees(pipes[following]))))


def reachable(pipes: Mapping[str, Pipe], start: str) -> set[str]:
    """`start` and every pipe that it may call, directly or not."""
    found = {start}
    waiting = [start]
    while waiting:
        for callee in callees(pipes[waiting.pop()]):
            if callee in pipes and callee not in found:
                found.add(callee)
                waiting.append(callee)
    return found


def uncalled(pipes: Mapping[str, Pipe]) -> list[str]:
    """The pipes that no other pipe calls: those a person would start."""
    called = {callee for ref, pipe in pipes.items() for callee in callees(pipe) if callee != ref}
    return [ref for ref in pipes if ref not in called]


def bound_slots(pipe: Pipe) -> tuple[Slot, ...]:
    """What the bindings of a linked sequence give."""
    steps = pipe.steps if isinstance(pipe, PipeSequence) else ()
    return tuple(step.slot for step in steps if isinstance(step, Binding) and step.slot is not None)


def pending_signatures(pipes: Mapping[str, Pipe], start: str | None = None) -> tuple[str, ...]:
    """The signatures that nothing implements, among all pipes or those that `start` may reach (rule 87)."""
    wanted = pipes if start is None else reachable(pipes, start)
    return tuple(ref for ref, pipe in pipes.items() if isinstance(pipe, PipeSignature) and ref in wanted)
