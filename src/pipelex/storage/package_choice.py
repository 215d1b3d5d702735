"""Which version of each package is taken, and the checkout it comes from. Runs where a method is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelex.errors import LibraryError, Problem
from pipelex.library.lock import Lock
from pipelex.library.manifest import Dependency, Manifest
from pipelex.library.packages import Package, answering
from pipelex.library.versions import NoSolutionError, Requirement, Version, select
from pipelex.storage.package_cache import hash_of
from pipelex.storage.package_supply import Supply


@dataclass(frozen=True)
class Remote:
    """A package chosen for an address. `checkout` is the tree that a lock speaks of; None if the project holds it."""

    address: str
    version: Version
    directory: Path
    checkout: Path | None


@dataclass
class Choice:
    """The choice of versions. `local` are the packages already read, which answer to their addresses."""

    supply: Supply
    lock: Lock | None
    local: Sequence[Package]
    by_path: Mapping[tuple[str, str], str]
    problems: list[Problem] = field(default_factory=list)
    _places: dict[tuple[str, str], tuple[Manifest, Dependency]] = field(default_factory=dict)
    """Who asks for what, by name and address: where to point when it cannot be had."""
    _found: dict[tuple[str, str], Remote] = field(default_factory=dict)

    def made(self, extra: Iterable[Requirement]) -> dict[str, Remote]:
        """The package chosen for each address. What cannot be had is among the problems."""
        asked = [requirement for package in self.local for requirement in self._asked_by(package)]
        here = []
        for requirement in asked:
            if self.available(requirement.address):
                here.append(requirement)
            else:
                self._note_missing(requirement)
        try:
            chosen = select([*here, *extra], self.available, self._required_by)
        except NoSolutionError as error:
            self._note_conflict(error)
            return {}
        return {address: self._remote(address, version) for address, version in chosen.items()}

    def available(self, address: str) -> list[Version]:
        """The versions there are to choose from: the project's own, the locked one, or those that are here."""
        vendored = self.supply.vendored(address)
        if vendored is not None:
            return [Version.parse(self.supply.manifest_in(vendored).version)]
        if self.lock is not None and address in self.lock.packages:
            return [Version.parse(self.lock.packages[address].version)]
        # What a lock forgets is not fetched behind its back.
        if self.supply.may_fetch and self.lock is None:
            return sorted(self.supply.cache.releases(address))
        return self.supply.cache.versions(address)

    def _asked_by(self, package: Package) -> Iterator[Requirement]:
        manifest = package.manifest
        for dependency in manifest.dependencies if manifest else ():
            if manifest is None or (package.key, dependency.alias) in self.by_path:
                continue
            requirement = Requirement(dependency.address, dependency.constraint, package.name)
            self._places.setdefault((package.name, dependency.address), (manifest, dependency))
            found = answering(self.local, dependency.address, "")
            if found is None:
                yield requirement
            elif found.key and found.key not in self.by_path.values():
                self._check_version(requirement, found)

    def _check_version(self, requirement: Requirement, package: Package) -> None:
        """A package at hand must be of a version that will do, unless a `path` says to take it as it is."""
        assert package.manifest is not None
        version = Version.parse(package.manifest.version)
        if not requirement.constraint.admits(version):
            self._note_conflict(NoSolutionError(requirement.address, [requirement], [version]))

    def _required_by(self, address: str, version: Version) -> list[Requirement]:
        manifest = self.supply.manifest_in(self._remote(address, version).directory)
        return list(self._asked_by(Package(manifest.identity, manifest, ())))

    def _remote(self, address: str, version: Version) -> Remote:
        mark = (address, str(version))
        if mark not in self._found:
            self._found[mark] = self._obtained(address, version)
        return self._found[mark]

    def _obtained(self, address: str, version: Version) -> Remote:
        vendored = self.supply.vendored(address)
        if vendored is not None:
            return Remote(address, version, vendored.resolve(), None)
        locked = self.lock.packages.get(address) if self.lock else None
        checkout = self.supply.fetched(address, version, locked.hash if locked else None)
        if checkout is None:
            raise self._not_installed(address, version)
        if self.lock is not None and locked is not None:
            problem = self.lock.mismatch(address, hash_of(checkout))
            if problem is not None:
                problem = replace(problem, hint=f"{problem.hint}; else delete {checkout} and install it again")
                raise LibraryError(problem.message, problems=[problem], where=problem.place)
        return Remote(address, version, self.supply.located(checkout, address).resolve(), checkout)

    def _not_installed(self, address: str, version: Version) -> LibraryError:
        message, hint = f"the package {address} {version} is not installed here", "run `pipelex pkg install`"
        if self.lock is None:
            return LibraryError(message, hint=hint)
        problem = self.lock.problem("unresolved_package_dependency", message, address, hint=hint)
        return LibraryError(message, problems=[problem], where=problem.place, hint=hint)

    def _note_missing(self, requirement: Requirement) -> None:
        manifest, dependency = self._places[(requirement.by, requirement.address)]
        message = f"the package {requirement.address} is not here"
        hint = "run `pipelex pkg lock`, which fetches it, or give the dependency a `path`"
        if self.supply.may_fetch:
            message, hint = f"the repository of {requirement.address} has no tag of a version", "tag it, such as v1.0.0"
        place = ("dependencies", dependency.alias, "address")
        self.problems.append(manifest.problem("unresolved_package_dependency", message, *place, hint=hint))

    def _note_conflict(self, error: NoSolutionError) -> None:
        asked = "; ".join(f"{item.by} asks for {item.constraint}" for item in error.requirements)
        listed = ", ".join(str(version) for version in error.available) or "none"
        is_locked = self.lock is not None and error.address in self.lock.packages
        hint = f"methods.lock has {listed}: run `pipelex pkg lock`" if is_locked else f"there is {listed}"
        message = f"no version of {error.address} satisfies everybody: {asked}"
        place = next(
            (self._places[key] for item in error.requirements if (key := (item.by, item.address)) in self._places), None
        )
        if place is None:
            self.problems.append(Problem("no_version_solution", message, hint=hint))
            return
        manifest, dependency = place
        path = ("dependencies", dependency.alias, "version")
        self.problems.append(manifest.problem("no_version_solution", message, *path, hint=hint))
