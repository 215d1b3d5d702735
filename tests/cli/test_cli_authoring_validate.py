"""Validation as programs use it: profiles, signatures, the library, and the published shape of errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

SIGNATURE = """
[pipe.sing]
description = "To be written"
inputs = { name = "Text" }
output = "Greeting"
"""


def report_of(cli: Cli, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("validate", *arguments, "--json").out)
    return found


def test_the_report_has_every_published_key(cli: Cli, greet: Path) -> None:
    report = report_of(cli, "bundle", str(greet))
    assert set(report) >= {
        "is_valid",
        "is_runnable",
        "pending_signatures",
        "validation_errors",
        "warnings",
        "liftable_pipes",
        "pipe_io_contracts",
        "input_form",
    }
    assert report["input_form"][0]["name"] == "name"
    assert (report["is_valid"], report["is_runnable"], report["liftable_pipes"]) == (True, True, [])


def test_an_error_names_its_declaration_and_field(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('output = "Card"', 'output = "Crad"'))
    (error,) = report_of(cli, "bundle", str(greet))["validation_errors"]
    assert error["category"] == "pipe_validation"
    assert error["error_type"] == error["code"] == "unresolved_concept"
    assert (error["domain_code"], error["pipe_code"], error["field_path"]) == ("greet", "make_card", "output")
    assert (error["source"], error["line"], error["column"]) == (str(greet), 26, 1)
    assert "concept_code" not in error
    assert None not in error.values()


def test_an_error_of_a_concept_names_the_concept(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('"integer"', '"int"'))
    (error,) = report_of(cli, "bundle", str(greet))["validation_errors"]
    assert (error["category"], error["concept_code"]) == ("blueprint_validation", "Card")
    assert (error["field_path"], error["field_name"]) == ("structure.year.type", "type")


def test_an_error_of_the_header_names_its_key(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('main_pipe = "greet"', 'main_pipe = "Greet"'))
    (error,) = report_of(cli, "bundle", str(greet))["validation_errors"]
    assert (error["field_path"], error["error_type"]) == ("main_pipe", "invalid_pipe_code_syntax")
    assert "pipe_code" not in error


def test_strict_refuses_what_is_only_dated(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace("prompt = ", "prompt_template = ", 1))
    dated = cli("validate", "bundle", str(greet))
    assert (dated.code, "warning" in dated.err) == (0, True)
    refused = cli("validate", "bundle", str(greet), "--strict")
    assert (refused.code, "prompt_template" in refused.err) == (1, True)
    assert report_of(cli, "bundle", str(greet), "--strict")["is_valid"] is False


def test_a_signature_is_valid_and_not_runnable(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text() + SIGNATURE)
    done = cli("validate", "bundle", str(greet))
    assert (done.code, "not runnable: nothing implements greet.sing" in done.err) == (1, True), done.err
    assert "1 signature" in done.out
    assert cli("validate", "bundle", str(greet), "--allow-signatures").code == 0
    report = report_of(cli, "bundle", str(greet))
    assert (report["is_valid"], report["is_runnable"]) == (True, False)
    assert report["pending_signatures"] == ["greet.sing"]


def test_one_pipe_of_the_library_is_checked(cli: Cli, greet: Path) -> None:
    report = report_of(cli, "pipe", "make_card", "-L", "greet")
    assert report["validated_pipes"] == [{"pipe_ref": "greet.make_card", "status": "SUCCESS"}]
    assert [found["name"] for found in report["input_form"]] == ["name"]


@pytest.mark.parametrize("arguments", [["--all"], ["pipe", "--all"]], ids=" ".join)
def test_the_whole_library_is_checked(cli: Cli, greet: Path, arguments: list[str]) -> None:
    done = cli("validate", *arguments, "-L", "greet")
    assert (done.code, done.out) == (0, "valid: the library: 2 pipes\n"), done.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pipe"],
        ["pipe", "greet", "--all", "-L", "greet"],
        ["pipe", "gret", "-L", "greet"],
        ["--all"],
        ["--all", "-L", "nowhere"],
    ],
    ids=" ".join,
)
def test_without_anything_to_judge_there_is_no_verdict(cli: Cli, greet: Path, arguments: list[str]) -> None:
    assert cli("validate", *arguments).code == 2
