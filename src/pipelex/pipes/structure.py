"""PipeStructure: read one text into a structure (MTHDS section 9.2). Pure; replayed."""

from __future__ import annotations

from pipelex.errors import PipeError
from pipelex.language.pipes import PipeStructure
from pipelex.pipes.execution import Execution, code_of
from pipelex.pipes.llm import ask_for, model_of
from pipelex.pipes.outcomes import SHAPELESS
from pipelex.pipes.port import PipeResult
from pipelex.pipes.templates import printer_for
from pipelex.pipes.views import view_of
from pipelex.values.value import Value

_SYSTEM = (
    "You turn texts into structured data. Use what the text says and nothing else. "
    "Leave empty what the text does not tell and is not required; never make anything up."
)


async def run_structure(pipe: PipeStructure, execution: Execution) -> PipeResult:
    """Ask for the structure with a prompt of our own, which shows the text."""
    concept = execution.output.concept
    if concept in SHAPELESS or execution.concepts.is_text(concept):
        raise PipeError(
            f"'{execution.code}' fills a structure, and {code_of(concept)} is none",
            hint="output a concept with fields; to rewrite a text, use a PipeLLM",
        )
    model = model_of(pipe, execution)
    return await ask_for(concept, execution, model=model, system=_SYSTEM, prompt=_prompt(execution))


def _prompt(execution: Execution) -> str:
    slot = execution.output
    code = code_of(slot.concept)
    if not slot.is_list:
        wanted = f"Fill in one {code}"
    elif slot.count is None:
        wanted = f"List every {code}"
    else:
        wanted = f"List exactly {slot.count} {code}"
    name = next(iter(execution.pipe.inputs))
    value = execution.memory.get(name)
    if not isinstance(value, Value):
        raise PipeError(f"'{execution.code}' reads one text, and '{name}' is not there")
    printer = printer_for(execution.concepts)
    text = printer.text(view_of(value, printer, name))
    about = execution.concepts[slot.concept].description.strip().rstrip(".")
    # A tag that the text closes itself would let the rest of it pass for instructions.
    return f"{wanted} ({about}) from the text below.\n\n<{name}>\n{text.replace(f'</{name}>', '')}\n</{name}>"
