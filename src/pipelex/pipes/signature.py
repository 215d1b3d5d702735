"""PipeSignature: a contract without a body (MTHDS section 8.2). Pure; replayed."""

from __future__ import annotations

from pipelex.errors import PipeError
from pipelex.language.pipes import PipeSignature
from pipelex.pipes.execution import Execution, Halt
from pipelex.pipes.outcomes import promised
from pipelex.pipes.port import PipeResult


async def run_signature(pipe: PipeSignature, execution: Execution) -> PipeResult:
    """Stop the run: there is nothing to run. A dry run goes on with a mock of what the contract promises."""
    kind = f" as a {pipe.signature_for}" if pipe.signature_for else ""
    error = PipeError(
        f"'{execution.code}' has no body: it is only declared, as a signature",
        hint=f"write it{kind}, with the same inputs and output; a dry run goes through without",
    )
    raise Halt(error, lambda: PipeResult(outcome=promised(execution)))
