"""PipeDocGen: lay values out as a page and have it made a file (MTHDS section 9.10). Pure; replayed."""

from __future__ import annotations

import re

from pydantic import JsonValue

from pipelex.language.pipes import PipeDocGen
from pipelex.pipes.execution import Execution
from pipelex.pipes.layout import laid_out
from pipelex.pipes.outcomes import fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import DocumentRequest
from pipelex.pipes.templates import render_template
from pipelex.values.value import Value

_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]+")
"""What some file system or other does not take in a name."""
_LONGEST = 100


async def run_doc_gen(pipe: PipeDocGen, execution: Execution) -> PipeResult:
    """Render the template, or lay the inputs out in order; then ask for the file."""
    request = DocumentRequest(format=pipe.format, html=_html(pipe, execution), filename=_filename(pipe, execution))
    reply = await execution.host.perform(request)
    return PipeResult(outcome=fitted(execution, reply.document), usage=reply.usage)


def _html(pipe: PipeDocGen, execution: Execution) -> str:
    if pipe.template is None:
        there = {name: execution.memory.get(name) for name in execution.pipe.inputs}
        return laid_out({name: value for name, value in there.items() if isinstance(value, Value)}, execution.concepts)
    return render_template(
        pipe.template,
        "html",
        execution.memory,
        execution.concepts,
        extra=_absent(execution),
        is_strict=True,
    )


def _absent(execution: Execution) -> dict[str, JsonValue]:
    """Optional inputs that are absent, as nothing: strict templates could not even ask whether they are there."""
    return {name: None for name in execution.pipe.inputs if not isinstance(execution.memory.get(name), Value)}


def _filename(pipe: PipeDocGen, execution: Execution) -> str:
    name = execution.code
    if pipe.filename is not None:
        rendered = render_template(
            pipe.filename,
            "basic",
            execution.memory,
            execution.concepts,
            what="the filename",
            extra=_absent(execution),
            is_strict=True,
        )
        name = " ".join(_UNFIT.sub(" ", rendered).split())[:_LONGEST].strip(" .") or name
    return f"{name.removesuffix(f'.{pipe.format}')}.{pipe.format}"
