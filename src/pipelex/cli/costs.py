"""What the models of a run consumed: a table for people, and the same as JSON for machines."""

from __future__ import annotations

import sys
from typing import Any

from pipelex.pipes.requests import ModelUsage, Usage

STALE = "which may be stale"
UNKNOWN = "unknown"
_COUNTS = (
    ("Calls", "calls"),
    ("From cache", "cached_calls"),
    ("Repeats", "repeats"),
    ("Unsure", "unsure"),
    ("Input", "input_tokens"),
    ("Cached", "cached_tokens"),
    ("Output", "output_tokens"),
    ("Reasoning", "reasoning_tokens"),
    ("Pages", "pages"),
    ("Images", "images"),
    ("Searches", "searches"),
)
_ALWAYS = ("calls", "input_tokens", "output_tokens")


def model_type(part: ModelUsage) -> str:
    """The family of a model, by what it did."""
    if part.pages:
        return "extract"
    if part.images:
        return "img_gen"
    return "search" if part.searches else "llm"


def document(usage: Usage) -> dict[str, Any]:
    """The costs as JSON data. A cost of null is a price that is not known, never 0."""
    from pipelex.inference.prices import source_of

    return {
        "total_cost": usage.cost_usd,
        "is_simulated": usage.is_simulated,
        "by_model": [
            {
                "model": handle or None,
                "model_type": model_type(part),
                "nb_calls": part.calls,
                "nb_calls_from_cache": part.cached_calls,
                "nb_calls_repeated": part.repeats,
                "nb_calls_unsure": part.unsure,
                "nb_tokens_input": part.input_tokens,
                "nb_tokens_input_cached": part.cached_tokens,
                "nb_tokens_output": part.output_tokens,
                "nb_tokens_output_reasoning": part.reasoning_tokens,
                "nb_pages": part.pages,
                "nb_images": part.images,
                "nb_searches": part.searches,
                "cost": part.cost_usd,
                "price_source": source_of(part.price) if part.price else None,
                "is_simulated": part.is_simulated,
            }
            for handle, part in usage.parts().items()
        ],
    }


def rows(usage: Usage) -> list[list[str]]:
    """The table as text: the heads, a row for each model, and a total when there are several. Empty columns go."""
    counts = [(head, name) for head, name in _COUNTS if name in _ALWAYS or getattr(usage, name)]
    table = [["Model", "Type", *(head for head, _ in counts), "Cost (USD)"]]
    parts = usage.parts()
    for handle, part in parts.items():
        name = (handle or "(no model)") + (" (simulated)" if part.is_simulated else "")
        table.append([name, model_type(part), *_numbers(part, counts)])
    if len(parts) > 1:
        table.append(["Total", "", *_numbers(usage, counts)])
    return table


def show(usage: Usage) -> None:
    """Print the table on stderr; nothing when no model answered."""
    if not usage.calls and not usage.cached_calls:
        return
    table = rows(usage)
    if sys.stderr.isatty():
        _pretty(table)
    else:
        print("\n".join(plain(table)), file=sys.stderr, flush=True)
    if told := prices(usage):
        print(f"prices: {told}", file=sys.stderr, flush=True)


def prices(usage: Usage) -> str:
    """Where the prices come from, the models of each source together; empty when nothing had a price."""
    from pipelex.inference.prices import source_of

    found: dict[str, list[str]] = {}
    for handle, part in usage.parts().items():
        if part.cost_usd and not part.is_simulated:
            found.setdefault(source_of(part.price), []).append(handle or "(no model)")
    if not found:
        return ""
    if len(found) == 1:
        return f"from {next(iter(found))}, {STALE}"
    listed = "; ".join(f"{', '.join(handles)} from {source}" for source, handles in found.items())
    return f"{listed}; {STALE}"


def price_sources(usage: Usage) -> dict[str, str]:
    """Where the price of each model comes from, for those that have one."""
    from pipelex.inference.prices import source_of

    return {handle: source_of(part.price) for handle, part in usage.parts().items() if part.price}


def from_cache(usage: Usage) -> str:
    """How many replies came from the cache, as words; empty when none did."""
    count = usage.cached_calls
    return f"{count} {'reply' if count == 1 else 'replies'} from the cache, free" if count else ""


def paid(usage: Usage) -> str:
    """Paid calls / logical calls, and what may have been paid besides; empty when nothing is known to be paid."""
    logical = usage.calls - usage.repeats
    if logical <= 0 or usage.is_simulated:
        return ""
    told = f"{usage.calls} calls / {logical} = {usage.calls / logical:.3f}"
    if not usage.unsure:
        return told
    return f"{told}; {usage.unsure} lost attempt{'s' if usage.unsure > 1 else ''} may have been paid, too"


def plain(table: list[list[str]]) -> list[str]:
    """The rows as lines in columns, numbers to the right."""
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _numbers(part: ModelUsage, counts: list[tuple[str, str]]) -> list[str]:
    cost = UNKNOWN if part.cost_usd is None else f"{part.cost_usd:.6f}"
    return [*(str(getattr(part, name)) for _, name in counts), cost]


def _pretty(table: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads, *body = table
    made = Table()
    for index, head in enumerate(heads):
        made.add_column(head, justify="left" if index < 2 else "right")
    for row in body:
        made.add_row(*(Text(cell) for cell in row))
    Console(stderr=True).print(made)
