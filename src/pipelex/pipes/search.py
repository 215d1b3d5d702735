"""PipeSearch: search the web for an answer with its sources, or for what fills a structure. Pure; replayed."""

from __future__ import annotations

from pipelex.language.pipes import PipeSearch
from pipelex.pipes.execution import Execution, code_of
from pipelex.pipes.llm import model_of, schema_of
from pipelex.pipes.outcomes import SHAPELESS, fitted
from pipelex.pipes.port import PipeResult
from pipelex.pipes.requests import SearchObjectRequest, SearchRequest
from pipelex.pipes.templates import render_template


async def run_search(pipe: PipeSearch, execution: Execution) -> PipeResult:
    """Render the prompt and search (MTHDS section 9.7); what the pipe says goes before the setting of its model."""
    model = model_of(pipe, execution)
    prompt = render_template(pipe.prompt, "llm_prompt", execution.memory, execution.concepts, what="the prompt")
    concept = execution.output.concept
    if concept not in SHAPELESS and not execution.concepts.is_a(concept, "native.SearchResult"):
        asked = SearchObjectRequest(
            model=model,
            prompt=prompt.strip(),
            max_results=pipe.max_results or model.max_results,
            from_date=pipe.from_date,
            to_date=pipe.to_date,
            include_domains=pipe.include_domains,
            exclude_domains=pipe.exclude_domains,
            name=code_of(concept),
            output_schema=schema_of(execution.library, concept),
        )
        filled = await execution.host.perform(asked)
        return PipeResult(outcome=fitted(execution, filled.data), usage=filled.usage)
    images = model.include_images if pipe.include_images is None else pipe.include_images
    request = SearchRequest(
        model=model,
        prompt=prompt.strip(),
        include_images=bool(images),
        include_inline_citations=model.include_inline_citations is not False,
        max_results=pipe.max_results or model.max_results,
        from_date=pipe.from_date,
        to_date=pipe.to_date,
        include_domains=pipe.include_domains,
        exclude_domains=pipe.exclude_domains,
    )
    reply = await execution.host.perform(request)
    return PipeResult(outcome=fitted(execution, reply.result), usage=reply.usage)
