"""What is found wrong while reading one file, gathered so that everything is told at once. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from math import isfinite
from typing import Any

from pydantic import JsonValue, ValidationError

from pipelex.errors import Problem
from pipelex.language.positions import problem_at

Path = tuple[str | int, ...]

SNAKE = re.compile(r"[a-z][a-z0-9_]*")
DOTTED = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
"""A path into a value in memory: no index, no segment that starts with an underscore."""

_CONCEPT = re.compile(r"(?:[a-z][a-z0-9_]*\.)*[A-Z][a-zA-Z0-9]*")
_PIPE = re.compile(r"(?:[a-z][a-z0-9_]*\.)*[a-z][a-z0-9_]*")
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+)/[A-Za-z0-9._/-]+")

LEGACY = "legacy_spelling"
"""The code of what only older versions of the language know, where no rule names another code."""

TEXT_INTENTS = ("prose", "label")
NUMBER_INTENTS = ("rating", "quantity")
INTENTS = (*TEXT_INTENTS, *NUMBER_INTENTS)

_KINDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "dict_type": "a table",
    "tuple_type": "an array",
    "model_type": "a table",
}


class Findings:
    """The errors and warnings of one file. Each is a Problem at a key path. `strict` refuses what is only dated."""

    def __init__(self, source: str, text: str, *, strict: bool = False) -> None:
        self.source = source
        self.text = text
        self.strict = strict
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        """Note something that makes the file unusable."""
        self.errors.append(problem_at(self.source, self.text, path, code, message, hint=hint))

    def warn(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        """Note something that is accepted, and that the author should mend."""
        found = problem_at(self.source, self.text, path, code, message, hint=hint, is_warning=True)
        self.warnings.append(found)

    def dated(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        """Note something that only the standard profile accepts: a warning there, an error in the strict one."""
        (self.error if self.strict else self.warn)(path, code, message, hint)

    def close_keys(
        self, table: Mapping[str, Any], known: Collection[str], path: Path, what: str, code: str = "unknown_key"
    ) -> dict[str, Any]:
        """The table without the keys that are not known, each of which is noted."""
        kept: dict[str, Any] = {}
        for key, value in table.items():
            if key in known:
                kept[key] = value
            else:
                hint = did_you_mean(key, known) or f"the keys are {', '.join(known)}"
                self.error((*path, key), code, f"{what} has no key '{key}'", hint)
        return kept

    def text_at(self, value: object, path: Path, code: str, what: str) -> str | None:
        """The value if it is a text; noted otherwise."""
        if isinstance(value, str):
            return value
        self.error(path, code, f"{what} must be a text, not {spoken(value)}")
        return None

    def table_at(self, value: object, path: Path, code: str, what: str) -> dict[str, Any] | None:
        """The value if it is a table; noted otherwise."""
        if isinstance(value, dict):
            return value
        self.error(path, code, f"{what} must be a table, not {spoken(value)}")
        return None

    def concept_ref(self, value: object, path: Path, code: str, what: str) -> str | None:
        """A reference to a concept, as written (MTHDS section 3.1)."""
        ref = self.text_at(value, path, code, what)
        if ref is None or is_concept_ref(ref):
            return ref
        hint = "a concept code is PascalCase, with an optional domain before it: `Note`, `tea.tasting.Note`"
        close = f"; did you mean '{ref[:1].upper()}{ref[1:]}'?" if ref.isidentifier() else ""
        hint = _PACKAGE_HINT if "->" in ref else hint + close
        self.error(path, code, f"{what}: {ref!r} is not a concept reference", hint)
        return None

    def pipe_ref(self, value: object, path: Path, what: str) -> str | None:
        """A reference to a pipe, as written (MTHDS section 3.1)."""
        ref = self.text_at(value, path, "blueprint_validation", what)
        if ref is None or _is_ref(ref, _PIPE):
            return ref
        hint = "a pipe code is snake_case, with an optional domain before it: `rate_cup`, `tea.tasting.rate_cup`"
        hint = _PACKAGE_HINT if "->" in ref else hint
        self.error(path, "invalid_pipe_code_syntax", f"{what}: {ref!r} is not a pipe reference", hint)
        return None

    def stored_name(self, name: object, path: Path, what: str) -> None:
        """A name that a value is stored under: odd ones are an old habit, `_bound_` is reserved (rule 34)."""
        if not isinstance(name, str) or SNAKE.fullmatch(name):
            return
        message = f"{what}: '{name}' is not a plain name"
        hint = "a name is snake_case, and does not start with an underscore"
        if name.startswith("_bound_") or not name:
            self.error(path, "invalid_input_name", message, hint)
        else:
            self.dated(path, "invalid_input_name", message, hint)

    def hints_at(self, value: object, path: Path, code: str) -> dict[str, str]:
        """A flat map of intent hints; unknown words are kept, with a warning (MTHDS section 4.6)."""
        if not isinstance(value, dict) or not all(isinstance(word, str) for word in value.values()):
            self.error(path, code, 'hints must be a flat table of texts, such as { intent = "prose" }')
            return {}
        for key, word in value.items():
            if key != "intent":
                self.warn((*path, key), "hint_unknown_key", f"no hint is called '{key}'", did_you_mean(key, ["intent"]))
            elif word not in INTENTS:
                hint = did_you_mean(word, INTENTS) or f"the intents are {', '.join(INTENTS)}"
                self.warn((*path, key), "hint_unknown_intent", f"no intent is called '{word}'", hint)
        return value

    def json_at(self, value: object, path: Path, code: str) -> JsonValue:
        """A TOML value as JSON: dates and times become ISO texts; nan and inf are refused."""
        match value:
            case dict():
                return {key: self.json_at(item, (*path, key), code) for key, item in value.items()}
            case list():
                return [self.json_at(item, (*path, index), code) for index, item in enumerate(value)]
            case float() if not isfinite(value):
                self.error(path, code, f"{value} cannot be used as a value: JSON has no such number")
                return None
            case date() | time():
                return value.isoformat()
            case str() | bool() | int() | float():
                return value
            case _:
                self.error(path, code, f"{spoken(value)} cannot be used as a value")
                return None

    def invalid(self, error: ValidationError, path: Path, what: str, codes: Mapping[str, str]) -> None:
        """Note everything pydantic found; `codes` gives the code of keys that have their own."""
        for found in error.errors(include_url=False, include_context=True):
            loc = tuple(part for part in found["loc"] if not _is_union_branch(part))
            key = str(loc[0]) if loc else ""
            kind, context = found["type"], found.get("ctx", {})
            code = codes.get(key, "blueprint_validation")
            name = ".".join(str(part) for part in loc)
            if kind == "missing":
                owner = what if len(loc) < 2 else f"{what}: {'.'.join(str(part) for part in loc[:-1])}"
                self.error((*path, *loc), "missing_key", f"{owner} has no '{loc[-1]}'", f"add `{loc[-1]} = …`")
            elif kind == "extra_forbidden":
                self.error((*path, *loc), "unknown_key", f"{what} has no key '{name}'")
            elif kind == "literal_error":
                hint = did_you_mean(str(found["input"]), re.findall(r"'([^']*)'", context["expected"]))
                self.error((*path, *loc), code, f"{what}: '{name}' must be {context['expected']}", hint)
            elif kind in _KINDS:
                message = f"{what}: '{name}' must be {_KINDS[kind]}, not {spoken(found['input'])}"
                self.error((*path, *loc), code, message)
            elif kind == "string_too_short":
                self.error((*path, *loc), code, f"{what}: '{name}' must not be empty")
            else:
                message = found["msg"].removeprefix("Value error, ").removeprefix("Input should ")
                self.error((*path, *loc), code, f"{what}: '{name}' should {message}")


_PACKAGE_HINT = (
    "before '->' goes an alias of METHODS.toml or the address of a package: `kit->tea.Cup`, `tea.org/kit->tea.Cup`"
)


def is_concept_ref(ref: str) -> bool:
    """Whether a text is a reference to a concept: `Note`, `tea.Note`, `kit->tea.Note`, `tea.org/kit->tea.Note`."""
    return _is_ref(ref, _CONCEPT)


def _is_ref(ref: str, rest: re.Pattern[str]) -> bool:
    package, arrow, within = ref.partition("->")
    if not arrow:
        return rest.fullmatch(ref) is not None
    address = _ADDRESS.fullmatch(package)
    is_package = SNAKE.fullmatch(package) or (address and "." in address["host"].strip("."))
    return bool(is_package and rest.fullmatch(within))


def _is_union_branch(part: int | str) -> bool:
    return isinstance(part, str) and (part == "str" or part.startswith("dict["))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the closest known word, if one is close."""
    close = get_close_matches(word, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else None


def spoken(value: object) -> str:
    """The kind of a TOML value, in words."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "a table"
        case date() | time():
            return "a date or a time"
        case _:
            return type(value).__name__


def sorted_by_place(problems: Sequence[Problem]) -> list[Problem]:
    """The problems in the order of the file."""
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))
