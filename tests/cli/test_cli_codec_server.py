"""`pipelex codec-server` refuses to serve where it would serve too much."""

from __future__ import annotations

import pytest

from pipelex.cli.main import FAILURE, run_command


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_others_are_not_served_without_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["codec-server", "--host", "0.0.0.0", "--port", "0"]) == FAILURE
    said = capsys.readouterr().err
    assert "a codec server on 0.0.0.0 would decrypt for everybody who reaches it" in said
    assert "--auth-token-env" in said


def test_a_token_that_is_not_set_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_TOKEN", " ")
    for name in ("EMPTY_TOKEN", "NO_SUCH_TOKEN"):
        assert run_command(["codec-server", "--auth-token-env", name, "--port", "0"]) == FAILURE
        assert f"{name} is not set or empty" in capsys.readouterr().err
