"""methods.lock: the exact version and content of each remote dependency, read, written, checked (MTHDS 17.7). Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from pipelex.errors import LanguageError, Problem
from pipelex.language.findings import Findings, sorted_by_place
from pipelex.language.positions import problem_at
from pipelex.language.toml import read_toml
from pipelex.library.manifest import is_address, quoted
from pipelex.library.versions import Version
from pipelex.values.frozen import Frozen

FILE_NAME = "methods.lock"

_REQUIRED = ("version", "hash", "source")
_KEYS = (*_REQUIRED, "commit", "fingerprint")
_FORMATS = {
    "hash": (re.compile(r"sha256:[0-9a-f]{64}"), "`sha256:` and 64 hexadecimal digits"),
    "source": (re.compile(r"https://[^\s/]+/\S+"), "an https URL"),
    "commit": (re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?"), "the 40 or 64 hexadecimal digits of a commit"),
    "fingerprint": (re.compile(r"(?:sha256:)?[0-9a-f]{64}"), "64 hexadecimal digits"),
}


class Locked(Frozen):
    """One package as locked: what to fetch, from where, and the hash of what must come."""

    version: str
    hash: str
    source: str
    commit: str | None = None
    fingerprint: str | None = None


class Lock(Frozen):
    """The packages of a lock, by the address they are depended on by."""

    source: str
    text: str = ""
    packages: dict[str, Locked] = {}

    def problem(self, code: str, message: str, *path: str, hint: str | None = None) -> Problem:
        """A problem that points at a key path of the file, or at its nearest parent."""
        return problem_at(self.source, self.text, path, code, message, hint=hint)

    def mismatch(self, address: str, actual: str) -> Problem | None:
        """The problem with a tree of that hash standing for the locked package; None when it is the one (rule 98)."""
        locked = self.packages[address]
        if locked.hash == actual:
            return None
        message = f"{address} {locked.version} is not what was locked: its hash is {actual}"
        hint = "somebody changed it, or moved its tag; if that is meant, run `pipelex pkg update`"
        return self.problem("lock_hash_mismatch", message, address, "hash", hint=hint)


def parse_lock(text: str, source: str) -> Lock:
    """Read a methods.lock (rule 97). Raises LanguageError with all its problems."""
    findings = Findings(source, text)
    packages: dict[str, Locked] = {}
    for address, entry in read_toml(text, source).items():
        if not is_address(address):
            findings.error((address,), "lock_field_invalid", f"'{address}' is not the address of a package")
        table = findings.table_at(entry, (address,), "lock_field_invalid", f"the lock of {address}")
        if table is not None and (locked := _locked(address, table, findings)) is not None:
            packages[address] = locked
    if findings.errors:
        hint = "do not edit it by hand: `pipelex pkg lock` makes it anew"
        problems = sorted_by_place(findings.errors)
        raise LanguageError(f"{source} is not a lock", problems=problems, where=problems[0].place, hint=hint)
    return Lock(source=source, text=text, packages=packages)


def _locked(address: str, table: Mapping[str, object], findings: Findings) -> Locked | None:
    count = len(findings.errors)
    given = findings.close_keys(dict(table), _KEYS, (address,), f"the lock of {address}", "lock_field_invalid")
    for key in _REQUIRED:
        if key not in given:
            findings.error((address,), "lock_field_invalid", f"the lock of {address} has no '{key}'")
    for key, value in given.items():
        text = findings.text_at(value, (address, key), "lock_field_invalid", f"'{key}'")
        if text is None:
            continue
        if key == "version":
            try:
                Version.parse(text)
            except ValueError as error:
                findings.error((address, key), "lock_field_invalid", str(error))
        elif not _FORMATS[key][0].fullmatch(text):
            findings.error((address, key), "lock_field_invalid", f"'{key}' must be {_FORMATS[key][1]}")
    return Locked.model_validate(given) if len(findings.errors) == count else None


def render_lock(packages: Mapping[str, Locked]) -> str:
    """The text of a lock: always the same for the same packages."""
    tables = []
    for address in sorted(packages):
        fields = packages[address].model_dump(exclude_none=True)
        lines = [f"[{quoted(address)}]", *(f"{key} = {quoted(fields[key])}" for key in _KEYS if key in fields)]
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def tree_hash(files: Iterable[tuple[str, bytes]]) -> str:
    """The hash of a tree: its files by POSIX path relative to its top, whatever their order. `.git` is left out."""
    digest = hashlib.sha256()
    for path, data in sorted(files):
        if ".git" not in path.split("/"):
            digest.update(path.encode())
            digest.update(data)
    return f"sha256:{digest.hexdigest()}"
