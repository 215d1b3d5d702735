"""How long a library takes to load: `python -m benchmarks.library` parses, links and slices N pipes and N concepts.

The pipes differ from each other, and every tenth is a sequence that calls the nine before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipelex.language.parse import parse_bundle
from pipelex.library.library import Library
from pipelex.library.link import link

SIZES = (10, 100, 1000)


def method(count: int) -> str:
    """A method of `count` concepts and `count` pipes."""
    return "\n".join(['domain = "large"', *_concepts(count), *_pipes(count)])


def _concepts(count: int) -> Iterator[str]:
    for number in range(count):
        yield f'[concept.Card{number}]\ndescription = "Card {number}"\n[concept.Card{number}.structure]'
        yield 'title = { type = "text", description = "Title", required = true }'
        yield 'score = { type = "integer", description = "Score" }'
        if number % 10:
            yield f'before = {{ type = "concept", concept_ref = "Card{number - 1}", description = "The one before" }}'


def _pipes(count: int) -> Iterator[str]:
    for number in range(count):
        yield f'[pipe.make{number}]\ndescription = "Make card {number}"\ninputs = {{ note = "Text" }}'
        yield f'output = "Card{number}"'
        if number % 10 == 9:
            before = range(number - 9, number)
            called = ", ".join(f'{{ pipe = "make{other}", result = "r{other}" }}' for other in before)
            yield f'type = "PipeSequence"\nsteps = [ {called}, {{ pipe = "last{number}", result = "end" }} ]'
            yield f'[pipe.last{number}]\ndescription = "Last of {number}"\ninputs = {{ note = "Text" }}'
            yield f'output = "Card{number}"'
        yield f'type = "PipeLLM"\nprompt = "Card {number} of @note{{% if note %}}, please{{% endif %}}"'


def seconds_to_load(count: int) -> tuple[float, float, float]:
    """Seconds to parse, to link and check, and to slice one pipe."""
    text = method(count)
    begun = time.perf_counter()
    bundle = parse_bundle(text, "large.mthds")
    parsed = time.perf_counter()
    crate = link([bundle]).crate
    linked = time.perf_counter()
    Library.of(crate).slice("large.make9")
    return parsed - begun, linked - parsed, time.perf_counter() - linked


if __name__ == "__main__":
    print("pipes  parse s  link and check s  slice s")
    for size in SIZES:
        print(f"{size:5}  {{:7.3f}}  {{:16.3f}}  {{:7.4f}}".format(*seconds_to_load(size)))
