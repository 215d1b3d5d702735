from __future__ import annotations

import datetime as dt
from pathlib import PurePosixPath
from typing import Any

import pytest

from pipelex.errors import InputError
from pipelex.values.concepts import Concepts
from pipelex.values.contents import ImageContent, ListContent, TextContent
from pipelex.values.hydrate import content_class
from pipelex.values.inputs import map_files, shape_inputs, with_csv_rows
from pipelex.values.slots import Slot
from pipelex.values.value import Absence, Memory, Value
from pipelex.values.working_memory import WorkingMemory

RATING = {"level": 0, "label": None, "confidence": None, "probabilities": None, "position": None}
NOTE = {"aroma": "hay", "score": None, "grade": None}


def shape(given: Any, concepts: Concepts, **declared: str) -> tuple[Memory, list[str]]:
    slots = {name: Slot.parse(slot) for name, slot in declared.items()}
    return shape_inputs(given, slots, concepts, domain="tea")


def refusal(given: Any, concepts: Concepts, **declared: str) -> InputError:
    with pytest.raises(InputError) as caught:
        shape(given, concepts, **declared)
    return caught.value


def envelope(concept: Any, content: Any) -> dict[str, Any]:
    return {"concept": concept, "content": content}


@pytest.mark.parametrize(
    ("slot", "given", "concept", "data"),
    [
        # light values
        ("tea.Cup", "oolong", "tea.Cup", {"text": "oolong"}),
        ("native.Number", 4, "native.Number", {"number": 4}),
        ("native.Date", dt.date(2031, 2, 3), "native.Date", {"date": "2031-02-03", "time": None}),
        ("native.Time", dt.time(14, 30), "native.Time", {"time": "14:30:00"}),
        ("native.JSON", {"a": 1}, "native.JSON", {"json_obj": {"a": 1}}),
        ("tea.Note", {"aroma": "hay"}, "tea.Note", NOTE),
        ("tea.Note[]", {"aroma": "hay"}, "tea.Note", [NOTE]),
        ("tea.Note[]", [], "tea.Note", []),
        ("tea.Note[2]", [{"aroma": "hay"}] * 2, "tea.Note", [NOTE] * 2),
        ("tea.Note[]", {"items": [{"aroma": "hay"}]}, "tea.Note", [NOTE]),
        ("native.Choice", "red", "native.Choice", {"choice": "red", "confidence": None, "probabilities": None}),
        ("native.Rating", 0, "native.Rating", {**RATING, "level": 0}),
        ("native.Rating", {"level": 2, "label": "good"}, "native.Rating", {**RATING, "level": 2, "label": "good"}),
        ("native.SearchResult", {"answer": "a", "sources": []}, "native.SearchResult", {"answer": "a", "sources": []}),
        ("native.Anything", dt.date(2031, 2, 3), "native.Date", {"date": "2031-02-03", "time": None}),
        ("native.Anything", dt.time(9), "native.Time", {"time": "09:00:00"}),
        ("native.Anything[]", {"items": ["a"]}, "native.Text", [{"text": "a"}]),
        ("native.Anything", [TextContent(text="x")], "native.Text", [{"text": "x"}]),
        ("native.Date", dt.datetime(2031, 2, 3, 9), "native.Date", {"date": "2031-02-03", "time": "09:00:00"}),
        ("native.Anything", "x", "native.Text", {"text": "x"}),
        ("native.Anything", 3, "native.Number", {"number": 3}),
        ("native.Anything", True, "native.YesNo", {"yes_no": True, "probability": None}),
        ("native.Anything", {"a": 1}, "native.JSON", {"json_obj": {"a": 1}}),
        ("native.Dynamic", {"a": 1}, "native.Dynamic", {"a": 1}),
        ("native.Anything", ["a", "b"], "native.Text", [{"text": "a"}, {"text": "b"}]),
        ("native.Anything", ["a", 1], "native.Anything", [{"text": "a"}, {"number": 1}]),
        ("native.Anything[]", "a", "native.Text", [{"text": "a"}]),
        ("tea.Cup?", "x", "tea.Cup", {"text": "x"}),
        # envelopes
        ("native.Text", envelope("tea.Cup", "x"), "tea.Cup", {"text": "x"}),
        ("native.Text", envelope("Cup", "x"), "tea.Cup", {"text": "x"}),
        ("native.Text", envelope("Jug", "x"), "milk.Jug", {"text": "x"}),
        ("tea.Note", envelope("Verdict", {"aroma": "hay"}), "tea.Verdict", NOTE),
        ("tea.Note[]", envelope("Note[]", [{"aroma": "hay"}]), "tea.Note", [NOTE]),
        ("tea.Note[]", envelope("Note", [{"aroma": "hay"}]), "tea.Note", [NOTE]),
        ("tea.Note[]", envelope("Note", {"items": [{"aroma": "hay"}]}), "tea.Note", [NOTE]),
        ("tea.Note[]", envelope("Note", {"aroma": "hay"}), "tea.Note", [NOTE]),
        ("tea.Note[]", [envelope("Note", {"aroma": "hay"}), {"aroma": "hay"}], "tea.Note", [NOTE, NOTE]),
        ("tea.Note[]", [envelope("Verdict", {"aroma": "hay"})], "tea.Verdict", [NOTE]),
        ("tea.Note[]", [envelope("Verdict", NOTE), envelope("Note", NOTE)], "tea.Note", [NOTE, NOTE]),
        ("tea.Note", {**envelope("Note", NOTE), "stuff_name": "n", "stuff_code": "ab"}, "tea.Note", NOTE),
        ("tea.Cup", envelope({"code": "Cup", "domain_code": "tea"}, "x"), "tea.Cup", {"text": "x"}),
        ("tea.Note", envelope("Anything", NOTE), "tea.Note", NOTE),
        ("native.Anything", envelope("Note", NOTE), "tea.Note", NOTE),
        ("native.Anything", envelope("Note", [NOTE]), "tea.Note", [NOTE]),
        # objects
        ("tea.Cup", TextContent(text="x"), "tea.Cup", {"text": "x"}),
        ("tea.Cup[]", ListContent[TextContent](items=[TextContent(text="x")]), "tea.Cup", [{"text": "x"}]),
        ("tea.Cup[]", [TextContent(text="x"), "y"], "tea.Cup", [{"text": "x"}, {"text": "y"}]),
        ("native.Anything", TextContent(text="x"), "native.Text", {"text": "x"}),
        ("native.Anything[]", TextContent(text="x"), "native.Text", [{"text": "x"}]),
        ("native.Text", Value(concept="tea.Cup", data={"text": "x"}), "tea.Cup", {"text": "x"}),
        ("native.Text", envelope("Cup", TextContent(text="x")), "tea.Cup", {"text": "x"}),
    ],
)
def test_what_fits(concepts: Concepts, slot: str, given: Any, concept: str, data: Any) -> None:
    memory, warnings = shape({"it": given}, concepts, it=slot)
    assert memory.root["it"] == Value(concept=concept, data=data)
    assert warnings == []


