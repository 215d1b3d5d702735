from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packages_repositories import Origin, bundle, manifest, write

from pipelex.cli.main import run_command

KIT = "example.org/acme/kit"

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(project: Path, origin: Origin, capfd: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run one command line in the project, with the network's place taken by local repositories."""
    before = dict(os.environ)
    mirrors = origin.mirrors["example.org"]
    (project / ".pipelex" / "pipelex.toml").write_text(f'[packages]\nmirrors = {{ "example.org" = "{mirrors}" }}\n')

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run_command(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    yield run
    os.environ.clear()
    os.environ.update(before)


def release(origin: Origin, version: str = "1.0.0") -> None:
    files = {"METHODS.toml": manifest(KIT, version), "texts.mthds": bundle("texts", "join", main="join")}
    origin.release(KIT, version, files)


def test_the_life_of_a_package(cli: Cli, project: Path, origin: Origin) -> None:
    release(origin)
    write(project / "tea", {"bundle.mthds": bundle("tea", "start", main="start")})
    code, out, _ = cli("pkg", "init", "tea", "--address", "example.org/acme/tea")
    assert (code, out) == (0, "tea/METHODS.toml\n")
    assert cli("pkg", "validate", "--dir", "tea")[0] == 0
    code, out, _ = cli("pkg", "add", KIT, "--dir", "tea")
    assert (code, out) == (0, f"kit -> {KIT} ^1.0.0\n")
    write(project / "tea", {"bundle.mthds": bundle("tea", "start", main="start", calls="kit->texts.join")})
    assert cli("pkg", "list", "--dir", "tea")[1].splitlines() == [
        "example.org/acme/tea 0.1.0",
        f"  kit -> {KIT} ^1.0.0 = 1.0.0 ({project.parent}/home/.mthds/packages/{KIT}/1.0.0)",
    ]
    inputs = '{"cup": "green"}'
    code, out, err = cli("run", "bundle", "tea", "--inputs", inputs, "--json")
    assert (code, out) == (0, '{"text": "join of texts: green"}\n'), err
    for command in ("install", "lock", "update"):
        assert cli("pkg", command, "--dir", "tea") == (0, f"{KIT} 1.0.0\n", "")
    assert cli("validate", "bundle", "tea")[0] == 0


def test_a_run_fetches_only_when_told_to(cli: Cli, project: Path, origin: Origin) -> None:
    release(origin)
    needs = f'[dependencies]\nkit = {{ address = "{KIT}", version = "^1.0" }}\n'
    write(project / "tea", {"METHODS.toml": manifest("example.org/acme/tea", more=needs)})
    write(project / "tea", {"bundle.mthds": bundle("tea", "start", main="start", calls="kit->texts.join")})
    arguments = ("run", "bundle", "tea", "--inputs", '{"cup": "green"}', "--json")
    code, out, err = cli(*arguments)
    assert (code, out) == (1, "")
    assert "METHODS.toml:7:" in err
    assert "pipelex pkg lock" in err
    code, out, err = cli(*arguments, "--fetch")
    assert (code, out) == (0, '{"text": "join of texts: green"}\n')
    assert "lock_missing" in err
    assert cli(*arguments)[0] == 0


def test_an_installed_method_runs_by_name(cli: Cli, project: Path) -> None:
    files = {"METHODS.toml": manifest("example.org/acme/tea", more='main_pipe = "two"\n')}
    files |= {"a.mthds": bundle("tea", "one", main="one"), "b.mthds": bundle("tea", "two")}
    write(project.parent / "home" / ".mthds" / "methods" / "tea", files)
    inputs = ("--inputs", '{"cup": "green"}', "--json")
    assert cli("run", "method", "tea", *inputs)[:2] == (0, '{"text": "two of tea: green"}\n')
    assert cli("run", "method", "tea", "--pipe", "one", *inputs)[:2] == (0, '{"text": "one of tea: green"}\n')
    files["b.mthds"] = bundle("tea", "two").replace("two of", "nearer: two of")
    write(project / ".mthds" / "methods" / "tea", files)
    assert cli("run", "method", "tea", *inputs)[:2] == (0, '{"text": "nearer: two of tea: green"}\n')
    code, _, err = cli("run", "method", "tee", *inputs)
    assert code == 1
    assert "did you mean 'tea'?" in err


def test_a_method_runs_by_address_once_fetched(cli: Cli, origin: Origin) -> None:
    release(origin)
    release(origin, "1.1.0")
    arguments = ("run", "method", KIT, "--inputs", '{"cup": "green"}', "--json")
    code, _, err = cli(*arguments)
    assert code == 1
    assert "is installed" in err
    assert cli(*arguments, "--fetch")[:2] == (0, '{"text": "join of texts: green"}\n')
    assert cli(*arguments)[0] == 0


def test_what_is_wrong_is_said_without_a_trace(cli: Cli, project: Path) -> None:
    code, _, err = cli("pkg", "list")
    assert code == 1
    assert "pipelex pkg init" in err
    write(project, {"METHODS.toml": '[package]\nname = "Tea"\n'})
    code, _, err = cli("pkg", "validate")
    assert code == 1
    assert err.count("error:") == 4
    assert "Traceback" not in err
    assert cli("pkg", "init")[0] == 1


def test_strict_takes_what_is_tolerated_as_an_error(cli: Cli, project: Path) -> None:
    more = 'flavour = "green"\n[exports.tea]\npipes = ["none"]\n'
    write(project, {"METHODS.toml": manifest("example.org/acme/tea", more=more), "tea.mthds": bundle("tea", "start")})
    code, out, err = cli("pkg", "validate")
    assert (code, out) == (0, f"valid: {project}, 2 warnings\n")
    assert "export_unresolved" in err
    assert cli("pkg", "validate", "--strict")[0] == 1
