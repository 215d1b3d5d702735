"""METHODS.toml: the name, dependencies and exports of a package, read and written (MTHDS section 17). Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipelex.errors import LanguageError, Problem
from pipelex.language.findings import SNAKE, Findings, Path, did_you_mean, sorted_by_place, spoken
from pipelex.language.positions import problem_at
from pipelex.language.toml import read_toml
from pipelex.library.versions import Constraint, Version
from pipelex.values.frozen import Frozen

FILE_NAME = "METHODS.toml"

MTHDS_VERSION = Version.parse("5.0.0")
"""The version of the language that is read here. The standard profile reads what was written for older ones too."""

_TABLES = ("package", "dependencies", "exports")
_KEYS = (
    "name",
    "address",
    "version",
    "description",
    "display_name",
    "authors",
    "license",
    "mthds_version",
    "main_pipe",
)
_DEPENDENCY_KEYS = ("address", "version", "path")
_ADDRESS = re.compile(r"[a-zA-Z0-9._-]+\.[a-zA-Z0-9._-]+(?:/[a-zA-Z0-9._-]+)+")
_LICENSE = re.compile(r"[A-Za-z0-9.+:()-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+:()-]+)*")
_RESERVED_DOMAINS = ("native", "mthds", "pipelex")
_LONGEST_DISPLAY_NAME = 128
_ADDRESS_HINT = "an address is a host and a path: `example.org/acme/tea`"


class Dependency(Frozen):
    """One entry of `[dependencies]`. `path`, relative to the manifest, takes the package from this machine."""

    alias: str
    address: str
    version: str = "*"
    path: str | None = None

    @property
    def constraint(self) -> Constraint:
        """The versions that will do."""
        return Constraint.parse(self.version)


class Manifest(Frozen):
    """A METHODS.toml as read. `exports` maps a domain to the codes of its exported pipes."""

    source: str
    text: str
    name: str
    address: str
    version: str
    description: str
    display_name: str | None = None
    authors: tuple[str, ...] = ()
    license: str | None = None
    mthds_version: str | None = None
    main_pipe: str | None = None
    dependencies: tuple[Dependency, ...] = ()
    exports: dict[str, tuple[str, ...]] = {}
    warnings: tuple[Problem, ...] = ()

    @property
    def identity(self) -> str:
        """What tells this package from every other: its address, with its name where a repository holds many."""
        last = self.address.rpartition("/")[2]
        return self.address if _as_name(last) == self.name else f"{self.address}/{self.name}"

    def answers_to(self, address: str) -> bool:
        """Whether an address means this package: its own, alone or completed by its name."""
        return address in (self.address, f"{self.address}/{self.name}")

    def problem(
        self, code: str, message: str, *path: str | int, hint: str | None = None, is_warning: bool = False
    ) -> Problem:
        """A problem that points at a key path of the file, or at its nearest parent."""
        return problem_at(self.source, self.text, path, code, message, hint=hint, is_warning=is_warning)


def parse_manifest(text: str, source: str, *, directory: str = "", strict: bool = False) -> Manifest:
    """Read a METHODS.toml (rules 89-96 but for what bundles say). `directory` is the name of the one it is in.

    Raises LanguageError with all the problems of the file. What the standard profile lets pass is in `.warnings`.
    """
    text = text.removeprefix("\ufeff")
    reader = _Reader(Findings(source, text, strict=strict))
    data = reader.known_keys(read_toml(text, source), _TABLES, (), "a manifest")
    package = reader.package(data, directory)
    dependencies = reader.dependencies(data.get("dependencies", {}))
    exports = reader.exports(data.get("exports", {}))
    findings = reader.findings
    if findings.errors:
        problems = sorted_by_place(findings.errors)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise LanguageError(f"{source} has {count}", problems=problems, where=problems[0].place)
    return Manifest(
        source=source,
        text=text,
        dependencies=dependencies,
        exports=exports,
        warnings=tuple(sorted_by_place(findings.warnings)),
        **package,
    )


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.strict = findings.strict

    def known_keys(self, table: Mapping[str, Any], known: tuple[str, ...], path: Path, what: str) -> dict[str, Any]:
        for key in table:
            if key not in known:
                hint = did_you_mean(key, known) or f"the keys are {', '.join(known)}"
                self.findings.dated((*path, key), "unknown_key", f"{what} has no key '{key}'", hint)
        return {key: value for key, value in table.items() if key in known}

    def package(self, data: Mapping[str, Any], directory: str) -> dict[str, Any]:
        table = data.get("package")
        if not isinstance(table, dict):
            hint = "begin the file with [package], then its name, address, version and description"
            self.findings.error((), "manifest_package_missing", "the manifest has no [package] table", hint)
            return {}
        given = self.known_keys(table, _KEYS, ("package",), "[package]")
        found: dict[str, Any] = {"name": self._name(given, directory)}
        for key in ("address", "version", "description"):
            if key in given:
                found[key] = self._text(given, key)
            else:
                self.findings.error(("package",), "missing_key", f"[package] has no '{key}'", f'add `{key} = "…"`')
        for key in ("display_name", "license", "mthds_version", "main_pipe"):
            if key in given:
                found[key] = self._text(given, key)
        if "authors" in given:
            found["authors"] = self._authors(given["authors"])
        self._check_formats({key: value for key, value in found.items() if isinstance(value, str)})
        if self.strict and directory and found["name"] and _as_name(directory) != found["name"]:
            message = f"the package '{found['name']}' is in a directory called '{directory}'"
            path = ("package", "name")
            self.findings.warn(path, "manifest_field_invalid", message, "give both the same name")
        return found

    def _name(self, given: Mapping[str, Any], directory: str) -> str | None:
        if "name" in given:
            name = self._text(given, "name")
            if name is not None and not _is_name(name):
                hint = "a name is 2 to 25 characters of a-z, 0-9 and _, and begins with a letter"
                self._invalid("name", f"'{name}' cannot be the name of a package", hint)
            return name
        derived = _as_name(directory)
        if self.strict or not _is_name(derived):
            self.findings.error(("package",), "missing_key", "[package] has no 'name'", 'add `name = "…"`')
        else:
            message = f"[package] has no 'name': '{derived}' is taken, after the directory"
            self.findings.warn(("package",), "missing_key", message, f'add `name = "{derived}"`')
        return derived

    def _text(self, table: Mapping[str, Any], key: str) -> str | None:
        return self.findings.text_at(table[key], ("package", key), "manifest_field_invalid", f"'{key}'")

    def _invalid(self, key: str, message: str, hint: str | None = None) -> None:
        self.findings.error(("package", key), "manifest_field_invalid", message, hint)

    def _authors(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(author, str) for author in value):
            self._invalid("authors", "'authors' must be an array of texts")
            return ()
        return tuple(value)

    def _check_formats(self, found: Mapping[str, str]) -> None:
        if "address" in found and not is_address(found["address"]):
            self._invalid("address", f"'{found['address']}' cannot be the address of a package", _ADDRESS_HINT)
        if "version" in found:
            try:
                Version.parse(found["version"])
            except ValueError as error:
                self._invalid("version", str(error))
        if "description" in found and not found["description"].strip():
            self._invalid("description", "the description of the package is empty")
        display_name = found.get("display_name")
        if display_name is not None and not _is_display_name(display_name):
            hint = f"at most {_LONGEST_DISPLAY_NAME} characters, none of them a control character, no blank around"
            self._invalid("display_name", f"{display_name!r} cannot be a display name", hint)
        if "license" in found and not _LICENSE.fullmatch(found["license"]):
            self._invalid("license", f"{found['license']!r} is not an SPDX expression", "such as `MIT` or `Apache-2.0`")
        if "mthds_version" in found:
            self._language(found["mthds_version"], ("package", "mthds_version"))
        if "main_pipe" in found and not SNAKE.fullmatch(found["main_pipe"]):
            message = f"'{found['main_pipe']}' cannot be a pipe code"
            self.findings.error(("package", "main_pipe"), "invalid_pipe_code_syntax", message, "it is snake_case")

    def _constraint(self, text: str, path: Path) -> Constraint | None:
        try:
            return Constraint.parse(text)
        except ValueError as error:
            hint = "such as `^1.2.0`, `~1.2`, `>=1.0, <1.5`, `1.*` or `*`"
            self.findings.error(path, "version_constraint_invalid", str(error), hint)
            return None

    def _language(self, text: str, path: Path) -> None:
        """Hold `mthds_version` against the version of the language that is read here."""
        constraint = self._constraint(text, path)
        if constraint is None or constraint.admits(MTHDS_VERSION):
            return
        message = f"the package wants MTHDS {text}, and this is MTHDS {MTHDS_VERSION}"
        if constraint.is_above(MTHDS_VERSION):
            hint = "install a newer pipelex, or an older version of the package"
            self.findings.error(path, "mthds_version_unsatisfied", message, hint)
        else:
            hint = f'if its methods are still right, write mthds_version = ">={MTHDS_VERSION.major}.0"'
            self.findings.dated(path, "mthds_version_unsatisfied", f"{message}, which reads older methods too", hint)

    def dependencies(self, table: object) -> tuple[Dependency, ...]:
        path: Path = ("dependencies",)
        entries = self.findings.table_at(table, path, "manifest_field_invalid", "[dependencies]") or {}
        found = [self._dependency(alias, entry, (*path, alias)) for alias, entry in entries.items()]
        return tuple(dependency for dependency in found if dependency is not None)

    def _dependency(self, alias: str, entry: object, path: Path) -> Dependency | None:
        if not SNAKE.fullmatch(alias):
            hint = "an alias is snake_case: references begin with it, as in `alias->domain.code`"
            self.findings.error(path, "dependency_alias_invalid", f"'{alias}' cannot be an alias", hint)
        what = f"the dependency '{alias}'"
        table = self.findings.table_at(entry, path, "manifest_field_invalid", what)
        if table is None:
            return None
        given = self.known_keys(table, _DEPENDENCY_KEYS, path, what)
        texts: dict[str, str] = {}
        for key in _DEPENDENCY_KEYS:
            if key in given:
                text = self.findings.text_at(
                    given[key], (*path, key), "manifest_field_invalid", f"the '{key}' of {what}"
                )
                texts[key] = text or ""
            elif key != "path":
                self.findings.error(path, "missing_key", f"{what} has no '{key}'", f'add `{key} = "…"` to it')
        if "address" in texts and not is_address(texts["address"]):
            message = f"'{texts['address']}' cannot be the address of a package"
            self.findings.error((*path, "address"), "dependency_address_invalid", message, _ADDRESS_HINT)
        if "version" in texts:
            self._constraint(texts["version"], (*path, "version"))
        return Dependency(alias=alias, **texts) if "address" in texts else None

    def exports(self, table: object) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        top = self.findings.table_at(table, ("exports",), "export_domain_invalid", "[exports]") or {}
        self._exported(top, (), found)
        return found

    def _exported(self, table: Mapping[str, Any], domain: tuple[str, ...], found: dict[str, tuple[str, ...]]) -> None:
        path: Path = ("exports", *domain)
        for key, value in table.items():
            if key == "pipes" and not isinstance(value, dict):
                found[".".join(domain)] = self._codes(value, (*path, key), domain)
            elif not isinstance(value, dict):
                what = f"[{'.'.join(str(part) for part in path)}]"
                self.findings.error(
                    (*path, key), "export_domain_invalid", f"{what}: '{key}' must be a table, not {spoken(value)}"
                )
            else:
                self._check_domain((*domain, key), (*path, key))
                self._exported(value, (*domain, key), found)

    def _check_domain(self, domain: tuple[str, ...], path: Path) -> None:
        if not SNAKE.fullmatch(domain[-1]):
            message = f"'{'.'.join(domain)}' cannot be a domain"
            self.findings.error(path, "export_domain_invalid", message, "a domain is snake_case words joined by dots")
        elif len(domain) == 1 and domain[0] in _RESERVED_DOMAINS:
            message = f"the domain '{domain[0]}' is reserved: no package exports from it"
            self.findings.error(path, "export_domain_invalid", message)

    def _codes(self, value: object, path: Path, domain: tuple[str, ...]) -> tuple[str, ...]:
        if not domain:
            hint = "name the domain: [exports.tea] pipes = […]"
            self.findings.error(path, "export_domain_invalid", "[exports] lists pipes of no domain", hint)
        if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
            self.findings.error(path, "manifest_field_invalid", "'pipes' must be an array of pipe codes")
            return ()
        for index, code in enumerate(value):
            if not SNAKE.fullmatch(code):
                message = f"'{code}' cannot be a pipe code"
                self.findings.error((*path, index), "invalid_pipe_code_syntax", message, "a pipe code is snake_case")
        return tuple(value)


def is_address(text: str) -> bool:
    """Whether a text can be the address of a package; no part of it may lead out of a folder."""
    return bool(_ADDRESS.fullmatch(text)) and not {".", ".."} & set(text.split("/"))


def _is_name(text: str) -> bool:
    return bool(SNAKE.fullmatch(text)) and 2 <= len(text) <= 25


def _as_name(directory: str) -> str:
    """The package name that a directory's suggests."""
    return re.sub(r"[^a-z0-9]+", "_", directory.lower()).strip("_")


