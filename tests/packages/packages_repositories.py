"""Repositories of packages made with git in temporary folders; the network is never used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelex.storage.package_cache import PackageCache
from pipelex.storage.package_supply import Supply

GIT = (
    "git",
    *("-c", "user.name=Tester"),
    *("-c", "user.email=tester@example.org"),
    *("-c", "init.defaultBranch=main"),
    *("-c", "commit.gpgsign=false"),
    *("-c", "tag.gpgsign=false"),
)


def write(top: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return top


def manifest(address: str, version: str = "1.0.0", more: str = "", *, name: str | None = None) -> str:
    name = name or address.rpartition("/")[2].replace("-", "_")
    head = f'[package]\nname = "{name}"\naddress = "{address}"\nversion = "{version}"\ndescription = "Methods"\n'
    return head + more


def bundle(domain: str, *pipes: str, main: str | None = None, calls: str | None = None, concept: str = "") -> str:
    """A bundle of pipes that compose a text; the first is a sequence that calls `calls`, when given."""
    lines = [f'domain = "{domain}"']
    if main:
        lines.append(f'main_pipe = "{main}"')
    if concept:
        lines.append(f'[concept]\n{concept} = "A {concept}"')
    for index, code in enumerate(pipes):
        lines.append(f'[pipe.{code}]\ndescription = "Do {code}"\noutput = "Text"\ninputs = {{ cup = "Text" }}')
        if calls and index == 0:
            lines.append(f'type = "PipeSequence"\nsteps = [{{ pipe = "{calls}" }}]')
        else:
            lines.append(f'type = "PipeCompose"\ntemplate = "{code} of {domain}: $cup"')
    return "\n".join(lines) + "\n"


@dataclass
class Origin:
    """Repositories below a folder, as `<host>/<owner>/<name>.git`, with a tag for each version."""

    root: Path

    def release(self, address: str, version: str, files: Mapping[str, str], *, tag: str | None = None) -> str:
        """Commit the files, and nothing else, to the repository of an address, and tag it; the commit."""
        work = self.root / f"{address}.git"
        if not work.is_dir():
            work.mkdir(parents=True)
            self.git(work, "init", "--quiet")
        else:
            self.git(work, "rm", "-r", "--quiet", ".")
        write(work, files)
        self.git(work, "add", "--all")
        self.git(work, "commit", "--quiet", "--allow-empty", "--message", version)
        self.git(work, "tag", "--force", "--annotate", "--message", version, tag or f"v{version}")
        return self.git(work, "rev-parse", "HEAD").strip()

    @staticmethod
    def git(work: Path, *arguments: str) -> str:
        done = subprocess.run([*GIT, *arguments], cwd=work, capture_output=True, text=True, check=True)
        return done.stdout

    @property
    def mirrors(self) -> dict[str, str]:
        return {"example.org": self.root.joinpath("example.org").as_uri()}


def supply_of(project: Path, origin: Origin | None = None, *, again: bool = False, strict: bool = False) -> Supply:
    """The supply of a project. Nothing can be fetched without an origin."""
    cache = PackageCache(
        root=project.parent / "home" / ".mthds" / "packages",
        mirrors=origin.mirrors if origin else {"example.org": "file:///nowhere"},
        environ=dict(os.environ),
    )
    user = project.parent / "home" / ".mthds" / "methods"
    return Supply(cache, project / ".mthds" / "methods", user, origin is not None, strict, again)
