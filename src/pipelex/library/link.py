"""Bundles made into one crate: every reference absolute, every rule that needs the whole library checked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelex.errors import LibraryError, Problem
from pipelex.language.bundle import Bundle
from pipelex.language.checks import check_bundle
from pipelex.language.findings import Path, sorted_by_place
from pipelex.language.pipes import (
    OUTCOME_WORDS,
    Pipe,
    PipeBatch,
    PipeCondition,
    PipeLLM,
    PipeParallel,
    PipeSequence,
    Step,
)
from pipelex.library.concepts import link_concepts
from pipelex.library.crate import LibraryCrate
from pipelex.library.flow import check_flow
from pipelex.library.operators import check_concepts
from pipelex.library.scope import Scope, Site
from pipelex.values.concepts import Concepts
from pipelex.values.slots import Slot


@dataclass(frozen=True)
class Linked:
    """A sealed crate, and what linking accepted with a warning, by file and place.

    What reading a file accepted stays in the warnings of its bundle.
    """

    crate: LibraryCrate
    warnings: tuple[Problem, ...]


def link(bundles: Sequence[Bundle]) -> Linked:
    """Link and check bundles as one library. Raises LibraryError with every problem of every file, in their order."""
    sites = [Site.of(bundle) for bundle in sorted(bundles, key=lambda bundle: bundle.source)]
    concept_homes = _homes(sites, "concept", "duplicate_concept")
    pipe_homes = _homes(sites, "pipe", "duplicate_pipe")
    scope = Scope(concept_homes, pipe_homes)
    own, lost = link_concepts(concept_homes, scope)
    concepts = Concepts(own)
    pipes = _link_pipes(pipe_homes, _PipeLinker(scope, lost, _texts(sites, "system_prompt")))
    for ref, pipe in pipes.items():
        check_concepts(_code(ref), pipe, pipe_homes[ref], concepts)
    for ref, output in check_flow(pipes, pipe_homes, concepts).items():
        pipes[ref] = pipes[ref].model_copy(update={"output": output})
    domains = _texts(sites, "description")
    warnings = _told(sites)
    crate = LibraryCrate(
        concepts=own,
        pipes=pipes,
        domains={site.bundle.domain: domains.get(site.bundle.domain, "") for site in sites},
        source_map={ref: site.bundle.source for ref, site in (*concept_homes.items(), *pipe_homes.items())},
        main_pipe=_main_pipe(sites, pipes),
    )
    return Linked(crate.sealed(), warnings)


def _code(ref: str) -> str:
    return ref.rpartition(".")[2]


def _homes(sites: Iterable[Site], table: str, duplicate: str) -> dict[str, Site]:
    """The site of each declaration, by absolute reference; a second declaration of the same is noted (rules 12, 30)."""
    homes: dict[str, Site] = {}
    for site in sites:
        for code in site.bundle.concepts if table == "concept" else site.bundle.pipes:
            first = homes.setdefault(f"{site.bundle.domain}.{code}", site)
            if first is not site:
                message = f"the {table} '{code}' of the domain '{site.bundle.domain}' is declared twice"
                hint = f"the other one is in {first.bundle.source}: rename one, or drop it"
                site.findings.error((table, code), duplicate, message, hint)
    return homes


def _texts(sites: Iterable[Site], key: str) -> dict[str, str]:
    """The first text that a file of each domain gives for a header key; others that differ are noted (rule 7)."""
    found: dict[str, tuple[str, Site]] = {}
    for site in sites:
        text = getattr(site.bundle, key)
        if text is None:
            continue
        first, at = found.setdefault(site.bundle.domain, (text, site))
        if first != text:
            message = f"another file of the domain '{site.bundle.domain}' has another '{key}'"
            hint = f"{at.bundle.source} comes first: files without one take its own"
            site.findings.warn((key,), "domain_metadata_conflict", message, hint)
    return {domain: text for domain, (text, _) in found.items()}


def _told(sites: Sequence[Site]) -> tuple[Problem, ...]:
    """The warnings of every file. Raises LibraryError when there is an error."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for site in sites:
        found = [*check_bundle(site.bundle), *site.findings.errors, *site.findings.warnings]
        for problem in sorted_by_place(list(dict.fromkeys(found))):
            (warnings if problem.is_warning else errors).append(problem)
    if errors:
        files = ", ".join(dict.fromkeys(problem.file or "" for problem in errors))
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        raise LibraryError(f"{count} in {files}", problems=errors, where=errors[0].place)
    return tuple(warnings)


def _main_pipe(sites: Iterable[Site], pipes: Mapping[str, Pipe]) -> str | None:
    """The main pipe, when the files name exactly one between them."""
    named = [f"{site.bundle.domain}.{site.bundle.main_pipe}" for site in sites if site.bundle.main_pipe is not None]
    found = list(dict.fromkeys(ref for ref in named if ref in pipes))
    return found[0] if len(found) == 1 else None


def _link_pipes(homes: Mapping[str, Site], linker: _PipeLinker) -> dict[str, Pipe]:
    return {ref: linker.pipe(_code(ref), site) for ref, site in homes.items()}


@dataclass(frozen=True)
class _PipeLinker:
    """Makes the references of pipes absolute. What does not resolve is noted, and left as written or as Dynamic."""

    scope: Scope
    lost: frozenset[str]
    system_prompts: Mapping[str, str]

    def pipe(self, code: str, site: Site) -> Pipe:
        declared = site.bundle.pipes[code]
        path: Path = ("pipe", code)
        update: dict[str, object] = {
            "inputs": {name: self._slot(slot, site, (*path, "inputs", name)) for name, slot in declared.inputs.items()},
            "output": self._slot(declared.output, site, (*path, "output")),
        }
        match declared:
            case PipeLLM() if declared.system_prompt is None:
                bundle = site.bundle
                update["system_prompt"] = bundle.system_prompt or self.system_prompts.get(bundle.domain)
            case PipeSequence():
                update["steps"] = self._steps(declared.steps, site, (*path, "steps"))
            case PipeParallel():
                update["branches"] = self._steps(declared.branches, site, (*path, "branches"))
            case PipeCondition():
                update["outcomes"] = {
                    key: self._target(target, site, (*path, "outcomes", key))
                    for key, target in declared.outcomes.items()
                }
                update["default_outcome"] = self._target(declared.default_outcome, site, (*path, "default_outcome"))
            case PipeBatch():
                update["branch_pipe_code"] = self._target(declared.branch_pipe_code, site, (*path, "branch_pipe_code"))
            case _:
                pass
        return declared.model_copy(update=update)

    def _slot(self, slot: Slot, site: Site, path: Path) -> Slot:
        ref = self.scope.concept(slot.concept, site, path)
        return replace(slot, concept="native.Dynamic" if ref is None or ref in self.lost else ref)

    def _steps(self, steps: Iterable[Step], site: Site, path: Path) -> tuple[Step, ...]:
        return tuple(
            step.model_copy(update={"pipe": self._target(step.pipe, site, (*path, index, "pipe"))})
            for index, step in enumerate(steps)
        )

    def _target(self, written: str, site: Site, path: Path) -> str:
        if written in OUTCOME_WORDS and path[2] in ("outcomes", "default_outcome"):
            return written
        return self.scope.pipe(written, site, path) or written
