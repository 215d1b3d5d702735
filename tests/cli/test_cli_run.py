from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

ROWS = """
domain = "rows"
main_pipe = "keep"

[concept.Row]
description = "A row"
[concept.Row.structure]
name = { type = "text", description = "Name", required = true }
count = { type = "integer", description = "Count" }

[concept.Deep]
description = "Rows of rows"
[concept.Deep.structure]
tags = { type = "list", item_type = "text", description = "Tags" }

[pipe.same]
type = "PipeCompose"
description = "One row"
inputs = { row = "Row" }
output = "Row"
construct = { name = { from = "row.name" }, count = { from = "row.count" } }

[pipe.keep]
type = "PipeBatch"
description = "Each row"
inputs = { rows = "Row[]" }
output = "Row[]"
branch_pipe_code = "same"
input_list_name = "rows"
input_item_name = "row"

[pipe.deep]
type = "PipeLLM"
description = "Deep"
inputs = { row = "Row" }
output = "Deep[]"
prompt = "$row"

[pipe.maybe]
type = "PipeCompose"
description = "Needs a note"
inputs = { note = "Text" }
output = "Text"
template = "$note"

[pipe.perhaps]
type = "PipeSequence"
description = "A note, if any"
inputs = { note = "Text?" }
output = "Text?"
steps = [{ pipe = "maybe", result = "kept" }, { pipe = "again", result = "final" }]

[pipe.again]
type = "PipeCompose"
description = "Once more"
inputs = { kept = "Text" }
output = "Text"
template = "$kept"
"""


@pytest.fixture
def rows(work: Path) -> Path:
    bundle = work / "rows.mthds"
    bundle.write_text(ROWS)
    return bundle


Feed = Callable[[bytes | None], Any]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    """Make stdin a pipe with these bytes in it; None keeps it open with nothing in it."""
    ends: list[Any] = []

    def make(data: bytes | None, *, is_closed: bool = True) -> None:
        read, write = os.pipe()
        os.write(write, data or b"")
        ends.append(stdin := os.fdopen(read))
        if data is not None and is_closed:
            os.close(write)
        else:
            ends.append(os.fdopen(write, "wb"))
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr("pipelex.cli.inputs.FIRST_SECONDS", 0.05)
        monkeypatch.setattr("pipelex.cli.inputs.SILENT_SECONDS", 0.05)

    yield make
    for end in ends:
        end.close()


def test_a_simulated_run_prints_the_text_and_writes_its_files(cli: Cli, work: Path, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    assert done.code == 0, done.err
    folder = work / "results" / "greet_output_01"
    assert sorted(file.name for file in folder.iterdir()) == [
        "cost_report.json",
        "execution_graph.html",
        "graphspec.json",
        "index.html",
        "main_stuff.json",
        "main_stuff.md",
        "working_memory.json",
    ]
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
    text = document["working_memory"]["root"]["main_stuff"]["content"]["text"]
    assert json.loads(document["main_stuff"]["json"]) == {"text": text}
    assert document["main_stuff"]["markdown"] == text
    assert document["main_stuff"]["html"].startswith("<p>")
    assert set(document["working_memory"]) == {"root", "aliases"}


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


SIMULATED_GREETING = ("run", "bundle", "greet/bundle.mthds", "--simulate", "--json")


def test_inputs_can_come_on_stdin(cli: Cli, greet: Path, feed: Feed) -> None:
    feed(b'{"name": "Ada"}')
    done = cli(*SIMULATED_GREETING)
    assert done.code == 0, done.err
    assert "inputs: stdin" in done.err
    assert "Ada" in done.out


def test_stdin_may_be_a_file_or_a_socket(cli: Cli, greet: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "name.json").write_text('\ufeff{"name": "Ada"}', "utf-8")
    with (work / "name.json").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert "Ada" in cli(*SIMULATED_GREETING).out
    near, far = socket.socketpair()
    far.sendall(b'{"name": "Bob"}')
    far.close()
    with near.makefile("r") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert "Bob" in cli(*SIMULATED_GREETING).out
    near.close()


def test_stdin_comes_after_the_flag_and_before_the_file(cli: Cli, greet: Path, feed: Feed) -> None:
    (greet.parent / "inputs.json").write_text('{"name": "Cid"}')
    feed(b'{"name": "Ada"}')
    assert "Bob" in cli(*SIMULATED_GREETING, "-i", '{"name": "Bob"}').out
    assert "Ada" in cli("run", "bundle", "greet", "--simulate", "--json").out
    feed(b" \n")
    assert "Cid" in cli("run", "bundle", "greet", "--simulate", "--json").out


def test_an_idle_stdin_is_not_waited_for(cli: Cli, greet: Path, feed: Feed) -> None:
    (greet.parent / "inputs.json").write_text('{"name": "Cid"}')
    feed(None)
    done = cli("run", "bundle", "greet", "--simulate", "--json")
    assert "Cid" in done.out
    assert "stdin is open and has nothing in it: not waited for (--inputs - waits)" in done.err


def test_a_stdin_that_falls_silent_is_an_error(cli: Cli, greet: Path, feed: Any) -> None:
    feed(b'{"name": ', is_closed=False)
    done = cli(*SIMULATED_GREETING)
    assert done.code == 1
    assert "stdin began, and then fell silent" in done.err


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "stdin is empty"), (b"\xff", "not UTF-8"), (b"[1]", "one object"), (b"name\n", "not JSON")]
)
def test_stdin_that_is_asked_for_must_hold_inputs(cli: Cli, greet: Path, feed: Feed, data: bytes, said: str) -> None:
    feed(data)
    done = cli("run", "bundle", "greet", "--simulate", "--inputs", "-")
    assert done.code == 1
    assert said in done.err


