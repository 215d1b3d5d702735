"""What `--json` promises: nothing but a document on stdout, and one object at the end of stderr when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.cli.failures import document
from pipelex.errors import ConfigError, LanguageError, PipelexError, Problem, RateLimitError

Cli = Callable[..., Any]


def error_of(done: Any) -> dict[str, Any]:
    """The error of a command that failed with `--json`."""
    assert done.out == ""
    told = json.loads(done.err.splitlines()[-1])
    assert told["error"] is True
    assert {"error_type", "code", "message", "error_domain", "retryable"} <= told.keys()
    return dict(told)


def test_an_error_says_all_that_is_known_of_it() -> None:
    error = RateLimitError("slow down", retryable=True, provider="p", retry_after=3.0, where="there")
    error.pipe_path = ("main", "ask")
    assert document(error) == snapshot(
        {
            "error": True,
            "error_type": "RateLimitError",
            "code": "rate-limited",
            "message": "slow down",
            "error_domain": "runtime",
            "retryable": True,
            "location": "there",
            "pipe_stack": ["main", "ask"],
            "category": "transient",
            "provider": "p",
            "retry_after": 3.0,
        }
    )


@pytest.mark.parametrize(
    ("error", "location", "domain"),
    [
        (
            LanguageError("wrong", problems=[Problem("x", "y", file="a.mthds", line=3, column=1)]),
            "a.mthds:3:1",
            "input",
        ),
        (ConfigError("wrong", problems=[Problem("x", "y", file="a.toml")], where="b"), "a.toml", "config"),
        (ConfigError("wrong", where="b"), "b", "config"),
        (PipelexError("wrong"), None, "runtime"),
    ],
)
def test_the_place_is_that_of_the_first_problem(error: PipelexError, location: str | None, domain: str) -> None:
    told = document(error)
    assert (told.get("location"), told["error_domain"]) == (location, domain)
    assert ("problems" in told) == bool(getattr(error, "found", ()))


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("run", "bundle", "nowhere.mthds"), 1, "input-error"),
        (("run", "bundle"), 2, "usage"),
        (("run", "bundle", "greet", "--nope"), 2, "usage"),
        (("run", "bundle", "greet", "--mock-inputs"), 2, "usage"),
        (("nope",), 2, "usage"),
        (("validate", "bundle", "nowhere.mthds"), 2, "input-error"),
        (("validate", "pipe"), 2, "usage"),
        (("show", "pipe", "nope", "-L", "greet"), 1, "pipe-not-found"),
        (("show", "pipe"), 2, "usage"),
        (("show", "models", "opnai"), 1, "input-error"),
        (("show", "config", "--server", "nope"), 1, "config-error"),
        (("show", "routes", "nowhere.mthds"), 1, "input-error"),
        (("which", "nope", "-L", "greet"), 1, "pipe-not-found"),
        (("which", "greet"), 1, "input-error"),
        (("build", "inputs", "bundle", "nowhere.mthds"), 1, "input-error"),
        (("build", "output", "pipe", "nope", "-L", "greet"), 1, "pipe-not-found"),
        (("schema", "-o", "greet"), 1, "input-error"),
        (("pkg", "list"), 1, "input-error"),
        (("runs", "show", "x", "--server", "nope"), 1, "config-error"),
        (("routes", "--nope"), 2, "usage"),
        (("--show-completion", "ksh"), 2, "usage"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_with_json_every_failure_is_one_object(
    cli: Cli, greet: Path, arguments: tuple[str, ...], code: int, named: str
) -> None:
    done = cli(*arguments, "--json")
    assert done.code == code, done.err
    assert error_of(done)["code"] == named


def test_wrong_usage_says_how_the_command_is_written(cli: Cli) -> None:
    told = error_of(cli("run", "bundle", "--json"))
    assert told == snapshot(
        {
            "error": True,
            "error_type": "UsageError",
            "code": "usage",
            "message": "missing argument 'PATH'",
            "hint": "see pipelex run bundle --help",
            "error_domain": "input",
            "retryable": False,
            "usage": "pipelex run bundle [OPTIONS] PATH",
        }
    )


def test_settings_that_do_not_load_are_told_with_every_problem(cli: Cli, work: Path) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text("[temporal]\nis_enable = true\nexecutoin = {}\n")
    told = error_of(cli("show", "config", "--json"))
    assert told["location"] == ".pipelex/pipelex.toml:2:1"
    assert [problem["hint"] for problem in told["problems"]] == [
        "did you mean 'is_enabled'?",
        "did you mean 'execution'?",
    ]


def test_an_interruption_and_a_bug_are_objects_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: BaseException) -> Callable[..., None]:
        def load(**_: object) -> None:
            raise error

        return load

    monkeypatch.setattr("pipelex.cli.session.load", raising(KeyboardInterrupt()))
    done = cli("show", "config", "--json")
    told = error_of(done)
    assert (done.code, told["code"], told["error_type"], told["retryable"]) == (130, "interrupted", "Interrupted", True)
    monkeypatch.setattr("pipelex.cli.session.load", raising(ZeroDivisionError("oops")))
    done = cli("validate", "bundle", "x", "--json")
    assert (done.code, error_of(done)["code"]) == (2, "internal-error")
    done = cli("show", "config", "--json", "--traceback")
    assert "Traceback" in done.err
    assert error_of(done)["message"] == "ZeroDivisionError: oops"


def test_after_two_dashes_json_is_no_flag(cli: Cli) -> None:
    done = cli("which", "--", "--json")
    assert done.err.startswith("error: ")


def test_what_is_said_to_people_is_not_on_stdout(cli: Cli, greet: Path) -> None:
    done = cli("build", "inputs", "bundle", str(greet), "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {
        "pipe_ref": "greet.greet",
        "content": {"name": ""},
        "file": str(greet.parent / "inputs.json"),
    }
    assert json.loads((greet.parent / "inputs.json").read_text()) == {"name": ""}
    shown = cli("build", "output", "bundle", str(greet), "--format", "schema", "-o", "-", "--json")
    assert json.loads(shown.out)["file"] is None
    found = json.loads(cli("which", "greet", "-L", "greet", "--json").out)
    assert (found["pipe_ref"], found["library_dirs"][0]["has_methods"]) == ("greet.greet", True)
    assert json.loads(cli("schema", "-o", "s.json", "--json").out) == {"file": "s.json"}
    assert json.loads(cli("pkg", "init", "greet", "--json").out) == {"manifest": "greet/METHODS.toml"}
    assert json.loads(cli("pkg", "list", "--dir", "greet", "--json").out)["dependencies"] == []
    assert json.loads(cli("pkg", "lock", "--dir", "greet", "--json").out) == {"locked": {}}
    nothing: dict[str, list[str]] = {"registered": [], "already_registered": []}
    assert json.loads(cli("setup-temporal-namespace", "--json").out) == nothing
    checked = json.loads(cli("pkg", "validate", "--dir", "greet", "--json").out)
    assert (checked["is_valid"], checked["validation_errors"]) == (True, [])
