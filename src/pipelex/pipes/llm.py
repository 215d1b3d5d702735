"""PipeLLM: ask a language model for a text, an object or a list (MTHDS section 9.1). Pure; replayed."""

from __future__ import annotations

from functools import lru_cache

from pydantic import JsonValue

from pipelex.errors import InternalError
from pipelex.language.pipes import PipeLLM
from pipelex.library.library import Library
from pipelex.pipes.execution import Execution, code_of
from pipelex.pipes.models import Asking, model_ask
from pipelex.pipes.outcomes import SHAPELESS, fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import Attachment, ModelSetting, ObjectListRequest, ObjectRequest, TextRequest
from pipelex.pipes.templates import Attachments, render_template
from pipelex.values.schema import json_schema
from pipelex.values.slots import Slot

_TEXT = "native.Text"


async def run_llm(pipe: PipeLLM, execution: Execution) -> PipeResult:
    """Render the prompts, ask, and fit the reply to the output."""
    system, prompt, attachments = _prompts(pipe, execution)
    model = model_of(pipe, execution)
    slot = execution.output
    # Without a concept to aim at, a plain text is asked for and kept as one.
    concept = _TEXT if slot.concept in SHAPELESS else slot.concept
    if execution.concepts.is_text(concept) and not slot.is_list:
        text_request = TextRequest(model=model, system=system, prompt=prompt, attachments=attachments)
        text_reply = await execution.host.perform(text_request)
        data: JsonValue = {"text": text_reply.text.removesuffix("\n")}
        return PipeResult(outcome=fitted(execution, data, Slot(concept)), usage=text_reply.usage)
    return await ask_for(concept, execution, model=model, system=system, prompt=prompt, attachments=attachments)


async def ask_for(
    concept: str,
    execution: Execution,
    *,
    model: ModelSetting,
    system: str | None,
    prompt: str,
    attachments: tuple[Attachment, ...] = (),
) -> PipeResult:
    """Ask for an object of a concept, or for a list of them when the output is one, and fit what comes back."""
    slot = execution.output
    schema = schema_of(execution.library, concept)
    name = code_of(concept)
    request: ObjectRequest | ObjectListRequest
    if slot.is_list:
        request = ObjectListRequest(
            model=model,
            system=system,
            prompt=prompt,
            attachments=attachments,
            name=name,
            output_schema=schema,
            count=slot.count,
        )
    else:
        request = ObjectRequest(
            model=model, system=system, prompt=prompt, attachments=attachments, name=name, output_schema=schema
        )
    reply = await execution.host.perform(request)
    fit = Slot(concept, is_list=slot.is_list, count=slot.count)
    return PipeResult(outcome=fitted(execution, reply.data, fit), usage=reply.usage)


def model_of(pipe: Asking, execution: Execution) -> ModelSetting:
    """The setting that the plan holds for the model that a pipe asks for."""
    key = model_ask(pipe, execution.concepts).key
    found = execution.plan.models.get(key)
    if found is None:
        raise InternalError(f"the plan holds no model for '{execution.code}' ({key})")
    return found


def _prompts(pipe: PipeLLM, execution: Execution) -> tuple[str | None, str, tuple[Attachment, ...]]:
    """The system prompt, the prompt, and the files that they mention, numbered in that order."""
    attachments = Attachments()
    count = execution.output.count or execution.call.nb_output

    def render(source: str, what: str) -> str:
        return render_template(
            source,
            "llm_prompt",
            execution.memory,
            execution.concepts,
            what=what,
            style=pipe.templating_style,
            extra={"_nb_output": "" if count is None else count},
            attachments=attachments,
        )

    system = None if pipe.system_prompt is None else render(pipe.system_prompt, "the system prompt")
    prompt = render(pipe.prompt or "", "the prompt")
    return system, prompt, attachments.all()


@lru_cache(maxsize=1024)
def schema_of(library: Library, concept: str) -> dict[str, JsonValue]:
    """The JSON Schema of a concept. `Library.of` gives one object a fingerprint, so that this is found again."""
    return json_schema(concept, library.concepts)
