"""What users of earlier versions type: it means what it meant, or a sentence says what holds now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.cli.earlier import GONE, IDLE_RUN, IDLE_VALIDATE

Cli = Callable[..., Any]

ADA = ("-i", '{"name": "Ada"}')
RUN = ("run", "bundle", "greet", "--simulate", *ADA, "--no-graph", "--no-costs")


@pytest.mark.parametrize("flag", IDLE_RUN)
def test_flags_that_change_nothing_run_with_one_warning(cli: Cli, greet: Path, flag: str) -> None:
    done = cli(*RUN, flag)
    assert (done.code, done.out) == (0, cli(*RUN).out)
    assert [line for line in done.err.splitlines() if line.startswith("warning: ")] == [
        f"warning: {flag} changes nothing: {IDLE_RUN[flag]}"
    ]
    assert flag not in cli("run", "bundle", "--help").out


@pytest.mark.parametrize("flag", IDLE_VALIDATE)
def test_validating_needs_no_server_wherever_the_flag_stands(cli: Cli, greet: Path, flag: str) -> None:
    said = f"warning: {flag} changes nothing: methods are checked without any server\n"
    for line in (("bundle", "greet", flag), (flag, "bundle", "greet"), ("pipe", "greet", "-L", "greet", flag)):
        done = cli("validate", *line)
        assert (done.code, done.err) == (0, said)
    assert cli("validate", "greet", "-L", "greet", flag, "--json").err == said


def test_an_orchestrator_is_temporal_or_none(cli: Cli, greet: Path, work: Path) -> None:
    for words in (("--orchestrator", "temporal"), ("--orchestrator=temporal",)):
        (work / ".pipelex" / "pipelex.toml").write_text(
            '[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "127.0.0.1:9"\n'
        )
        done = cli(*RUN, *words)
        assert (done.code, "no Temporal server" in done.err) == (1, True), done.err
    done = cli(*RUN, "--orchestrator", "in_process")
    assert done.code == 2
    assert done.err == snapshot("""\
error: there is no orchestrator 'in_process' [usage]
  usage: pipelex run bundle [OPTIONS] PATH
  hint: did you mean --temporal or --no-temporal?
