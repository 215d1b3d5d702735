"""Where packages come from: manifests, installed methods, the cache. Runs where a method is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from pipelex.errors import InputError, LanguageError, LibraryError
from pipelex.language.toml import read_toml
from pipelex.library.load import find_bundles
from pipelex.library.lock import FILE_NAME as LOCK
from pipelex.library.lock import Lock, parse_lock
from pipelex.library.manifest import FILE_NAME, Manifest, is_address, parse_manifest
from pipelex.library.versions import Version
from pipelex.storage.package_cache import PackageCache, repository_of
from pipelex.storage.settings import PackageSettings

_SKIPPED = frozenset({"node_modules", "results", "venv", "__pycache__"})


@dataclass
class Supply:
    """Where packages come from. `methods_dir` holds those of the project; `user_methods_dir` those one may only run.

    `may_fetch` lets git be asked for what is not here. `again` fetches even what is here (for `pkg update`).
    """

    cache: PackageCache
    methods_dir: Path
    user_methods_dir: Path
    may_fetch: bool = False
    strict: bool = False
    again: bool = False
    manifests: dict[Path, Manifest] = field(default_factory=dict, repr=False)
    _found_below: dict[Path, list[tuple[Path, Manifest]]] = field(default_factory=dict, repr=False)
    _fetched: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @classmethod
    def of(
        cls,
        settings: PackageSettings,
        project: Path,
        environ: Mapping[str, str],
        *,
        may_fetch: bool = False,
        strict: bool = False,
        again: bool = False,
    ) -> Supply:
        """The supply of a project, given its root."""
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
        cache = PackageCache(
            root=project / settings.cache.expanduser() if settings.cache else home / ".mthds" / "packages",
            mirrors=settings.mirrors,
            git_timeout=settings.git_timeout,
            environ=environ,
        )
        methods = Path(".mthds", "methods")
        return cls(cache, project / methods, home / methods, may_fetch, strict, again)

    def manifest_in(self, directory: Path) -> Manifest:
        """The manifest of a package, given its directory; read once. Raises LanguageError."""
        directory = directory.resolve()
        if directory not in self.manifests:
            file = near(directory) / FILE_NAME
            manifest = parse_manifest(_text(file), str(file), directory=directory.name, strict=self.strict)
            self.manifests[directory] = manifest
        return self.manifests[directory]

    def vendored(self, address: str) -> Path | None:
        """The directory of a package that is installed in the project (`.mthds/methods/<name>`)."""
        found = [
            (directory, manifest)
            for directory, manifest in self._below(self.methods_dir)
            if manifest.answers_to(address)
        ]
        return found[0][0] if found else None

    def fetched(self, address: str, version: Version, expected: str | None) -> Path | None:
        """The checkout of a version, fetched if it must and may be; None when it is not here."""
        mark = (repository_of(address), str(version))
        again = self.again and mark not in self._fetched
        if not self.may_fetch or (not again and self.cache.find(address, version)):
            return self.cache.find(address, version)
        self._fetched.add(mark)
        return self.cache.fetch(address, version, expected=expected, again=again)

    def located(self, checkout: Path, address: str, domain: str = "") -> Path:
        """The directory of a package in a checkout of its repository, which may hold several. Raises LibraryError."""
        checkout = checkout.resolve()
        every = self._below(checkout)
        if not every and (checkout / FILE_NAME).is_file():
            self.manifest_in(checkout)
        below = "/".join(address.split("/")[3:])
        for same in (
            [directory for directory, manifest in every if manifest.answers_to(address)],
            [directory for directory, _ in every if below and directory.relative_to(checkout).as_posix() == below],
            [directory for directory, manifest in every if _is_alike(manifest, address)],
        ):
            fitting = same if len(same) == 1 else [place for place in same if domain in _domains_in(place)] or same
            if len(fitting) == 1 or checkout in fitting:
                return fitting[0] if len(fitting) == 1 else checkout
            if fitting:
                names = ", ".join(self.manifest_in(place).identity for place in fitting)
                raise LibraryError(f"several packages are at the address {address}", hint=f"write one of {names}")
        names = ", ".join(manifest.identity for _, manifest in every) or "none"
        hint = f"the packages of that repository: {names}"
        raise LibraryError(f"no package of the repository has the address {address}", where=str(checkout), hint=hint)

    def siblings(self, directory: Path, address: str) -> list[Path]:
        """The packages of the same checkout as `directory` that an address may mean."""
        top = self._top_of(directory.resolve())
        every = self._below(top) if top else []
        exact = [place for place, manifest in every if manifest.answers_to(address)]
        return exact or [place for place, manifest in every if _is_alike(manifest, address)]

    def method(self, name: str) -> Path:
        """The directory of a method: of the project's, else the user's, else, by address, the latest in the cache.

        Raises InputError.
        """
        known: list[str] = []
        for folder in (self.methods_dir, self.user_methods_dir):
            for place, manifest in self._below(folder):
                if name in (place.name, manifest.name) or manifest.answers_to(name):
                    return place
                known.append(manifest.name)
        if is_address(name) and (found := self._latest(name)) is not None:
            return found
        close = get_close_matches(name, known, n=1)
        listed = f"those installed: {', '.join(known)}" if known else f"methods are installed in {self.methods_dir}"
        hint = f"did you mean '{close[0]}'?" if close else listed
        raise InputError(f"no method called '{name}' is installed", hint=hint)

    def _latest(self, address: str) -> Path | None:
        """The latest version of a package that can be had; a prerelease only when there is nothing else."""
        every = sorted(self.cache.releases(address) if self.may_fetch else self.cache.versions(address))
        released = [version for version in every if not version.pre] or every
        checkout = self.fetched(address, released[-1], None) if released else None
        return self.located(checkout, address) if checkout else None

    def _below(self, top: Path) -> list[tuple[Path, Manifest]]:
        """The packages at or below a directory. One whose manifest is wrong is left out."""
        top = top.resolve()
        if top not in self._found_below:
            self._found_below[top] = list(self._manifests_below(top))
        return self._found_below[top]

    def _manifests_below(self, top: Path) -> Iterator[tuple[Path, Manifest]]:
        for folder, names, files in os.walk(top):
            names[:] = sorted(name for name in names if not name.startswith(".") and name not in _SKIPPED)
            if FILE_NAME in files:
                try:
                    yield Path(folder), self.manifest_in(Path(folder))
                except LanguageError:
                    continue

    def _top_of(self, directory: Path) -> Path | None:
        """The top of the checkout that a directory is in."""
        cache = self.cache.root.resolve()
        if directory.is_relative_to(cache):
            parts = directory.relative_to(cache).parts
            depth = next((index for index, part in enumerate(parts) if index >= 2 and _is_version(part)), None)
            return cache.joinpath(*parts[: depth + 1]) if depth is not None else None
        return next((place for place in (directory, *directory.parents) if (place / ".git").exists()), None)


def _is_alike(manifest: Manifest, address: str) -> bool:
    """Whether an address means a package when upper and lower case count the same."""
    lowered = address.lower()
    return lowered in (manifest.address.lower(), f"{manifest.address}/{manifest.name}".lower())


def _is_version(text: str) -> bool:
    try:
        Version.parse(text)
    except ValueError:
        return False
    return True


def _domains_in(directory: Path) -> set[str]:
    """The domains of the bundles of a package, as far as they can be read."""
    found = set()
    for file in package_files(directory):
        try:
            found.add(str(read_toml(_text(file), str(file)).get("domain")))
        except LanguageError:
            continue
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text") from error


def near(path: Path) -> Path:
    """The path as a person would type it: relative to the current directory when inside it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def home_of(place: Path) -> Path | None:
    """The directory of the package that a file or directory is in: the nearest one with a METHODS.toml.

    The search goes up, and ends at the top of a git repository (MTHDS section 17.1).
    """
    start = place.resolve()
    for directory in (start, *start.parents) if start.is_dir() else start.parents:
        if (directory / FILE_NAME).is_file():
            return directory
        if (directory / ".git").exists():
            return None
    return None


