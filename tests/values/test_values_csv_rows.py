from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelex.values.concepts import Concept, Concepts, Field, FieldType
from pipelex.values.csv_rows import csv_from_rows, rows_from_csv
from pipelex.values.decode import Mismatch, decode
from pipelex.values.slots import Slot

FIELDS = {
    "name": Field(description="d", required=True),
    "count": Field(description="d", type=FieldType.INTEGER),
    "share": Field(description="d", type=FieldType.NUMBER),
    "is_new": Field(description="d", type=FieldType.BOOLEAN),
    "day": Field(description="d", type=FieldType.DATE),
    "at": Field(description="d", type=FieldType.DATETIME),
    "hour": Field(description="d", type=FieldType.TIME),
    "size": Field(description="d", choices=("small", "large")),
    "stars": Field(description="d", type=FieldType.INTEGER, choices=("1", "2")),
}
EMPTY: dict[str, Any] = dict.fromkeys(FIELDS)
ROWS = Concepts(
    {
        "a.Row": Concept(ref="a.Row", description="d", fields=FIELDS),
        "a.Kind": Concept(ref="a.Kind", description="d", refines="a.Row"),
        "a.Word": Concept(ref="a.Word", description="d", fields={"word": Field(description="d")}),
        "a.Deep": Concept(
            ref="a.Deep",
            description="d",
            fields={
                "row": Field(description="d", type=FieldType.CONCEPT, concept="a.Row"),
                "tags": Field(description="d", type=FieldType.LIST),
            },
        ),
    }
)


def refused(text: str, concept: str = "a.Row") -> list[str]:
    with pytest.raises(Mismatch) as caught:
        rows_from_csv(text, concept, ROWS)
    return caught.value.problems


def test_cells_become_what_their_fields_declare() -> None:
    text = (
        "count,name,share,is_new,day,at,hour,size,stars\r\n"
        '12," tea, ""green""\nand black ",0.50,TRUE,2031-02-03,2031-02-03T10:00,14:30,small,2\r\n'
        ",x,,,,,,,\r\n"
    )
    assert rows_from_csv(text, "a.Row", ROWS) == [
        {
            "name": ' tea, "green"\nand black ',
            "count": 12,
            "share": 0.5,
            "is_new": True,
            "day": "2031-02-03",
            "at": "2031-02-03T10:00:00",
            "hour": "14:30:00",
            "size": "small",
            "stars": 2,
        },
        {**EMPTY, "name": "x"},
    ]


@pytest.mark.parametrize("text", ["name\nx\n", "\ufeffname\r\nx", "name\n\nx\n\n"])
def test_columns_may_be_missing_and_lines_blank(text: str) -> None:
    assert rows_from_csv(text, "a.Kind", ROWS) == [{**EMPTY, "name": "x"}]


def test_a_header_alone_is_an_empty_list() -> None:
    assert rows_from_csv("name,count\n", "a.Row", ROWS) == []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [f"row 1: there is no header; the columns of Row are {', '.join(FIELDS)}"]),
        ("name,cuont\nx,1\n", ["row 1, column cuont: is not a field of Row; did you mean count?"]),
        ("name,Name\nx,1\n", ["row 1, column Name: is not a field of Row; did you mean name?"]),
        ("name,name\nx,1\n", ["row 1, column name: is there twice"]),
        ("count\n1\n", ["row 1: the column name is required and missing"]),
        ("name,count\nx,1\ny\n", ["row 3: has 1 cell, and the header has 2"]),
        ("name,count\nx,1,2\n", ["row 2: has 3 cells, and the header has 2"]),
        ("name,count\nx,1\ny,many\n", ['row 3, column count: expected a whole number, found the text "many"']),
        ("name,count\nx,1.5\n", ["row 2, column count: expected a whole number, found the number 1.5"]),
        ("name,size\nx,medium\n", ['row 2, column size: expected one of small, large, found the text "medium"']),
        ("name,count\n,1\n", ["row 2, column name: is required and null"]),
        ('name\n"x\n', ["row 2: is not CSV: unexpected end of data"]),
    ],
)
def test_what_is_wrong_is_told_with_row_and_column(text: str, problems: list[str]) -> None:
    assert refused(text) == problems


def test_many_problems_are_cut_short() -> None:
    problems = refused("name,count\n" + "x,many\n" * 100)
    assert len(problems) == 21
    assert problems[-1] == "and 80 more like these"


@pytest.mark.parametrize("concept", ["a.Deep", "native.Text", "native.Image", "native.Anything"])
def test_only_flat_structures_have_rows(concept: str) -> None:
    for attempt in (lambda: rows_from_csv("name\n", concept, ROWS), lambda: csv_from_rows([], concept, ROWS)):
        with pytest.raises(Mismatch):
            attempt()
    if concept == "a.Deep":
        assert refused("row\n", concept)[0].endswith("it has: row (concept), tags (list)")


def test_rows_are_written_in_order_of_declaration() -> None:
    rows: list[Any] = [{**EMPTY, "name": 'a,"b"', "is_new": False, "share": 4.5, "count": 3}]
    text = csv_from_rows(rows, "a.Row", ROWS)
    assert text == 'name,count,share,is_new,day,at,hour,size,stars\r\n"a,""b""",3,4.5,false,,,,,\r\n'
    with pytest.raises(Mismatch, match="row 2: is a list"):
        csv_from_rows([rows], "a.Row", ROWS)


CELLS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "name": CELLS,
                "count": st.none() | st.integers(-(10**20), 10**20),
                "share": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "is_new": st.none() | st.booleans(),
                "day": st.none() | st.dates().map(lambda day: day.isoformat()),
                "size": st.sampled_from([None, "small", "large"]),
            }
        ),
        max_size=4,
    )
)
def test_rows_survive_a_file(rows: list[Any]) -> None:
    fitted: Any = decode(rows, Slot("a.Row", is_list=True), ROWS)
    assert rows_from_csv(csv_from_rows(fitted, "a.Row", ROWS), "a.Row", ROWS) == fitted


@settings(max_examples=50, deadline=None)
@given(words=st.lists(st.none() | CELLS, max_size=4))
def test_a_single_column_keeps_its_empty_cells(words: list[str | None]) -> None:
    rows: list[Any] = [{"word": word} for word in words]
    assert rows_from_csv(csv_from_rows(rows, "a.Word", ROWS), "a.Word", ROWS) == rows


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40) | st.text(alphabet='name,count\n\r"1 ', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rows = rows_from_csv(text, "a.Row", ROWS)
    except Mismatch:
        return
    assert all(set(row) == set(FIELDS) for row in rows)