def test_a_closed_stdin_is_no_stdin(cli: Cli, greet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "1 input is missing" in cli(*SIMULATED_GREETING).err


@pytest.fixture
def show(work: Path) -> Path:
    bundle = work / "show.mthds"
    bundle.write_text(
        'domain = "show"\nmain_pipe = "show"\n'
        '[pipe.show]\ntype = "PipeCompose"\ndescription = "Show"\n'
        'inputs = { greeting = "greet.Greeting" }\noutput = "Text"\ntemplate = "shown: $greeting"\n'
        '[pipe.both]\ntype = "PipeCompose"\ndescription = "Both"\n'
        'inputs = { name = "Text", greeting = "Text" }\noutput = "Text"\ntemplate = "$name $greeting"\n'
        '[pipe.name]\ntype = "PipeCompose"\ndescription = "Name"\n'
        'inputs = { name = "Text" }\noutput = "Text"\ntemplate = "name: $name"\n'
    )
    return bundle


def test_a_run_feeds_another(cli: Cli, greet: Path, show: Path, feed: Feed) -> None:
    given = ("--simulate", "-i", '{"name": "Ada"}')
    full = cli("run", "bundle", "greet", "--with-memory", *given).out
    greeting = json.loads(json.loads(full)["main_stuff"]["json"])["text"]
    feed(full.encode())
    done = cli("run", "bundle", "show.mthds", "-L", "greet")
    assert done.code == 0, done.err
    assert "inputs: stdin (the output of another run)" in done.err
    assert done.out == f"shown: {greeting}\n"
    feed(full.encode())
    assert cli("run", "bundle", "show.mthds", "-L", "greet", "--pipe", "name").out == "name: Ada\n"
    feed(full.encode())
    done = cli("run", "bundle", "show.mthds", "-L", "greet", "--pipe", "both")
    assert done.code == 1
    assert "the other run has no value for: greeting" in done.err
    assert "it has name (native.Text), main_stuff (greet.Greeting)" in done.err


def test_the_command_itself_reads_a_pipe(work: Path, greet: Path) -> None:
    command = [str(Path(sys.executable).parent / "pipelex"), *SIMULATED_GREETING]
    piped = subprocess.run(
        command, input='{"name": "Ada"}', capture_output=True, text=True, check=False, timeout=60, cwd=work
    )
    assert piped.returncode == 0, piped.stderr
    assert "Ada" in piped.stdout


def test_rows_are_read_and_written(cli: Cli, work: Path, rows: Path) -> None:
    (work / "in").mkdir()
    (work / "in" / "rows.csv").write_text("count,name\n3,tea\n,milk\n")
    (work / "in" / "inputs.json").write_text('{"rows": "rows.csv"}')
    done = cli("run", "bundle", str(rows), "-i", "in/inputs.json", "--save-csv", "out/rows.csv", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == [{"name": "tea", "count": 3}, {"name": "milk", "count": None}]
    assert (work / "out" / "rows.csv").read_bytes() == b"name,count\r\ntea,3\r\nmilk,\r\n"
    assert "  out/rows.csv" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"name,count\ntea,many\n", "read from rows.csv: row 2, column count: expected a whole number"),
        (b"naem\ntea\n", "row 1, column naem: is not a field of Row; did you mean name?"),
        (b"\xff", "the file of rows is not UTF-8 text"),
        (None, "the file of rows rows.csv does not exist"),
    ],
)
def test_what_is_wrong_with_rows_stops_the_run(cli: Cli, work: Path, rows: Path, text: bytes | None, said: str) -> None:
    if text is not None:
        (work / "rows.csv").write_bytes(text)
    done = cli("run", "bundle", str(rows), "-i", '{"rows": "rows.csv"}')
    assert done.code == 1
    assert said in done.err
    assert not (work / "results").exists()