def test_python_objects_keep_their_concept(concepts: Concepts) -> None:
    stuffs = WorkingMemory(Memory(root={"v": Value(concept="tea.Verdict", data=NOTE)}), concepts)
    memory, _ = shape(
        {"it": stuffs.get_stuff("v"), "any": stuffs.get_stuff("v").content},
        concepts,
        it="tea.Note",
        any="native.Anything",
    )
    assert [memory.root[name].concept for name in ("it", "any")] == ["tea.Verdict", "tea.Verdict"]
    note = content_class("tea.Note", concepts).model_validate({"aroma": "hay"})
    assert shape({"it": note}, concepts, it="tea.Note")[0].root["it"].data == NOTE
    leaf, _ = shape({"it": PurePosixPath("a/leaf.png")}, concepts, it="tea.Leaf")
    described = ImageContent(url="a/leaf.png", mime_type="image/png", filename="leaf.png")
    assert leaf.root["it"].data == described.model_dump()


def test_an_optional_input_left_out_is_recorded(concepts: Concepts) -> None:
    memory, _ = shape({"cup": "x"}, concepts, cup="tea.Cup", note="tea.Note?")
    absence = memory.get("note")
    assert isinstance(absence, Absence)
    assert (absence.absent, absence.variable) == ("not_provided", "note")


