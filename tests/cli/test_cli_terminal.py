"""What models, providers and callers wrote does not steer the terminal of whoever reads it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelex.cli import output
from pipelex.cli.main import run_command
from pipelex.values.terminal import for_terminal

Cli = Callable[..., Any]
TITLE = "\x1b]0;owned\x07"


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def test_control_characters_are_spelled_out_and_json_stays_the_same_document() -> None:
    assert for_terminal(f"a{TITLE}\r\tb\nc\x9b2J é ✓") == "a\\u001b]0;owned\\u0007\\u000d\tb\nc\\u009b2J é ✓"
    document = json.dumps({"text": "a\x7f\x9b\x1b"}, ensure_ascii=False)
    assert json.loads(for_terminal(document)) == json.loads(document)


def test_an_error_does_not_steer_the_terminal(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--pipe", f"no{TITLE}")
    assert done.code == 1
    assert "\x1b" not in done.err
    assert "\\u001b" in done.err


def test_a_result_is_spelled_out_on_a_terminal_and_left_alone_in_a_pipe(
    cli: Cli, greet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "bundle", str(greet), "-i", json.dumps({"name": f"x{TITLE}"}), "--simulate")
    assert TITLE in cli(*command).out
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    assert run_command(command) == 0
    assert "owned" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_a_results_directory_has_the_rights_that_the_user_lets_it_have(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    made = output.write_directory({"a.txt": b"a"}, tmp_path, "code")
    assert made.stat().st_mode == (tmp_path / "plain").stat().st_mode
