from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cli = Callable[..., Any]


def test_a_valid_bundle_gives_0(cli: Cli, greet: Path) -> None:
    done = cli("validate", "bundle", str(greet))
    assert (done.code, done.out.startswith("valid: ")) == (0, True), done.err


def test_the_report_as_json_has_the_pipes_and_their_contracts(cli: Cli, greet: Path) -> None:
    report = json.loads(cli("validate", "bundle", str(greet), "--json").out)
    assert report["is_valid"] is True
    assert report["validated_pipes"][0] == {"pipe_ref": "greet.greet", "status": "SUCCESS"}
    contract = report["pipe_io_contracts"]["greet.make_card"]
    assert contract["output"] == {
        "concept_ref": "greet.Card",
        "multiplicity": "single",
        "item_count": None,
        "optional": False,
    }
    assert contract["inputs"]["name"]["presence"] == "plain"
    assert contract["inputs"]["name"]["json_schema"]["title"]


def test_an_invalid_bundle_gives_1_and_every_problem_with_its_place(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('output = "Card"', 'output = "Crad"').replace("$name", "$nome"))
    done = cli("validate", "bundle", str(greet))
    assert done.code == 1
    assert "bundle.mthds:" in done.err
    assert "^" in done.err
    report = json.loads(cli("validate", "bundle", str(greet), "--json").out)
    assert report["is_valid"] is False
    assert report["validation_errors"]
    assert all(problem["line"] > 1 for problem in report["validation_errors"])


def test_an_unknown_model_is_a_problem_of_its_pipe(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('prompt = "Say', 'model = "$no-such-preset"\nprompt = "Say'))
    report = json.loads(cli("validate", "bundle", str(greet), "--json").out)
    assert [problem["code"] for problem in report["validation_errors"]] == ["unknown_model"]
    assert report["validation_errors"][0]["excerpt"] == 'model = "$no-such-preset"'
    assert {"pipe_ref": "greet.greet", "status": "FAILURE"} in report["validated_pipes"]


def test_a_missing_file_gives_no_verdict(cli: Cli) -> None:
    done = cli("validate", "bundle", "nowhere.mthds")
    assert done.code == 2
    assert "nowhere.mthds" in done.err


def test_no_verdict_as_json_goes_to_stderr(cli: Cli) -> None:
    done = cli("validate", "bundle", "nowhere.mthds", "--json")
    assert done.out == ""
    assert json.loads(done.err)["code"] == "input-error"


def test_a_file_that_is_not_toml_gives_1(cli: Cli, work: Path) -> None:
    (work / "broken.mthds").write_text("domain = \n")
    done = cli("validate", "bundle", "broken.mthds")
    assert done.code == 1
    assert "broken.mthds:1:" in done.err


def test_structure_classes_are_known_where_they_are_named(cli: Cli, work: Path, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('Greeting = "A greeting"', 'Greeting = "A greeting"\nTin = "A tin"'))
    (work / "tins.py").write_text(
        "from pipelex import StructuredContent\nclass Tin(StructuredContent):\n    name: bytes\n"
    )
    assert cli("validate", "bundle", str(greet)).code == 0
    done = cli("validate", "bundle", str(greet), "--functions", "tins.py")
    assert (done.code, "the type of Tin.name has no counterpart" in done.err) == (2, True), done.err
    (work / ".pipelex" / "pipelex.toml").write_text('[library]\nfunctions = ["tins.py"]\n')
    assert "the type of Tin.name has no counterpart" in cli("validate", "bundle", str(greet)).err


def test_a_bare_code_is_a_pipe_and_flags_may_stand_before(cli: Cli, greet: Path) -> None:
    assert cli("validate", "make_card", "-L", "greet").out == "valid: make_card: 1 pipe\n"
    assert cli("validate", "-L", "greet", "make_card").out == "valid: make_card: 1 pipe\n"
    assert json.loads(cli("validate", "--json", "bundle", str(greet)).out)["is_valid"] is True
    assert "did you mean 'bundle'?" in cli("validate", "bundel", str(greet)).err
