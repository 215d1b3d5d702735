"""Inputs and outcomes held against what a pipe declares (MTHDS sections 7.4 and 8.5). Pure; replayed."""

from __future__ import annotations

from pydantic import JsonValue

from pipelex.errors import AbsentValueError, InputError, OutputError, PipeError
from pipelex.pipes.execution import Execution, code_of
from pipelex.values.concepts import Concepts
from pipelex.values.decode import Mismatch, decode
from pipelex.values.mock import mock
from pipelex.values.schema import slot_schema
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Outcome, Value

SHAPELESS = ("native.Anything", "native.Dynamic")
"""Concepts that take a list as well as a single content."""


def check_inputs(execution: Execution) -> Absence | None:
    """Check that the inputs are there and fit; the absence that makes the pipe be skipped, if there is one.

    Raises AbsentValueError for an input declared `X!`, InputError for the entry pipe, PipeError for the others.
    """
    lifted: Absence | None = None
    for name, slot in execution.pipe.inputs.items():
        outcome = execution.memory.get(name)
        if isinstance(outcome, Value):
            fault = _unfit(outcome, slot, execution.concepts)
            if fault is not None:
                raise _refusal(execution, f"the input '{name}' of '{execution.code}' {fault}")
        elif slot.presence == "forced":
            raise AbsentValueError(
                f"'{execution.code}' needs '{name}', which is absent{_chain(outcome)}",
                hint=f'declare it as "{slot.concept}?" if the pipe can do without it',
            )
        elif slot.presence == "plain":
            if outcome is None:
                raise _refusal(execution, f"the input '{name}' of '{execution.code}' is not there")
            lifted = lifted or outcome
    return lifted


def skipped(execution: Execution, cause: Absence) -> Outcome:
    """The outcome of a pipe that does not run because an input is absent: an absence, or an empty list."""
    absence = Absence(
        variable=execution.code,
        absent="skipped",
        reason=f"'{execution.code}' was skipped: its input '{cause.variable}' is absent",
        producer=execution.code,
        upstream=cause,
    )
    return emptied(execution.output, absence)


def emptied(slot: Slot, outcome: Outcome) -> Outcome:
    """The outcome; an absence where a list is declared is an empty list with a note, whatever the declared count."""
    if isinstance(outcome, Absence) and slot.is_list:
        return Value(concept=slot.concept, data=[], note=outcome)
    return outcome


def promised(execution: Execution) -> Value:
    """A mock of what the pipe declares: what a dry run goes on with where it cannot go through the pipe."""
    return fitted(execution, mock(slot_schema(execution.output, execution.concepts)))


def reads_made_up(execution: Execution) -> bool:
    """Whether a dry run made up an input of which no declaration tells the fields: what the pipe reads is not there."""
    values = execution.memory.root.values()
    return any(_is_untold(value, execution.concepts) for value in values)


def _is_untold(value: Value, concepts: Concepts) -> bool:
    if concepts.is_a(value.concept, "native.JSON"):
        return True
    return concepts.is_open(value.concept) and not value.components


def fitted(execution: Execution, data: JsonValue, slot: Slot | None = None) -> Value:
    """The data that a pipe made, as a value of its output. Raises OutputError naming every place that does not fit."""
    slot = slot or execution.output
    try:
        return Value(concept=slot.concept, data=decode(data, slot, execution.concepts))
    except Mismatch as error:
        shown = "; ".join(error.problems[:10])
        raise OutputError(
            f"the result of '{execution.code}' is not {_spoken(slot)}: {shown}",
            hint="check the output that the pipe declares, and what its prompt or its function gives",
        ) from None


def check_outcome(execution: Execution, outcome: Outcome) -> None:
    """Check what a controller hands up from another pipe, which was fitted there to what that pipe declares."""
    slot = execution.output
    if isinstance(outcome, Absence):
        return
    fault: str | None = None
    if not execution.concepts.accepts(slot.concept, outcome.concept):
        fault = f"is a {code_of(outcome.concept)}"
    elif slot.is_list != outcome.is_list and (slot.is_list or slot.concept not in SHAPELESS):
        fault = "is a list" if outcome.is_list else "is not a list"
    elif _is_miscounted(outcome, slot) and outcome.note is None:
        fault = f"has {_count(outcome)} items"
    if fault is not None:
        raise OutputError(f"the result of '{execution.code}' {fault}; it declares {_spoken(slot)}")


def _unfit(value: Value, slot: Slot, concepts: Concepts) -> str | None:
    """Why a value cannot be this input. A list handed to a single one passes: older methods rely on it."""
    if not concepts.accepts(slot.concept, value.concept):
        return f"must be {_spoken(slot)}, and is a {code_of(value.concept)}"
    if slot.is_list and not isinstance(value.data, list):
        return f"must be {_spoken(slot)}, and is a single one"
    if _is_miscounted(value, slot):
        return f"must be {_spoken(slot)}, and has {_count(value)}{_chain(value.note)}"
    return None


def _is_miscounted(value: Value, slot: Slot) -> bool:
    return slot.count is not None and value.is_list and _count(value) != slot.count


def _count(value: Value) -> int:
    return len(value.data) if isinstance(value.data, list) else 1


def _refusal(execution: Execution, message: str) -> InputError | PipeError:
    return PipeError(message) if execution.call.path else InputError(message)


def _spoken(slot: Slot) -> str:
    code = code_of(slot.concept)
    if not slot.is_list:
        return f"a {code}"
    return f"a list of {code}" if slot.count is None else f"a list of exactly {slot.count} {code}"


def _chain(outcome: Absence | None) -> str:
    """The reasons of an absence, from the nearest to the first cause."""
    reasons: list[str] = []
    while outcome is not None:
        reasons.append(outcome.reason)
        outcome = outcome.upstream
    return f" ({'; because '.join(reasons)})" if reasons else ""
