"""The steps of a sequence and the branches of a parallel (MTHDS sections 9A.1 and 9A.2). Pure."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from pipelex.language.findings import DOTTED, SNAKE, Findings, Path, spoken
from pipelex.language.pipes import Binding, Step

INVALID = "blueprint_validation"
BINDING = "binding_step_invalid"

_PATH_HINT = "a path is a name, then the fields below it: `order.customer.name`"


def read_steps(steps: object, path: Path, what: str, findings: Findings, *, is_parallel: bool) -> object:
    """The steps or branches as written; a faulty one is noted and left out. What is no array is given back."""
    if not isinstance(steps, list):
        return steps
    read: list[Step | Binding] = []
    for index, step in enumerate(steps):
        at = (*path, index)
        if not isinstance(step, dict):
            findings.error(at, INVALID, f"a step of {what} must be a table, not {spoken(step)}")
            continue
        found = _binding(step, at, what, findings) if "from" in step else _step(step, at, what, findings, is_parallel)
        if isinstance(found, Binding) and is_parallel:
            hint = "bind the value in a sequence, before this pipe"
            findings.error((*at, "from"), BINDING, f"{what}: a branch cannot be a binding ('from')", hint)
        elif found is not None:
            read.append(found)
    return tuple(read)


def _step(step: dict[str, Any], path: Path, what: str, findings: Findings, is_parallel: bool) -> Step | None:
    step = findings.close_keys(step, tuple(Step.model_fields), path, f"a step of {what}", INVALID)
    if isinstance(step.get("pipe"), str):
        findings.pipe_ref(step["pipe"], (*path, "pipe"), what)
    over = step.get("batch_over")
    if isinstance(over, str) and "." in over:
        _check_dotted(over, (*path, "batch_over"), what, findings, is_parallel)
    for key in ("result", "batch_as"):
        findings.stored_name(step.get(key), (*path, key), what)
    try:
        return Step.model_validate(step, strict=True)
    except ValidationError as error:
        findings.invalid(error, path, f"a step of {what}", {})
        return None


def _check_dotted(over: str, path: Path, what: str, findings: Findings, is_parallel: bool) -> None:
    if is_parallel:
        hint = "bind the list in a sequence, before this pipe, and run over its name"
        findings.error(path, BINDING, f"{what}: a branch cannot run over a path ({over!r})", hint)
    elif not DOTTED.fullmatch(over):
        findings.error(path, BINDING, f"{what}: {over!r} is not a path", _PATH_HINT)


def _binding(step: dict[str, Any], path: Path, what: str, findings: Findings) -> Binding | None:
    before = len(findings.errors)
    step = findings.close_keys(step, ("from", "result"), path, f"a binding of {what}", BINDING)
    source, result = step["from"], step.get("result")
    if not isinstance(source, str) or not DOTTED.fullmatch(source):
        findings.error((*path, "from"), BINDING, f"{what}: 'from' must be a path", _PATH_HINT)
    if "result" not in step:
        findings.error(path, BINDING, f"{what}: a binding has no 'result'", "add `result = …`: the name of the value")
    elif not isinstance(result, str) or not SNAKE.fullmatch(result):
        hint = "a name is snake_case, and does not start with an underscore"
        findings.error((*path, "result"), BINDING, f"{what}: the 'result' of a binding must be a plain name", hint)
    return Binding.model_validate(step) if len(findings.errors) == before else None
