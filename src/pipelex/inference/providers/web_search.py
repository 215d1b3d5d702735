"""Web search by the tool that a model brings along: what is asked of it, and what it cites. Runs on workers; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pipelex.errors import ConfigError
from pipelex.inference.backends import ModelSpec
from pipelex.inference.pricing import unit_cost_usd
from pipelex.pipes.requests import SearchRequest, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models import ModelRequestParameters


def check_search(request: SearchRequest, model: ModelSpec) -> None:
    """Raise ConfigError for what such a search cannot do: it would find what was ruled out."""
    given: dict[str, object] = {
        "max_results": request.max_results,
        "from_date": request.from_date,
        "to_date": request.to_date,
        "include_images": request.include_images,
    }
    domains = {"include_domains": request.include_domains, "exclude_domains": request.exclude_domains}
    if model.sdk == "google" or all(domains.values()):
        given |= domains
    if asked := [key for key, value in given.items() if value]:
        raise ConfigError(
            f"the web search of {model.handle!r} takes no {', '.join(asked)}",
            hint="leave it out of the pipe and of the setting of the model, or use linkup-standard or exa-auto",
        )


def search_usage(usage: Usage, count: int, model: ModelSpec) -> Usage:
    """What a search consumed: `usage` of the tokens, and the fee of `count` searches; one, when it is not said."""
    fee = unit_cost_usd(model.costs, "search", max(1, count))
    cost = None if fee is None or usage.cost_usd is None else usage.cost_usd + fee
    return usage.model_copy(update={"searches": max(1, count), "cost_usd": cost})


def search_tool(request: SearchRequest) -> ModelRequestParameters:
    """The tool to search with, for those who are called through pydantic-ai."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.native_tools import WebSearchTool

    tool = WebSearchTool(
        allowed_domains=list(request.include_domains) or None, blocked_domains=list(request.exclude_domains) or None
    )
    return ModelRequestParameters(native_tools=[tool])


def found(response: ModelResponse, *, is_cited: bool) -> dict[str, JsonValue]:
    """The answer and the pages that it cites, each once; with their numbers after what they support, when wanted."""
    from pydantic_ai.messages import TextPart

    texts = [part for part in response.parts if isinstance(part, TextPart)]
    pages: dict[str, JsonValue] = {}
    for part in texts:
        for citation in part.citations or ():
            for source in citation.sources:
                if source.kind == "web" and source.url not in pages:
                    snippet = " … ".join(source.excerpts) or None
                    pages[source.url] = {"url": source.url, "title": source.title, "snippet": snippet}
    numbers = {url: number for number, url in enumerate(pages, 1)}
    words = [_cited(part, numbers) if is_cited else part.content for part in texts]
    return {"answer": "".join(words).strip(), "sources": list(pages.values())}


def searches(response: ModelResponse) -> int:
    """How many times the model says that it searched."""
    return sum(call.tool_name == "web_search" for call, _ in response.native_tool_calls)


def _cited(part: TextPart, numbers: dict[str, int]) -> str:
    marks: dict[int, list[int]] = {}
    for citation in part.citations or ():
        # Where the model wrote a mark of its own, that is enough.
        if citation.anchor is None or citation.anchor.kind == "content":
            end = citation.anchor.end if citation.anchor else len(part.content)
            marks.setdefault(end, []).extend(_numbers(citation.sources, numbers))
    text = part.content
    for end in sorted(marks, reverse=True):
        text = f"{text[:end]}{''.join(f' [{number}]' for number in dict.fromkeys(marks[end]))}{text[end:]}"
    return text


def _numbers(sources: Iterable[object], numbers: dict[str, int]) -> list[int]:
    return [numbers[url] for source in sources if (url := getattr(source, "url", None)) in numbers]
