"""Completion of command lines: what the scripts for bash, zsh and fish get from `pipelex`, in a real shell too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "pipelex"
EXAMPLES = Path(__file__).parents[2] / "examples"


def asked(place: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What the command answers to a shell in an empty home."""
    env = {"HOME": str(place), "PATH": os.environ["PATH"], **environ}
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, cwd=place, env=env, timeout=60)


def offered(place: Path, line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    done = asked(place, _PIPELEX_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_bash_is_offered_commands_and_options(tmp_path: Path) -> None:
    assert {"run", "runs", "routes"} <= set(offered(tmp_path, "pipelex r"))
    assert {"config", "pipe", "pipes", "backends", "models", "routes"} <= set(offered(tmp_path, "pipelex show "))
    assert {"--origin", "--json"} <= set(offered(tmp_path, "pipelex show config --"))


def test_zsh_and_fish_are_offered_the_help_as_well(tmp_path: Path) -> None:
    zsh = asked(tmp_path, _PIPELEX_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="pipelex sho").stdout
    assert '"show":"Show pipes, settings' in zsh
    fish = {"_PIPELEX_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "show\tShow pipes, settings" in asked(tmp_path, **fish, _TYPER_COMPLETE_ARGS="pipelex sho").stdout


@pytest.mark.parametrize(
    "line",
    [
        f"pipelex show pipe -L {EXAMPLES} review_c",
        f"pipelex which -L {EXAMPLES} review_c",
        f"pipelex build inputs bundle {EXAMPLES}/contract_review --pipe review_c",
        f"pipelex run bundle {EXAMPLES}/contract_review --pipe review_c",
    ],
    ids=["show", "which", "build", "run"],
)
def test_codes_of_pipes_are_offered(tmp_path: Path, line: str) -> None:
    assert offered(tmp_path, line) == ["review_contracts"]


def test_codes_are_those_of_the_library_of_the_project(tmp_path: Path) -> None:
    (tmp_path / ".pipelex").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.mthds").write_text('[pipe.mine_only]\ntype = "PipeFunc"\n[pipe.other]\n')
    assert offered(tmp_path, "pipelex which mi") == []
    (tmp_path / ".pipelex" / "pipelex.toml").write_text('[library]\ndirs = ["mine"]\n')
    assert offered(tmp_path, "pipelex which mi") == ["mine_only"]


def test_files_that_the_library_does_not_read_cost_nothing(tmp_path: Path) -> None:
    for folder, name in (("mine", "in_use"), (".venv", "in_hidden"), ("results", "in_results")):
        (tmp_path / "all" / folder).mkdir(parents=True)
        (tmp_path / "all" / folder / "a.mthds").write_text(f"[pipe.{name}]\n")
    (tmp_path / "all" / "a.mthds").write_bytes(b"# \xff\n[pipe.in_latin]\n")
    (tmp_path / "all" / "b.mthds").symlink_to("nowhere.mthds")
    assert offered(tmp_path, "pipelex which -L all in_") == ["in_latin", "in_use"]


def test_a_broken_project_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".pipelex").mkdir()
    (tmp_path / ".pipelex" / "pipelex.toml").write_text("[oops")
    assert offered(tmp_path, "pipelex which x") == []


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --command")]
)
def test_each_shell_has_its_script(tmp_path: Path, shell: str, sign: str) -> None:
    done = asked(tmp_path, "--show-completion", shell)
    assert done.returncode == 0
    assert sign in done.stdout


def test_a_real_bash_completes_with_the_script(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = asked(tmp_path, "--show-completion", "bash").stdout
    typed = f"{script}\nCOMP_WORDS=(pipelex setup) COMP_CWORD=1\n_pipelex_completion {COMMAND}\necho ${{COMPREPLY[@]}}"
    done = subprocess.run(
        [bash, "--norc", "-c", typed], capture_output=True, text=True, env={"HOME": str(tmp_path)}, timeout=60
    )
    assert done.stdout.split() == ["setup-temporal-namespace"]


def test_a_shell_that_is_not_known_is_wrong_usage(tmp_path: Path) -> None:
    done = asked(tmp_path, "--show-completion", "ksh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --show-completion: name one of bash, zsh, fish, powershell behind it [usage]")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_can_be_installed_in_a_home(tmp_path: Path, shell: str) -> None:
    done = asked(tmp_path, "--install-completion", shell)
    assert done.returncode == 0, done.stderr
    written = Path(done.stdout.strip())
    assert written.is_relative_to(tmp_path)
    assert f"_PIPELEX_COMPLETE=complete_{shell}" in written.read_text()
