"""PipeCondition: choose a pipe by an expression (MTHDS section 9A.3). Pure; replayed."""

from __future__ import annotations

from pipelex.errors import RoutingError
from pipelex.language.pipes import PipeCondition
from pipelex.language.templates import condition_template
from pipelex.pipes.execution import Execution
from pipelex.pipes.port import PipeResult
from pipelex.pipes.templates import render_template
from pipelex.values.value import Absence


async def run_condition(pipe: PipeCondition, execution: Execution) -> PipeResult:
    """Evaluate the expression, then run the pipe of that outcome in the memory of the caller, or nothing."""
    result = evaluate(pipe, execution)
    chosen = pipe.outcomes.get(result, pipe.default_outcome)
    # A mock proves nothing: a dry run that reaches "fail" goes on without the value (section 18.2).
    if chosen == "continue" or (chosen == "fail" and execution.plan.is_dry):
        return PipeResult(outcome=_nothing(execution, result))
    if chosen == "fail":
        raise RoutingError(
            f"'{execution.code}' fails for {_short(result)}",
            hint=f"its outcomes are {', '.join(map(repr, pipe.outcomes))}",
        )
    call = execution.calling(
        chosen,
        execution.memory,
        nb_output=execution.call.nb_output,
        multiple_output=execution.call.multiple_output,
        shares_memory=execution.shares_memory,
    )
    return await execution.host.run_pipe(call)


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


def _nothing(execution: Execution, result: str) -> Absence:
    return Absence(
        variable=execution.code,
        absent="declared_absent",
        reason=f"'{execution.code}' runs nothing for {_short(result)}",
        producer=execution.code,
    )


def _short(result: str) -> str:
    return repr(result if len(result) <= 60 else f"{result[:57]}...")
