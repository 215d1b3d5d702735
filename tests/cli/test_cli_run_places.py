"""Files of a run that cannot be written: found before it begins; one that fails at the end does not cost the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelex.cli.output import barrier

Cli = Callable[..., Any]

FUNCTION = """
from pathlib import Path
from pipelex import ListContent, StructuredContent, pipe_func

class Row(StructuredContent):
    name: str

@pipe_func
def spoil(working_memory):
    Path("ran").touch()
    for place in working_memory.get_stuff_as_str("places").split():
        Path(place).mkdir()
    return ListContent(items=[Row(name="Ada")])
"""
BUNDLE = """
domain = "spoil"
main_pipe = "spoil"

[concept.Row]
description = "A row"
[concept.Row.structure]
name = { type = "text", description = "Name", required = true }

[pipe.spoil]
type = "PipeFunc"
description = "Make directories where files are to be written"
inputs = { places = "Text" }
output = "Row[]"
function_name = "spoil"
"""


@pytest.fixture
def spoil(work: Path) -> tuple[str, ...]:
    """The run of a function that makes directories, and that leaves `ran`."""
    (work / "spoil.mthds").write_text(BUNDLE)
    (work / "spoiling.py").write_text(FUNCTION)
    (work / "a-file").touch()
    return ("run", "bundle", "spoil.mthds", "--functions", "spoiling.py", "--no-graph")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--working-memory-path", "a-file/memory.json"), "cannot write a-file/memory.json: Not a directory"),
        (("--working-memory-path", ".pipelex"), "cannot write .pipelex: Is a directory"),
        (("--save-csv", "a-file/deep/out.csv"), "the CSV file cannot be written: Not a directory"),
        (("-o", "a-file"), "the results cannot be written in a-file: Not a directory"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_run(
    cli: Cli, work: Path, spoil: tuple[str, ...], flags: tuple[str, ...], said: str
) -> None:
    done = cli(*spoil, "-i", '{"places": ""}', *flags)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert "  hint: " in done.err
    assert not (work / "ran").exists()
    assert not (work / "results").exists()


def test_one_file_that_fails_at_the_end_does_not_cost_the_others(cli: Cli, work: Path, spoil: tuple[str, ...]) -> None:
    flags = ("--working-memory-path", "memory.json", "--save-csv", "out.csv")
    done = cli(*spoil, "-i", '{"places": "memory.json"}', *flags)
    assert done.code == 1
    assert done.out
    assert done.err.splitlines()[-2] == "error: cannot write memory.json: Is a directory [input-error]"
    assert (work / "out.csv").read_text() == "name\nAda\n"
    assert (work / "results" / "spoil_output_01" / "main_stuff.json").is_file()
    assert "\n  out.csv\n" in done.err
    assert "\n  memory.json\n" not in done.err


def test_of_several_that_fail_all_are_told(cli: Cli, work: Path, spoil: tuple[str, ...]) -> None:
    flags = ("--working-memory-path", "memory.json", "--save-csv", "out.csv")
    done = cli(*spoil, "-i", '{"places": "memory.json out.csv"}', *flags)
    assert done.code == 1
    assert "warning: the CSV file cannot be written: Is a directory\n" in done.err
    assert "error: cannot write memory.json: Is a directory [input-error]\n" in done.err


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    assert barrier(tmp_path / "a" / "b" / "c.json") is None
    (tmp_path / "link.json").symlink_to(tmp_path / "not-there")
    assert barrier(tmp_path / "link.json") is None
    assert os.listdir(tmp_path) == ["link.json"]


def test_a_place_without_the_rights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    error = barrier(tmp_path / "out.csv")
    assert error is not None
    assert error.strerror == "Permission denied"
