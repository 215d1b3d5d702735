from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipelex

Cli = Callable[..., Any]

HEAVY = ("temporalio", "httpx2", "openai", "jsonschema_rs", "rich", "pypdfium2", "pydantic", "opentelemetry")


def python(code: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"HOME": str(home)}, timeout=60
    )
    return done.stdout


def test_output_that_nobody_reads_to_its_end_is_no_error(tmp_path: Path) -> None:
    code = "from pipelex.cli.main import main; main(['schema'])"
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    assert done.stdout is not None
    done.stdout.close()
    assert done.stderr is not None
    assert (done.stderr.read(), done.wait(timeout=60)) == (b"", 1)
    done.stderr.close()


@pytest.mark.parametrize("module", ["pipelex", "pipelex.cli.main"])
def test_importing_loads_nothing_heavy(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert python(code, tmp_path) == "[]\n"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from pipelex.cli.main import run_command; run_command(['--help']); "
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    shown = python(code, tmp_path)
    assert shown.endswith("loaded []\n")
    places = [shown.index(f"\n  {name} ") for name in ("run", "validate", "dev", "worker", "setup-temporal-namespace")]
    assert places == sorted(places)


def test_a_run_in_this_process_does_not_load_temporal(tmp_path: Path) -> None:
    code = (
        "import sys, pipelex; from pipelex.config.load import load_settings; import pipelex.app; "
        "print([name for name in ('temporalio', 'rich', 'pypdfium2') if name in sys.modules])"
    )
    assert python(code, tmp_path) == "[]\n"


def test_the_installed_command_prints_its_version(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "pipelex"
    done = subprocess.run(
        [command, "--version"], capture_output=True, text=True, env={"HOME": str(tmp_path)}, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"pipelex {pipelex.__version__}\n")


@pytest.mark.parametrize("arguments", [["nope"], ["run", "nope"], ["run", "bundle"], ["run", "bundle", "x", "--nope"]])
def test_wrong_usage_gives_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert "[usage]\n  usage: pipelex" in done.err


def test_the_flags_of_old_scripts_are_accepted_anywhere(cli: Cli) -> None:
    assert cli("--no-logo", "--version").code == 0
    assert cli("run", "bundle", "nowhere.mthds", "--no-logo").code == 1


def test_traceback_is_only_shown_when_asked_for(cli: Cli) -> None:
    assert "Traceback" not in cli("run", "bundle", "nowhere.mthds").err
    assert "Traceback" in cli("run", "bundle", "nowhere.mthds", "--traceback").err


def test_a_bug_is_one_line_and_says_how_to_learn_more(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("pipelex.cli.session.load", broken)
    done = cli("run", "bundle", "x.mthds")
    assert done.code == 1
    assert done.err.startswith("error: ZeroDivisionError: oops [internal-error]\n")
    assert "--traceback" in done.err


def test_an_interruption_gives_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelex.cli.session.load", interrupted)
    assert cli("run", "bundle", "x.mthds").code == 130


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, type if name[0].isupper() else object) for name in sorted(pipelex.__all__)],
)
def test_every_public_name_is_there(name: str, kind: type) -> None:
    assert isinstance(getattr(pipelex, name), kind)


def test_the_public_names_are_few() -> None:
    assert len(pipelex.__all__) <= 20
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = pipelex.nothing_like_it
