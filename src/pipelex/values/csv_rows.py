"""Rows of CSV text as contents of a flat structure, and back (MTHDS section 14.6). Pure: others read the files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import JsonValue

from pipelex.values.concepts import Concepts, Field, FieldType
from pipelex.values.decode import Mismatch, decode, from_text
from pipelex.values.slots import Slot

_MANY = (FieldType.LIST, FieldType.DICT, FieldType.CONCEPT)
_MOST_PROBLEMS = 20


def rows_from_csv(text: str, concept: str, concepts: Concepts) -> list[dict[str, JsonValue]]:
    """Read the rows of a CSV text whose header names fields of the concept, in any order; an empty cell is null.

    Raises Mismatch, with the row as a spreadsheet counts it (the header is row 1) and the column of what is wrong.
    """
    fields = flat_fields(concept, concepts)
    lines = _lines(text.removeprefix("\ufeff"))
    header = next(lines, (1, []))[1]
    problems = _header_problems(header, fields, concepts[concept].code)
    if problems:
        raise Mismatch(problems)
    rows: list[dict[str, JsonValue]] = []
    for number, cells in lines:
        if len(cells) != len(header):
            problems.append(f"row {number}: has {_count(cells, 'cell')}, and the header has {len(header)}")
            continue
        given = {name: _read(cell, fields[name]) for name, cell in zip(header, cells, strict=True)}
        try:
            row = decode(given, Slot(concept), concepts)
        except Mismatch as mismatch:
            problems += [f"row {number}, column {problem}" for problem in mismatch.problems]
        else:
            rows += [row] if isinstance(row, dict) else []
    if problems:
        rest = len(problems) - _MOST_PROBLEMS
        raise Mismatch(problems[:_MOST_PROBLEMS] + ([f"and {rest} more like these"] if rest > 0 else []))
    return rows


def csv_from_rows(rows: Sequence[JsonValue], concept: str, concepts: Concepts) -> str:
    """Write contents of a flat structure as CSV, a column a field in order of declaration; null is an empty cell.

    Lines end with CR LF, as the standard of CSV has it. Raises Mismatch when the rows are not flat.
    """
    fields = flat_fields(concept, concepts)
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(fields)
    for number, row in enumerate(rows, 2):
        if not isinstance(row, dict):
            raise Mismatch([f"row {number}: is a list, and a row is one {concepts[concept].code}"])
        writer.writerow([_write(row.get(name)) for name in fields])
    return written.getvalue()


def flat_fields(concept: str, concepts: Concepts) -> dict[str, Field]:
    """The fields of a concept that a row can hold: a structure of scalars. Raises Mismatch for any other concept."""
    root = concepts[concepts.root(concept)]
    code = concepts[concept].code
    if root.fields is None or root.ref.startswith("native."):
        raise Mismatch([f"{code}: is not a structure with fields, which the columns of a CSV file need"])
    nested = [f"{name} ({field.type.value})" for name, field in root.fields.items() if field.type in _MANY]
    if nested:
        raise Mismatch([f"{code}: a cell of a CSV file holds one plain value, and it has: {', '.join(nested)}"])
    return root.fields


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with their numbers."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Mismatch([f"row {number + 1}: is not CSV: {error}"]) from None
        number += 1
        if cells:
            yield number, cells


def _header_problems(header: list[str], fields: dict[str, Field], code: str) -> list[str]:
    if not header:
        return [f"row 1: there is no header; the columns of {code} are {', '.join(fields)}"]
    problems = []
    for index, name in enumerate(header):
        if name not in fields:
            close = get_close_matches(name.strip(), fields, n=1)
            rest = f"did you mean {close[0]}?" if close else f"its fields are {', '.join(fields)}"
            problems.append(f"row 1, column {name or index + 1}: is not a field of {code}; {rest}")
        elif name in header[:index]:
            problems.append(f"row 1, column {name}: is there twice")
    missing = [name for name, field in fields.items() if field.required and name not in header]
    return problems + [f"row 1: the column {name} is required and missing" for name in missing]


def _read(cell: str, field: Field) -> JsonValue:
    return None if cell == "" else from_text(cell, field)


def _write(data: JsonValue) -> str:
    if data is None or isinstance(data, bool):
        return {None: "", True: "true", False: "false"}[data]
    return str(data)


def _count(cells: Sequence[str], noun: str) -> str:
    return f"{len(cells)} {noun}{'s' if len(cells) > 1 else ''}"
