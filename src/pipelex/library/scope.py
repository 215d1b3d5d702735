"""What the names written in bundles stand for: references made absolute (MTHDS section 3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelex.language.bundle import Bundle
from pipelex.language.findings import Findings, Path, did_you_mean
from pipelex.language.pipes import Pipe
from pipelex.library.elaborate import elaborated
from pipelex.values.natives import NATIVES

_TEXT_ONCE = "ImgGenPrompt"
"""A native concept of older versions of the language: a text."""

ARROW = "->"


@dataclass(frozen=True)
class PackageTable:
    """What packages know of each other, by address; "" is the package that is run.

    `aliases` says which address is meant by what stands before `->` in a bundle of a package. `exports` holds the
    pipes that others may call, as `domain.code` (or as a bare `code`, wherever it is declared); None, or no entry,
    when the package has no manifest and everything is public. The main pipes of bundles are always exported.
    """

    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    exports: Mapping[str, frozenset[str] | None] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Site:
    """A bundle, with its pipes once elaborated, and where to note what is wrong in it.

    `origins` says which pipe of the file each pipe made by elaboration comes from.
    """

    bundle: Bundle
    findings: Findings
    pipes: Mapping[str, Pipe]
    origins: Mapping[str, str]

    @classmethod
    def of(cls, bundle: Bundle, *, strict: bool = False) -> Site:
        """The site of a bundle, with nothing noted yet except what elaboration finds."""
        findings = Findings(bundle.source, bundle.text, strict=strict)
        pipes, origins = elaborated(bundle, findings)
        return cls(bundle, findings, pipes, origins)

    @property
    def space(self) -> str:
        """The package and domain of the bundle, as they stand before the code in an absolute reference."""
        return spaced(self.bundle.package, self.bundle.domain)

    def ref(self, code: str) -> str:
        """The absolute reference of what the bundle declares under that code."""
        return f"{self.space}.{code}"

    def at(self, code: str, *path: str | int) -> Path:
        """The key path of something inside a pipe, also of one made by elaboration."""
        return ("pipe", self.origins.get(code, code), *path)

    def short(self, ref: str) -> str:
        """The reference as an author of this bundle would write it."""
        space, _, code = ref.rpartition(".")
        if space in ("native", self.space):
            return code
        package, arrow, local = ref.partition(ARROW)
        return local if arrow and package == self.bundle.package else ref


def spaced(package: str, domain: str) -> str:
    """A package and a domain as the part of an absolute reference before its code."""
    return f"{package}{ARROW}{domain}" if package else domain


def package_of(ref: str) -> str:
    """The package of an absolute reference; "" for the package that is run, and for natives."""
    package, arrow, _ = ref.partition(ARROW)
    return package if arrow else ""


class Scope:
    """The concepts and pipes of a library, by absolute reference and by bare code."""

    def __init__(
        self,
        concepts: Iterable[str],
        pipes: Iterable[str],
        packages: PackageTable | None = None,
        main_pipes: Iterable[str] = (),
    ) -> None:
        self._concepts = _by_code(concepts)
        self._pipes = _by_code(pipes)
        self._packages = packages or PackageTable()
        self._main_pipes = frozenset(main_pipes)
        spaces = dict.fromkeys(ref.rpartition(".")[0] for ref in (*concepts, *pipes))
        self._domains: dict[str, list[str]] = {}
        for space in spaces:
            self._domains.setdefault(package_of(f"{space}."), []).append(space.partition(ARROW)[2] or space)

    def concept(self, written: str, site: Site, path: Path) -> str | None:
        """The absolute reference of a concept (section 3.2); None, with the mistake noted at `path`, if it has none."""
        if ARROW in written:
            return self._abroad("concept", written, self._concepts, site, path)
        domain, _, code = written.rpartition(".")
        native = f"native.{code}"
        if domain in ("", "native") and native in NATIVES:
            return native
        ref = f"{spaced(site.bundle.package, domain or site.bundle.domain)}.{code}"
        if ref in self._concepts.get(code, ()):
            return ref
        if domain in ("", "native") and code == _TEXT_ONCE:
            message = f"the native concept '{_TEXT_ONCE}' is an old spelling"
            site.findings.dated(path, "unresolved_concept", message, "use 'Text', or a concept of your own")
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
        if ARROW in written:
            found = self._abroad("pipe", written, self._pipes, site, path)
        else:
            domain, _, code = written.rpartition(".")
            ref = f"{spaced(site.bundle.package, domain or site.bundle.domain)}.{code}"
            found = ref if ref in self._pipes.get(code, ()) else self._pipe_elsewhere(written, site, path)
        if found:
            self._check_visible(found, written, site, path)
        return found or None

    def _pipe_elsewhere(self, written: str, site: Site, path: Path) -> str | None:
        found = self._elsewhere("pipe", written, self._pipes, site, path)
        if found is None:
            hint = _closest(written, site, self._pipes, self._pipes) or "no bundle of this library declares it"
            site.findings.error(path, "unresolved_pipe_dependency", f"no pipe is called '{written}'", hint)
        return found

    def _elsewhere(self, what: str, written: str, known: Mapping[str, list[str]], site: Site, path: Path) -> str | None:
        """The only declaration of that code (and domain, if it is written) elsewhere: in the package, else in others.

        "" if several were found, and noted; None if none.
        """
        domain, _, code = written.rpartition(".")
        every = [ref for ref in known.get(code, ()) if not domain or _local(ref) == written]
        near = [ref for ref in every if package_of(ref) == site.bundle.package]
        candidates = near or every
        if len(candidates) == 1:
            hint = f"write '{site.short(candidates[0])}'"
            place = f"the domain '{site.bundle.domain}'" if near else "this package"
            message = f"the {what} '{written}' is not of {place}; '{candidates[0]}' is taken"
            site.findings.dated(path, "nonlocal_reference", message, hint)
            return candidates[0]
        if not candidates:
            return None
        code = "unresolved_concept" if what == "concept" else "unresolved_pipe_dependency"
        places = "domains" if near else "packages"
        site.findings.error(
            path, code, f"several {places} have a {what} '{written}'", f"write one of {', '.join(candidates)}"
        )
        return ""

    def _abroad(self, what: str, written: str, known: Mapping[str, list[str]], site: Site, path: Path) -> str | None:
        """What `package->domain.code` stands for."""
        package, _, local = written.partition(ARROW)
        domain, _, code = local.rpartition(".")
        address = self._address(package, domain, site)
        if address is None:
            others = sorted({alias for owner, alias in self._packages.aliases if owner == site.bundle.package})
            hint = did_you_mean(package, others) or "declare it in the [dependencies] of METHODS.toml, and install it"
            message = f"the package '{package}' of '{written}' is not available"
            site.findings.error(path, "unresolved_package_dependency", message, hint)
            return None
        refs = [ref for ref in known.get(code, ()) if package_of(ref) == address]
        candidates = [ref for ref in refs if not domain or _local(ref) == local]
        if len(candidates) == 1:
            return candidates[0]
        message = f"the package '{package}' has no {what} '{local}'"
        if candidates:
            message = f"several domains of the package '{package}' have a {what} '{local}'"
        here = [_local(ref) for refs in known.values() for ref in refs if package_of(ref) == address]
        close = f"write one of {', '.join(refs)}" if refs else did_you_mean(local, here)
        problem = "unresolved_concept" if what == "concept" else "unresolved_pipe_dependency"
        site.findings.error(path, problem, message, close)
        return None

    def _address(self, package: str, domain: str, site: Site) -> str | None:
        """The address of the package meant before `->`, if that package is in the library (section 3.3)."""
        declared = self._packages.aliases.get((site.bundle.package, package))
        if declared is not None:
            if declared in self._domains or not declared:
                return declared
            package = declared
        lowered = package.lower()
        for same in (
            [address for address in self._domains if address == package],
            [address for address in self._domains if address.lower() == lowered],
            [address for address in self._domains if address.lower().startswith(f"{lowered}/")],
        ):
            # Several packages may live at one address: the one meant is the one that has the domain.
            for address in same:
                if address and (len(same) == 1 or domain in self._domains[address]):
                    return address
        return None

    def _check_visible(self, ref: str, written: str, site: Site, path: Path) -> None:
        """Rule 68 and section 17.5: a pipe of another domain or package is exported, or is a main pipe."""
        package, local = package_of(ref), _local(ref)
        if ref.rpartition(".")[0] == site.space or ref in self._main_pipes:
            return
        exports = self._packages.exports.get(package)
        if exports is None or local in exports or local.rpartition(".")[2] in exports:
            return
        hint = f"add '{local.rpartition('.')[2]}' to [exports.{local.rpartition('.')[0]}] of its METHODS.toml"
        if package == site.bundle.package:
            message = f"the pipe '{written}' of another domain is not exported"
            site.findings.dated(path, "unexported_pipe_dependency", message, hint)
        else:
            message = f"the pipe '{local}' of the package '{package or 'being run'}' is not exported"
            site.findings.error(path, "unexported_pipe_dependency", message, hint)


def _local(ref: str) -> str:
    """An absolute reference without its package."""
    return ref.partition(ARROW)[2] or ref


def _by_code(refs: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ref in refs:
        found.setdefault(ref.rpartition(".")[2], []).append(ref)
    return found


def _closest(written: str, site: Site, declared: Mapping[str, list[str]], known: Mapping[str, object]) -> str | None:
    """A hint naming what was probably meant, spelt so that it resolves."""
    domain, _, code = written.rpartition(".")
    if code in declared:
        refs = [_local(ref) if package_of(ref) == site.bundle.package else ref for ref in declared[code]]
        return f"did you mean {' or '.join(map(repr, refs))}?"
    if domain:
        refs = [_local(ref) for refs in declared.values() for ref in refs]
        return did_you_mean(written, refs) or did_you_mean(code, known)
    hint = did_you_mean(code, known)
    if hint is None:
        return None
    close = hint.split("'")[1]
    refs = declared.get(close, [])
    is_near = not refs or site.ref(close) in refs
    return hint if is_near else f"did you mean '{refs[0]}'?"
