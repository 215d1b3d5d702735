"""A loaded library as commands see it: which pipes are its own, and where its problems are. Submitter side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pipelex.errors import ConfigError, InputError, PipelexError, PipeNotFoundError, Problem
from pipelex.inference.printing import document_formats
from pipelex.language.bundle import Bundle
from pipelex.language.pipes import PipeDocGen
from pipelex.library.crate import LibraryCrate
from pipelex.library.library import Library
from pipelex.library.link import link
from pipelex.library.packages import ref_of
from pipelex.storage.package_loading import LoadedPackages
from pipelex.values.class_fields import ClassFields
from pipelex.values.concepts import Concepts
from pipelex.values.contents import StructuredContent
from pipelex.values.mock import mock
from pipelex.values.schema import slot_schema
from pipelex.values.slots import Slot
from pipelex.values.value import Value


@dataclass(frozen=True)
class Method:
    """A loaded library. `own` are the pipes of the bundle that was asked for, `main` its main pipe."""

    library: Library
    bundles: tuple[Bundle, ...]
    own: tuple[str, ...] = ()
    main: str | None = None
    warnings: tuple[Problem, ...] = ()

    def pipe(self, code: str | None = None) -> str:
        """The absolute reference of a pipe: the one of that code, else the main pipe, else the only one."""
        mine = [ref for ref in self.own if code in (ref, ref.rpartition(".")[2])]
        if code is not None or not self.own:
            return mine[0] if len(mine) == 1 else self.library.entry(code)
        if self.main is not None:
            return self.main
        if len(self.own) == 1:
            return self.own[0]
        listed = ", ".join(self.own) or "none"
        hint = 'choose one, or set main_pipe = "…" in it'
        raise PipeNotFoundError(f"the bundle names no main pipe; its pipes are: {listed}", hint=hint)

    def with_dynamic_as(self, concept: str) -> Method:
        """The same method, in which each output that is declared Dynamic is that concept. Raises InputError."""
        crate, ref = self.library.crate, self._concept(concept)
        if all(pipe.output.concept != "native.Dynamic" for pipe in crate.pipes.values()):
            raise InputError(f"no output is declared Dynamic, so none can be {ref}", hint="do not ask for a concept")
        pipes = {
            code: pipe.model_copy(update={"output": replace(pipe.output, concept=ref)})
            if pipe.output.concept == "native.Dynamic"
            else pipe
            for code, pipe in crate.pipes.items()
        }
        return replace(self, library=Library.of(crate.model_copy(update={"pipes": pipes}).sealed()))

    def _concept(self, name: str) -> str:
        """The absolute reference of a concept, given bare or with its domain."""
        refs = list(self.library.concepts)
        if name in refs:
            return name
        found = [ref for ref in refs if ref.rpartition(".")[2] == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"several concepts are called '{name}'", hint=f"write the domain too: {', '.join(found)}")
        close = get_close_matches(name, [ref.rpartition(".")[2] for ref in refs], n=1)
        hint = f"did you mean '{close[0]}'?" if close else "name a concept of the method, or a native one"
        raise InputError(f"no concept is called '{name}'", hint=hint)

    def problem(
        self, code: str, ref: str, error: PipelexError, *path: str, prefix: str = "", is_warning: bool = False
    ) -> Problem:
        """An error as a problem that points at the declaration of a pipe, or at a key of it."""
        name = ref.rpartition(".")[2]
        message = prefix + error.message
        for bundle in self.bundles:
            if name in bundle.pipes and ref in (name, ref_of(bundle, name)):
                place = ("pipe", name, *path)
                return bundle.problem(code, message, *place, hint=error.hint, is_warning=is_warning)
        return Problem(code, f"{ref}: {message}", hint=error.hint, is_warning=is_warning)


@dataclass(frozen=True)
class ValidationReport:
    """The verdict on a method: every problem found, and the pipes that were dry-run, if it links at all."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    pipes: tuple[tuple[str, Literal["SUCCESS", "FAILURE"]], ...] = ()
    main_pipe: str | None = None
    library: Library | None = None

    @property
    def is_valid(self) -> bool:
        """Whether no problem was found; warnings do not count."""
        return not self.problems


def link_method(loaded: LoadedPackages, classes: Mapping[str, type[StructuredContent]], *, strict: bool) -> Method:
    """Link what was loaded into one library."""
    linked = link(
        loaded.bundles,
        strict=strict,
        packages=loaded.table,
        document_formats=document_formats(),
        structure_classes=ClassFields(classes),
    )
    read = [warning for bundle in loaded.bundles for warning in bundle.warnings]
    return Method(
        library=Library.of(linked.crate),
        bundles=loaded.bundles,
        own=tuple(ref_of(bundle, code) for bundle in loaded.own for code in bundle.pipes),
        main=loaded.main,
        warnings=(*loaded.warnings, *read, *linked.warnings),
    )


def check_documents(crate: LibraryCrate) -> None:
    """Raise ConfigError when a pipe of the crate writes a file that this process, which will run it, cannot write."""
    for ref, pipe in crate.pipes.items():
        if isinstance(pipe, PipeDocGen) and pipe.format not in document_formats():
            message = f"'{ref.rpartition('.')[2]}' writes a {pipe.format}, and nothing is installed here that makes one"
            raise ConfigError(message, hint='pip install "pipelex[documents]", or run it on a worker that has it')


def main_bundle(directory: Path) -> Path:
    """The bundle that a directory stands for: `bundle.mthds`, or the only one."""
    found = sorted(directory.glob("*.mthds"))
    preferred = [file for file in found if file.name == "bundle.mthds"] or found
    if len(preferred) == 1:
        return preferred[0]
    if not found:
        raise InputError(f"there is no .mthds file in {directory}", hint="give the path of a .mthds file")
    names = ", ".join(file.name for file in found)
    hint = "give the path of one of them, or name the main one bundle.mthds"
    raise InputError(f"{directory} holds several bundles: {names}", hint=hint)


def mocked_inputs(slots: Mapping[str, Slot], concepts: Concepts) -> dict[str, object]:
    """Made-up values for those inputs, always the same."""
    return {name: Value(concept=slot.concept, data=mock(slot_schema(slot, concepts))) for name, slot in slots.items()}
