from __future__ import annotations

from typing import Any

import pytest

from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.decode import Mismatch, decode, describe, from_text
from pipelex.values.slots import Slot

FULL_NOTE = {"aroma": "hay", "score": None, "grade": None}


@pytest.mark.parametrize(
    ("slot", "given", "expected"),
    [
        ("native.Text", "hello", {"text": "hello"}),
        ("tea.Cup", "oolong", {"text": "oolong"}),
        ("tea.Cup", {"text": "oolong"}, {"text": "oolong"}),
        ("native.Number", 4, {"number": 4}),
        ("native.Number", {"number": 4.5}, {"number": 4.5}),
        ("native.YesNo", False, {"yes_no": False, "probability": None}),
        ("native.Date", "2031-02-03", {"date": "2031-02-03", "time": None}),
        ("native.Date", "2031-02-03T14:30", {"date": "2031-02-03", "time": "14:30:00"}),
        ("native.Date", {"date": "2031-02-03T14:30"}, {"date": "2031-02-03", "time": None}),
        ("native.Time", "14:30", {"time": "14:30:00"}),
        ("native.Html", "<p>x</p>", {"inner_html": "<p>x</p>", "css_class": None}),
        ("native.JSON", {"a": [1]}, {"json_obj": {"a": [1]}}),
        ("native.JSON", {"json_obj": {"a": 1}}, {"json_obj": {"a": 1}}),
        ("native.Anything", "free", {"text": "free"}),
        ("native.Anything", [1, True], [{"number": 1}, {"yes_no": True}]),
        ("native.Dynamic", {"any": {"thing": 1}}, {"any": {"thing": 1}}),
        ("native.Composite", {"part": {"text": "x"}}, {"part": {"text": "x"}}),
        ("tea.Note", {"score": 3.0, "aroma": "hay"}, {"aroma": "hay", "score": 3, "grade": None}),
        ("tea.Note", {"aroma": {"text": "hay"}, "score": {"number": 2}}, {"aroma": "hay", "score": 2, "grade": None}),
        ("tea.Verdict", {"aroma": "hay"}, FULL_NOTE),
        ("tea.Steep", {"minutes": 3}, {"minutes": 3, "again": False}),
        ("tea.Steep", {"minutes": 3, "again": None}, {"minutes": 3, "again": False}),
        ("tea.Steep", {"minutes": 3, "again": {"yes_no": True, "probability": 0.7}}, {"minutes": 3, "again": True}),
        ("tea.Steep", {"minutes": {"level": 2, "label": "low"}}, {"minutes": 2, "again": False}),
        ("tea.Note[]", {"items": [{"aroma": "hay"}]}, [FULL_NOTE]),
        ("tea.Cup[]", [["a", "b"], ["c"]], [[{"text": "a"}, {"text": "b"}], [{"text": "c"}]]),
        ("tea.Cup[2]", [["a"], ["b", "c", "d"]], [[{"text": "a"}], [{"text": "b"}, {"text": "c"}, {"text": "d"}]]),
        ("tea.Cup?", None, None),
    ],
)
def test_what_fits_is_normalised(concepts: Concepts, slot: str, given: Any, expected: Any) -> None:
    found = decode(given, Slot.parse(slot), concepts)
    assert found == expected
    assert decode(found, Slot.parse(slot), concepts) == expected


def test_fields_come_in_order_of_declaration(concepts: Concepts) -> None:
    found = decode({"notes": [], "day": "2031-02-03T10:00:00Z", "title": "t"}, Slot("tea.Tasting"), concepts)
    assert isinstance(found, dict)
    assert list(found) == list(concepts.structure("tea.Tasting"))
    assert found["day"] == "2031-02-03"


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("starts", "2031-02-03 10:00", "2031-02-03T10:00:00"),
        ("starts", "2031-02-03T10:00:00+00:00", "2031-02-03T10:00:00Z"),
        ("starts", "2031-02-03T10:00:00.5+02:00", "2031-02-03T10:00:00.500000+02:00"),
        ("hour", "10:00:01", "10:00:01"),
        ("stars", "2", 2),
        ("stars", 3.0, 3),
        ("loose", [1, "x", {"y": None}], [1, "x", {"y": None}]),
        ("tags", {"items": ["a"]}, ["a"]),
        ("tags", [{"text": "a"}], ["a"]),
        ("title", {"choice": "a", "confidence": 0.5, "probabilities": None}, "a"),
        ("day", {"date": "2031-02-03", "time": "10:00:00"}, "2031-02-03"),
        ("cup", "oolong", {"text": "oolong"}),
        ("weights", {"x": 1.5}, {"x": 1.5}),
    ],
)
def test_fields_are_read_leniently(concepts: Concepts, field: str, given: Any, expected: Any) -> None:
    found = decode({"title": "t", "notes": [], field: given}, Slot("tea.Tasting"), concepts)
    assert isinstance(found, dict)
    assert found[field] == expected


