"""PipeExtract: read the pages of a document or an image (MTHDS section 9.6). Pure; replayed."""

from __future__ import annotations

from dataclasses import replace

from pipelex.errors import PipeError
from pipelex.language.pipes import PipeExtract
from pipelex.pipes.execution import Execution
from pipelex.pipes.llm import model_of
from pipelex.pipes.outcomes import fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import ExtractRequest
from pipelex.values.value import Value


async def run_extract(pipe: PipeExtract, execution: Execution) -> PipeResult:
    """Ask for the pages of the one input; they come back in document order."""
    url, mime_type = _file(execution)
    request = ExtractRequest(
        model=model_of(pipe, execution),
        url=url,
        mime_type=mime_type,
        max_page_images=pipe.max_page_images,
        page_views=pipe.page_views,
        page_views_dpi=pipe.page_views_dpi,
        page_image_captions=pipe.page_image_captions,
        render_js=pipe.render_js,
        include_raw_html=pipe.include_raw_html,
    )
    reply = await execution.host.perform(request)
    # Old methods declare `Page` where pages come out.
    slot = execution.output if execution.output.is_list else replace(execution.output, is_list=True)
    return PipeResult(outcome=fitted(execution, list(reply.pages), slot), usage=reply.usage)


def _file(execution: Execution) -> tuple[str, str | None]:
    """The url of the one input, whatever its name, and its media type if known."""
    name = next(iter(execution.pipe.inputs))
    value = execution.memory.get(name)
    data = value.data if isinstance(value, Value) else None
    url = data.get("url") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(url, str):
        raise PipeError(
            f"'{execution.code}' reads one document or image, and '{name}' is not one",
            hint="to read several, batch the pipe over the list",
        )
    mime_type = data.get("mime_type")
    return url, mime_type if isinstance(mime_type, str) else None