""")


def test_a_worker_takes_its_old_flags(cli: Cli) -> None:
    done = cli("worker", "--no-sandbox", "--unit-testing", "--scope", "runer")
    assert done.code == 1
    assert done.err.splitlines()[:2] == [
        "warning: --no-sandbox changes nothing: workflows always run in the sandbox",
        "warning: --unit-testing changes nothing: workers of tests are like all others",
    ]
    done = cli("worker", "--no-sandbox", "--scope", "runer", "--log-format", "json")
    assert [json.loads(line)["level"] for line in done.err.splitlines()] == ["WARNING", "ERROR"]


@pytest.mark.parametrize("name", [name for name in GONE if name.startswith("pipelex ")])
def test_a_command_that_is_gone_says_what_to_do(cli: Cli, name: str) -> None:
    done = cli(*name.split()[1:], "something")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {name} is gone [usage]\n  hint: {GONE[name]}\n"
    told = json.loads(cli(*name.split()[1:], "something", "--json").err)
    assert (told["code"], told["hint"]) == ("usage", GONE[name])


def test_a_bundle_may_have_the_name_of_what_is_gone(cli: Cli, greet: Path, work: Path) -> None:
    greet.parent.rename(work / "render")
    assert cli("graph", "render", "-o", "x.svg").code == 0
    assert "no such command 'nope'" in cli("build", "nope").err


def test_flags_that_are_gone_say_what_to_do(cli: Cli, greet: Path) -> None:
    done = cli(*RUN, "--hosted")
    assert (done.code, done.err) == (2, f"error: --hosted is gone [usage]\n  hint: {GONE['--hosted']}\n")


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        ((), ["main_stuff.json", "main_stuff.md", "working_memory.json"]),
        (("--save-main-stuff", "--no-save-working-memory"), ["main_stuff.json", "main_stuff.md"]),
        (("--no-save-main-stuff",), ["working_memory.json"]),
        (("--no-save-main-stuff", "--no-save-working-memory"), []),
        (("--working-memory-path", "deep/memory.json"), ["main_stuff.json", "main_stuff.md"]),
    ],
)
def test_what_a_run_leaves_is_chosen(
    cli: Cli, greet: Path, work: Path, flags: tuple[str, ...], left: list[str]
) -> None:
    done = cli(*RUN, *flags)
    assert done.code == 0, done.err
    assert sorted(file.name for file in work.glob("results/*/*")) == left
    assert (work / "results").exists() == bool(left)
    if "deep/memory.json" in flags:
        assert set(json.loads((work / "deep" / "memory.json").read_text())) == {"root", "aliases"}
        assert "\n  deep/memory.json\n" in done.err


def test_a_memory_that_is_not_kept_goes_nowhere(cli: Cli, greet: Path) -> None:
    done = cli(*RUN, "--no-save-working-memory", "--working-memory-path", "memory.json")
    assert (done.code, "exclude each other" in done.err) == (2, True)


@pytest.mark.parametrize("concept", ["Card", "greet.Card"])
def test_an_output_that_is_dynamic_becomes_what_is_asked_for(cli: Cli, greet: Path, concept: str) -> None:
    greet.write_text(greet.read_text().replace('output = "Greeting"', 'output = "Dynamic"'))
    assert json.loads(cli(*RUN, "--json").out).keys() == {"text"}
    for flag in ("-O", "--dynamic-output-concept"):
        done = cli(*RUN, "--json", flag, concept)
        assert json.loads(done.out).keys() == {"title", "year"}, done.err
    done = cli("run", "bundle", "greet", "--dry-run", *ADA, "--json", "-O", concept)
    assert json.loads(done.out).keys() == {"title", "year"}


@pytest.mark.parametrize(
    ("concept", "said"),
    [
        ("Crad", "error: no concept is called 'Crad' [input-error]\n  hint: did you mean 'Card'?\n"),
        ("Xyzzy", "error: no concept is called 'Xyzzy' [input-error]\n  hint: name a concept of the method"),
        ("Text", "error: no output is declared Dynamic, so none can be native.Text [input-error]\n  hint: "),
    ],
)
def test_an_output_that_cannot_be_asked_for_is_explained(cli: Cli, greet: Path, concept: str, said: str) -> None:
    done = cli(*RUN, "-O", concept)
    assert (done.code, done.out) == (1, "")
    assert said in done.err


def test_two_concepts_of_a_name_need_their_domain(cli: Cli, greet: Path, work: Path) -> None:
    (work / "more").mkdir()
    (work / "more" / "a.mthds").write_text('domain = "more"\n[concept]\nCard = "Another"\n')
    done = cli(*RUN, "-L", "more", "-O", "Card")
    assert "error: several concepts are called 'Card' [input-error]" in done.err
    assert "write the domain too: " in done.err


def test_one_pipe_of_a_bundle_is_validated(cli: Cli, greet: Path) -> None:
    greet.write_text(greet.read_text().replace('prompt = "Say', 'model = "$no-such-preset"\nprompt = "Say'))
    assert cli("validate", "bundle", "greet").code == 1
    assert cli("validate", "bundle", "greet", "--pipe", "make_card").out == "valid: greet: 1 pipe\n"
    assert cli("validate", "bundle", "greet", "--pipe", "greet").code == 1
    done = cli("validate", "bundle", "greet", "--pipe", "gret")
    assert (done.code, "did you mean 'greet'?" in done.err) == (2, True)


def test_a_method_that_is_installed_is_validated_by_its_name(cli: Cli, greet: Path, work: Path) -> None:
    place = work / ".mthds" / "methods" / "hello"
    shutil.copytree(greet.parent, place)
    assert cli("pkg", "init", str(place)).code == 0
    assert cli("validate", "method", "hello").out == "valid: .mthds/methods/hello: 2 pipes\n"
    assert cli("validate", "method", "hello", "--pipe", "make_card").out == "valid: .mthds/methods/hello: 1 pipe\n"
    done = cli("validate", "method", "helo", "--json")
    assert (done.code, done.out, json.loads(done.err)["hint"]) == (2, "", "did you mean 'hello'?")


def test_a_code_wins_over_a_directory_of_that_name(cli: Cli, greet: Path, work: Path) -> None:
    given = ("--simulate", "--json", *ADA)
    done = cli("run", "pipe", "greet", "-L", "greet", *given)
    assert (done.code, list(json.loads(done.out))) == (0, ["text"])
    (work / "other").mkdir()
    (work / "other" / "bundle.mthds").write_text(greet.read_text().replace("greet", "salute"))
    for more in ((), ("-L", "other")):
        told = json.loads(cli("run", "pipe", "greet", *more, *given).err.splitlines()[-1])
        assert (told["message"], told["hint"]) == (
            "'greet' is a path, not the code of a pipe",
            "pipelex run bundle greet",
        )


def test_a_picture_is_told_as_a_document(cli: Cli, greet: Path, work: Path) -> None:
    done = cli("graph", "greet", "--json")
    assert (json.loads(done.out), done.err) == (
        {"pipe_ref": "greet.greet", "format": "html", "pipes": 1, "file": "greet.html"},
        "",
    )
    assert (work / "greet.html").is_file()
    told = json.loads(cli("graph", "greet", "--json", "-o", "-", "--format", "svg").out)
    assert (told["file"], told["content"][:4]) == (None, "<svg")
