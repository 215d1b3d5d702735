"""PipeParallel: run branches side by side and combine their results (MTHDS section 9A.2). Pure; replayed."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from pipelex.language.pipes import PipeParallel
from pipelex.pipes.compose import field_data
from pipelex.pipes.execution import Execution, renamed
from pipelex.pipes.ordered import gather_ordered
from pipelex.pipes.outcomes import fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import Usage
from pipelex.pipes.sequence import run_step
from pipelex.pipes.templates import printer_for
from pipelex.pipes.views import view_of
from pipelex.values.slots import Slot
from pipelex.values.value import Memory, Outcome, Value

_COMPOSITE = "native.Composite"


async def run_parallel(pipe: PipeParallel, execution: Execution) -> PipeResult:
    """Run every branch at once on the same inputs; none sees what another stores."""
    results = await gather_ordered(
        run_step(branch, execution.memory, execution, is_branch=True) for branch in pipe.branches
    )
    outcomes: dict[str, Outcome] = {}
    stored, usage = Memory(), Usage()
    for branch, result in zip(pipe.branches, results, strict=True):
        usage += result.usage
        if branch.result is None:
            continue
        outcomes[branch.result] = renamed(result.outcome, branch.result)
        if pipe.add_each_output:
            stored = stored.with_entry(branch.result, outcomes[branch.result])
    return PipeResult(outcome=_combined(execution, outcomes), stored=stored, usage=usage)


def _combined(execution: Execution, outcomes: Mapping[str, Outcome]) -> Value:
    """One content whose fields are the results. What is absent is left out, or gets the default of its field."""
    present = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Value)}
    output = execution.output
    if execution.concepts.is_open(output.concept):
        concept = output.concept if execution.concepts.is_a(output.concept, _COMPOSITE) else _COMPOSITE
        made = fitted(execution, {name: value.data for name, value in present.items()}, Slot(concept))
        return made.model_copy(update={"components": {name: value.concept for name, value in present.items()}})
    fields = execution.concepts.structure(output.concept)
    printer = printer_for(execution.concepts)
    data: dict[str, JsonValue] = {}
    for name, value in present.items():
        field = fields.get(name)
        data[name] = value.data if field is None else field_data(view_of(value, printer), field, execution, name)
    return fitted(execution, data)
