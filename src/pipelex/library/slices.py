"""The part of a crate that one pipe can reach: what travels to the child that runs it. Pure; replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from pipelex.errors import PipeNotFoundError
from pipelex.library.crate import LibraryCrate
from pipelex.library.graph import bound_slots, reachable
from pipelex.values.concepts import Concept, Concepts


class CrateKey:
    """A crate as the key of a cache: equal when its fingerprint and what that leaves out are.

    The same method in two folders has one fingerprint, and messages name its files.
    """

    __slots__ = ("crate",)

    def __init__(self, crate: LibraryCrate) -> None:
        self.crate = crate if crate.fingerprint else crate.sealed()

    def __hash__(self) -> int:
        return hash(self.crate.fingerprint)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CrateKey):
            return NotImplemented
        mine, theirs = self.crate, other.crate
        return mine is theirs or (
            (mine.fingerprint, mine.main_pipe) == (theirs.fingerprint, theirs.main_pipe)
            and (mine.source_map, mine.domains) == (theirs.source_map, theirs.domains)
        )


def slice_of(crate: LibraryCrate, pipe: str) -> LibraryCrate:
    """The pipes reachable from `pipe` and the concepts they need, in the order of the crate.

    Includes the concepts that a value given to `pipe` may have, such as refinements of what it declares: values keep
    their own concept on the way in. A slice has no main pipe. Raises PipeNotFoundError.
    """
    return _slice(CrateKey(crate), pipe)


@lru_cache(maxsize=1024)
def _slice(key: CrateKey, start: str) -> LibraryCrate:
    crate = key.crate
    if start not in crate.pipes:
        raise PipeNotFoundError(f"no pipe '{start}' in this library")
    wanted = reachable(crate.pipes, start)
    pipes = {ref: pipe for ref, pipe in crate.pipes.items() if ref in wanted}
    known = Concepts(crate.concepts)
    taken = {slot.concept for slot in crate.pipes[start].inputs.values()}
    seeds = [ref for ref in crate.concepts if any(known.accepts(expected, ref) for expected in taken)]
    if any(known.root(expected) == "native.Composite" for expected in taken):
        seeds = list(crate.concepts)  # its components may be anything
    for pipe in pipes.values():
        seeds += [slot.concept for slot in (*pipe.inputs.values(), pipe.output, *bound_slots(pipe))]
    concepts = needed_concepts(seeds, crate.concepts)
    domains = {ref.rpartition(".")[0] for ref in (*pipes, *concepts)}
    return LibraryCrate(
        concepts=concepts,
        pipes=pipes,
        domains={domain: text for domain, text in crate.domains.items() if domain in domains},
        source_map={ref: file for ref, file in crate.source_map.items() if ref in pipes or ref in concepts},
    ).sealed()


def needed_concepts(refs: Iterable[str], concepts: Mapping[str, Concept]) -> dict[str, Concept]:
    """Those of `concepts` that `refs` are or need (parents, fields), in the order of `concepts`. Natives stay out
    unless `concepts` holds them."""
    found: set[str] = set()
    waiting = list(refs)
    while waiting:
        ref = waiting.pop()
        if ref in found or ref not in concepts:
            continue
        found.add(ref)
        concept = concepts[ref]
        waiting += [field.concept for field in (concept.fields or {}).values() if field.concept is not None]
        if concept.refines is not None:
            waiting.append(concept.refines)
    return {ref: concept for ref, concept in concepts.items() if ref in found}
