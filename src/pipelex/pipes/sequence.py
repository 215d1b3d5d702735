"""PipeSequence: run steps in order, in one memory (MTHDS section 9A.1). Pure; replayed."""

from __future__ import annotations

from pipelex.language.pipes import Binding, PipeSequence, Step
from pipelex.library.bindings import BOUND
from pipelex.pipes.batch import run_batch_over
from pipelex.pipes.binding import bound
from pipelex.pipes.execution import Execution, renamed
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import Usage
from pipelex.values.value import MAIN, Memory, Outcome


async def run_sequence(pipe: PipeSequence, execution: Execution) -> PipeResult:
    """Run the steps one after the other; the outcome is that of the last, and what they stored comes with it."""
    memory, stored, usage = execution.memory, Memory(), Usage()
    outcome: Outcome | None = None
    for index, step in enumerate(pipe.steps, 1):
        if isinstance(step, Binding):
            outcome = bound(
                step.from_, memory, execution.concepts, name=step.result, producer=execution.code, slot=step.slot
            )
            added = Memory().with_output(step.result, outcome)
            if step.result.startswith(BOUND):
                # Made by linking for the next step alone: no one else sees it, nor is it an output.
                memory = memory.with_entry(step.result, outcome)
                continue
        else:
            # Only the last step makes what the caller asked for a number of.
            asked = _asked(step, execution) if index == len(pipe.steps) else step
            result = await run_step(asked, memory, execution, shares_memory=True)
            outcome = renamed(result.outcome, step.result)
            added = result.stored
            if step.result is not None or added.main is None:
                added = added.with_output(step.result, outcome)
            usage += result.usage
        memory, stored = _with(memory, added), _with(stored, added)
    assert outcome is not None
    return PipeResult(outcome=outcome, stored=stored, usage=usage)


async def run_step(
    step: Step, memory: Memory, execution: Execution, *, shares_memory: bool = False, is_branch: bool = False
) -> PipeResult:
    """Run one step of a sequence or one branch of a parallel, over every item of a list if it says so."""
    if step.batch_over is not None and step.batch_as is not None:
        return await run_batch_over(
            execution,
            step.pipe,
            memory,
            over=step.batch_over,
            item=step.batch_as,
            nb_output=step.nb_output,
            multiple_output=step.multiple_output,
        )
    call = execution.calling(
        step.pipe,
        memory,
        nb_output=step.nb_output,
        multiple_output=step.multiple_output,
        shares_memory=shares_memory,
        is_branch=is_branch,
    )
    return await execution.host.run_pipe(call)


def _asked(step: Step, execution: Execution) -> Step:
    call = execution.call
    if step.batch_over is not None or step.nb_output is not None or step.multiple_output is not None:
        return step
    if call.nb_output is None and call.multiple_output is None:
        return step
    return step.model_copy(update={"nb_output": call.nb_output, "multiple_output": call.multiple_output})


def _with(memory: Memory, added: Memory) -> Memory:
    """The memory with what a step added. An output without a name lasts until the next output."""
    merged = memory.merged(added)
    if merged.main == MAIN or MAIN not in {*merged.root, *merged.absences}:
        return merged
    return Memory(
        root={name: value for name, value in merged.root.items() if name != MAIN},
        absences={name: absence for name, absence in merged.absences.items() if name != MAIN},
        main=merged.main,
    )