def test_a_list_for_one_passes_with_a_warning_when_its_concept_is_said(concepts: Concepts) -> None:
    memory, warnings = shape({"note": envelope("Note", [NOTE, NOTE])}, concepts, note="tea.Note")
    assert memory.root["note"].data == [NOTE, NOTE]
    assert warnings == (
        [
            "input 'note' is declared as one Note, and is given a list of 2: "
            "the whole list is passed on; declare Note[] to say so"
        ]
    )


@pytest.mark.parametrize(
    ("slot", "given", "message", "hint"),
    [
        ("tea.Cup", 3, "expected a text, found the number 3", 'an input that fits: {"it": "some text"}'),
        ("native.YesNo", "yes", 'expected true or false, found the text "yes"', 'an input that fits: {"it": true}'),
        (
            "native.Date",
            20310203,
            "expected a date such as 2031-02-03, found the number 20310203",
            'an input that fits: {"it": "2031-02-03"}',
        ),
        (
            "tea.Note",
            [NOTE],
            "expected one Note, found a list of 1 item",
            "give one value, or declare the input as Note[]",
        ),
        (
            "tea.Note",
            "x",
            'expected an object with the fields aroma, score, grade, found the text "x"',
            'an input that fits: {"it": {"aroma": ...}}',
        ),
        (
            "tea.Note[]",
            [NOTE, {"aroma": "x", "score": "high"}],
            'it[1].score: expected a whole number, found the text "high"',
            'an input that fits: {"it": [{"aroma": ...}, ...]}',
        ),
        (
            "tea.Leaf",
            {"url": "x", "capton": "y"},
            "it.capton: is not a field of Leaf; did you mean caption?",
            'an input that fits: {"it": "photo.png"}',
        ),
        ("tea.Note[3]", [NOTE], "expected exactly 3 items, found 1", "give an array of 3"),
        ("tea.Note[3]", NOTE, "expected exactly 3 items, found 1", "give an array of 3"),
        ("tea.Note[3]", envelope("Note", [NOTE]), "expected exactly 3 items, found 1", "give an array of 3"),
        ("tea.Note", None, "null is not a value", 'write {"it": {"aroma": ...}}'),
        ("tea.Note?", None, "null is not a value", "leave the key out"),
        (
            "tea.Note",
            envelope("Cup", "x"),
            "a Cup was given, which is not a Note",
            "give the content alone, or write 'Note' as its concept",
        ),
        (
            "tea.Verdict",
            envelope("Note", NOTE),
            "a Note was given, which is not a Verdict",
            "give the content alone, or write 'Verdict' as its concept",
        ),
        ("tea.Note", envelope("Nota", NOTE), "there is no concept 'Nota'", "did you mean 'Note'?"),
        ("tea.Note", envelope("tea.Nota", NOTE), "there is no concept 'tea.Nota'", "did you mean 'tea.Note'?"),
        ("tea.Note", envelope("Note[0]", NOTE), "'Note[0]': a list of exactly 0 items is not a slot", None),
        (
            "tea.Note",
            envelope(3, NOTE),
            "its concept must be a text, found the number 3",
            'write for instance "concept": "Text"',
        ),
        (
            "tea.Note",
            envelope("x::tea.Note", NOTE),
            "there is no concept 'x::tea.Note'",
            "did you mean 'tea.Note'?",
        ),
        ("tea.Note", envelope("Note", None), "its content is null", "leave the input out, or give a content"),
        (
            "tea.Note[]",
            [NOTE, envelope("Cup", "x")],
            "it[1]: a Cup was given, which is not a Note",
            "give the content alone, or write 'Note' as its concept",
        ),
        (
            "tea.Note[]",
            "rows.csv",
            "the rows of rows.csv were not read",
            "give the rows as an array of objects",
        ),
        (
            "tea.Note[]",
            envelope("Note", {"url": "rows.CSV"}),
            "the rows of rows.CSV were not read",
            "give the rows as an array of objects",
        ),
        (
            "tea.Leaf",
            b"x",
            "an object of class bytes has no JSON form",
            "give a url, a path or a data: url instead of bytes",
        ),
        ("tea.Cup[]", {"a"}, "an object of class set has no JSON form", "give a list: a set has no order"),
        ("milk.Jug", 3, "expected a text, found the number 3", 'an input that fits: {"it": "some text"}'),
    ],
)
def test_what_is_refused(concepts: Concepts, slot: str, given: Any, message: str, hint: str | None) -> None:
    error = refusal({"it": given}, concepts, it=slot)
    declared = slot.removeprefix("tea.").removeprefix("native.")
    assert error.message == f"input 'it' is declared as {declared}: {message}"
    assert error.hint == hint


