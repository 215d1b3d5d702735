"""One pipe held against the concepts it names: where to note what is wrong, and what its paths reach. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pipelex.language.findings import Path, did_you_mean
from pipelex.language.pipes import BasePipe
from pipelex.library.paths import NoField, Reached, walk
from pipelex.library.scope import Site
from pipelex.values.concepts import Concepts
from pipelex.values.slots import Slot


@dataclass(frozen=True)
class Check:
    """The pipe of a site; messages name it, and paths are inside it."""

    code: str
    site: Site
    concepts: Concepts

    @property
    def written(self) -> str:
        """The code that stands in the file: a pipe made by elaboration is told by the one it comes from."""
        return self.site.origins.get(self.code, self.code)

    def at(self, *path: str | int) -> Path:
        """The key path of something inside the pipe."""
        return self.site.at(self.code, *path)

    def error(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        """Note something that makes the pipe unusable."""
        self.site.findings.error(path, code, f"'{self.written}': {message}", hint)

    def warn(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        """Note something that is accepted."""
        self.site.findings.warn(path, code, f"'{self.written}': {message}", hint)

    def shown(self, slot: Slot) -> str:
        """A linked slot as an author would write it."""
        return str(Slot(self.site.short(slot.concept), slot.is_list, slot.count, slot.presence))

    def reach(self, pipe: BasePipe, dotted: str, path: Path, *, is_strict: bool = False) -> Reached | None:
        """What a dotted path of an input reaches; None, and noted, if it names a field that does not exist (rule 46).

        A template that renders strictly cannot read such a field; any other prints nothing for it.
        """
        root, *segments = dotted.split(".")
        slot = pipe.inputs[root]
        reached = walk(self.concepts, Reached(slot.concept, 1 if slot.is_list else 0), segments)
        if not isinstance(reached, NoField):
            return reached
        shown = self.site.short(reached.concept)
        if reached.known:
            message = f"'{dotted}': {shown} has no field '{reached.segment}'"
            hint = did_you_mean(reached.segment, reached.known) or f"its fields are {', '.join(reached.known)}"
        else:
            message = f"'{dotted}': '{reached.segment}' is read on a list of {shown}"
            hint = "loop over its items, or batch over it"
        (self.error if is_strict else self.warn)(path, "unknown_field", message, hint)
        return None

    def spoken(self, reached: Reached) -> str:
        """What a path reaches, in words."""
        what = reached.scalar.value if reached.scalar else "a value"
        if reached.concept is not None:
            what = self.site.short(reached.concept)
        return f"a list of {what}" if reached.depth else what
