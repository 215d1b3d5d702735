"""The function of the method beside this file: it counts, so that no model has to."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date

from pipelex import WorkingMemory, pipe_func

Rows = dict[int, dict[str, str]]
"""The rows by the line of the file on which they end."""

SHOWN = 4
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


@pipe_func
def count_breaches(working_memory: WorkingMemory) -> dict[str, object]:
    """Check every row against every rule; what is returned is fitted to the output concept, Findings."""
    rows = read_rows("\n".join(texts(working_memory)))
    rules = working_memory.get_stuff("rules").data
    broken = [(rule, breaking(rows, rule)) for rule in rules]
    return {
        "rows": len(rows),
        "bad_rows": len({number for _, found in broken for number in found}),
        "columns": [counted(name, rows) for name in columns(rows)],
        "breaches": [told(rule, found) for rule, found in broken if found],
    }


def texts(working_memory: WorkingMemory) -> Iterator[str]:
    """The text of each page that was read."""
    for page in working_memory.get_stuff("pages").data:
        yield page["text_and_images"]["text"]["text"]


def read_rows(text: str) -> Rows:
    """The rows of the file; a short row has empty values."""
    reader, rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), restval=""), Rows()
    for row in reader:
        rows[reader.line_num] = {name: row[name].strip() for name in reader.fieldnames or ()}
    return rows


def columns(rows: Rows) -> list[str]:
    """The names of the columns."""
    return list(next(iter(rows.values()), {}))


def breaking(rows: Rows, rule: dict[str, object]) -> dict[int, str]:
    """The values that break a rule, by their line. Only `present` minds empty ones."""
    column = str(rule["column"])
    if rows and column not in columns(rows):
        raise ValueError(f"a rule names the column {column!r}; the file has {', '.join(columns(rows))}")
    values = {line: row[column] for line, row in rows.items()}
    fits = test_of(rule, Counter(values.values()))
    is_due = rule["must_be"] == "present"
    return {line: value for line, value in values.items() if (value or is_due) and not fits(value)}


def test_of(rule: dict[str, object], seen: Counter[str]) -> Callable[[str], bool]:
    """What a value must pass."""
    match rule["must_be"]:
        case "present":
            return bool
        case "unique":
            return lambda value: seen[value] == 1
        case "number":
            return lambda value: re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
        case "date":
            return is_date
        case "email":
            return lambda value: EMAIL.fullmatch(value) is not None
        case _:
            allowed = rule["values"] or []
            return lambda value: value in allowed


def is_date(value: str) -> bool:
    """Whether a value is a day of the calendar, written YYYY-MM-DD."""
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def counted(name: str, rows: Rows) -> dict[str, object]:
    """One column; numbers are compared as numbers where all are."""
    values = [row[name] for row in rows.values() if row[name]]
    try:
        ordered = sorted(values, key=float)
    except ValueError:
        ordered = sorted(values)
    ends = (ordered[0], ordered[-1]) if ordered else ("", "")
    return {
        "name": name,
        "filled": len(values),
        "distinct": len(set(values)),
        "lowest": ends[0],
        "highest": ends[1],
    }


def told(rule: dict[str, object], found: dict[int, str]) -> dict[str, object]:
    """A broken rule with a few of the values."""
    words = {"one_of": "one of " + ", ".join(rule["values"] or []), "number": "a number", "date": "a date"}
    words["email"] = "an e-mail address"
    must_be = str(rule["must_be"])
    return {
        "column": rule["column"],
        "rule": f"must be {words.get(must_be, must_be)}",
        "count": len(found),
        "examples": [f"line {line}: {value or '(empty)'}" for line, value in list(found.items())[:SHOWN]],
    }
