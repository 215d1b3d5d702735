"""PipeFunc: call a Python function somewhere it is known (MTHDS section 9.3). Pure; replayed."""

from __future__ import annotations

from pipelex.language.pipes import PipeFunc
from pipelex.library.slices import needed_concepts
from pipelex.pipes.execution import Execution
from pipelex.pipes.outcomes import fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import FunctionRequest
from pipelex.values.value import Absence


async def run_function(pipe: PipeFunc, execution: Execution) -> PipeResult:
    """Ask for the call, with the declared inputs and the concepts they and the output need."""
    refs = [value.concept for value in execution.memory.root.values()]
    refs += [slot.concept for slot in pipe.inputs.values()]
    request = FunctionRequest(
        function_name=pipe.function_name,
        memory=execution.memory,
        output=execution.output,
        concepts=needed_concepts([*refs, execution.output.concept], execution.library.crate.concepts),
    )
    reply = await execution.host.perform(request)
    if reply.data is None and execution.output.presence == "optional":
        return PipeResult(outcome=_nothing(execution), usage=reply.usage)
    return PipeResult(outcome=fitted(execution, reply.data), usage=reply.usage)


def _nothing(execution: Execution) -> Absence:
    return Absence(
        variable=execution.code,
        absent="declared_absent",
        reason=f"the function of '{execution.code}' returned nothing",
        producer=execution.code,
    )
