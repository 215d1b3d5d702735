"""PipeImgGen: generate images from a prompt (MTHDS section 9.5). Pure; replayed."""

from __future__ import annotations

from pydantic import JsonValue

from pipelex.language.pipes import PipeImgGen
from pipelex.pipes.execution import Execution
from pipelex.pipes.llm import model_of
from pipelex.pipes.outcomes import fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import ImageRequest
from pipelex.pipes.templates import Attachments, render_template


async def run_img_gen(pipe: PipeImgGen, execution: Execution) -> PipeResult:
    """Render the prompts, ask for as many images as the output counts, and note what they were made from.

    Images that the prompt mentions go with it, as references.
    """
    attachments = Attachments()
    prompt = _rendered(pipe.prompt, "the prompt", execution, attachments)
    negative = pipe.negative_prompt
    negative = None if negative is None else _rendered(negative, "the negative prompt", execution, attachments)
    slot = execution.output
    request = ImageRequest(
        model=model_of(pipe, execution),
        prompt=prompt,
        negative_prompt=negative or None,
        attachments=attachments.all(),
        count=slot.count or 1,
        aspect_ratio=pipe.aspect_ratio,
        size=pipe.size,
        is_raw=pipe.is_raw,
        seed=None if pipe.seed == "auto" else pipe.seed,
        background=pipe.background,
        output_format=pipe.output_format,
    )
    reply = await execution.host.perform(request)
    source: dict[str, JsonValue] = {"source_prompt": prompt, "source_negative_prompt": negative or None}
    images: list[JsonValue] = [{**image, **source} for image in reply.images]
    is_one = not slot.is_list and len(images) == 1
    return PipeResult(outcome=fitted(execution, images[0] if is_one else images), usage=reply.usage)


def _rendered(source: str, what: str, execution: Execution, attachments: Attachments) -> str:
    count = execution.output.count or execution.call.nb_output
    return render_template(
        source,
        "img_gen_prompt",
        execution.memory,
        execution.concepts,
        what=what,
        extra={"_nb_output": "" if count is None else count},
        attachments=attachments,
    ).strip()
