from __future__ import annotations

import os
from pathlib import Path

import pytest
from packages_repositories import Origin


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the current directory, with a home of its own."""
    for name in list(os.environ):
        if name.startswith(("PIPELEX", "GIT_")):
            monkeypatch.delenv(name)
    project = tmp_path / "project"
    (project / ".pipelex").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(project)
    return project
