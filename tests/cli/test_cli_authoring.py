"""The commands of those who write methods: schema, show, which, build."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelex.cli.inputs_template import as_toml, inputs_template
from pipelex.language.editor_schema import editor_schema
from pipelex.library.library import Library, library_from_texts
from pipelex.values.inputs import shape_inputs
from pipelex.values.natives import NATIVES
from pipelex.values.slots import Slot

Cli = Callable[..., Any]

WIDE = """
domain = "wide"
main_pipe = "read"

[concept]
Remark = "A remark"

[concept.Card]
description = "A card"
[concept.Card.structure]
title = { type = "text", description = "Title", required = true }
kind = { choices = ["a", "b"], description = "Kind" }
rank = { type = "integer", choices = ["1", "2"], description = "Rank" }
count = { type = "integer", description = "Count", default_value = 3 }
day = { type = "date", description = "Day" }
at = { type = "datetime", description = "At" }
hour = { type = "time", description = "Hour" }
words = { type = "list", item_type = "text", description = "Words" }
extra = { type = "dict", key_type = "text", value_type = "Any", description = "Extra" }
remark = { type = "concept", concept_ref = "Remark", description = "Remark" }
photo = { type = "concept", concept_ref = "Image", description = "Photo" }
others = { type = "list", item_type = "concept", item_concept_ref = "Remark", description = "Others" }

[pipe.read]
type = "PipeFunc"
description = "Read"
inputs = { card = "Card", remarks = "Remark[]", scans = "Document[3]", cards = "Card[]", note = "Card?" }
output = "Card[]"
function_name = "read"

