"""Contracts, forms and skippable pipes, as programs read them."""

from __future__ import annotations

from pipelex.library.contracts import input_form, io_contract, liftable_pipes
from pipelex.library.library import Library, library_from_texts

TEXT = """
domain = "tea"
[concept]
Leaf = "A leaf"
[concept.Photo]
description = "A photographed leaf"
refines = "Image"
hints = { intent = "prose" }
[concept.Note]
description = "A tasting note"
[concept.Note.structure]
aroma = { type = "text", description = "Smell", required = true, hints = { intent = "label" } }
grade = { choices = ["good", "bad"], description = "Grade", default_value = "bad" }
photos = { type = "list", item_type = "concept", item_concept_ref = "Photo", description = "Photos" }
leaf = { type = "concept", concept_ref = "Leaf", description = "Which leaf" }

[pipe.taste]
type = "PipeFunc"
description = "Taste"
inputs = { leaf = "Leaf", photos = "Photo[2]", old = "Note[]", note = "Note?", must = "Text!" }
output = "Note?"
function_name = "taste"

[pipe.sum_up]
type = "PipeFunc"
description = "Sum up"
inputs = { note = "Note" }
output = "Text"
function_name = "sum_up"

[pipe.list_up]
type = "PipeFunc"
description = "List"
inputs = { summary = "Text" }
output = "Text[]"
function_name = "list_up"

[pipe.day]
type = "PipeSequence"
description = "A day"
inputs = { leaf = "Leaf", photos = "Photo[2]", old = "Note[]", note = "Note?", must = "Text!" }
output = "Text[]"
steps = [
  { pipe = "sum_up", result = "summary" },
  { pipe = "list_up", result = "list" },
]
"""


def library() -> Library:
    return library_from_texts({"tea.mthds": TEXT})[0]


def test_a_contract_says_concept_multiplicity_presence_and_schema() -> None:
    contract = io_contract(library(), "tea.taste")
    inputs = contract["inputs"]
    assert isinstance(inputs, dict)
    shapes = {
        name: (found["concept_ref"], found["presence"], found["multiplicity"], found["item_count"])
        for name, found in inputs.items()
        if isinstance(found, dict)
    }
    assert shapes == {
        "leaf": ("tea.Leaf", "plain", "single", None),
        "photos": ("tea.Photo", "plain", "fixed", 2),
        "old": ("tea.Note", "plain", "variable", None),
        "note": ("tea.Note", "optional", "single", None),
        "must": ("native.Text", "force", "single", None),
    }
    output = {"concept_ref": "tea.Note", "multiplicity": "single", "item_count": None, "optional": True}
    assert contract["output"] == output


def test_schemas_are_titled_with_the_whole_name() -> None:
    inputs = io_contract(library(), "tea.taste")["inputs"]
    assert isinstance(inputs, dict)
    schemas = {name: found["json_schema"] for name, found in inputs.items() if isinstance(found, dict)}
    assert isinstance(schemas["note"], dict)
    assert (schemas["note"]["title"], schemas["note"]["description"]) == ("tea.Note", "A tasting note")
    photos = schemas["photos"]
    assert isinstance(photos, dict)
    assert (photos["minItems"], photos["maxItems"]) == (2, 2)
    assert isinstance(photos["items"], dict)
    assert photos["items"]["title"] == "tea.Photo"


def test_a_form_says_kinds_choices_defaults_and_hints() -> None:
    form = {found["name"]: found for found in input_form(library(), "tea.taste") if isinstance(found, dict)}
    assert {name: found["kind"] for name, found in form.items()} == {
        "leaf": "text",
        "photos": "image",
        "old": "structure",
        "note": "structure",
        "must": "text",
    }
    assert (form["note"]["required"], form["old"]["required"]) == (False, True)
    assert form["photos"]["hints"] == {"intent": "prose"}
    fields = form["note"]["fields"]
    assert isinstance(fields, list)
    aroma, grade, photos, leaf = (field for field in fields if isinstance(field, dict))
    assert (aroma["kind"], aroma["required"], aroma["hints"]) == ("text", True, {"intent": "label"})
    assert (grade["kind"], grade["choices"], grade["default"]) == ("choice", ["good", "bad"], "bad")
    assert isinstance(photos["item"], dict)
    assert (photos["kind"], photos["item"]["kind"]) == ("list", "image")
    assert (leaf["kind"], leaf["description"]) == ("text", "Which leaf")


def test_pipes_that_may_be_skipped_say_where_the_absence_comes_from() -> None:
    assert liftable_pipes(library(), ["tea.day"]) == [
        {
            "pipe_ref": "tea.sum_up",
            "slots": ["note"],
            "origins": [{"pipe_ref": "tea.day", "slot": "note", "kind": "optional_input"}],
        },
        {
            "pipe_ref": "tea.list_up",
            "slots": ["summary"],
            "origins": [{"pipe_ref": "tea.sum_up", "slot": "output", "kind": "skipped"}],
        },
    ]


def test_nothing_is_skipped_where_nothing_is_absent() -> None:
    assert liftable_pipes(library(), ["tea.taste", "tea.sum_up"]) == []