@pytest.mark.parametrize(
    ("field", "given", "sentence"),
    [
        ("title", 3, "title: expected a text, found the number 3"),
        ("day", 20310203, "day: expected a date such as 2031-02-03, found the number 20310203"),
        ("day", "2031-02-30", 'day: expected a date such as 2031-02-03, found the text "2031-02-30"'),
        ("day", "20310203", 'day: expected a date such as 2031-02-03, found the text "20310203"'),
        ("starts", "2031-02-03", "starts: expected a date and time such as 2031-02-03T14:30:00, found the text "),
        ("hour", "25:00", 'hour: expected a time such as 14:30, found the text "25:00"'),
        ("stars", 4, "stars: expected one of 1, 2, 3, found the number 4"),
        ("stars", True, "stars: expected one of 1, 2, 3, found true"),
        ("tags", "a", 'tags: expected a list, found the text "a"'),
        ("tags", ["a", 1, None], "tags[1]: expected a text, found the number 1"),
        ("notes", [{"aroma": "x", "score": "high"}], 'notes[0].score: expected a whole number, found the text "high"'),
        ("notes", [{"aroma": "x", "score": 2.5}], "notes[0].score: expected a whole number, found the number 2.5"),
        ("notes", [{"aroma": "x", "grade": "mid"}], 'notes[0].grade: expected one of low, high, found the text "mid"'),
        ("cup", 3, "cup: expected a text, found the number 3"),
        ("leaf", {"url": "x.png", "width": 3}, "leaf.width: width and height go together: give both or neither"),
        ("leaf", {"url": "x.png", "width": 0, "height": 2}, "leaf.width: expected at least 1, found 0"),
        ("weights", {"x": True}, "weights.x: expected a number, found true"),
        ("weights", {"x": float("nan")}, "weights.x: expected a number, found the number nan"),
        ("titel", "x", "titel: is not a field of Tasting; did you mean title?"),
    ],
)
def test_what_does_not_fit_is_named(concepts: Concepts, field: str, given: Any, sentence: str) -> None:
    with pytest.raises(Mismatch) as caught:
        decode({"title": "t", "notes": [], field: given}, Slot("tea.Tasting"), concepts)
    assert caught.value.problems[0].startswith(sentence)


@pytest.mark.parametrize(
    ("slot", "given", "sentence"),
    [
        ("tea.Cup", None, "value: expected a text, found null"),
        ("tea.Cup", ["a"], "value: expected a text, found a list of 1 item"),
        ("tea.Leaf", 3, "value: expected the url or path of an image, or an object with a url, found the number 3"),
        ("native.YesNo", "yes", 'value: expected true or false, found the text "yes"'),
        ("native.YesNo", 1, "value: expected true or false, found the number 1"),
        ("native.Number", True, "value: expected a number, found true"),
        ("native.Date", 3, "value: expected a date such as 2031-02-03, found the number 3"),
        ("native.Composite", "x", 'value: expected an object of named components, found the text "x"'),
        ("native.Anything", None, "value: expected a content, found null"),
        ("tea.Note", "x", 'value: expected an object with the fields aroma, score, grade, found the text "x"'),
        ("tea.Note[]", {"aroma": "x"}, "value: expected a list of Note, found an object with the keys aroma"),
        ("tea.Cup[3]", ["x"], "value: expected a list of exactly 3 Cup, found a list of 1 item"),
        ("tea.Cup[]", ["x", None], "[1]: expected a text, found null"),
    ],
)
def test_whole_values_that_do_not_fit(concepts: Concepts, slot: str, given: Any, sentence: str) -> None:
    with pytest.raises(Mismatch) as caught:
        decode(given, Slot.parse(slot), concepts)
    assert caught.value.problems == [sentence]


def test_all_problems_come_at_once(concepts: Concepts) -> None:
    given: Any = {"day": "never", "notes": [{"aroma": "x"}, {"score": 1}, {"aroma": "x", "score": "y"}], "extra": 1}
    with pytest.raises(Mismatch) as caught:
        decode(given, Slot("tea.Tasting"), concepts, path="tasting")
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "tasting.title",
        "tasting.day",
        "tasting.notes[1].aroma",
        "tasting.notes[2].score",
        "tasting.extra",
    ]


def test_nesting_is_bounded(concepts: Concepts) -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    with pytest.raises(Mismatch, match="nested more than 32 deep"):
        decode(deep, Slot("tea.Cup", is_list=True), concepts)


def test_data_given_is_left_alone(concepts: Concepts) -> None:
    given: Any = {"title": "t", "notes": [{"aroma": "x"}]}
    decode(given, Slot("tea.Tasting"), concepts)
    assert given == {"title": "t", "notes": [{"aroma": "x"}]}


@pytest.mark.parametrize(
    ("type", "text", "expected"),
    [
        ("text", "  kept ", "  kept "),
        ("integer", " 12\n", 12),
        ("number", "12.50", 12.5),
        ("number", "a dozen", "a dozen"),
        ("number", "nan", "nan"),
        ("integer", "1_000", "1_000"),
        ("number", "", None),
        ("boolean", "True", True),
        ("boolean", "maybe", "maybe"),
        ("date", " 2031-02-03 ", "2031-02-03"),
    ],
)
def test_rendered_texts_become_scalars(type: str, text: str, expected: Any) -> None:
    assert from_text(text, Field(description="x", type=FieldType(type))) == expected


def test_long_data_is_described_in_short() -> None:
    assert describe("x" * 100) == f'the text "{"x" * 37}..."'
    assert describe({str(n): n for n in range(10)}) == "an object with the keys 0, 1, 2, 3, 4, 5, 6, 7, ..."
    assert [describe([]), describe({}), describe([1, 2])] == ["an empty list", "an empty object", "a list of 2 items"]


@pytest.mark.parametrize("data", [{"a": [float("inf")]}, {"a": {"b": float("nan")}}, {"a": "\ud83d"}, {"\ud83d": 1}])
@pytest.mark.parametrize("concept", ["native.JSON", "native.Composite", "native.Anything"])
def test_what_no_file_can_hold_is_refused_where_nothing_describes_it(data: Any, concept: str) -> None:
    with pytest.raises(Mismatch):
        decode(data, Slot(concept), Concepts({}))


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(Mismatch, match="half a character"):
        decode("\ud83d", Slot("native.Text"), Concepts({}))
