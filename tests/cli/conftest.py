from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelex.cli.main import run_command

GREET = """
domain = "greet"
description = "Greetings"
main_pipe = "greet"

[concept]
Greeting = "A greeting"

[concept.Card]
description = "A card"
[concept.Card.structure]
title = { type = "text", description = "Title", required = true }
year = { type = "integer", description = "Year" }

[pipe.greet]
type = "PipeLLM"
description = "Say hello"
inputs = { name = "Text" }
output = "Greeting"
prompt = "Say hello to $name"

[pipe.make_card]
type = "PipeLLM"
description = "Make a card"
inputs = { name = "Text" }
output = "Card"
prompt = "Make a card for $name"
"""


@dataclass
class Outcome:
    """What one command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty project directory, which is the current one, with a home of its own."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / ".pipelex").mkdir()
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("PIPELEX") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    yield work
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def cli(work: Path, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run one command line in `work`."""

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        code = run_command(arguments)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run


@pytest.fixture
def greet(work: Path) -> Path:
    """A bundle in a directory of its own, `greet/bundle.mthds`."""
    (work / "greet").mkdir()
    bundle = work / "greet" / "bundle.mthds"
    bundle.write_text(GREET)
    return bundle
