"""Pipes that stand for several, rewritten before anything is linked (MTHDS section 9.1.5). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelex.language.bundle import Bundle
from pipelex.language.findings import Findings
from pipelex.language.pipes import Pipe, PipeLLM, PipeSequence, PipeStructure, Step
from pipelex.values.slots import Slot

DRAFT = "__draft_text"
STRUCTURE = "__structure"
_DRAFT_NAME = "draft_text"


def elaborated(bundle: Bundle, findings: Findings) -> tuple[dict[str, Pipe], dict[str, str]]:
    """The pipes of a bundle once rewritten, in order, and the pipe of the file that each new one comes from."""
    pipes: dict[str, Pipe] = {}
    origins: dict[str, str] = {}
    for code, pipe in bundle.pipes.items():
        if not isinstance(pipe, PipeLLM) or pipe.structuring_method != "preliminary_text":
            pipes[code] = pipe
            continue
        made = _draft_then_structure(code, pipe)
        taken = [name for name in made if name != code and name in bundle.pipes]
        for name in taken:
            message = f"'{name}' is what the preliminary text of '{code}' is called, and cannot be another pipe"
            findings.error(("pipe", name), "duplicate_pipe", message, "rename it")
        pipes |= {name: part for name, part in made.items() if name not in taken}
        origins |= {name: code for name in made if name != code and name not in taken}
    return pipes, origins


def is_structuring(code: str, origins: Mapping[str, str]) -> bool:
    """Whether a pipe is the second half of a rewritten one."""
    return code in origins and code.endswith(STRUCTURE)


def _draft_then_structure(code: str, pipe: PipeLLM) -> dict[str, Pipe]:
    """A PipeLLM with a preliminary text as three pipes: one writes, one fills the structure, one calls both."""
    count = pipe.output.count
    draft = pipe.model_copy(
        update={
            # The sequence around it has asserted what must be there.
            "inputs": {
                name: replace(slot, presence="plain") if slot.presence == "forced" else slot
                for name, slot in pipe.inputs.items()
            },
            "output": Slot("native.Text"),
            "structuring_method": None,
            "model_to_structure": None,
            "prompt": _counted(pipe.prompt, count),
            "system_prompt": _counted(pipe.system_prompt, count),
        }
    )
    structure = PipeStructure(
        type="PipeStructure",
        description=pipe.description,
        inputs={_DRAFT_NAME: Slot("native.Text")},
        output=pipe.output,
        model=pipe.model_to_structure,
    )
    whole = PipeSequence(
        type="PipeSequence",
        description=pipe.description,
        inputs=pipe.inputs,
        output=pipe.output,
        input_hints=pipe.input_hints,
        steps=(Step(pipe=f"{code}{DRAFT}", result=_DRAFT_NAME), Step(pipe=f"{code}{STRUCTURE}")),
    )
    return {code: whole, f"{code}{DRAFT}": draft, f"{code}{STRUCTURE}": structure}


def _counted(template: str | None, count: int | None) -> str | None:
    """The template with the number of items asked for, which the pipe that makes one text would not know."""
    if template is None or count is None or "_nb_output" not in template:
        return template
    return f"{{% set _nb_output = {count} %}}{template}"
