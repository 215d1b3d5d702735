"""Bundles made into one crate: every reference absolute, every rule that needs the whole library checked. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipelex.errors import LibraryError, Problem
from pipelex.language.bundle import Bundle, ConceptDeclaration
from pipelex.language.checks import Rest, check_bundle
from pipelex.language.findings import Path, sorted_by_place
from pipelex.language.pipes import (
    OUTCOME_WORDS,
    Binding,
    Pipe,
    PipeBatch,
    PipeCondition,
    PipeLLM,
    PipeParallel,
    PipeSequence,
    Step,
)
from pipelex.library.bindings import bound
from pipelex.library.concepts import link_concepts, shorthands
from pipelex.library.crate import LibraryCrate
from pipelex.library.flow import check_flow
from pipelex.library.graph import pending_signatures
from pipelex.library.operators import DOCUMENT_FORMATS, check_operator
from pipelex.library.presence import check_presence
from pipelex.library.scope import PackageTable, Scope, Site, package_of
from pipelex.library.signatures import check_signature, pipe_homes
from pipelex.values.concepts import Concepts, Field
from pipelex.values.slots import Slot


@dataclass(frozen=True)
class Linked:
    """A sealed crate, and what linking accepted with a warning, by file and place.

    What reading a file accepted stays in the warnings of its bundle. A library with `pending_signatures`, by absolute
    reference, is valid; the pipes that reach one of them cannot run, except dry.
    """

    crate: LibraryCrate
    warnings: tuple[Problem, ...]
    pending_signatures: tuple[str, ...] = ()


def link(
    bundles: Sequence[Bundle],
    *,
    strict: bool = False,
    packages: PackageTable | None = None,
    document_formats: Collection[str] = DOCUMENT_FORMATS,
    structure_classes: Mapping[str, Mapping[str, Field]] | None = None,
) -> Linked:
    """Link and check bundles as one library. Raises LibraryError with every problem of every file, in their order.

    `strict` refuses what only older versions of the language know. `document_formats` are those that can be made here;
    a worker may have others. `structure_classes` are the Python classes known, as the fields they stand for.
    """
    sites = [Site.of(bundle, strict=strict) for bundle in _sorted(bundles)]
    concept_homes = _concept_homes(sites)
    homes, signatures = pipe_homes(sites)
    scope = Scope(concept_homes, homes, packages, _main_pipes(sites, homes))
    own, lost = link_concepts(concept_homes, scope, structure_classes)
    concepts = Concepts(own)
    prompts = _texts(sites, "system_prompt")
    linker = _PipeLinker(scope, lost, {space: text for space, (text, _) in prompts.items()})
    pipes = {ref: linker.pipe(_code(ref), site) for ref, site in homes.items()}
    for ref, site in signatures:
        check_signature(_code(ref), linker.pipe(_code(ref), site), site, pipes[ref], homes[ref])
    for ref, pipe in pipes.items():
        check_operator(_code(ref), pipe, homes[ref], concepts, document_formats)
    main_pipe = _main_pipe(sites, homes)
    _check_flow(pipes, homes, concepts, main_pipe, shorthands(concept_homes))
    pending = pending_signatures(pipes)
    _note_pending(pending, homes)
    domains = _texts(sites, "description")
    warnings = _told(sites, prompts, strict=strict)
    crate = LibraryCrate(
        concepts=own,
        pipes=pipes,
        domains={site.space: domains[site.space][0] if site.space in domains else "" for site in sites},
        source_map={ref: site.bundle.source for ref, site in (*concept_homes.items(), *homes.items())},
        main_pipe=main_pipe,
    )
    return Linked(crate.sealed(), warnings, pending)


def _code(ref: str) -> str:
    return ref.rpartition(".")[2]


def _sorted(bundles: Iterable[Bundle]) -> list[Bundle]:
    """The bundles by package and file; one that is there twice counts once."""
    found = {(bundle.package, bundle.source, bundle.text): bundle for bundle in bundles}
    return sorted(found.values(), key=lambda bundle: (bundle.package, bundle.source))


def _concept_homes(sites: Iterable[Site]) -> dict[str, Site]:
    """The site of each concept, by absolute reference; a second declaration of the same is noted (rule 12)."""
    homes: dict[str, Site] = {}
    for site in sites:
        for code in site.bundle.concepts:
            first = homes.setdefault(site.ref(code), site)
            if first is not site:
                message = f"the concept '{code}' of the domain '{site.bundle.domain}' is declared twice"
                hint = f"the other one is in {first.bundle.source}: rename one, or drop it"
                site.findings.error(("concept", code), "duplicate_concept", message, hint)
    return homes


def _texts(sites: Iterable[Site], key: str) -> dict[str, tuple[str, Site]]:
    """The first text that a file of each domain gives for a header key, and that file.

    Others that differ are noted (rule 7).
    """
    found: dict[str, tuple[str, Site]] = {}
    for site in sites:
        text = getattr(site.bundle, key)
        if text is None:
            continue
        first, at = found.setdefault(site.space, (text, site))
        if first != text:
            message = f"another file of the domain '{site.bundle.domain}' has another '{key}'"
            hint = f"{at.bundle.source} comes first: files without one take its own"
            site.findings.warn((key,), "domain_metadata_conflict", message, hint)
    return found


def _told(sites: Sequence[Site], prompts: Mapping[str, tuple[str, Site]], *, strict: bool) -> tuple[Problem, ...]:
    """The warnings of every file. Raises LibraryError when there is an error."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    concepts: dict[str, dict[str, ConceptDeclaration]] = {}
    for site in sites:
        declared = {f"{site.bundle.domain}.{code}": concept for code, concept in site.bundle.concepts.items()}
        concepts.setdefault(site.bundle.package, {}).update(declared)
    for site in sites:
        prompt, at = prompts.get(site.space, (None, site))
        rest = Rest(prompt, at.bundle.source, concepts[site.bundle.package])
        local = check_bundle(site.bundle, strict=strict, rest=rest)
        found = [*local, *site.findings.errors, *site.findings.warnings]
        for problem in sorted_by_place(list(dict.fromkeys(found))):
            (warnings if problem.is_warning else errors).append(problem)
    if errors:
        files = ", ".join(dict.fromkeys(problem.file or "" for problem in errors))
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        raise LibraryError(f"{count} in {files}", problems=errors, where=errors[0].place)
    return tuple(warnings)


