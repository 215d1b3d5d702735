from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_a_simulated_run_prints_the_text_and_writes_three_files(cli: Cli, work: Path, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    assert done.code == 0, done.err
    folder = work / "results" / "greet_output_01"
    assert sorted(file.name for file in folder.iterdir()) == ["main_stuff.json", "main_stuff.md", "working_memory.json"]
    content = json.loads((folder / "main_stuff.json").read_text())
    assert done.out == content["text"] + "\n"
    assert (folder / "main_stuff.md").read_text().startswith("> simulated: no model was called")
    assert "simulated: no model was called" in done.err
    assert "results/greet_output_01/working_memory.json" in done.err


def test_the_working_memory_holds_the_inputs_and_the_alias(cli: Cli, work: Path, greet: Path) -> None:
    cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    memory = json.loads((work / "results" / "greet_output_01" / "working_memory.json").read_text())
    assert set(memory) == {"root", "aliases"}
    assert memory["root"]["name"]["content"] == {"text": "Ada"}
    assert memory["root"]["name"]["concept"] == "native.Text"


def test_runs_are_numbered_and_never_overwrite(cli: Cli, work: Path, greet: Path) -> None:
    for _ in range(2):
        assert cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}', "-o", "out").code == 0
    assert sorted(folder.name for folder in (work / "out").iterdir()) == ["greet_output_01", "greet_output_02"]