def test_a_name_that_several_concepts_have(concepts: Concepts) -> None:
    slots = {"it": Slot("native.Text")}
    with pytest.raises(InputError, match="several concepts are called 'Cup'") as caught:
        shape_inputs({"it": envelope("Cup", "x")}, slots, concepts, domain="water")
    assert caught.value.hint == "write one of: milk.Cup, tea.Cup"


def test_a_csv_name_is_a_text_where_a_text_or_a_file_is_declared(concepts: Concepts) -> None:
    memory, _ = shape({"cups": ["a.csv"], "file": "rows.csv"}, concepts, cups="tea.Cup[]", file="native.Document")
    assert memory.root["cups"].data == [{"text": "a.csv"}]


def test_everything_wrong_is_told_at_once(concepts: Concepts) -> None:
    given = {"cupp": "x", "note": {"score": "high", "extra": 1}, "leaf": 3}
    slots = {"cup": "tea.Cup", "note": "tea.Note", "leaf": "tea.Leaf", "day": "native.Date", "more": "tea.Cup?"}
    declared = {name: Slot.parse(slot) for name, slot in slots.items()}
    with pytest.raises(InputError) as caught:
        shape_inputs(given, declared, concepts, domain="tea", strict=True)
    error = caught.value
    *lines, last, hint = error.render().splitlines()
    assert [*lines, last.removesuffix(" [input-error]")] == [
        "error: 6 things are wrong with the inputs:",
        "  - there is no input 'cupp'; did you mean 'cup'?",
        "  - input 'note' is declared as Note: note.aroma: is required and missing",
        "  - input 'note' is declared as Note: note.score: expected a whole number, found the text \"high\"",
        "  - input 'note' is declared as Note: note.extra: is not a field of Note; its fields are aroma, score, grade",
        "  - input 'leaf' is declared as Leaf: expected the url or path of an image, or an object with a url, "
        "found the number 3",
        "  - 2 inputs are missing: cup (Cup), day (Date)",
    ]
    assert hint.split("; ") == [
        "  hint: the pipe declares: cup (Cup), note (Note), leaf (Leaf), day (Date), more (Cup?)",
        'an input that fits: {"note": {"aroma": ...}}',
        'an input that fits: {"leaf": "photo.png"}',
        'give \'cup\', for instance {"cup": "some text"}',
    ]


def test_a_pipe_without_inputs(concepts: Concepts) -> None:
    assert shape({}, concepts) == (Memory(), [])
    assert refusal({"x": 1}, concepts).hint == "the pipe declares no inputs"


def test_files_are_replaced_at_any_depth(concepts: Concepts) -> None:
    tasting = {"title": "t", "notes": [], "leaf": "leaf.png"}
    page = {"text_and_images": {"images": ["one.png", "two.png"]}, "page_view": "view.png"}
    given = {
        "pages": [page],
        "tasting": tasting,
        "files": ["a.pdf"],
        "leaf": "dried.png",
        "text": "x.png",
        "any": {"url": "y"},
    }
    memory, _ = shape(
        given,
        concepts,
        pages="native.Page[]",
        tasting="tea.Tasting",
        files="native.Document[]",
        leaf="tea.Dried",
        text="native.Text",
        any="native.Dynamic",
    )
    seen: list[tuple[str, str]] = []

    def replace(url: str, kind: str) -> str:
        seen.append((url, kind))
        return f"stored:{url}"

    mapped = map_files(memory, concepts, replace)
    assert seen == [
        ("one.png", "image"),
        ("two.png", "image"),
        ("view.png", "image"),
        ("leaf.png", "image"),
        ("a.pdf", "document"),
        ("dried.png", "image"),
    ]
    assert mapped.root["files"].data[0]["url"] == "stored:a.pdf"  # type: ignore[index,call-overload]
    assert mapped.root["pages"].data[0]["page_view"]["url"] == "stored:view.png"  # type: ignore[index,call-overload]
    assert mapped.root["text"] == memory.root["text"]
    assert mapped.root["any"] == memory.root["any"]
    assert map_files(memory, concepts, lambda url, kind: url) == memory


