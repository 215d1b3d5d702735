"""`pipelex init`: what it writes is true and loads, nothing is overwritten, questions are asked on a terminal only."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.cli.init_files import TABLES, settings_text
from pipelex.config.load import load_settings
from pipelex.config.settings import Settings

Cli = Callable[..., Any]
PIPELEX = str(Path(sys.executable).parent / "pipelex")


@pytest.fixture
def empty(work: Path) -> Path:
    """The current directory, without a `.pipelex`."""
    (work / ".pipelex").rmdir()
    return work


def uncommented(text: str) -> str:
    """Every default as if somebody had uncommented it."""
    return re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_what_it_writes_loads_and_changes_nothing(cli: Cli, empty: Path) -> None:
    done = cli("init", "--yes")
    assert done.code == 0
    assert done.out.splitlines() == [".pipelex/pipelex.toml", ".pipelex/.gitignore"]
    keys, *rest = done.err.splitlines()
    assert keys.startswith("keys: none is set; export one of OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY,")
    assert keys.endswith(", or write it in .env here (and keep .env out of git)")
    assert rest == snapshot(
        [
            "next: pipelex doctor         (what is set, and what is wrong)",
            "      pipelex new my_method  (a method to start from)",
        ]
    )
    loaded = load_settings()
    assert loaded.settings.model_dump() == Settings(root=empty).model_dump()
    assert (loaded.warnings, loaded.sources) == ((), {})


def test_every_commented_line_is_the_default(cli: Cli, empty: Path) -> None:
    cli("init", "--yes")
    file = empty / ".pipelex" / "pipelex.toml"
    text = uncommented(file.read_text())
    file.write_text(text)
    loaded = load_settings()
    assert loaded.settings.model_dump() == Settings(root=empty).model_dump()
    assert loaded.warnings == ()
    assert {key.rpartition(".")[0] for key in loaded.sources} == set(TABLES)


def test_the_commands_after_it_load_the_files_without_a_warning(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert cli("init", "--yes").code == 0
    doctor = cli("doctor")
    assert (doctor.code, doctor.err) == (0, "")
    assert "ok       configuration: .pipelex/pipelex.toml: sets nothing, the defaults hold" in doctor.out.splitlines()
    assert "warning" not in doctor.out
    assert cli("new", "tea").code == 0
    run = cli("run", "bundle", "tea", "--simulate")
    assert run.code == 0
    assert "warning" not in run.err


def test_nothing_is_overwritten(cli: Cli, work: Path) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text("# mine\n")
    done = cli("init", "--yes", "--address", "temporal.internal:7233", "--backend", "groq")
    assert done.code == 0
    assert done.out.splitlines() == [".pipelex/inference/backends.toml", ".pipelex/.gitignore"]
    assert done.err.splitlines()[0] == (
        "kept: .pipelex/pipelex.toml, as it was; to have what was asked for, set there: temporal.is_enabled = true,"
        ' temporal.temporal_config.temporal_server_configs.local.target_host = "temporal.internal:7233"'
    )
    assert (work / ".pipelex" / "pipelex.toml").read_text() == "# mine\n"
    again = cli("init", "--yes")
    assert (again.code, again.out) == (0, "")
    assert "kept: .pipelex/.gitignore, as it was" in again.err.splitlines()


def test_durable_runs_at_an_address(cli: Cli, empty: Path) -> None:
    assert cli("init", "--yes", "--address", "temporal.internal:7233").code == 0
    temporal = load_settings().settings.temporal
    assert temporal.is_enabled
    assert temporal.server_profile().target_host == "temporal.internal:7233"


def test_durable_runs_find_the_server_of_dev_by_themselves(cli: Cli, empty: Path) -> None:
    done = cli("init", "--yes", "--durable")
    temporal = load_settings().settings.temporal
    assert temporal.is_enabled
    assert "target_host" not in temporal.server_profile().model_fields_set
    assert "next: pipelex dev" in done.err


def test_a_provider_that_was_chosen_is_the_only_one_asked(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    done = cli("init", "--yes", "--backend", "mistral")
    assert "keys: none is set; export MISTRAL_API_KEY, or write it in .env here" in done.err
    doctor = json.loads(cli("doctor", "--json").out)
    (model,) = (finding for finding in doctor["findings"] if finding["check"] == "models")
    assert model["message"].startswith("the default model is 'mistral-large-latest' of 'mistral': the backend")
    assert model["fix"] == snapshot(
        "export MISTRAL_API_KEY=...  or put it in .env; or run with --simulate, which needs no key"
    )


def test_keys_are_found_in_the_environment_and_in_dotenv(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_API_KEY", "none")
    (empty / ".env").write_text("GROQ_API_KEY=none\n")
    assert "keys: groq (GROQ_API_KEY), xai (XAI_API_KEY)" in cli("init", "--yes").err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "opnai"], "did you mean 'openai'?"),
        (["--address", "temporal.internal"], "is not HOST:PORT, such as localhost:7233"),
        (["everything"], "there is nothing called 'everything' to set up"),
    ],
)
def test_a_wrong_answer_writes_nothing(cli: Cli, empty: Path, arguments: list[str], said: str) -> None:
    done = cli("init", "--yes", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not (empty / ".pipelex").exists()


def test_what_earlier_versions_were_told_still_works(cli: Cli, empty: Path) -> None:
    done = cli("init", "telemetry", "--local", "--yes")
    assert done.code == 0
    assert done.err.startswith("note: telemetry is not set up by itself; the whole of .pipelex/ is written\n")


def test_a_file_in_the_place_of_the_folder_is_said(cli: Cli, empty: Path) -> None:
    (empty / ".pipelex").write_text("")
    done = cli("init", "--yes")
    assert (done.code, done.out) == (1, "")
    assert done.err.replace(str(empty), "WORK") == snapshot("""\