def test_a_structured_result_is_printed_as_indented_json(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--pipe", "make_card", "--simulate", "-i", '{"name": "Ada"}')
    assert done.code == 0, done.err
    assert set(json.loads(done.out)) == {"title", "year"}
    assert done.out.startswith("{\n  ")


def test_json_prints_one_compact_document(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", "--json", "-i", '{"name": "Ada"}')
    assert done.out.count("\n") == 1
    assert set(json.loads(done.out)) == {"text"}


def test_with_memory_prints_the_result_in_three_forms_and_the_memory(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", "--with-memory", "-i", '{"name": "Ada"}')
    document = json.loads(done.out)
    assert set(document) == {"main_stuff", "working_memory"}
    assert set(document["main_stuff"]) == {"json", "markdown", "html"}
    assert all(isinstance(form, str) for form in document["main_stuff"].values())


def test_no_pretty_print_keeps_stdout_empty(cli: Cli, greet: Path) -> None:
    assert cli("run", "bundle", str(greet), "--simulate", "--no-pretty-print", "-i", '{"name": "Ada"}').out == ""


def test_a_dry_run_needs_no_key_and_makes_up_the_inputs_when_asked(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--dry-run", "--mock-inputs")
    assert done.code == 0, done.err
    assert done.out.strip()
    assert "dry run done: greet.greet" in done.err


def test_a_directory_stands_for_its_bundle_and_its_inputs_file(cli: Cli, greet: Path) -> None:
    (greet.parent / "inputs.json").write_text('{"name": "Ada"}')
    done = cli("run", "bundle", "greet", "--simulate")
    assert done.code == 0, done.err
    assert "inputs: greet/inputs.json" in done.err


def test_inputs_can_be_a_toml_file(cli: Cli, greet: Path, work: Path) -> None:
    (work / "mine.toml").write_text('name = "Ada"\n')
    assert cli("run", "bundle", str(greet), "--simulate", "-i", "mine.toml").code == 0


def test_run_pipe_finds_the_pipe_in_the_library(cli: Cli, greet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("run", "pipe", "make_card", "--simulate", "--json", "-i", '{"name": "Ada"}')
    assert cli(*given, "-L", "greet").code == 0
    monkeypatch.setenv("PIPELEXPATH", "greet")
    assert cli(*given).code == 0


def test_files_among_the_inputs_are_relative_to_the_inputs_file(cli: Cli, work: Path) -> None:
    (work / "m").mkdir()
    (work / "m" / "read.mthds").write_text(
        'domain = "m"\nmain_pipe = "show"\n[pipe.show]\ntype = "PipeCompose"\ndescription = "Show"\n'
        'inputs = { scan = "Document" }\noutput = "Text"\ntemplate = "url: {{ scan.url }}"\n'
    )
    (work / "m" / "scan.pdf").write_bytes(b"%PDF-1.4 something")
    (work / "m" / "inputs.json").write_text('{"scan": {"url": "scan.pdf"}}')
    done = cli("run", "bundle", "m")
    assert done.code == 0, done.err
    assert done.out.startswith("url: pipelex-storage://")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", '{"name": '], ["the inputs are not JSON", "at: --inputs:1:10"]),
        (["-i", "nowhere.json"], ["the inputs file nowhere.json does not exist", "hint: give the path"]),
        (["-i", "[]"], ["does not exist"]),
        (["-i", '{"nam": "Ada"}'], ["did you mean 'name'?"]),
        ([], ["1 input is missing: name"]),
        (["--pipe", "gret", "-i", '{"name": "Ada"}'], ["gret", "did you mean 'greet'?"]),
    ],
)
def test_what_was_given_wrong_is_told_in_one_screen(
    cli: Cli, greet: Path, arguments: list[str], said: list[str]
) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", *arguments)
    assert done.code == 1
    assert done.out == ""
    assert len(done.err.splitlines()) < 12
    assert "Traceback" not in done.err
    for part in said:
        assert part in done.err


def test_two_inputs_files_are_one_too_many(cli: Cli, greet: Path) -> None:
    (greet.parent / "inputs.json").write_text("{}")
    (greet.parent / "inputs.toml").write_text("")
    done = cli("run", "bundle", "greet", "--simulate")
    assert done.code == 1
    assert "only one can be used" in done.err


def test_a_directory_with_several_bundles_names_them(cli: Cli, work: Path) -> None:
    for name in ("a.mthds", "b.mthds"):
        (work / name).write_text('domain = "x"\n')
    done = cli("run", "bundle", ".")
    assert done.code == 1
    assert "a.mthds, b.mthds" in done.err


def test_a_missing_bundle_is_named(cli: Cli) -> None:
    done = cli("run", "bundle", "nowhere.mthds")
    assert done.code == 1
    assert "nowhere.mthds" in done.err


def test_run_pipe_given_a_path_points_to_run_bundle(cli: Cli, greet: Path) -> None:
    done = cli("run", "pipe", "greet/bundle.mthds")
    assert done.code == 1
    assert "hint: pipelex run bundle greet/bundle.mthds" in done.err


def test_run_pipe_without_a_library_says_how_to_give_one(cli: Cli) -> None:
    assert "PIPELEXPATH" in cli("run", "pipe", "greet").err


def test_mock_inputs_needs_a_dry_run(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--mock-inputs")
    assert done.code == 2
    assert "--dry-run" in done.err


def test_a_missing_input_file_stops_the_run_before_it_starts(cli: Cli, work: Path) -> None:
    (work / "read.mthds").write_text(
        'domain = "m"\nmain_pipe = "show"\n[pipe.show]\ntype = "PipeCompose"\ndescription = "Show"\n'
        'inputs = { scan = "Document" }\noutput = "Text"\ntemplate = "{{ scan.url }}"\n'
    )
    done = cli("run", "bundle", "read.mthds", "-i", '{"scan": {"url": "gone.pdf"}}')
    assert done.code == 1
    assert "gone.pdf" in done.err
    assert not (work / "results").exists()


def test_without_a_key_a_live_run_names_the_variable(cli: Cli, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "-i", '{"name": "Ada"}')
    assert done.code == 1
    assert "_API_KEY" in done.err
    assert len(done.err.splitlines()) < 12


def test_a_mistake_in_the_settings_stops_every_command(cli: Cli, work: Path, greet: Path) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text("[temporal]\nis_enable = true\n")
    done = cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    assert done.code == 1
    assert ".pipelex/pipelex.toml:2:1" in done.err


def test_only_functions_that_are_named_are_imported(cli: Cli, work: Path) -> None:
    (work / "f").mkdir()
    (work / "f" / "shout.mthds").write_text(
        'domain = "f"\nmain_pipe = "shout"\n[pipe.shout]\ntype = "PipeFunc"\ndescription = "Shout"\n'
        'inputs = { name = "Text" }\noutput = "Text"\nfunction_name = "shout"\n'
    )
    (work / "f" / "functions.py").write_text(
        "from pipelex import TextContent, pipe_func\n\n\n@pipe_func\ndef shout(working_memory):\n"
        '    return TextContent(text=working_memory.get_stuff_as_str("name").upper() + "!")\n'
    )
    done = cli("run", "bundle", "f", "-i", '{"name": "Ada"}')
    assert done.code == 1
    assert "no function 'shout'" in done.err
    assert "--functions" in done.err
    done = cli("run", "bundle", "f", "-i", '{"name": "Ada"}', "--functions", "f/functions.py")
    assert done.code == 0, done.err
    assert done.out == "ADA!\n"
