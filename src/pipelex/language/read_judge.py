"""The questions of a PipeJudge, in their single and their named form (MTHDS section 9.8). Pure."""

from __future__ import annotations

from typing import Any

from pipelex.language.findings import LEGACY, Findings, Path, did_you_mean, spoken
from pipelex.language.pipes import Level, Question

INVALID = "pipe_validation"

KIND_KEYS = ("options", "levels", "criteria", "threshold")
"""The keys that say which kind of answer a question wants."""


def read_questions(table: dict[str, Any], path: Path, what: str, findings: Findings) -> None:
    """Rewrite `question` with its kind keys, or `questions`, as Questions; what is wrong is noted."""
    kind = {key: table.pop(key) for key in KIND_KEYS if key in table}
    single, several = table.pop("question", None), table.pop("questions", None)
    if (single is None) == (several is None):
        there = "neither 'question' nor 'questions'" if single is None else "both 'question' and 'questions'"
        findings.error(path, INVALID, f"{what} has {there}", "keep exactly one of them")
    elif several is not None:
        for key in kind:
            message = f"{what}: '{key}' goes inside each of the 'questions'"
            findings.error((*path, key), INVALID, message, f"move it to a [….questions.<name>] table as '{key}'")
        table["questions"] = _named(several, (*path, "questions"), what, findings)
        if "prompt" not in table:
            findings.error(path, "missing_key", f"{what} has no 'prompt'", "add `prompt = …`: it shows the evidence")
    else:
        table["question"] = _question({"question": single, **kind}, path, what, findings)
        if "prompt" not in table:
            message = f"{what}: a question without a 'prompt' is an old form: all inputs are shown as evidence"
            findings.dated((*path, "question"), LEGACY, message, "add `prompt = …`, and show the evidence there")


def _named(several: object, path: Path, what: str, findings: Findings) -> dict[str, Question]:
    read: dict[str, Question] = {}
    table = findings.table_at(several, path, INVALID, f"{what}: 'questions'")
    if table is not None and not table:
        findings.error(path, INVALID, f"{what} has no questions", "add at least one")
    for name, question in (table or {}).items():
        owner = f"the question '{name}' of {what}"
        keys = findings.table_at(question, (*path, name), INVALID, owner)
        if keys is None:
            continue
        keys = findings.close_keys(keys, ("question", *KIND_KEYS), (*path, name), owner)
        if "question" not in keys:
            findings.error((*path, name), "missing_key", f"{owner} has no 'question'", "add `question = …`")
        elif found := _question(keys, (*path, name), owner, findings):
            read[name] = found
    return read


def _question(keys: dict[str, Any], path: Path, what: str, findings: Findings) -> Question | None:
    text = findings.text_at(keys["question"], (*path, "question"), INVALID, f"{what}: 'question'")
    if "options" in keys and "levels" in keys:
        message = f"{what} has both 'options' and 'levels'"
        findings.error((*path, "levels"), INVALID, message, "a choice has options, a rating has levels: keep one")
    for key in ("criteria", "threshold"):
        if key in keys and ("options" in keys or "levels" in keys):
            message = f"{what}: '{key}' goes only with a question answered by yes or no"
            findings.error((*path, key), INVALID, message, f"drop '{key}'")
    found: dict[str, Any] = {"question": text or ""}
    readers = {"options": _options, "levels": _levels, "criteria": _criteria, "threshold": _threshold}
    for key, read in readers.items():
        if key in keys and (value := read(keys[key], (*path, key), what, findings)) is not None:
            found[key] = value
    return None if text is None else Question(**found)


def _texts(value: object, path: Path, what: str, findings: Findings) -> dict[str, str] | None:
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return value
    findings.error(
        path, INVALID, f"{what}: '{path[-1]}' must be a table of texts", f"{path[-1]} = {{ a = '…', b = '…' }}"
    )
    return None


def _options(value: object, path: Path, what: str, findings: Findings) -> dict[str, str] | None:
    options = _texts(value, path, what, findings)
    if options is not None and len(options) < 2:
        findings.error(path, INVALID, f"{what}: a choice needs at least two options")
    return options


def _criteria(value: object, path: Path, what: str, findings: Findings) -> dict[str, str] | None:
    criteria = _texts(value, path, what, findings)
    for key in criteria or {}:
        if key not in ("yes", "no"):
            hint = did_you_mean(key, ("yes", "no")) or "the criteria are those of 'yes' and of 'no'"
            findings.error((*path, key), INVALID, f"{what}: there is no criterion '{key}'", hint)
    for key in ("yes", "no"):
        if criteria is not None and key not in criteria:
            findings.error(path, INVALID, f"{what}: the criteria do not say when the answer is '{key}'")
    return criteria


def _threshold(value: object, path: Path, what: str, findings: Findings) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        findings.error(path, INVALID, f"{what}: 'threshold' must be a number, not {spoken(value)}")
    elif not 0 < value < 1:
        findings.error(path, INVALID, f"{what}: the threshold must be between 0 and 1, both excluded")
    else:
        return float(value)
    return None


def _levels(value: object, path: Path, what: str, findings: Findings) -> tuple[Level, ...] | None:
    if not isinstance(value, list) or len(value) < 2:
        findings.error(path, INVALID, f"{what}: 'levels' must be an array of at least two, from the lowest up")
        return None
    levels: list[Level] = []
    taken: list[str] = []
    for index, item in enumerate(value):
        at = (*path, index)
        level = _level(item, at, what, findings)
        if level is None:
            continue
        name = level.description if level.label is None else level.label
        if name in taken:
            findings.error(at, INVALID, f"{what}: two levels are called '{name}'")
        elif levels and (level.label is None) != (levels[0].label is None):
            findings.error(at, INVALID, f"{what}: some levels have a label and some have not", "label all, or none")
        taken.append(name)
        levels.append(level)
    return tuple(levels)


def _level(item: object, path: Path, what: str, findings: Findings) -> Level | None:
    if isinstance(item, str):
        return Level(description=item)
    table = findings.table_at(item, path, INVALID, f"{what}: a level")
    if table is None:
        return None
    table = findings.close_keys(table, ("label", "description"), path, f"a level of {what}")
    for key in ("label", "description"):
        if not isinstance(table.get(key), str):
            findings.error(path, INVALID, f"{what}: a level has no text '{key}'", f"add `{key} = …`")
            return None
    return Level(label=table["label"], description=table["description"])
