"""What the names written in bundles stand for: references made absolute (MTHDS section 3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelex.language.bundle import Bundle
from pipelex.language.findings import Findings, Path, did_you_mean
from pipelex.values.natives import NATIVES

_TEXT_ONCE = "ImgGenPrompt"
"""A native concept of older versions of the language: a text."""


@dataclass(frozen=True, eq=False)
class Site:
    """A bundle, with where to note what is wrong in it."""

    bundle: Bundle
    findings: Findings

    @classmethod
    def of(cls, bundle: Bundle) -> Site:
        """The site of a bundle, with nothing noted yet."""
        return cls(bundle, Findings(bundle.source, bundle.text))

    def short(self, ref: str) -> str:
        """The reference as an author of this bundle would write it."""
        domain, _, code = ref.rpartition(".")
        return code if domain in ("native", self.bundle.domain) else ref


class Scope:
    """The concepts and pipes of a library, by absolute reference and by bare code."""

    def __init__(self, concepts: Iterable[str], pipes: Iterable[str]) -> None:
        self._concepts = _by_code(concepts)
        self._pipes = _by_code(pipes)

    def concept(self, written: str, site: Site, path: Path) -> str | None:
        """The absolute reference of a concept (section 3.2); None, with the mistake noted at `path`, if it has none."""
        domain, _, code = written.rpartition(".")
        native = f"native.{code}"
        if domain in ("", "native") and native in NATIVES:
            return native
        ref = f"{domain or site.bundle.domain}.{code}"
        if ref in self._concepts.get(code, ()):
            return ref
        if domain in ("", "native") and code == _TEXT_ONCE:
            message = f"the native concept '{_TEXT_ONCE}' is an old spelling"
            site.findings.warn(path, "unresolved_concept", message, "use 'Text', or a concept of your own")
            return "native.Text"
        found = self._elsewhere("concept", written, self._concepts, site, path)
        if found is None and code == "PDF":
            site.findings.error(path, "unresolved_concept", f"no concept is called '{written}'", "use 'Document'")
        elif found is None:
            known = {**self._concepts, **dict.fromkeys(native.code for native in NATIVES.values())}
            hint = _closest(written, site, self._concepts, known) or "declare it in a [concept] table"
            site.findings.error(path, "unresolved_concept", f"no concept is called '{written}'", hint)
        return found or None

    def pipe(self, written: str, site: Site, path: Path) -> str | None:
        """The absolute reference of a pipe (section 3.3); None, with the mistake noted at `path`, if it has none."""
        domain, _, code = written.rpartition(".")
        ref = f"{domain or site.bundle.domain}.{code}"
        if ref in self._pipes.get(code, ()):
            return ref
        found = self._elsewhere("pipe", written, self._pipes, site, path)
        if found is None:
            hint = _closest(written, site, self._pipes, self._pipes) or "no bundle of this library declares it"
            site.findings.error(path, "unresolved_pipe_dependency", f"no pipe is called '{written}'", hint)
        return found or None

    def _elsewhere(self, what: str, written: str, known: Mapping[str, list[str]], site: Site, path: Path) -> str | None:
        """The only declaration of a bare code in another domain; "" if several were found, and noted; None if none."""
        candidates = known.get(written, [])
        if len(candidates) == 1:
            hint = f"write '{candidates[0]}'"
            message = f"the {what} '{written}' is not of the domain '{site.bundle.domain}'; '{candidates[0]}' is taken"
            site.findings.warn(path, "nonlocal_reference", message, hint)
            return candidates[0]
        if not candidates:
            return None
        code = "unresolved_concept" if what == "concept" else "unresolved_pipe_dependency"
        site.findings.error(
            path, code, f"several domains have a {what} '{written}'", f"write one of {', '.join(candidates)}"
        )
        return ""


def _by_code(refs: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ref in refs:
        found.setdefault(ref.rpartition(".")[2], []).append(ref)
    return found


def _closest(written: str, site: Site, declared: Mapping[str, list[str]], known: Mapping[str, object]) -> str | None:
    """A hint naming what was probably meant, spelt so that it resolves."""
    domain, _, code = written.rpartition(".")
    if code in declared:
        return f"did you mean {' or '.join(repr(ref) for ref in declared[code])}?"
    if domain:
        refs = [ref for refs in declared.values() for ref in refs]
        return did_you_mean(written, refs) or did_you_mean(code, known)
    hint = did_you_mean(code, known)
    if hint is None:
        return None
    close = hint.split("'")[1]
    refs = declared.get(close, [])
    is_near = not refs or f"{site.bundle.domain}.{close}" in refs
    return hint if is_near else f"did you mean '{refs[0]}'?"