error: .pipelex/pipelex.toml cannot be written: .pipelex is no folder [config-error]
  at: WORK/.pipelex/pipelex.toml
  hint: move it away
""")


def test_a_folder_of_another_project_says_that_it_is_on_its_own_now(
    cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "below").mkdir()
    monkeypatch.chdir(work / "below")
    done = cli("init", "--yes")
    assert f"note: commands in this folder read {work / '.pipelex'} no more" in done.err
    assert load_settings().project.root == work / "below"


def test_what_runs_leave_there_is_kept_out_of_git(cli: Cli, empty: Path) -> None:
    cli("init", "--yes")
    subprocess.run(["git", "init", "-q"], cwd=empty, check=True)
    left = ["storage/57/x.txt", "temporal/temporal.db", "temporal-payload-store/a", "cache/a", "pipelex_local.toml"]
    for name in left:
        (empty / ".pipelex" / name).parent.mkdir(parents=True, exist_ok=True)
        (empty / ".pipelex" / name).write_text("")
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=empty, check=True, capture_output=True, text=True
    )
    assert seen.stdout.splitlines() == ["?? .pipelex/.gitignore", "?? .pipelex/pipelex.toml"]


def test_without_a_terminal_nothing_is_asked(empty: Path) -> None:
    done = subprocess.run([PIPELEX, "init"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.startswith("stdin is no terminal: nothing is asked, as with --yes\n")
    assert done.stdout.splitlines() == [".pipelex/pipelex.toml", ".pipelex/.gitignore"]


def on_a_terminal(typed: bytes) -> tuple[int, str, str]:
    """What `pipelex init` leaves when a person types that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PIPELEX, "init"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(theirs)
    os.write(ours, typed)
    out, err = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, out, err


def test_on_a_terminal_three_questions_are_asked(empty: Path) -> None:
    # A wrong answer is asked again.
    code, out, err = on_a_terminal(b"opnai\nopenai, groq\ny\nhere\nlocalhost:7244\n")
    assert code == 0, err
    assert out.splitlines() == [".pipelex/pipelex.toml", ".pipelex/inference/backends.toml", ".pipelex/.gitignore"]
    assert err.count("Which may be used?") == 2
    assert err.count("Where is the Temporal server?") == 2
    assert "Did you mean 'openai'?" in err
    temporal = load_settings().settings.temporal
    assert (temporal.is_enabled, temporal.server_profile().target_host) == (True, "localhost:7244")
    off = (empty / ".pipelex" / "inference" / "backends.toml").read_text()
    assert "[anthropic]\nenabled = false" in off
    assert "[groq]" not in off


def test_enter_takes_the_defaults(empty: Path) -> None:
    code, out, err = on_a_terminal(b"\n\n")
    assert code == 0, err
    assert out.splitlines() == [".pipelex/pipelex.toml", ".pipelex/.gitignore"]
    assert load_settings().sources == {}


def test_whoever_leaves_has_nothing_written(empty: Path) -> None:
    code, out, _ = on_a_terminal(b"\x04")
    assert (code, out) == (130, "")
    assert not (empty / ".pipelex").exists()


def test_the_text_has_one_block_for_each_table() -> None:
    text = settings_text({})
    assert [line[1:-1] for line in text.splitlines() if line.startswith("[")] == list(TABLES)