def _is_display_name(text: str) -> bool:
    is_clean = all(ord(letter) >= 32 and ord(letter) != 127 for letter in text)
    return is_clean and text == text.strip() and 1 <= len(text) <= _LONGEST_DISPLAY_NAME


def new_manifest(name: str, address: str, exports: Mapping[str, list[str]], main_pipe: str | None) -> str:
    """The text of a manifest to begin with; `exports` are pipe codes by domain."""
    lines = [
        "[package]",
        f"name = {quoted(name)}",
        f"address = {quoted(address)}",
        'version = "0.1.0"',
        f"description = {quoted(f'The methods of {name}')}",
    ]
    if main_pipe is not None:
        lines.append(f"main_pipe = {quoted(main_pipe)}")
    lines += ["", "[dependencies]"]
    for domain, codes in sorted(exports.items()):
        lines += ["", f"[exports.{domain}]", f"pipes = [{', '.join(quoted(code) for code in codes)}]"]
    return "\n".join(lines) + "\n"


def name_for(directory: str) -> str:
    """A package name after the name of a directory; `methods` when none can be made of it."""
    name = _as_name(directory).lstrip("0123456789_")[:25].strip("_")
    return name if _is_name(name) else "methods"


def with_dependency(text: str, dependency: Dependency) -> str:
    """The text of a manifest with one more dependency, everything else left as it was written."""
    parts = {"address": dependency.address, "version": dependency.version, "path": dependency.path}
    entry = ", ".join(f"{key} = {quoted(value)}" for key, value in parts.items() if value is not None)
    line = f"{dependency.alias} = {{ {entry} }}\n"
    header = re.search(r"^[ \t]*\[[ \t]*dependencies[ \t]*\][^\n]*(?:\n|\Z)", text, re.MULTILINE)
    if header is None:
        return f"{text.rstrip()}\n\n[dependencies]\n{line}"
    before = text[: header.end()]
    return (before if before.endswith("\n") else before + "\n") + line + text[header.end() :]


def quoted(text: str) -> str:
    """A text as TOML, which unlike JSON wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
