"""Checkouts of packages: fetched with git, whole or not at all, and hashed. Runs where a method is loaded."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pipelex.errors import ConfigError, LibraryError, UnreachableError
from pipelex.library.lock import tree_hash
from pipelex.library.versions import Version, version_of_tag

_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")
_TAG_LINE = re.compile(r"(?P<commit>[0-9a-f]{40,64})\trefs/tags/(?P<tag>[^^\s]+)(?P<peeled>\^\{\})?")


@dataclass(frozen=True)
class Release:
    """A version of a repository: its tag, and the commit that the tag names."""

    version: Version
    tag: str
    commit: str


def repository_of(address: str) -> str:
    """The address of the repository that a package is in: its host and the two parts that follow."""
    return "/".join(address.split("/")[:3])


def source_of(address: str) -> str:
    """The URL that a package is fetched from when nothing is mirrored."""
    return f"https://{repository_of(address)}.git"


@dataclass
class PackageCache:
    """Checkouts under `root`, as `<host>/<owner>/<repository>/<version>`.

    `mirrors` maps an address, or the beginning of one, to the URL to use in its place. What git says of a repository
    is asked once.
    """

    root: Path
    mirrors: Mapping[str, str] = field(default_factory=dict)
    git_timeout: timedelta = timedelta(minutes=5)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    _releases: dict[str, dict[Version, Release]] = field(default_factory=dict, repr=False)

    def versions(self, address: str) -> list[Version]:
        """The versions of a package's repository that are here."""
        folder = self._folder(address)
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
        found = [version_of_tag(name) for name in names if not name.startswith("v")]
        return [version for version in found if version is not None]

    def find(self, address: str, version: Version) -> Path | None:
        """The checkout of that version, if it is here."""
        folder = self._folder(address) / str(version)
        return folder if folder.is_dir() else None

    def releases(self, address: str) -> dict[Version, Release]:
        """The versions that the repository of a package has tags for. Raises UnreachableError or ConfigError."""
        repository = repository_of(address)
        if repository not in self._releases:
            listed = self._git("ls-remote", "--tags", "--", self.url(address), address=repository)
            self._releases[repository] = _releases_in(listed)
        return self._releases[repository]

    def fetch(self, address: str, version: Version, *, expected: str | None = None, again: bool = False) -> Path:
        """Clone the tag of that version into the cache, unless it is there; with `again`, also if it is.

        Raises LibraryError when there is no such tag, or when the tree has not the `expected` hash: nothing of it
        is kept then.
        """
        folder = self._folder(address) / str(version)
        if folder.is_dir() and not again:
            return folder
        release = self.releases(address).get(version)
        if release is None:
            known = ", ".join(str(known) for known in sorted(self.releases(address))) or "none"
            message = f"{repository_of(address)} has no tag for the version {version}"
            raise LibraryError(message, where=_shown(self.url(address)), hint=f"the versions it has: {known}")
        with self._workplace() as place:
            checkout = place / "checkout"
            self._clone(release, address, checkout)
            _keep_regular_files(checkout)
            if expected is not None and (actual := hash_of(checkout)) != expected:
                message = f"{address} {version} is not what was locked: its hash is {actual}, not {expected}"
                hint = "somebody moved its tag; if that is meant, run `pipelex pkg update`"
                raise LibraryError(message, where=_shown(self.url(address)), hint=hint)
            _put(checkout, folder, place / "former")
        return folder

    def url(self, address: str) -> str:
        """What git is told to clone: a mirror of the repository, else its https URL."""
        parts = repository_of(address).split("/")
        for length in range(len(parts), 0, -1):
            base = self.mirrors.get("/".join(parts[:length]))
            if base is not None:
                return base if length == len(parts) else f"{base.rstrip('/')}/{'/'.join(parts[length:])}.git"
        return source_of(address)

    def _folder(self, address: str) -> Path:
        # Addresses are matched by a closed pattern without `..` (manifest.is_address): none leads out of the root.
        return self.root.joinpath(*repository_of(address).split("/"))

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A folder beside the checkouts, so that what is made in it can be renamed into place."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(dir=self.root, prefix=".fetch-"))
        except OSError as error:
            raise ConfigError(f"cannot write the cache of packages: {error.strerror}", where=str(self.root)) from error
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _clone(self, release: Release, address: str, target: Path) -> None:
        url = self.url(address)
        # Nothing of the repository may run, or point out of it, on this machine.
        safe = ["-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false"]
        options = ["--quiet", "--depth=1", "--single-branch", "--no-recurse-submodules", f"--branch={release.tag}"]
        self._git(*safe, "clone", *options, "--", url, str(target), address=repository_of(address))

    def _git(self, *arguments: str, address: str) -> str:
        # A git hook that runs us would have its own repository in these.
        env = {name: value for name, value in self.environ.items() if name not in _GIT_PLACES}
        env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
        try:
            done = subprocess.run(
                ["git", *arguments],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.git_timeout.total_seconds(),
                check=False,
            )
        except FileNotFoundError:
            hint = "install git and put it on the PATH: packages are fetched with it"
            raise ConfigError("git is not installed, so no package can be fetched", hint=hint) from None
        except subprocess.TimeoutExpired:
            raise UnreachableError(
                f"git had no answer for {address} in {self.git_timeout}", where=_shown(self.url(address))
            ) from None
        if done.returncode != 0:
            said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it says nothing")
            raise UnreachableError(
                f"git cannot read the repository of {address}: {_shown(said).removeprefix('fatal: ')}",
                where=_shown(self.url(address)),
                hint="check the address, the network, and that you may read it; a mirror is set under [packages]",
            )
        return done.stdout


_GIT_PLACES = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"})


def _releases_in(listed: str) -> dict[Version, Release]:
    found: dict[Version, Release] = {}
    for line in listed.splitlines():
        match = _TAG_LINE.fullmatch(line)
        version = version_of_tag(match["tag"]) if match else None
        if match is None or version is None:
            continue
        known = found.get(version)
        # The peeled line of an annotated tag follows the tag's own, and names the commit.
        if known is None or (match["peeled"] and known.tag == match["tag"]):
            found[version] = Release(version, match["tag"], match["commit"])
    return found


def _keep_regular_files(checkout: Path) -> None:
    """Drop `.git`, and whatever the hash of the tree would not cover: links could lead anywhere."""
    shutil.rmtree(checkout / ".git")
    for folder, names, files in os.walk(checkout):
        for name in (*names, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                path.unlink()


def _put(checkout: Path, folder: Path, former: Path) -> None:
    """Rename a finished checkout into place. Of two processes that fetch the same, the first one wins."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        os.replace(folder, former)
    try:
        os.replace(checkout, folder)
    except OSError:
        if not folder.is_dir():
            raise


def hash_of(directory: Path) -> str:
    """The hash of the regular files of a directory (MTHDS section 17.7)."""
    return tree_hash(_files_of(directory))


def _files_of(directory: Path) -> Iterator[tuple[str, bytes]]:
    for folder, names, files in os.walk(directory):
        names[:] = [name for name in names if name != ".git"]
        for name in files:
            path = Path(folder, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path.relative_to(directory).as_posix(), path.read_bytes()


def _shown(text: str) -> str:
    """A URL, or a text with one, without the credentials that may stand in it."""
    return _CREDENTIALS.sub("", text)