def _main_pipes(sites: Iterable[Site], homes: Mapping[str, Site]) -> list[str]:
    """The main pipes that files name, each once."""
    named = [site.ref(site.bundle.main_pipe) for site in sites if site.bundle.main_pipe is not None]
    return list(dict.fromkeys(ref for ref in named if ref in homes))


def _main_pipe(sites: Iterable[Site], homes: Mapping[str, Site]) -> str | None:
    """The main pipe, when the files of the package that is run name exactly one between them."""
    found = [ref for ref in _main_pipes(sites, homes) if not package_of(ref)]
    return found[0] if len(found) == 1 else None


def _check_flow(
    pipes: dict[str, Pipe],
    homes: Mapping[str, Site],
    concepts: Concepts,
    main_pipe: str | None,
    shorthands: frozenset[tuple[str, str]],
) -> None:
    """Follow every value, and put what is found about outputs and bindings into `pipes`."""
    flow = check_flow(pipes, homes, concepts, shorthands)
    check_presence(pipes, homes, concepts, flow.taken, main_pipe, shorthands)
    for ref, slots in flow.bindings.items():
        pipe = pipes[ref]
        assert isinstance(pipe, PipeSequence)
        pipes[ref] = bound(pipe, slots)
    for ref, output in flow.mended.items():
        pipes[ref] = pipes[ref].model_copy(update={"output": output})


def _note_pending(pending: Iterable[str], homes: Mapping[str, Site]) -> None:
    """Rule 87."""
    for ref in pending:
        site, code = homes[ref], _code(ref)
        message = f"'{code}' is a signature that nothing implements: what reaches it can only run dry"
        hint = "declare a pipe of the same code, inputs and output, with a type"
        site.findings.warn(site.at(code), "pending_signatures", message, hint)


@dataclass(frozen=True)
class _PipeLinker:
    """Makes the references of pipes absolute. What does not resolve is noted, and left as written or as Dynamic."""

    scope: Scope
    lost: frozenset[str]
    system_prompts: Mapping[str, str]

    def pipe(self, code: str, site: Site) -> Pipe:
        declared = site.pipes[code]
        path = site.at(code)
        update: dict[str, object] = {
            "inputs": {name: self._slot(slot, site, (*path, "inputs", name)) for name, slot in declared.inputs.items()},
            "output": self._slot(declared.output, site, (*path, "output")),
        }
        match declared:
            case PipeLLM() if declared.system_prompt is None:
                update["system_prompt"] = site.bundle.system_prompt or self.system_prompts.get(site.space)
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

    def _steps(self, steps: Iterable[Step | Binding], site: Site, path: Path) -> tuple[Step | Binding, ...]:
        return tuple(
            step.model_copy(update={"pipe": self._target(step.pipe, site, (*path, index, "pipe"))})
            if isinstance(step, Step)
            else step
            for index, step in enumerate(steps)
        )

    def _target(self, written: str, site: Site, path: Path) -> str:
        if written in OUTCOME_WORDS and path[2] in ("outcomes", "default_outcome"):
            return written
        return self.scope.pipe(written, site, path) or written
