"""A method with the packages it depends on, as bundles by package. Runs where a method is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelex.errors import LibraryError, Problem
from pipelex.language.bundle import Bundle
from pipelex.library.load import find_bundles, load_bundles, load_texts
from pipelex.library.lock import Lock
from pipelex.library.manifest import FILE_NAME, Dependency, Manifest, is_address
from pipelex.library.packages import Package, Reference, answering, check_manifest, references, table_of
from pipelex.library.scope import PackageTable
from pipelex.library.versions import ANY, Requirement, find_cycle
from pipelex.storage.package_choice import Choice, Remote
from pipelex.storage.package_supply import Supply, home_of, lock_in, merged, package_files


@dataclass(frozen=True)
class LoadedPackages:
    """A method and its packages. `own` are the bundles that were asked for; `main` is their main pipe, absolute."""

    packages: tuple[Package, ...]
    own: tuple[Bundle, ...]
    table: PackageTable
    remotes: tuple[Remote, ...] = ()
    warnings: tuple[Problem, ...] = ()
    main: str | None = None

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """Every bundle, labelled with its package."""
        return tuple(bundle for package in self.packages for bundle in package.bundles)


def load_packages(
    supply: Supply,
    paths: Sequence[Path] = (),
    dirs: Sequence[Path] = (),
    *,
    texts: Mapping[str, str] | None = None,
    home: Path | None = None,
    use_lock: bool = True,
) -> LoadedPackages:
    """Read bundles (files, directories, texts by name, or the whole package at `home`) and what they depend on.

    `dirs` are searched for bundles and packages too. A locked package is taken as locked. Raises LanguageError,
    LibraryError, InputError, and, when git is asked, UnreachableError or ConfigError.
    """
    loading = _Loading(supply, use_lock)
    own = loading.read(paths, dirs, texts or {}, home)
    loading.follow_paths()
    loading.complete()
    return loading.finished(own)


@dataclass
class _Loading:
    supply: Supply
    use_lock: bool
    packages: dict[str, Package] = field(default_factory=dict)
    directories: dict[str, Path] = field(default_factory=dict)
    """Of each package that is a directory, by key."""
    local: dict[str, None] = field(default_factory=dict)
    """Keys of the packages that were not chosen by version, in the order found."""
    by_path: dict[tuple[str, str], str] = field(default_factory=dict)
    """The key of the package that a `path` names, by the key of who depends on it and the alias."""
    remotes: dict[str, Remote] = field(default_factory=dict)
    meant: dict[tuple[str, Reference], str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    lock: Lock | None = None

    def read(
        self, paths: Sequence[Path], dirs: Sequence[Path], texts: Mapping[str, str], home: Path | None
    ) -> list[Bundle]:
        """Read what was asked for and the directories; each file goes to the package it is part of."""
        asked = package_files(home) if home else find_bundles(paths)
        files = {file.resolve(): file for file in (*find_bundles(dirs), *asked)}
        places = {file: home_of(file) for file in files}
        wanted = {file.resolve() for file in asked}
        homes = [place for file in wanted if (place := places[file]) is not None] or ([home] if home else [])
        homes = sorted(set(homes))
        # With several, none of them is the one that is run.
        root = homes[0].resolve() if len(homes) == 1 else None
        for place in sorted({place for place in places.values() if place is not None}):
            for file in package_files(place):
                if files.setdefault(file.resolve(), file) is file:
                    places[file.resolve()] = place
        bundles = self._bundles(files.values())
        groups: dict[Path | None, list[Bundle]] = {root: []}
        for file, bundle in bundles.items():
            groups.setdefault(None if places[file] == root else places[file], []).append(bundle)
        loose = [*load_texts(texts, strict=self.supply.strict), *groups.pop(None, []), *groups.pop(root, [])]
        self._add("", self.supply.manifest_in(root) if root else None, root, loose)
        for place in sorted(place for place in groups if place is not None):
            manifest = self.supply.manifest_in(place)
            self._add(manifest.identity, manifest, place, groups[place])
        self._read_locks()
        return [bundle for bundle in self._every_bundle() if bundle.source in texts or _file(bundle) in wanted]

    def _bundles(self, files: Iterable[Path]) -> dict[Path, Bundle]:
        given = list(files)
        return {_file(bundle): bundle for bundle in (load_bundles(given, strict=self.supply.strict) if given else [])}

    def _add(self, key: str, manifest: Manifest | None, place: Path | None, bundles: Iterable[Bundle]) -> None:
        if key in self.packages:
            message = f"the package {key} is here twice: in {self.directories[key]} and in {place}"
            raise LibraryError(message, hint="leave one of the two out")
        labelled = tuple(bundle.model_copy(update={"package": key}) if key else bundle for bundle in bundles)
        self.packages[key] = Package(key, manifest, labelled)
        self.local[key] = None
        if place is not None:
            self.directories[key] = place

    def _add_from(self, directory: Path) -> str:
        """Read the package in a directory, unless it is here; its key."""
        directory = directory.resolve()
        for key, known in self.directories.items():
            if known == directory:
                return key
        manifest = self.supply.manifest_in(directory)
        key = manifest.identity
        if key not in self.packages:
            self._add(key, manifest, directory, self._bundles(package_files(directory)).values())
        return key

    def _read_locks(self) -> None:
        if self.use_lock:
            locks = [lock for directory in self.directories.values() if (lock := lock_in(directory)) is not None]
            self.lock = merged(locks)

    def _every_bundle(self) -> Iterator[Bundle]:
        return (bundle for package in self.packages.values() for bundle in package.bundles)

    def follow_paths(self) -> None:
        """Read the packages that the dependencies of what was asked for find by `path`; theirs are not followed."""
        for owner in list(self.packages):
            manifest = self.packages[owner].manifest
            for dependency in manifest.dependencies if manifest else ():
                if dependency.path is None or manifest is None:
                    continue
                directory = self.directories[owner] / dependency.path
                if (directory / FILE_NAME).is_file():
                    key = self._add_from(directory)
                    self.by_path[(owner, dependency.alias)] = key
                    self._check_identity(manifest, dependency, key)
                else:
                    message = f"no package is at the path '{dependency.path}' of the dependency '{dependency.alias}'"
                    hint = "it must be the directory of a METHODS.toml, relative to this one"
                    self._lost(manifest, dependency, message, hint, "path")
        self._raise()

    def _check_identity(self, manifest: Manifest, dependency: Dependency, key: str) -> None:
        found = self.packages[key].manifest
        if found is not None and not found.answers_to(dependency.address):
            message = f"the package at '{dependency.path}' has the address {found.identity}"
            place = ("dependencies", dependency.alias, "address")
            strict = self.supply.strict
            problem = manifest.problem("dependency_address_invalid", message, *place, is_warning=not strict)
            (self.problems if strict else self.warnings).append(problem)

    def _lost(self, manifest: Manifest, dependency: Dependency, message: str, hint: str, key: str = "address") -> None:
        place = ("dependencies", dependency.alias, key)
        self.problems.append(manifest.problem("unresolved_package_dependency", message, *place, hint=hint))

    def complete(self) -> None:
        """Choose and read the packages depended on, until no reference names one that could still be found."""
        extra: list[Requirement] = []
        while True:
            self._choose(extra)
            before = len(self.packages)
            more = self._follow_references({requirement.address for requirement in extra})
            if not more and len(self.packages) == before:
                return
            extra += more

    def _choose(self, extra: Sequence[Requirement]) -> None:
        """Choose a version of each remote package and read its bundles."""
        kept = {key: package for key, package in self.packages.items() if key in self.local}
        choice = Choice(self.supply, self.lock, tuple(kept.values()), self.by_path)
        self.remotes = choice.made(extra)
        self.problems += choice.problems
        self._raise()
        self.packages = kept
        self.directories = {key: place for key, place in self.directories.items() if key in kept}
        for remote in self.remotes.values():
            key = self._add_from(remote.directory)
            self.local.pop(key, None)

    def _follow_references(self, asked: set[str]) -> list[Requirement]:
        """Note which package each reference names. Returns what must be fetched, or taken from the cache, for it."""
        more: dict[str, Requirement] = {}
        for package in list(self.packages.values()):
            for bundle in package.bundles:
                for reference in references(bundle):
                    key = self._named(package, bundle, reference)
                    if key is not None:
                        self.meant[(package.key, reference)] = key
                    elif reference.package not in asked and self._can_be_had(reference.package):
                        more[reference.package] = Requirement(reference.package, ANY, package.name)
        return list(more.values())

    def _named(self, package: Package, bundle: Bundle, reference: Reference) -> str | None:
        """The key of the package that a reference names (MTHDS section 3.3)."""
        manifest = package.manifest
        for dependency in manifest.dependencies if manifest else ():
            if reference.package in (dependency.alias, dependency.address):
                return self.by_path.get((package.key, dependency.alias)) or self._key_of(dependency)
        found = answering(self.packages.values(), reference.package, reference.domain)
        if found is not None:
            return found.key
        if reference.package in self.remotes:
            return self._add_from(self.remotes[reference.package].directory)
        if "/" not in reference.package:
            return None
        start = self.directories.get(package.key) or Path(bundle.source).resolve().parent
        for place in self.supply.siblings(start, reference.package):
            key = self._add_from(place)
            if not reference.domain or reference.domain in self.packages[key].domains:
                return key
        return None

    def _key_of(self, dependency: Dependency) -> str | None:
        remote = self.remotes.get(dependency.address)
        if remote is not None:
            return self._add_from(remote.directory)
        found = answering(self.packages.values(), dependency.address, "")
        return found.key if found else None

    def _can_be_had(self, address: str) -> bool:
        return is_address(address) and bool(Choice(self.supply, self.lock, (), {}).available(address))

    def finished(self, own: Sequence[Bundle]) -> LoadedPackages:
        """Check the manifests and the graph, and put everything together."""
        for key in self.local:
            package = self.packages[key]
            if package.manifest is not None:
                found = check_manifest(package, strict=self.supply.strict)
                self.problems += [problem for problem in found if not problem.is_warning]
                self.warnings += [*package.manifest.warnings, *(item for item in found if item.is_warning)]
        self._check_cycles()
        self._check_lock()
        self._raise()
        packages = tuple(self.packages.values())
        return LoadedPackages(
            packages=packages,
            own=tuple(own),
            table=table_of(packages, self.meant),
            remotes=tuple(self.remotes.values()),
            warnings=tuple(dict.fromkeys(self.warnings)),
            main=self._main(own),
        )

    def _main(self, own: Sequence[Bundle]) -> str | None:
        """The main pipe of the bundles asked for if they name one between them, else that of their package."""
        asked = {bundle.source for bundle in own}
        keys = list(dict.fromkeys(bundle.package for bundle in own))
        package = self.packages[keys[0]] if len(keys) == 1 else None
        if package is not None and package.manifest is not None:
            is_whole = all(bundle.source in asked for bundle in package.bundles)
            named = [bundle for bundle in own if bundle.main_pipe is not None]
            if package.manifest.main_pipe is not None and (is_whole or not named):
                return package.main_pipe
        part = Package("", None, tuple(own))
        return part.main_pipe

    def _check_cycles(self) -> None:
        graph: dict[str, list[str]] = {}
        for package in self.packages.values():
            dependencies = package.manifest.dependencies if package.manifest else ()
            keys = [self.by_path.get((package.key, item.alias)) or self._key_of(item) for item in dependencies]
            graph[package.key] = [key for key in keys if key is not None]
        cycle = find_cycle(graph)
        if cycle is None:
            return
        first = self.packages[cycle[0]]
        names = " -> ".join(self.packages[key].name for key in cycle)
        message = f"packages depend on each other in a circle: {names}"
        assert first.manifest is not None
        self.problems.append(first.manifest.problem("dependency_cycle", message, "dependencies", hint="break it"))

    def _check_lock(self) -> None:
        """Warn when what was chosen may be another version tomorrow."""
        root = self.packages[""].manifest
        unlocked = [
            remote.address
            for remote in self.remotes.values()
            if remote.checkout is not None and (self.lock is None or remote.address not in self.lock.packages)
        ]
        if self.use_lock and root is not None and unlocked:
            message = f"not locked: {', '.join(unlocked)}"
            hint = "run `pipelex pkg lock`, so that everybody gets the same versions"
            self.warnings.append(root.problem("lock_missing", message, "dependencies", hint=hint, is_warning=True))

    def _raise(self) -> None:
        if self.problems:
            count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
            files = ", ".join(dict.fromkeys(problem.file or "" for problem in self.problems))
            raise LibraryError(f"{count} in {files}", problems=self.problems, where=self.problems[0].place)


def _file(bundle: Bundle) -> Path:
    return Path(bundle.source).resolve()
