"""The folder in which the blocks of a page run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fences import ROOT


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
