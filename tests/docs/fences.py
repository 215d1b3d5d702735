"""The fenced blocks of the documentation, and what is done with each kind of block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelex.library.manifest import FILE_NAME as MANIFEST

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("README.md"))]
FENCE = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```\s*$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w./-]+\.(?:toml|mthds|py))\n")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
KINDS = {
    "console": "commands after `$ `, and what they print. Ours run where they need neither a server nor a key and end "
    "by themselves; the others are parsed, and then show no output. Other programs: see OTHER_PROGRAMS.",
    "json": "is JSON; `…` stands for what is left out.",
    "mthds": "is a method, or a part of one, and is valid.",
    "py": "declares something and is no program: it is parsed.",
    "python": "runs, or is a test that passes.",
    "sh": "commands, as in `console`, that show no output.",
    "text": "is not checked: what only servers, keys or people can bring about, drawings, and lines of grammar. Where "
    "such a text is what we say, a test of the command compares it.",
    "toml": "is a file of settings that loads, a manifest, or a method.",
    "yaml": "is YAML.",
}
"""What a block of each kind is, and so what is checked. Any other kind, and none at all, is a mistake."""
OTHER_PROGRAMS = {
    "cd": "",
    "cp": "",
    "curl": "asks a server",
    "docker": "needs a daemon; tests/deploy reads the files",
    "export": "",
    "git": "",
    "install": "",
    "kill": "",
    "kubectl": "needs a cluster; tests/deploy reads the files",
    "make": "is a target of the Makefile",
    "mkdir": "",
    "openssl": "",
    "pip": "its extras are ours",
    "python": "",
    "source": "",
    "sudo": "",
    "systemctl": "needs systemd; tests/deploy reads the units",
    "temporal": "its command and its flags are in its help",
    "useradd": "",
}
"""What else a block may call, none of which is run; and what is known of it."""
NEEDS_SERVER = re.compile(r"durable=True|temporal\.client|\breplay\(|\brecord\(")
"""Programs that need a Temporal server: test_docs_durable.py runs them, test_docs_fences.py compiles them."""


@dataclass(frozen=True)
class Fence:
    """One fenced block, and where it stands."""

    page: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def name(self) -> str | None:
        """The file that the block says it is."""
        found = NAMED.match(self.text)
        return found[1] if found else None

    @property
    def is_method(self) -> bool:
        """Whether the block is a bundle, or a part of one."""
        return self.kind == "mthds" or (self.kind == "toml" and re.search(r"^domain\s*=", self.text, re.M) is not None)

    @property
    def is_manifest(self) -> bool:
        """Whether the block is the manifest of a package."""
        return self.kind == "toml" and Path(self.name or "").name == MANIFEST


def fences() -> list[Fence]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in FENCE.finditer(text):
            body = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
            found.append(Fence(page, text.count("\n", 0, match.start()) + 1, match[2], body))
    return found


def is_no_setting(fence: Fence) -> bool:
    return fence.is_method or fence.is_manifest


FENCES = fences()


def of(*kinds: str) -> Any:
    return pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.kind in kinds], ids=str)


def write_files_of(page: Path, folder: Path, *, settings: bool = False) -> None:
    """Write the named files of a page; those of `.pipelex` only when asked for."""
    for fence in FENCES:
        if fence.page == page and fence.name and (settings or not fence.name.startswith(".pipelex")):
            file = folder / fence.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(fence.text)


def commands(fence: Fence) -> list[tuple[str, list[str]]]:
    """The command lines of a block, each with the output shown under it; in `sh` blocks nothing is shown."""
    text = fence.text.replace("\\\n", " ")
    if fence.kind == "sh":
        return [(line, []) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif line.strip():
            found[-1][1].append(line.rstrip())
    return found
