"""What is done to a package: begun, given a dependency, locked, installed, checked. Runs on the author's machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelex.errors import InputError, LanguageError, LibraryError, Problem
from pipelex.library.lock import FILE_NAME as LOCK
from pipelex.library.lock import Lock, Locked, render_lock
from pipelex.library.manifest import (
    FILE_NAME,
    Dependency,
    Manifest,
    is_address,
    name_for,
    new_manifest,
    parse_manifest,
    with_dependency,
)
from pipelex.library.versions import Version
from pipelex.storage.package_cache import hash_of, source_of
from pipelex.storage.package_choice import Remote
from pipelex.storage.package_loading import load_packages
from pipelex.storage.package_supply import Supply, home_of, lock_in, near, package_files


def home_for(place: Path) -> Path:
    """The package that a place is in. Raises InputError when there is none."""
    home = home_of(place)
    if home is None:
        raise InputError(f"there is no {FILE_NAME} in {place} or above it", hint="`pipelex pkg init` makes one")
    return home


def begin(directory: Path, *, name: str | None, address: str | None) -> Path:
    """Write a manifest for the bundles of a directory; their main pipes are exported. Raises InputError."""
    file = directory / FILE_NAME
    if file.exists():
        raise InputError(f"{file} is there already")
    name = name or name_for(directory.resolve().name)
    mains = _mains_in(directory)
    exports: dict[str, list[str]] = {}
    for domain, code in mains:
        exports.setdefault(domain, []).append(code)
    main_pipe = mains[0][1] if len(mains) == 1 else None
    text = new_manifest(name, address or f"example.org/{name}", exports, main_pipe)
    try:
        parse_manifest(text, str(file), directory=directory.resolve().name)
    except LanguageError as error:
        raise InputError("; ".join(problem.message for problem in error.found), hint=error.found[0].hint) from None
    write(file, text)
    return file


def _mains_in(directory: Path) -> list[tuple[str, str]]:
    """The main pipes of the bundles of a directory, with their domains."""
    from pipelex.library.load import find_bundles, load_bundles

    try:
        files = [file for file in find_bundles([near(directory)]) if home_of(file) is None]
    except InputError:
        return []
    bundles = load_bundles(files) if files else []
    return list(dict.fromkeys((bundle.domain, bundle.main_pipe) for bundle in bundles if bundle.main_pipe))


def lock(home: Path, supply: Supply) -> dict[str, Locked]:
    """Choose the versions anew and write the lock; what it now holds, by address.

    Raises LibraryError, and leaves the lock as it was, when a locked version is no longer what it was; with
    `supply.again` (update), it is fetched again and locked as it is now.
    """
    former = lock_in(home)
    found = _chosen(home, supply, former)
    write_lock(home, found)
    return found


def _chosen(home: Path, supply: Supply, former: Lock | None) -> dict[str, Locked]:
    loaded = load_packages(supply, home=home, use_lock=False)
    found = {remote.address: _locked(remote, supply) for remote in loaded.remotes if remote.checkout is not None}
    problems = []
    for address, locked in found.items():
        known = former.packages.get(address) if former else None
        if former is not None and known is not None and known.version == locked.version and not supply.again:
            problems.append(former.mismatch(address, locked.hash))
    wrong = [problem for problem in problems if problem is not None]
    if wrong:
        raise LibraryError("what was locked has changed", problems=wrong, where=wrong[0].place)
    return found


def _locked(remote: Remote, supply: Supply) -> Locked:
    assert remote.checkout is not None
    release = supply.cache.releases(remote.address).get(remote.version)
    return Locked(
        version=str(remote.version),
        hash=hash_of(remote.checkout),
        source=source_of(remote.address),
        commit=release.commit if release else None,
    )


def write_lock(home: Path, packages: Mapping[str, Locked]) -> None:
    """Write the lock beside a manifest; a package that depends on nothing remote has none."""
    file = home / LOCK
    if packages:
        write(file, render_lock(packages))
    else:
        file.unlink(missing_ok=True)


def install(home: Path, supply: Supply) -> dict[str, Locked]:
    """Fetch what is locked and not here, and verify the hash of all of it; what is locked, by address."""
    held = lock_in(home)
    for address, locked in held.packages.items() if held else ():
        if supply.vendored(address) is None:
            checkout = supply.fetched(address, Version.parse(locked.version), locked.hash)
            assert checkout is not None
            problem = held.mismatch(address, hash_of(checkout)) if held else None
            if problem is not None:
                hint = f"delete {checkout}, and install again"
                raise LibraryError(problem.message, problems=[problem], where=problem.place, hint=hint)
    supply.may_fetch = False
    loaded = load_packages(supply, home=home)
    unlocked = [warning for warning in loaded.warnings if warning.code == "lock_missing"]
    if unlocked:
        raise LibraryError("not everything is locked", problems=unlocked, hint="run `pipelex pkg lock`")
    return dict(held.packages) if held else {}


def add(
    home: Path, supply: Supply, address: str, *, alias: str | None, version: str | None, path: str | None
) -> Dependency:
    """Add a dependency to the manifest and lock it. When it cannot be had, neither file is touched."""
    if not is_address(address):
        raise InputError(f"'{address}' cannot be the address of a package", hint="such as example.org/acme/tea")
    manifest = supply.manifest_in(home)
    alias = alias or name_for(address.rpartition("/")[2])
    if any(dependency.alias == alias for dependency in manifest.dependencies):
        raise InputError(f"a dependency is called '{alias}' already", hint="give another one with --alias")
    version = version or f"^{_latest(home, supply, address, path)}"
    dependency = Dependency(alias=alias, address=address, version=version, path=path)
    text = with_dependency(manifest.text, dependency)
    changed = parse_manifest(text, manifest.source, directory=home.name)
    supply.manifests[home.resolve()] = changed
    found = _chosen(home, supply, lock_in(home))
    write(home / FILE_NAME, text)
    write_lock(home, found)
    return dependency


def _latest(home: Path, supply: Supply, address: str, path: str | None) -> Version:
    if path is not None:
        directory = home / path
        if not (directory / FILE_NAME).is_file():
            raise InputError(f"there is no {FILE_NAME} in {directory}", hint="--path is relative to the manifest")
        return Version.parse(supply.manifest_in(directory).version)
    every = sorted(supply.cache.releases(address))
    released = [version for version in every if not version.pre] or every
    if not released:
        raise InputError(f"the repository of {address} has no tag of a version", hint="such as v1.0.0")
    return released[-1]


@dataclass(frozen=True)
class Entry:
    """A dependency as `pkg list` shows it: what is asked for, what is locked, and where it is."""

    dependency: Dependency
    locked: str | None
    place: Path | None


def entries(home: Path, supply: Supply) -> tuple[Manifest, list[Entry]]:
    """The dependencies of a package; nothing is fetched."""
    manifest, held = supply.manifest_in(home), lock_in(home)
    found = []
    for dependency in manifest.dependencies:
        locked = held.packages.get(dependency.address) if held else None
        if dependency.path is not None:
            place: Path | None = home / dependency.path
        else:
            place = supply.vendored(dependency.address)
            if place is None and locked is not None:
                place = supply.cache.find(dependency.address, Version.parse(locked.version))
        is_here = place is not None and place.is_dir()
        found.append(Entry(dependency, locked.version if locked else None, place if is_here else None))
    return manifest, found


def check(home: Path, supply: Supply) -> list[Problem]:
    """Every problem of the manifest, the lock, and what is depended on; warnings included. Nothing is fetched."""
    try:
        loaded = load_packages(supply, home=home)
    except (LanguageError, LibraryError) as error:
        return error.found or [Problem(error.code, error.message, error.where, hint=error.hint)]
    found = [warning for bundle in loaded.own for warning in bundle.warnings]
    if not package_files(home):
        manifest = supply.manifest_in(home)
        found.append(manifest.problem("no_bundle", "the package has no bundle", is_warning=True))
    return [*loaded.warnings, *found]


def write(file: Path, text: str) -> None:
    """Write a text whole or not at all."""
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            Path(temporary).chmod(0o644)
            os.replace(temporary, file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error
