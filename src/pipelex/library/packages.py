"""Packages once found: what their bundles refer to, what they export, who may call whom (MTHDS section 17). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelex.errors import Problem
from pipelex.language.bundle import Bundle
from pipelex.language.findings import did_you_mean, sorted_by_place
from pipelex.library.manifest import Manifest
from pipelex.library.scope import ARROW, PackageTable, spaced

_REFERENCE = re.compile(
    r"(?P<package>[A-Za-z0-9._/-]+)->(?:(?P<domain>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)\.)?[A-Za-z][A-Za-z0-9_]*"
    r"(?:\[\d*\])?[?!]?"
)


@dataclass(frozen=True)
class Package:
    """A package of a library. `key` is what its bundles are labelled with: "" for the one that is run."""

    key: str
    manifest: Manifest | None
    bundles: tuple[Bundle, ...]

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.manifest.identity if self.manifest else "the bundle being run"

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains its bundles declare, each once."""
        return tuple(dict.fromkeys(bundle.domain for bundle in self.bundles))

    @property
    def main_pipe(self) -> str | None:
        """The absolute reference of its main pipe: the manifest's, else that of its bundles if they name only one."""
        if self.manifest is not None and self.manifest.main_pipe is not None:
            found = list(self.declaring(self.manifest.main_pipe))
            mains = [bundle for bundle in found if bundle.main_pipe == self.manifest.main_pipe]
            found = mains if len(mains) == 1 else found
            return ref_of(found[0], self.manifest.main_pipe) if len(found) == 1 else None
        named = [ref_of(bundle, bundle.main_pipe) for bundle in self.bundles if bundle.main_pipe is not None]
        return named[0] if len(named) == 1 else None

    def declaring(self, code: str) -> Iterator[Bundle]:
        """The bundles that declare a pipe of that code."""
        return (bundle for bundle in self.bundles if code in bundle.pipes)

    def exported(self) -> frozenset[str] | None:
        """The pipes that others may call, as `domain.code`; None when everything is public."""
        if self.manifest is None:
            return None
        found: set[str] = set()
        for domain, codes in self.manifest.exports.items():
            for code in codes:
                places = [bundle.domain for bundle in self.declaring(code)]
                found |= {f"{place}.{code}" for place in ([domain] if domain in places else places)}
        if self.manifest.main_pipe is not None:
            main = self.manifest.main_pipe
            found |= {f"{bundle.domain}.{main}" for bundle in self.declaring(main)}
        return frozenset(found)


def ref_of(bundle: Bundle, code: str) -> str:
    """The absolute reference of a pipe that a bundle declares."""
    return f"{spaced(bundle.package, bundle.domain)}.{code}"


@dataclass(frozen=True)
class Reference:
    """That a bundle names another package, by alias or address, and which of its domains."""

    package: str
    domain: str


def references(bundle: Bundle) -> tuple[Reference, ...]:
    """The other packages that a bundle names, each once with each domain, in the order of the file."""
    if ARROW not in bundle.text:
        return ()
    found: dict[Reference, None] = {}
    for text in _texts(bundle.model_dump(include={"concepts", "pipes"}, exclude_defaults=True, by_alias=True)):
        if ARROW in text and (match := _REFERENCE.fullmatch(text.strip())):
            found.setdefault(Reference(match["package"], match["domain"] or ""))
    return tuple(found)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for item in data.values():
            yield from _texts(item)
    elif isinstance(data, Sequence):
        for item in data:
            yield from _texts(item)


def answering(packages: Iterable[Package], address: str, domain: str) -> Package | None:
    """The package of a library that an address means, as written or else whatever the case (section 3.3).

    Of several at one address, it is the one that declares the domain.
    """
    named = [package for package in packages if package.manifest is not None]
    lowered = address.lower()
    for same in (
        [package for package in named if package.manifest and package.manifest.answers_to(address)],
        [
            package
            for package in named
            if package.manifest
            and lowered
            in (package.manifest.address.lower(), f"{package.manifest.address}/{package.manifest.name}".lower())
        ],
    ):
        fitting = same if len(same) == 1 else [package for package in same if domain in package.domains]
        if fitting:
            return fitting[0]
    return None


def table_of(packages: Sequence[Package], meant: Mapping[tuple[str, Reference], str]) -> PackageTable:
    """What packages know of each other. `meant` says which package, by key, a reference in one of them names."""
    aliases: dict[tuple[str, str], str] = {}
    ambiguous: set[tuple[str, str]] = set()
    for (owner, reference), key in meant.items():
        place = (owner, reference.package)
        if aliases.setdefault(place, key) != key:
            ambiguous.add(place)
    # An address that several packages share is left to the domains: linking tells them apart.
    kept = {place: key for place, key in aliases.items() if place not in ambiguous}
    return PackageTable(aliases=kept, exports={package.key: package.exported() for package in packages})


def check_manifest(package: Package, *, strict: bool = False) -> list[Problem]:
    """What a manifest says of its bundles that they do not (rules 95 and 96)."""
    manifest = package.manifest
    if manifest is None:
        return []
    found = [*_check_exports(package, manifest, strict), *_check_main_pipe(package, manifest)]
    return sorted_by_place(found)


def _check_exports(package: Package, manifest: Manifest, strict: bool) -> Iterator[Problem]:
    known = [code for bundle in package.bundles for code in bundle.pipes]
    for domain, codes in manifest.exports.items():
        path: tuple[str | int, ...] = ("exports", *domain.split("."))
        if domain not in package.domains:
            message = f"no bundle of the package has the domain '{domain}'"
            hint = did_you_mean(domain, package.domains)
            yield manifest.problem("export_unresolved", message, *path, hint=hint, is_warning=not strict)
        for index, code in enumerate(codes):
            places = [bundle.domain for bundle in package.declaring(code)]
            if domain in places or (places and domain not in package.domains):
                continue
            message = f"the exported pipe '{domain}.{code}' is not declared"
            hint = f"it is in the domain '{places[0]}'" if places else did_you_mean(code, known)
            place = (*path, "pipes", index)
            yield manifest.problem("export_unresolved", message, *place, hint=hint, is_warning=not strict)


def _check_main_pipe(package: Package, manifest: Manifest) -> Iterator[Problem]:
    code = manifest.main_pipe
    if code is None or package.main_pipe is not None:
        return
    places = [f"{bundle.domain}.{code}" for bundle in package.declaring(code)]
    if places:
        message = f"several domains of the package have a pipe '{code}'"
        hint = f"they are {', '.join(places)}: rename one, or set main_pipe in the bundle of the one meant"
    else:
        message = f"the main pipe '{code}' is not in the package"
        hint = did_you_mean(code, [known for bundle in package.bundles for known in bundle.pipes]) or ""
    yield manifest.problem("unresolved_pipe_dependency", message, "package", "main_pipe", hint=hint or None)
