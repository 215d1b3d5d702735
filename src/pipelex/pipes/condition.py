"""PipeCondition: choose a pipe by an expression (MTHDS section 9A.3). Pure; replayed."""

from __future__ import annotations

from pipelex.errors import RoutingError
from pipelex.language.pipes import PipeCondition
from pipelex.language.templates import condition_template
from pipelex.pipes.execution import Execution, Halt
from pipelex.pipes.outcomes import promised
from pipelex.pipes.port import PipeResult
from pipelex.pipes.templates import render_template
from pipelex.values.value import Absence, Memory, Outcome, Value


async def run_condition(pipe: PipeCondition, execution: Execution) -> PipeResult:
    """Evaluate the expression, then run the pipe of that outcome in the memory of the caller, or nothing."""
    result = evaluate(pipe, execution)
    stored = Memory()
    if pipe.add_alias_from_expression_to is not None:
        stored = stored.with_entry(pipe.add_alias_from_expression_to, _named(result, execution))
    chosen = pipe.outcomes.get(result, pipe.default_outcome)
    if chosen == "continue":
        return PipeResult(outcome=_nothing(execution, result), stored=stored)
    if chosen == "fail":
        error = RoutingError(
            f"'{execution.code}' fails for {_short(result)}",
            hint=f"its outcomes are {', '.join(map(repr, pipe.outcomes))}",
        )
        raise Halt(error, lambda: PipeResult(outcome=promised(execution), stored=stored))
    call = execution.calling(
        chosen,
        execution.memory.merged(stored),
        nb_output=execution.call.nb_output,
        multiple_output=execution.call.multiple_output,
        shares_memory=execution.shares_memory,
    )
    made = await execution.host.run_pipe(call)
    return made.model_copy(update={"stored": stored.merged(made.stored)})


def evaluate(pipe: PipeCondition, execution: Execution) -> str:
    """The result of the expression as text, stripped. An empty one raises RoutingError: it is never the default."""
    rendered = render_template(
        condition_template(pipe), "expression", execution.memory, execution.concepts, what="the expression"
    )
    result = rendered.strip()
    if not result:
        raise RoutingError(
            f"the expression of '{execution.code}' gave nothing",
            hint="an empty result takes no outcome, not even the default: give the expression a value in every case",
        )
    return result


def _named(result: str, execution: Execution) -> Outcome:
    """What the result of the expression names in memory; the result itself as a text when it names nothing."""
    return execution.memory.get(result) or Value(concept="native.Text", data={"text": result})


def _nothing(execution: Execution, result: str) -> Absence:
    return Absence(
        variable=execution.code,
        absent="declared_absent",
        reason=f"'{execution.code}' runs nothing for {_short(result)}",
        producer=execution.code,
    )


def _short(result: str) -> str:
    return repr(result if len(result) <= 60 else f"{result[:57]}...")