def package_files(home: Path) -> list[Path]:
    """The bundles of a package, at any depth; not those of a package inside it."""
    try:
        files = find_bundles([near(home)])
    except InputError:
        return []
    homes: dict[Path, Path | None] = {}
    return [file for file in files if homes.setdefault(file.parent, home_of(file)) == home.resolve()]


def is_whole_package(supply: Supply, directory: Path) -> bool:
    """Whether a directory stands for its package: it has a manifest, which names a main pipe or is all that does."""
    if not (directory / FILE_NAME).is_file():
        return False
    here = sorted(directory.glob("*.mthds"))
    is_obvious = len(here) == 1 or any(file.name == "bundle.mthds" for file in here)
    return supply.manifest_in(directory).main_pipe is not None or not is_obvious


def lock_in(home: Path) -> Lock | None:
    """The lock beside the manifest of a package, if there is one. Raises LanguageError."""
    file = near(home) / LOCK
    return parse_lock(_text(file), str(file)) if file.is_file() else None


def merged(locks: Sequence[Lock]) -> Lock | None:
    """Several locks as one; the first to speak of a package counts."""
    if len(locks) < 2:
        return locks[0] if locks else None
    packages = {address: locked for lock in reversed(locks) for address, locked in lock.packages.items()}
    return Lock(source=locks[0].source, text=locks[0].text, packages=packages)
