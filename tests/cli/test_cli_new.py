"""`pipelex new`: what it writes validates without a word, runs, and its test passes; wrong names are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

Cli = Callable[..., Any]


def test_it_writes_a_method_that_works(cli: Cli, work: Path) -> None:
    done = cli("new", "tea_notes")
    assert done.code == 0
    assert done.out.splitlines() == [
        "tea_notes/bundle.mthds",
        "tea_notes/inputs.json",
        "tea_notes/test_tea_notes.py",
    ]
    assert done.err == snapshot("""\
next: pipelex run bundle tea_notes --simulate   (without a model; leave --simulate out to call one)
      pytest tea_notes   (its test, after pip install pytest)
""")
    valid = cli("validate", "bundle", "tea_notes", "--strict")
    assert (valid.code, valid.out, valid.err) == (0, "valid: tea_notes: 1 pipe\n", "")
    run = cli("run", "bundle", "tea_notes", "--simulate")
    assert run.code == 0
    assert "done: tea_notes.summarize" in run.err
    assert "warning" not in run.err


def test_its_test_passes_wherever_it_is_started(cli: Cli, work: Path) -> None:
    # Also where runs are durable: the test brings no server.
    assert cli("init", "--yes", "--durable").code == 0
    assert cli("new", "tea").code == 0
    for folder, target in ((work, "tea"), (work / "tea", "test_tea.py")):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", target],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout


def test_what_it_writes_is_formatted(cli: Cli, work: Path) -> None:
    cli("new", "tea")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "tea"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--isolated", "--check", "tea"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("Tea-Notes", "tea_notes"),
        ("TeaNotes", "tea_notes"),
        ("tea.notes", "tea_notes"),
        ("methods/tea", "methods_tea"),
        ("_tea", "tea"),
        ("été", "ete"),
        ("9lives", "my_9lives"),
        ("native", "my_native"),
        ("mthds", "my_mthds"),
        ("pipelex", "my_pipelex"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(cli: Cli, work: Path, name: str, close: str) -> None:
    done = cli("new", name)
    assert (done.code, done.out) == (2, "")
    assert f"hint: did you mean {close}?" in done.err
    assert [path.name for path in work.iterdir()] == [".pipelex"]
    assert cli("new", close).code == 0


def test_a_name_far_from_any_that_can_be_is_refused_without_a_guess(cli: Cli, work: Path) -> None:
    done = cli("new", "茶")
    assert done.code == 2
    assert "did you mean" not in done.err


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_there_is_left_alone(cli: Cli, work: Path, is_folder: bool) -> None:
    there = work / "tea"
    there.mkdir() if is_folder else there.write_text("mine")
    done = cli("new", "tea")
    assert (done.code, done.out) == (1, "")
    assert done.err.replace(str(work), "WORK") == snapshot("""\
error: tea is there already [config-error]
  at: WORK/tea
  hint: choose another name, or move it away: nothing in it was changed
""")
    assert (list(there.iterdir()) == []) if is_folder else (there.read_text() == "mine")
