"""LibraryCrate: a linked, checked, frozen library as plain data. Crosses every wire, whole or as a slice."""

from __future__ import annotations

import hashlib
import json

from pipelex.language.pipes import Pipe
from pipelex.values.concepts import Concept
from pipelex.values.frozen import Frozen


class LibraryCrate(Frozen):
    """Everything a run needs to know of its methods, by absolute reference (`domain.code`, `domain.Code`).

    `main_pipe` is the entry pipe when the library has exactly one. `source_map` maps a reference to its file's name.
    `fingerprint` is the SHA-256 of the canonical JSON of concepts and pipes: equal fingerprint, equal meaning.
    """

    concepts: dict[str, Concept] = {}
    pipes: dict[str, Pipe] = {}
    domains: dict[str, str] = {}
    source_map: dict[str, str] = {}
    main_pipe: str | None = None
    fingerprint: str = ""

    def sealed(self) -> LibraryCrate:
        """The same crate with its fingerprint computed."""
        meaning = self.model_dump(mode="json", include={"concepts", "pipes"}, exclude_defaults=True, by_alias=True)
        canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return self.model_copy(update={"fingerprint": hashlib.sha256(canonical.encode()).hexdigest()})


class CrateSlice(LibraryCrate):
    """The part of a crate that a child gets, and many children share: what it is to run, not where it was written."""

    @classmethod
    def of(cls, crate: LibraryCrate) -> CrateSlice:
        """That crate, as a slice."""
        return cls.model_construct(**{**dict(crate), "source_map": {}})
