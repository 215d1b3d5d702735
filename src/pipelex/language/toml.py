"""TOML texts read with errors that point into them. Pure; used for `.mthds` files and for configuration files."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from pipelex.errors import LanguageError
from pipelex.language.positions import problem_on

_PLACE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL)

_MENDING = (
    ("Cannot overwrite", "a key may be written once in its table"),
    ("Cannot declare", "this table is already defined above: merge the two, or rename one"),
    ("Illegal character '\\n'", "the closing quote is missing, or a text of several lines needs triple quotes"),
    ("Unterminated string", "the closing quotes are missing"),
    ("Unescaped '\\'", "write two backslashes, or use single quotes, where a backslash is an ordinary character"),
    ("Expected '='", "write `key = value`; a key with spaces or dots in it needs quotes"),
    ("Invalid value", "a value is missing here, or a text without quotes"),
    ("Expected newline or end of document", "one `key = value` a line"),
)


def read_toml(text: str, source: str) -> dict[str, Any]:
    """Read a TOML text. Raises LanguageError with one problem, `toml_parse_error`, at the place of the mistake."""
    text = text.removeprefix("\ufeff")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.match(str(error))
        what = found["what"] if found else str(error)
        place = (int(found["line"]), int(found["column"])) if found and found["line"] else _end(text)
    except ValueError:
        what, place = "A number has too many digits", (1, 1)
    except RecursionError:
        what, place = "Tables or arrays are nested too deeply", (1, 1)
    hint = _hint(what, text, place)
    problem = problem_on(source, text, place, "toml_parse_error", f"not valid TOML: {_lower(what)}", hint=hint)
    raise LanguageError(f"{source} is not valid TOML", problems=[problem], where=problem.place, hint=hint)


def _hint(what: str, text: str, place: tuple[int, int]) -> str | None:
    lines = text.split("\n")
    line = lines[place[0] - 1].rstrip("\r") if place[0] <= len(lines) else ""
    if what.startswith(("Invalid initial character", "Unclosed inline table")) and place[1] > len(line):
        return "an inline table { … } stays on one line; use a [table] instead, or break inside an array"
    return next((hint for start, hint in _MENDING if what.startswith(start)), None)


def _end(text: str) -> tuple[int, int]:
    """The place just after the last character that is not blank."""
    end = len(text.rstrip())
    return text.count("\n", 0, end) + 1, end - text.rfind("\n", 0, end)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