@pytest.mark.parametrize(
    ("pipe", "said"),
    [("same", "the output of this pipe is one rows.Row"), ("deep", "Deep: a cell of a CSV file holds one plain value")],
)
def test_what_cannot_be_rows_is_refused_before_the_run(cli: Cli, work: Path, rows: Path, pipe: str, said: str) -> None:
    given = ("--simulate", "-i", '{"row": {"name": "x"}}', "--save-csv", "out.csv")
    done = cli("run", "bundle", str(rows), "--pipe", pipe, *given)
    assert done.code == 1
    assert said in done.err
    assert not (work / "results").exists()


def test_an_absent_result_is_a_document_of_its_own(cli: Cli, work: Path, rows: Path) -> None:
    done = cli("run", "bundle", str(rows), "--pipe", "perhaps", "--json", "-i", "{}")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert list(told) == ["absent", "variable", "kind", "reason", "producer", "upstream"]
    assert (told["absent"], told["kind"]) == (True, "skipped")
    last = told
    while last["upstream"] is not None:
        last = last["upstream"]
        assert list(last) == ["variable", "kind", "reason", "producer", "upstream"]
    assert (last["variable"], last["kind"], last["producer"]) == ("note", "not_provided", None)
    saved = json.loads((work / "results" / "perhaps_output_01" / "main_stuff.json").read_text())
    assert saved == told
    full = json.loads(cli("run", "bundle", str(rows), "--pipe", "perhaps", "--with-memory", "-i", "{}").out)
    assert json.loads(full["main_stuff"]["json"]) == told
    assert full["main_stuff"]["html"].startswith("<p>(absent: ")
    assert full["working_memory"] == {"root": {}, "aliases": {}}


@pytest.mark.parametrize(
    ("arguments", "error_type", "domain"),
    [
        (["greet", "--simulate"], "InputError", "input"),
        (["nowhere.mthds"], "InputError", "input"),
        (["greet", "--pipe", "gret", "-i", "{}"], "PipeNotFoundError", "input"),
        (["bad.mthds", "-i", "{}"], "LanguageError", "input"),
        (["greet", "-i", '{"name": "Ada"}'], "CredentialError", "config"),
    ],
)
def test_with_json_a_failure_is_a_document(
    cli: Cli, greet: Path, work: Path, arguments: list[str], error_type: str, domain: str
) -> None:
    (work / "bad.mthds").write_text('domain = "x"\noops = 1\n')
    done = cli("run", "bundle", *arguments, "--json")
    assert (done.code, done.out) == (1, "")
    told = json.loads(done.err.splitlines()[-1])
    assert list(told)[:4] == ["error", "error_type", "code", "message"]
    assert (told["error_type"], told["error_domain"]) == (error_type, domain)
    assert told["retryable"] is False
    assert told["message"]


def test_unknown_fields_of_inputs_are_left_out_with_a_warning(cli: Cli, rows: Path) -> None:
    given = '{"row": {"name": "tea", "cuont": 3}}'
    done = cli("run", "bundle", str(rows), "--pipe", "same", "--json", "-i", given)
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"name": "tea", "count": None}
    assert "warning: input 'row': row.cuont: left out: it is not a field of Row; did you mean count?" in done.err


def test_help_says_when_stdin_is_read(cli: Cli) -> None:
    said = " ".join(cli("run", "bundle", "--help").out.split())
    assert "a pipe in which something comes within a second" in said
    assert "--save-csv" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--detach needs --temporal"),
        (("--no-temporal",), "--detach needs --temporal"),
        (("--temporal", "-o", "there"), "--output-dir and --detach exclude each other"),
        (("--temporal", "--save-csv", "x.csv"), "--save-csv and --detach exclude each other"),
        (("--temporal", "--with-memory"), "--with-memory and --detach exclude each other"),
    ],
)
def test_a_run_that_cannot_be_left_is_refused(
    cli: Cli, work: Path, greet: Path, more: tuple[str, ...], said: str
) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}', "--detach", *more)
    assert (done.code, done.out, said in done.err) == (2, "", True), done.err
    assert not (work / "results").exists()
