"""Run any pipe: what every run does, then what its kind does (MTHDS section 8.5). Pure; replayed."""

from __future__ import annotations

from typing import assert_never

from pipelex.errors import InternalError, PipeError, PipelexError
from pipelex.language.pipes import (
    CONTROLLERS,
    PipeBatch,
    PipeCompose,
    PipeCondition,
    PipeDocGen,
    PipeExtract,
    PipeFunc,
    PipeImgGen,
    PipeJudge,
    PipeLLM,
    PipeParallel,
    PipeSearch,
    PipeSequence,
    PipeSignature,
    PipeStructure,
)
from pipelex.library.library import Library
from pipelex.pipes.batch import run_batch, run_pipe_batch
from pipelex.pipes.compose import run_compose
from pipelex.pipes.condition import run_condition
from pipelex.pipes.doc_gen import run_doc_gen
from pipelex.pipes.dry import DryHost
from pipelex.pipes.execution import Execution, Halt, code_of, overridden
from pipelex.pipes.extract import run_extract
from pipelex.pipes.function import run_function
from pipelex.pipes.img_gen import run_img_gen
from pipelex.pipes.judge import run_judge
from pipelex.pipes.llm import run_llm
from pipelex.pipes.outcomes import check_inputs, check_outcome, emptied, promised, reads_made_up, skipped
from pipelex.pipes.parallel import run_parallel
from pipelex.pipes.port import Host, PipeCall, PipeResult, Plan
from pipelex.pipes.search import run_search
from pipelex.pipes.sequence import run_sequence
from pipelex.pipes.signature import run_signature
from pipelex.pipes.structure import run_structure
from pipelex.values.value import Memory


async def run_pipe(call: PipeCall, library: Library, plan: Plan, host: Host) -> PipeResult:
    """Run the pipe of a call; what it needs from outside goes through `host`.

    Every failure is a PipelexError that carries the path of the pipe. What was stored under names comes back only if
    the call shares its memory, or is that of the entry pipe. Whether a run is dry is looked at here and nowhere below:
    then requests are answered by mocks, and a pipe that would end the run does not.
    """
    try:
        return await _run(call, library, plan, host)
    except PipelexError as error:
        if not error.pipe_path:
            error.pipe_path = (*call.path, code_of(call.pipe))
        raise
    except Exception as error:
        # Only the class is told: the text of a foreign error may quote the data.
        unexpected = InternalError(f"unexpected {type(error).__name__} in '{code_of(call.pipe)}'")
        unexpected.pipe_path = (*call.path, code_of(call.pipe))
        raise unexpected from error


async def _run(call: PipeCall, library: Library, plan: Plan, host: Host) -> PipeResult:
    pipe = library.pipe(call.pipe)
    if len(call.path) >= plan.depth_limit:
        raise PipeError(
            f"pipes call each other more than {plan.depth_limit} deep",
            hint="a pipe that reaches itself needs a condition that ends it",
        )
    output = overridden(pipe.output, call.nb_output, call.multiple_output)
    if plan.is_dry:
        host = DryHost(host)
    execution = Execution(call=call, pipe=pipe, output=output, library=library, plan=plan, host=host)
    if call.batch is not None:
        return await run_batch(call, execution)
    cause = check_inputs(execution)
    if cause is not None:
        return PipeResult(outcome=skipped(execution, cause))
    try:
        result = await _run_kind(execution)
    except Halt as halt:
        if not plan.is_dry:
            raise halt.error from None
        result = halt.instead()
    except PipelexError as error:
        # A pipe that was called has put its path in; what this one reads itself may be made up.
        if error.pipe_path or not plan.is_dry or not reads_made_up(execution):
            raise
        result = PipeResult(outcome=promised(execution))
    result = result.model_copy(update={"outcome": emptied(output, result.outcome)})
    # Operators fit their own results. Old methods declare `X` for a batch that gives `X[]`.
    if isinstance(pipe, CONTROLLERS) and (output.is_list or not isinstance(pipe, PipeBatch)):
        check_outcome(execution, result.outcome)
    return result if execution.shares_memory else result.model_copy(update={"stored": Memory()})


async def _run_kind(execution: Execution) -> PipeResult:
    match execution.pipe:
        case PipeLLM() as pipe:
            return await run_llm(pipe, execution)
        case PipeStructure() as pipe:
            return await run_structure(pipe, execution)
        case PipeImgGen() as pipe:
            return await run_img_gen(pipe, execution)
        case PipeExtract() as pipe:
            return await run_extract(pipe, execution)
        case PipeSearch() as pipe:
            return await run_search(pipe, execution)
        case PipeJudge() as pipe:
            return await run_judge(pipe, execution)
        case PipeCompose() as pipe:
            return await run_compose(pipe, execution)
        case PipeDocGen() as pipe:
            return await run_doc_gen(pipe, execution)
        case PipeFunc() as pipe:
            return await run_function(pipe, execution)
        case PipeSequence() as pipe:
            return await run_sequence(pipe, execution)
        case PipeParallel() as pipe:
            return await run_parallel(pipe, execution)
        case PipeCondition() as pipe:
            return await run_condition(pipe, execution)
        case PipeBatch() as pipe:
            return await run_pipe_batch(pipe, execution)
        case PipeSignature() as pipe:
            return await run_signature(pipe, execution)
        case _:
            assert_never(execution.pipe)
