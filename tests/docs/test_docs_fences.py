"""Every fenced block of the documentation is true: it loads, validates, runs, or at least is valid for the command.

A block whose first line is a comment `# path/to/file` is that file. Commands and programs of a page run in a folder
with the files of the page and the examples, without keys. A block that needs a Temporal server is only checked.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelex.app import Runtime
from pipelex.cli.main import app, run_command
from pipelex.config.load import load_settings
from pipelex.inference.deck import Deck
from pipelex.library import library
from pipelex.library.manifest import FILE_NAME as MANIFEST
from pipelex.library.manifest import parse_manifest
from pipelex.pipes.models import Family, ModelAsk

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```\s*$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w./-]+\.(?:toml|mthds|py))\n")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
KINDS = {"toml", "mthds", "python", "console", "sh", "json", "text", "mermaid"}
OTHER_PROGRAMS = {"cd", "cp", "curl", "export", "git", "kill", "make", "pip", "python", "source", "temporal"}
NEEDS_SERVER = re.compile(r"durable=True|temporal\.client|\breplay\(|\brecord\(")
SIGILS = {"presets": "$", "aliases": "@", "waterfalls": "~"}
CHEAP = {"build", "graph", "routes", "schema", "show", "validate", "which"}
"""Commands that need neither a server nor a key, and end by themselves, whatever their arguments."""
CHEAP_OF_PACKAGES = {"init", "list", "validate"}


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


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory: a project with the examples, a home of its own, and no key in the environment."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    (work / ".pipelex").mkdir(parents=True)
    shutil.copytree(ROOT / "examples", work / "examples")
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("PIPELEX") or name.endswith("_API_KEY") or name == "OPENAI_BASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    paths = list(sys.path)
    yield work
    sys.path[:] = paths
    os.environ.clear()
    os.environ.update(before)


def test_the_picture_of_the_example_is_what_the_command_draws(folder: Path) -> None:
    assert run_command(["graph", "examples/contract_review", "-o", "drawn.svg"]) == 0
    committed = ROOT / "docs" / "pictures" / "contract_review.svg"
    assert (folder / "drawn.svg").read_text() == committed.read_text(), "draw it again with pipelex graph"
    pages = [page for page in PAGES if f"pictures/{committed.name})" in page.read_text("utf-8")]
    assert len(pages) == 2


def write_files_of(page: Path, folder: Path, *, settings: bool = False) -> None:
    """Write the named files of a page; those of `.pipelex` only when asked for."""
    for fence in FENCES:
        if fence.page == page and fence.name and (settings or not fence.name.startswith(".pipelex")):
            file = folder / fence.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(fence.text)


def test_the_documentation_has_blocks_of_known_kinds_only() -> None:
    assert {fence.kind for fence in FENCES} <= KINDS
    assert {"toml", "mthds", "python", "console"} <= {fence.kind for fence in FENCES}


def test_the_first_method_of_the_readme_is_the_example() -> None:
    first = next(fence for fence in FENCES if fence.page.name == "README.md" and fence.is_method)
    assert first.text == (ROOT / "examples" / "hello" / "bundle.mthds").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in LINK.findall(text):
        if "://" not in target and not target.startswith("#"):
            path, _, anchor = target.partition("#")
            assert (page.parent / path).exists(), target
            if anchor:
                assert anchor in anchors(page.parent / path), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.is_method], ids=str)
def test_methods_are_valid(fence: Fence, folder: Path) -> None:
    text = fence.text if re.search(r"^domain\s*=", fence.text, re.M) else f'domain = "sample"\n{fence.text}'
    if fence.name:
        write_files_of(fence.page, folder)
    bundle = folder / (fence.name or "checked/bundle.mthds")
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text(text)

    async def validate() -> Any:
        async with Runtime.open() as runtime:
            return await runtime.validate([bundle])

    report = asyncio.run(validate())
    assert report.is_valid, "\n".join(problem.render() for problem in report.problems)


@pytest.mark.parametrize("fence", [item for item in FENCES if item.is_manifest], ids=str)
def test_manifests_are_valid(fence: Fence) -> None:
    name = str(fence.name)
    assert not parse_manifest(fence.text, name, directory=Path(name).parent.name, strict=True).warnings


@pytest.mark.parametrize("fence", [item for item in FENCES if item.kind == "toml" and not is_no_setting(item)], ids=str)
def test_settings_load(fence: Fence, folder: Path) -> None:
    write_files_of(fence.page, folder, settings=True)
    (folder / ".pipelex" / "pipelex.toml").unlink(missing_ok=True)
    file = folder / (fence.name or ".pipelex/pipelex.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(fence.text)
    environ = {"HOME": os.environ["HOME"], **dict.fromkeys(re.findall(r"\$\{(\w+)\}", fence.text), "x")}
    loaded = load_settings(cwd=folder, environ=environ)
    assert not loaded.warnings
    deck = Deck.load(loaded.settings.config_dirs, environ)
    for family, reference in references(fence):
        assert deck.setting(ModelAsk(family, reference, "for_text" if family == "llm" else "default")).handle


def references(fence: Fence) -> list[tuple[Family, str]]:
    """The names that a deck file or a table of models gives, each with what it is for."""
    import tomllib

    if "/inference/" not in (fence.name or ""):
        return []
    given = tomllib.loads(fence.text)
    if "/backends/" in str(fence.name):
        defaults = given.get("defaults", {})
        models = {handle: {**defaults, **model} for handle, model in given.items() if handle != "defaults"}
        types = {handle: model.get("model_type", "llm") for handle, model in models.items()}
        return [("extract" if kind == "text_extractor" else kind, handle) for handle, kind in types.items()]
    families = [family for family in get_args(Family) if family in given]
    return [
        (family, sigil + name)
        for family in families
        for kind, sigil in SIGILS.items()
        for name in given[family].get(kind, {})
    ]


@of("json")
def test_json_is_json(fence: Fence) -> None:
    assert json.loads(fence.text) is not None


@of("python")
def test_python_runs(fence: Fence, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files_of(fence.page, folder)
    file = folder / (fence.name or "block.py")
    file.write_text(fence.text)
    check_imports(ast.parse(fence.text))
    if NEEDS_SERVER.search(fence.text):
        compile(fence.text, str(fence), "exec")
    elif re.search(r"^(async )?def test_", fence.text, re.MULTILINE):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(file)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        monkeypatch.syspath_prepend(str(folder))
        assert runpy.run_path(str(file), run_name="__main__")


def check_imports(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelex"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"


@of("console", "sh")
def test_commands_are_valid_and_print_what_is_shown(
    fence: Fence, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files_of(fence.page, folder)
    count = 0
    for line, shown in commands(fence):
        count += 1
        if " | " in line:
            check_pipeline(line, shown)
            continue
        words = shlex.split(line.removesuffix(" &"), comments=True)
        while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            monkeypatch.setenv(name, value)
        program, *arguments = words
        if program.rpartition("/")[2] != "pipelex":
            assert program.rpartition("/")[2] in OTHER_PROGRAMS, line
            assert program != "make" or re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            continue
        check_arguments(arguments)
        if is_cheap(arguments):
            capfd.readouterr()
            # A command is a process of its own, and does not know where the same method was read before.
            library._library.cache_clear()
            code = run_command(arguments)
            printed = "\n".join(capfd.readouterr())
            fails = any(re.search(r"^(.*: )?(error|Error|invalid): ", text) for text in shown)
            assert bool(code) is fails, printed
            check_shown(shown, printed)
    assert count


def check_pipeline(line: str, shown: list[str]) -> None:
    """Commands of ours whose output is the input of the next: the shell runs them."""
    parts = [shlex.split(part) for part in line.split(" | ")]
    assert all(program == "pipelex" and is_cheap(arguments) for program, *arguments in parts), line
    for part in parts:
        check_arguments(part[1:])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        line, shell=True, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    check_shown(shown, done.stdout + done.stderr)


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


def check_arguments(arguments: list[str]) -> None:
    """Parse a command line without acting on it."""
    from typer.main import get_command

    command: Any = get_command(app)
    rest = [word for word in arguments if word != "--traceback"]
    while hasattr(command, "commands"):
        if not rest or rest[0].startswith("-"):
            if rest[:1] not in ([], ["--help"], ["--version"]):
                assert command.invoke_without_command, arguments
                command.make_context("pipelex", list(rest))
            return
        assert rest[0] in command.commands, f"no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    if "--help" not in rest:
        command.make_context("pipelex", list(rest))


def is_cheap(arguments: list[str]) -> bool:
    """Whether a command needs neither a server nor a key, and ends by itself."""
    if "--help" in arguments or arguments == ["--version"]:
        return True
    if arguments[0] == "run":
        return "--temporal" not in arguments and bool({"--simulate", "--dry-run", "--functions"} & set(arguments))
    if arguments[0] == "pkg":
        return arguments[1] in CHEAP_OF_PACKAGES or "--path" in arguments
    return arguments[0] in CHEAP or "--dry-run" in arguments


def check_shown(shown: list[str], printed: str) -> None:
    """Each line shown was printed; an ellipsis stands for anything."""
    lines = printed.splitlines()
    for expected in shown:
        pattern = ".*".join(re.escape(part) for part in expected.split("…"))
        assert any(re.fullmatch(pattern, line.rstrip()) for line in lines), f"not printed: {expected}\n{printed}"