[pipe.nothing]
type = "PipeFunc"
description = "Takes nothing"
output = "Text"
function_name = "nothing"
"""


@pytest.fixture
def wide(work: Path) -> Path:
    (work / "wide").mkdir()
    bundle = work / "wide" / "bundle.mthds"
    bundle.write_text(WIDE)
    return bundle


def test_the_schema_goes_to_stdout_or_to_a_file(cli: Cli, work: Path) -> None:
    assert json.loads(cli("schema").out) == editor_schema()
    assert cli("schema", "-o", "deep/mthds.json").out == "deep/mthds.json\n"
    assert json.loads((work / "deep" / "mthds.json").read_text()) == editor_schema()


def test_show_pipes_lists_them_by_domain(cli: Cli, greet: Path, wide: Path) -> None:
    shown = cli("show", "pipes", "-L", ".")
    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == "greet: Greetings"
    assert lines[1].split() == ["CODE", "TYPE", "INPUTS", "OUTPUT", "DESCRIPTION"]
    assert lines[2].split() == ["greet", "PipeLLM", "name:", "Text", "Greeting", "Say", "hello"]
    assert "wide" in lines
    assert cli("show", "pipe", "--all", "-L", ".").out == shown.out


def test_show_pipe_says_what_it_takes_and_where_it_is(cli: Cli, greet: Path) -> None:
    shown = cli("show", "pipe", "make_card", "-L", "greet")
    assert shown.out.splitlines() == [
        "greet.make_card  (PipeLLM)",
        "  Make a card",
        "  input   name: Text",
        "  output  Card",
        "  source  greet/bundle.mthds:22",
    ]
    described = json.loads(cli("show", "pipe", "make_card", "-L", "greet", "--json").out)
    assert described["output"]["concept_ref"] == "greet.Card"
    assert len(json.loads(cli("show", "pipes", "-L", "greet", "--json").out)) == 2


@pytest.mark.parametrize("arguments", [["pipe"], ["pipe", "greet", "--all"]])
def test_show_pipe_wants_a_code_or_all(cli: Cli, greet: Path, arguments: list[str]) -> None:
    assert cli("show", *arguments, "-L", "greet").code == 2


def test_which_shows_the_search_path_and_the_line(cli: Cli, greet: Path) -> None:
    shown = cli("which", "make_card", "-L", "greet", "-L", "nowhere")
    assert shown.code == 0, shown.err
    assert shown.out.splitlines() == [
        "✓ greet  (--library-dir)",
        "✗ nowhere  (--library-dir)",
        "greet.make_card  PipeLLM",
        "greet/bundle.mthds:22",
    ]


def test_which_says_where_the_directories_come_from(
    cli: Cli, greet: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text('[library]\ndirs = ["greet"]\n')
    assert "([library] dirs)" in cli("which", "greet").out
    monkeypatch.setenv("PIPELEXPATH", "greet")
    assert "(PIPELEXPATH)" in cli("which", "greet").out


def test_which_of_an_unknown_pipe_gives_1_and_the_closest(cli: Cli, greet: Path) -> None:
    shown = cli("which", "gret", "-L", "greet")
    assert (shown.code, "did you mean 'greet'" in shown.err) == (1, True)
    nowhere = cli("which", "greet", "-L", "nowhere")
    assert (nowhere.code, "no directory holds a method" in nowhere.err) == (1, True)


def test_build_inputs_writes_light_values_beside_the_bundle(cli: Cli, wide: Path) -> None:
    done = cli("build", "inputs", "bundle", "wide")
    assert (done.code, done.out) == (0, "wide/inputs.json\n")
    made = json.loads((wide.parent / "inputs.json").read_text())
    assert list(made) == ["card", "remarks", "scans", "cards", "note"]
    assert made["remarks"] == [""]
    assert made["scans"] == ["https://example.com/document.pdf"] * 3
    assert made["card"] == {
        "title": "",
        "kind": "a",
        "rank": 1,
        "count": 3,
        "day": "2025-01-31",
        "at": "2025-01-31T09:30:00",
        "hour": "09:30:00",
        "words": [""],
        "extra": {},
        "remark": "",
        "photo": {"url": "https://example.com/image.png"},
        "others": [""],
    }


def test_build_inputs_never_writes_over_what_was_filled_in(cli: Cli, wide: Path) -> None:
    (wide.parent / "inputs.json").write_text("{}")
    done = cli("build", "inputs", "bundle", str(wide))
    assert (done.code, "-o" in done.err) == (1, True)
    assert (wide.parent / "inputs.json").read_text() == "{}"
    assert cli("build", "inputs", "bundle", str(wide), "-o", "wide/inputs.json").code == 0
    assert (wide.parent / "inputs.json").read_text() != "{}"


def test_build_inputs_in_toml_comments_the_optional_ones_out(cli: Cli, wide: Path) -> None:
    text = cli("build", "inputs", "bundle", "wide", "-o", "-", "--format", "toml").out
    made = tomllib.loads(text)
    assert list(made) == ["remarks", "scans", "card", "cards"]
    assert "# Card (optional): A card\n# [note]\n# title = " in text
    uncommented = tomllib.loads("\n".join(line.removeprefix("# ") for line in text.splitlines() if ": " not in line))
    assert uncommented["note"] == made["card"]


def test_build_inputs_explicitly_says_concepts(cli: Cli, greet: Path) -> None:
    made = json.loads(cli("build", "inputs", "pipe", "make_card", "-L", "greet", "-o", "-", "--explicit").out)
    assert made == {"name": {"concept": "Text", "content": {"text": ""}}}


def test_build_inputs_of_a_pipe_goes_to_results(cli: Cli, greet: Path) -> None:
    assert cli("build", "inputs", "pipe", "greet", "-L", "greet").out == "results/inputs.json\n"
    assert cli("build", "inputs", "pipe", "greet", "-L", "greet", "-o", "x/my.toml").out == "x/my.toml\n"
    assert tomllib.loads(Path("x/my.toml").read_text()) == {"name": ""}


def test_build_inputs_of_a_pipe_that_takes_nothing_writes_nothing(cli: Cli, wide: Path) -> None:
    done = cli("build", "inputs", "bundle", "wide", "--pipe", "nothing")
    assert (done.code, done.out, "needs no inputs" in done.err) == (0, "", True)


def test_build_output_gives_an_example_or_the_schema(cli: Cli, wide: Path) -> None:
    example = json.loads(cli("build", "output", "bundle", "wide", "-o", "-").out)
    assert [sorted(item)[0] for item in example] == ["at"]
    schema = json.loads(cli("build", "output", "bundle", "wide", "-o", "-", "--format", "schema").out)
    assert (schema["type"], schema["items"]["title"]) == ("array", "Card")
    assert cli("build", "output", "pipe", "read", "-L", "wide", "--format", "schema").out == (
        "results/output_schema.json\n"
    )


def wide_library() -> Library:
    return library_from_texts({"wide.mthds": WIDE})[0]


@pytest.mark.parametrize("is_explicit", [False, True], ids=["light", "explicit"])
@pytest.mark.parametrize("concept", [*NATIVES, "wide.Card", "wide.Remark"])
@pytest.mark.parametrize("slot", ["", "[]", "[2]"], ids=["one", "list", "two"])
def test_a_template_is_accepted_as_it_is(concept: str, slot: str, is_explicit: bool) -> None:
    concepts = wide_library().concepts
    slots = {"x": Slot.parse(concept + slot)}
    template = inputs_template(slots, concepts, is_explicit=is_explicit)
    from_toml = tomllib.loads(as_toml(template, slots, concepts))
    assert json.loads(json.dumps(template)) == from_toml
    memory, _ = shape_inputs(template, slots, concepts, domain="wide")
    assert set(memory.root) == {"x"}
