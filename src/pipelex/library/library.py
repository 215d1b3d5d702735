"""Library: a crate with its concepts, ready to answer the questions of pipes and hosts. Pure; replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from pipelex.errors import PipeNotFoundError, Problem
from pipelex.language.bundle import Bundle
from pipelex.language.pipes import Pipe
from pipelex.library.crate import LibraryCrate
from pipelex.library.graph import pending_signatures, uncalled
from pipelex.library.link import link
from pipelex.library.load import load_bundles, load_texts
from pipelex.library.slices import CrateKey, slice_of
from pipelex.values.concepts import Concepts
from pipelex.values.slots import Slot

_LISTED = 10


@dataclass(frozen=True, eq=False, slots=True)
class Library:
    """A linked library. Made by `Library.of`, which gives the same object for the same crate."""

    crate: LibraryCrate
    concepts: Concepts

    @classmethod
    def of(cls, crate: LibraryCrate) -> Library:
        """The library of a crate; cheap when the same crate was seen lately."""
        return _library(CrateKey(crate))

    def pipe(self, ref: str) -> Pipe:
        """The pipe of an absolute reference. Raises PipeNotFoundError."""
        found = self.crate.pipes.get(ref)
        if found is None:
            raise self._not_found(ref)
        return found

    def produced(self, ref: str) -> Slot:
        """What a pipe declares to give."""
        return self.pipe(ref).output

    def pending(self, pipe: str | None = None) -> tuple[str, ...]:
        """The signatures that nothing implements, of the library or among what a pipe may reach."""
        return pending_signatures(self.crate.pipes, pipe)

    def slice(self, pipe: str) -> LibraryCrate:
        """The part of the crate that a pipe can reach."""
        return slice_of(self.crate, pipe)

    def entry(self, code: str | None) -> str:
        """The absolute reference of the pipe to start: a code, bare or with its domain, else the main or only pipe.

        Raises PipeNotFoundError, with the candidates, when no pipe answers or several do.
        """
        if code is None:
            return self._main()
        if code in self.crate.pipes:
            return code
        found = [ref for ref in self.crate.pipes if ref.rpartition(".")[2] == code]
        if len(found) > 1:
            hint = f"write the domain too: {_listed(found)}"
            raise PipeNotFoundError(f"several pipes are called '{code}'", hint=hint)
        if not found:
            raise self._not_found(code)
        return found[0]

    def _main(self) -> str:
        if self.crate.main_pipe is not None:
            return self.crate.main_pipe
        if len(self.crate.pipes) == 1:
            return next(iter(self.crate.pipes))
        if not self.crate.pipes:
            raise PipeNotFoundError("there is no pipe in this library")
        hint = f"name the pipe to start: {_listed(uncalled(self.crate.pipes) or list(self.crate.pipes))}"
        raise PipeNotFoundError("this library has no main pipe, or several", hint=hint)

    def _not_found(self, code: str) -> PipeNotFoundError:
        refs = list(self.crate.pipes)
        names = refs if "." in code else list(dict.fromkeys(ref.rpartition(".")[2] for ref in refs))
        close = get_close_matches(code, names, n=3)
        if close:
            hint = f"did you mean {' or '.join(repr(name) for name in close)}?"
        else:
            hint = f"the pipes are: {_listed(refs)}" if refs else "this library has no pipe"
        return PipeNotFoundError(f"no pipe is called '{code}'", hint=hint)


def _listed(refs: Sequence[str]) -> str:
    more = len(refs) - _LISTED
    return ", ".join(refs[:_LISTED]) + (f" and {more} more" if more > 0 else "")


@lru_cache(maxsize=128)
def _library(key: CrateKey) -> Library:
    return Library(crate=key.crate, concepts=Concepts(key.crate.concepts))


def load_library(paths: Sequence[Path], *, strict: bool = False) -> tuple[Library, tuple[Problem, ...]]:
    """Load, link and check bundles and directories; the library, and what was accepted with a warning.

    Raises InputError, LanguageError or LibraryError, each with everything found at that stage.
    """
    return _loaded(load_bundles(paths, strict=strict), strict=strict)


def library_from_texts(texts: Mapping[str, str], *, strict: bool = False) -> tuple[Library, tuple[Problem, ...]]:
    """As `load_library`, from texts by the name to show in messages."""
    return _loaded(load_texts(texts, strict=strict), strict=strict)


def _loaded(bundles: Sequence[Bundle], *, strict: bool) -> tuple[Library, tuple[Problem, ...]]:
    linked = link(bundles, strict=strict)
    read = [warning for bundle in bundles for warning in bundle.warnings]
    return Library.of(linked.crate), (*read, *linked.warnings)