def test_unknown_fields_of_structures_are_left_out_with_a_warning(concepts: Concepts) -> None:
    given = {"it": {"aroma": "hay", "scor": 3}, "deep": {"title": "t", "notes": [{"aroma": "x", "zzz": 1}]}}
    memory, warnings = shape(given, concepts, it="tea.Note", deep="tea.Tasting")
    assert memory.root["it"].data == NOTE
    assert warnings == [
        "input 'it': it.scor: left out: it is not a field of Note; did you mean score?",
        "input 'deep': deep.notes[0].zzz: left out: it is not a field of Note; its fields are aroma, score, grade",
    ]
    with pytest.raises(InputError, match="is not a field of Note"):
        shape_inputs(given, {"it": Slot("tea.Note"), "deep": Slot("tea.Tasting")}, concepts, domain="tea", strict=True)


@pytest.mark.parametrize(
    ("slot", "given", "expected", "told"),
    [
        ("native.Image", {"base_64": "iVBORw0"}, {"url": "data:image/png;base64,iVBORw0"}, ["base_64"]),
        ("tea.Leaf", {"base_64": "/9j/AA"}, {"url": "data:image/jpeg;base64,/9j/AA"}, ["base_64"]),
        ("native.Image", {"base_64": "data:image/gif;base64,R0"}, {"url": "data:image/gif;base64,R0"}, ["base_64"]),
        (
            "native.Image",
            {"base_64": "xx", "mime_type": "image/webp"},
            {"url": "data:image/webp;base64,xx", "mime_type": "image/webp"},
            ["base_64"],
        ),
        ("native.Image", {"base_64": "xx", "url": "a.png"}, {"url": "a.png"}, ["base_64"]),
        (
            "native.Image",
            {"url": "a.png", "size": {"width": 3, "height": 2}},
            {"url": "a.png", "width": 3, "height": 2},
            ["size"],
        ),
        ("native.Image", {"url": "a.png", "size": None, "base_64": None}, {"url": "a.png"}, []),
    ],
)
def test_older_spellings_of_images(
    concepts: Concepts, slot: str, given: Any, expected: dict[str, Any], told: list[str]
) -> None:
    memory, warnings = shape({"it": given}, concepts, it=slot)
    data = memory.root["it"].data
    assert isinstance(data, dict)
    assert {key: data[key] for key in expected} == expected
    assert [warning.split(": ")[1] for warning in warnings] == [f"it.{name}" for name in told]
    if told:
        with pytest.raises(InputError, match="is not a field of"):
            shape_inputs({"it": given}, {"it": Slot.parse(slot)}, concepts, domain="tea", strict=True)


def test_older_sources_of_an_answer_have_names(concepts: Concepts) -> None:
    sources = [{"name": "A", "url": "https://a.test/"}, {"name": "x", "title": "B", "url": "b.pdf"}]
    memory, warnings = shape({"it": {"answer": "y", "sources": sources}}, concepts, it="native.SearchResult")
    found: Any = memory.root["it"].data
    assert [(source["title"], source["mime_type"]) for source in found["sources"]] == [
        ("A", None),
        ("B", "application/pdf"),
    ]
    assert [warning.split(": ")[1] for warning in warnings] == ["it.sources[0].name", "it.sources[1].name"]


