"""Every fenced block of the documentation is true: it loads, validates, runs, or at least is valid for the command.

A block whose first line is a comment `# path/to/file` is that file. Commands and programs of a page run in a folder
with the files of the page and the examples, without keys. What needs a Temporal server is checked here, and runs in
test_docs_durable.py as far as it ends by itself. KINDS says what is done with each kind of block, and what is not.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import itertools
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from fences import (
    FENCE,
    FENCES,
    KINDS,
    LINK,
    NEEDS_SERVER,
    OTHER_PROGRAMS,
    PAGES,
    ROOT,
    Fence,
    commands,
    is_no_setting,
    of,
    write_files_of,
)

from pipelex.app import Runtime
from pipelex.cli.main import app, run_command
from pipelex.config.load import load_settings
from pipelex.inference.deck import Deck
from pipelex.library import library
from pipelex.library.manifest import parse_manifest
from pipelex.pipes.models import Family, ModelAsk
from pipelex.temporal.server import find_temporal

SIGILS = {"presets": "$", "aliases": "@", "waterfalls": "~"}
CHEAP = {"build", "graph", "init", "new", "routes", "schema", "show", "validate", "which"}
"""Commands that need neither a server nor a key, and end by themselves, whatever their arguments."""
CHEAP_OF_PACKAGES = {"init", "list", "validate"}


def test_the_picture_of_the_example_is_what_the_command_draws(folder: Path) -> None:
    assert run_command(["graph", "examples/contract_review", "-o", "drawn.svg"]) == 0
    committed = ROOT / "docs" / "pictures" / "contract_review.svg"
    assert (folder / "drawn.svg").read_text() == committed.read_text(), "draw it again with pipelex graph"
    pages = [page for page in PAGES if f"pictures/{committed.name})" in page.read_text("utf-8")]
    assert len(pages) == 2


def test_the_documentation_has_blocks_of_known_kinds_only() -> None:
    unknown = [f"{fence}: {fence.kind or 'no kind'}" for fence in FENCES if fence.kind not in KINDS]
    assert unknown == [], f"name one of {', '.join(KINDS)} after the three backticks"
    assert {"toml", "mthds", "python", "console"} <= {fence.kind for fence in FENCES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_no_block_that_is_not_seen(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.search(r"^ *~~~", text, re.MULTILINE), "fence with three backticks"
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * sum(fence.page == page for fence in FENCES)


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


@of("json", "py", "yaml")
def test_data_and_declarations_are_what_they_say(fence: Fence) -> None:
    parsed = {
        "json": json.loads,
        "py": lambda text: ast.parse(text).body,
        "yaml": lambda text: [*yaml.safe_load_all(text)],
    }
    assert parsed[fence.kind](fence.text)


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
            assert not shown, f"nobody compares what {program} prints: show it in a block of text"
            check_other_program(program.rpartition("/")[2], arguments)
            continue
        check_arguments(arguments)
        if not is_cheap(arguments):
            assert not shown, f"nobody compares what this prints: show it in a block of text: {line}"
        else:
            capfd.readouterr()
            # A command is a process of its own, and does not know where the same method was read before.
            library._library.cache_clear()
            code = run_command(arguments)
            printed = "\n".join(capfd.readouterr())
            fails = any(re.search(r"^(.*: )?(error|Error|invalid): ", text) for text in shown)
            assert bool(code) is fails, printed
            check_shown(shown, printed)
    assert count


def check_other_program(program: str, arguments: list[str]) -> None:
    """What can be known, without running it, of a program that is not ours."""
    assert program in OTHER_PROGRAMS, program
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), arguments
    elif program == "pip":
        asked = [extra for word in arguments for extras in re.findall(r"\[(.+)\]", word) for extra in extras.split(",")]
        assert set(asked) <= set(metadata("pipelex").get_all("Provides-Extra") or ()), arguments
    elif program == "temporal":
        words = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
        said = help_of_temporal(*words, "--help")
        assert re.search(rf"^ +temporal {' '.join(words)} ?\[", said, re.MULTILINE), f"no command {words}"
        flags = [word.partition("=")[0] for word in arguments if word.startswith("--")]
        told = said + help_of_temporal("options")
        assert [flag for flag in flags if not re.search(rf"{flag}\b", told)] == []


@cache
def help_of_temporal(*words: str) -> str:
    """What the command of Temporal says of itself."""
    done = subprocess.run([find_temporal(), *words], capture_output=True, text=True, check=True)
    return done.stdout


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
        assert rest[0] in command.list_commands(None), f"no command {rest[0]}"
        command = command.get_command(None, rest.pop(0))
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