def test_an_older_native_stands_for_a_text(concepts: Concepts) -> None:
    memory, warnings = shape({"it": envelope("native.ImgGenPrompt", "a cup")}, concepts, it="native.Text")
    assert memory.root["it"] == Value(concept="native.Text", data={"text": "a cup"})
    assert warnings == ["the concept 'native.ImgGenPrompt' is an older one: write 'Text'"]
    with pytest.raises(InputError, match="there is no concept 'ImgGenPrompt'"):
        shape_inputs(
            {"it": envelope("ImgGenPrompt", "x")}, {"it": Slot("native.Text")}, concepts, domain="tea", strict=True
        )


@pytest.mark.parametrize(
    ("slot", "given", "sentence"),
    [
        ("native.YesNo", {"yes_no": True, "probability": 1.5}, "it.probability: expected at most 1, found 1.5"),
        ("native.Choice", 3, "expected the key of an option, or an object with a choice, found the number 3"),
        ("native.Choice", {"choice": "a", "confidence": -1}, "it.confidence: expected at least 0, found -1"),
        ("native.Choice", {"choice": "a", "probabilities": {"a": 2}}, "it.probabilities.a: expected at most 1"),
        ("native.Rating", -1, "expected at least 0, found -1"),
        ("native.Rating", "3", "expected the index of a level, or an object with a level"),
        ("native.Rating", {"level": True}, "it.level: expected a whole number, found true"),
        ("native.Rating", {"level": 0, "probabilities": {"a": 0.5}}, "it.probabilities.a: expected a key that matches"),
        ("native.SearchResult", "x", "expected an object with the fields answer, sources"),
        ("native.SearchResult", {"answer": "x"}, "it.sources: is required and missing"),
    ],
)
def test_the_constraints_of_natives(concepts: Concepts, slot: str, given: Any, sentence: str) -> None:
    assert sentence in refusal({"it": given}, concepts, it=slot).message


def test_components_of_a_composite_keep_their_concepts(concepts: Concepts) -> None:
    given = Value(concept="native.Composite", data={"cup": {"text": "x"}}, components={"cup": "tea.Cup"})
    memory, _ = shape({"it": given}, concepts, it="native.Composite")
    assert memory.root["it"] == given


def test_csv_files_become_rows(concepts: Concepts) -> None:
    files = {"rows.csv": "aroma,score\nhay,12\n", "a/b.CSV": "aroma\nrain\n"}
    given = {
        "light": "rows.csv",
        "object": {"url": "rows.csv"},
        "told": envelope("Verdict[]", {"url": "a/b.CSV"}),
        "path": PurePosixPath("rows.csv"),
        "cups": "rows.csv",
        "other": 3,
    }
    slots = dict.fromkeys(("light", "object", "told", "path"), Slot("tea.Note", is_list=True))
    slots["cups"] = Slot("tea.Cup", is_list=True)
    found = with_csv_rows(given, slots, concepts, domain="tea", read=files.__getitem__)
    memory, _ = shape_inputs({**found, "other": "x"}, {**slots, "other": Slot("native.Text")}, concepts, domain="tea")
    for name in ("light", "object", "path"):
        assert memory.root[name] == Value(concept="tea.Note", data=[{"aroma": "hay", "score": 12, "grade": None}])
    assert memory.root["told"].concept == "tea.Verdict"
    assert found["cups"] == "rows.csv"
    assert found["other"] == 3


def test_what_is_wrong_in_csv_files(concepts: Concepts) -> None:
    texts = {"bad.csv": "aroma,score\nhay,many\n"}
    slots = {"it": Slot("tea.Note", is_list=True), "deep": Slot("tea.Tasting", is_list=True)}
    with pytest.raises(InputError) as caught:
        with_csv_rows({"it": "bad.csv", "deep": "bad.csv"}, slots, concepts, domain="tea", read=texts.__getitem__)
    assert "read from bad.csv: row 2, column score: expected a whole number, found" in caught.value.message
    assert "Tasting: a cell of a CSV file holds one plain value" in caught.value.message
    with pytest.raises(InputError, match="local files only"):
        with_csv_rows({"it": "https://x.test/a.csv"}, slots, concepts, domain="tea", read=texts.__getitem__)
