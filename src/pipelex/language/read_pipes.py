"""The `[pipe]` table of a file, read into the classes of `pipes` (MTHDS sections 8 to 9A). Pure.

Old spellings are rewritten here, and told; pydantic judges what no rule of the language words otherwise.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from pipelex.language.findings import LEGACY, SNAKE, Findings, Path, did_you_mean, spoken
from pipelex.language.pipes import (
    OUTCOME_WORDS,
    BasePipe,
    Pipe,
    PipeBatch,
    PipeCompose,
    PipeCondition,
    PipeDocGen,
    PipeExtract,
    PipeFunc,
    PipeImgGen,
    PipeJudge,
    PipeLLM,
    PipeParallel,
    PipeSearch,
    PipeSequence,
    PipeSignature,
    PipeStructure,
)
from pipelex.language.read_construct import read_construct
from pipelex.language.read_judge import KIND_KEYS, read_questions
from pipelex.language.read_makers import read_document, read_image, read_search
from pipelex.language.read_model import read_model
from pipelex.language.read_steps import read_steps
from pipelex.values.slots import Slot

KINDS: dict[str, type[BasePipe]] = {
    kind.__name__: kind
    for kind in (
        PipeLLM,
        PipeStructure,
        PipeFunc,
        PipeImgGen,
        PipeExtract,
        PipeSearch,
        PipeJudge,
        PipeCompose,
        PipeDocGen,
        PipeSequence,
        PipeParallel,
        PipeCondition,
        PipeBatch,
    )
}
"""The kinds of pipe that `type` may name, in the order of the language."""

_SIGNATURE = "PipeSignature"
_SIGNATURE_KEYS = ("description", "inputs", "output", "signature_for")
_COMMON_KEYS = ("type", "description", "inputs", "output")
_TEMPLATE_KEYS = ("template", "category", "templating_style", "extra_context")

_FAMILIES = {
    "PipeLLM": "llm",
    "PipeStructure": "llm",
    "PipeImgGen": "img_gen",
    "PipeExtract": "extract",
    "PipeSearch": "search",
    "PipeJudge": "judgment",
}

_OLD_KEYS: dict[str, dict[str, str]] = {
    "PipeLLM": {"prompt_template": "prompt"},
    "PipeCondition": {"pipe_map": "outcomes", "default_pipe_code": "default_outcome"},
}


def _known_keys(kind: type[BasePipe]) -> tuple[str, ...]:
    own = (field.alias or name for name, field in kind.model_fields.items() if name != "input_hints")
    kind_keys = KIND_KEYS if kind is PipeJudge else ()
    return tuple(dict.fromkeys((*_COMMON_KEYS, *own, *kind_keys)))


_CLASSES: dict[str, type[BasePipe]] = {**KINDS, _SIGNATURE: PipeSignature}
_KNOWN_KEYS = {name: _known_keys(kind) for name, kind in _CLASSES.items()}


def read_pipes(table: object, findings: Findings) -> dict[str, Pipe]:
    """Every pipe of the file that is well formed; what is wrong with the others is in the findings."""
    pipes: dict[str, Pipe] = {}
    for code, declared in (findings.table_at(table, ("pipe",), "blueprint_validation", "'pipe'") or {}).items():
        path: Path = ("pipe", code)
        if not SNAKE.fullmatch(code):
            hint = "a pipe code is snake_case: lower-case letters, digits and underscores"
            findings.error(path, "invalid_pipe_code_syntax", f"'{code}' cannot be a pipe code", hint)
        body = findings.table_at(declared, path, "blueprint_validation", f"pipe '{code}'")
        if body is None or (kind := _kind(code, body, path, findings)) is None:
            continue
        if found := _PipeReader(code, kind, body, path, findings).read():
            pipes[code] = found
    return pipes


def _kind(code: str, body: dict[str, Any], path: Path, findings: Findings) -> str | None:
    """The name of the kind of a pipe; None, with the mistake noted, if it has none."""
    kind = body.get("type")
    if kind is None:
        if all(key in _SIGNATURE_KEYS for key in body):
            return _SIGNATURE
        close = next((key for key in body if did_you_mean(key, ["type"])), None)
        hint = f"did you mean 'type' where it says '{close}'?" if close else f"add `type`: {', '.join(KINDS)}"
        findings.error(path, "missing_pipe_type", f"pipe '{code}' has no type", hint)
    elif kind == _SIGNATURE:
        hint = "drop the type: a table without one is a signature"
        findings.dated((*path, "type"), "legacy_signature_type", f"'{_SIGNATURE}' is an old spelling", hint)
        return _SIGNATURE
    elif not isinstance(kind, str) or kind not in KINDS:
        _note_unknown_kind(kind, (*path, "type"), findings)
    else:
        return kind
    return None


def _note_unknown_kind(kind: object, path: Path, findings: Findings) -> None:
    shown = f"'{kind}'" if isinstance(kind, str) else spoken(kind)
    hint = did_you_mean(str(kind), KINDS) or f"the types are {', '.join(KINDS)}"
    findings.error(path, "unknown_pipe_type", f"{shown} is not a type of pipe", hint)


class _PipeReader:
    """Reads one pipe: rewrites the table into the shape of its class, then lets pydantic judge it."""

    def __init__(self, code: str, kind: str, body: dict[str, Any], path: Path, findings: Findings) -> None:
        self.what = f"pipe '{code}'"
        self.kind = kind
        self.path = path
        self.findings = findings
        self.table = self._known_keys(dict(body))

    def read(self) -> Pipe | None:
        """The pipe, or None when something is wrong with it."""
        self._read_inputs()
        self._read_output()
        self._read_models()
        self._read_own_keys()
        try:
            return _CLASSES[self.kind].model_validate(self.table, strict=True)  # type: ignore[return-value]
        except ValidationError as error:
            codes = {"function_name": "pipe_factory", "format": "pipe_factory"}
            self.findings.invalid(error, self.path, self.what, codes)
            return None

    def _read_own_keys(self) -> None:
        """Rewrite the keys that only this kind of pipe has."""
        where = (self.table, self.path, self.what, self.findings)
        match self.kind:
            case "PipeLLM":
                self._read_style()
            case "PipeImgGen":
                read_image(*where)
            case "PipeSearch":
                read_search(*where)
            case "PipeJudge":
                read_questions(*where)
            case "PipeCompose":
                self._read_compose()
            case "PipeDocGen":
                read_document(*where)
            case "PipeSequence":
                self._read_steps("steps", is_parallel=False)
            case "PipeParallel":
                self._read_steps("branches", is_parallel=True)
            case "PipeCondition":
                self._read_outcomes()
            case "PipeBatch":
                self._read_batch()
            case "PipeSignature":
                self._read_signature()

    def _error(self, key: str, code: str, message: str, hint: str | None = None) -> None:
        self.findings.error((*self.path, key), code, f"{self.what}: {message}", hint)

    def _dated(self, key: str, code: str, message: str, hint: str | None = None) -> None:
        self.findings.dated((*self.path, key), code, f"{self.what}: {message}", hint)

    def _known_keys(self, table: dict[str, Any]) -> dict[str, Any]:
        """The table under today's keys, with each old, missing or unknown key noted."""
        for old, new in _OLD_KEYS.get(self.kind, {}).items():
            if old in table:
                self._rename(table, old, new)
        if self.kind == "PipeParallel" and "combined_output" in table:
            self._dated("combined_output", LEGACY, "'combined_output' is an old spelling", "declare it as 'output'")
            table["output"] = table.pop("combined_output")
        if self.kind == "PipeBatch" and "batch_params" in table:
            self._unpack_batch_params(table)
        if self.kind == "PipeLLM" and "prompting_target" in table:
            del table["prompting_target"]
            self._dated("prompting_target", LEGACY, "'prompting_target' is ignored", "remove it")
        if self.kind == _SIGNATURE:
            table["type"] = _SIGNATURE
        what = "a signature" if self.kind == _SIGNATURE else f"a {self.kind}"
        return self.findings.close_keys(table, _KNOWN_KEYS[self.kind], self.path, what)

    def _rename(self, table: dict[str, Any], old: str, new: str) -> None:
        if new in table:
            self._error(old, "blueprint_validation", f"'{old}' is the old spelling of '{new}', and both are there")
            del table[old]
            return
        self._dated(old, LEGACY, f"'{old}' is an old spelling", f"write '{new}'")
        table[new] = table.pop(old)
        if old == "pipe_map" and not {"default_pipe_code", "default_outcome"} & set(table):
            table["default_outcome"] = "fail"

    def _unpack_batch_params(self, table: dict[str, Any]) -> None:
        params = table.pop("batch_params")
        names = {"input_list_stuff_name": "input_list_name", "input_item_stuff_name": "input_item_name"}
        if not isinstance(params, dict) or not all(key in names for key in params):
            self._error("batch_params", "blueprint_validation", f"'batch_params' must be a table of {', '.join(names)}")
            return
        self._dated(
            "batch_params", LEGACY, "'batch_params' is an old spelling", f"write {' and '.join(names.values())}"
        )
        for old, value in params.items():
            table.setdefault(names[old], value)

    def _read_inputs(self) -> None:
        if "inputs" not in self.table:
            return
        slots: dict[str, Slot] = {}
        hints: dict[str, dict[str, str]] = {}
        given = self.table["inputs"]
        path = (*self.path, "inputs")
        if not isinstance(given, dict):
            self.table["inputs"] = slots
            self._error("inputs", "blueprint_validation", f"'inputs' must be a table, not {spoken(given)}")
            return
        for name, spelling in given.items():
            slot = self._input(name, spelling, (*path, name), hints)
            root, dot, _ = name.partition(".")
            if not dot:
                slots[name] = slot
            elif root not in given:
                slots.setdefault(root, Slot("Anything"))
        self.table["inputs"] = slots
        if hints:
            self.table["input_hints"] = hints

    def _input(self, name: str, spelling: object, path: Path, hints: dict[str, dict[str, str]]) -> Slot:
        """One input. A faulty one is noted and read as Anything, so that the rest can be judged."""
        segments = name.split(".")
        if name.startswith("_bound_") or not all(SNAKE.fullmatch(segment) for segment in segments):
            hint = "an input name is snake_case, and does not start with an underscore"
            self.findings.error(path, "invalid_input_name", f"{self.what}: '{name}' cannot be an input name", hint)
        elif len(segments) > 1:
            hint = f"declare '{segments[0]}' and write the path '{name}' where it is used"
            self.findings.dated(
                path, "invalid_input_name", f"{self.what}: dotted input names are an old spelling", hint
            )
        if isinstance(spelling, dict):
            table = self.findings.close_keys(spelling, ("concept", "hints"), path, f"the input '{name}'")
            if "hints" in table:
                hints[name] = self.findings.hints_at(table["hints"], (*path, "hints"), "blueprint_validation")
            if "concept" not in table:
                self.findings.error(path, "missing_key", f"the input '{name}' has no 'concept'", "add `concept = …`")
                return Slot("Anything")
            spelling, path = table["concept"], (*path, "concept")
        return self._slot(spelling, path, f"the input '{name}'") or Slot("Anything")

    def _read_output(self) -> None:
        if "output" not in self.table:
            return
        slot = self._slot(self.table["output"], (*self.path, "output"), "the output")
        if slot is not None and slot.presence == "forced":
            self._error("output", "optional_marker_invalid", "an output cannot be marked '!'", "drop the '!'")
        slot = slot or Slot("Anything")
        is_pages = self.kind == "PipeExtract" and slot.concept.removeprefix("native.") == "Page"
        if not slot.is_list and slot.concept != "Anything" and (is_pages or self.kind == "PipeBatch"):
            plural = Slot(slot.concept, is_list=True)
            message = f"the output of a {self.kind} is a list: read as '{plural}'"
            self._dated("output", "inadequate_output_multiplicity", message, f'write `output = "{plural}"`')
            slot = plural
        self.table["output"] = slot

    def _slot(self, spelling: object, path: Path, what: str) -> Slot | None:
        if not isinstance(spelling, str):
            self.findings.error(path, "slot_syntax", f"{what} must be a text such as 'Note[]', not {spoken(spelling)}")
            return None
        try:
            slot = Slot.parse(spelling)
        except ValueError as error:
            is_marker = "]" in spelling and spelling.rstrip().endswith(("?", "!")) and spelling.count("[") == 1
            self.findings.error(path, "optional_marker_invalid" if is_marker else "slot_syntax", f"{what}: {error}")
            return None
        concept = self.findings.concept_ref(slot.concept, path, "slot_syntax", what)
        return slot if concept else None

    def _read_models(self) -> None:
        family = _FAMILIES.get(self.kind)
        for key in ("model", "model_to_structure"):
            if family is not None and key in self.table:
                self.table[key] = read_model(self.table[key], family, (*self.path, key), self.findings)

    def _read_style(self) -> None:
        if "templating_style" in self.table:
            self.table["templating_style"] = self._style(self.table["templating_style"], self.path)

    def _read_signature(self) -> None:
        kind = self.table.get("signature_for")
        if "signature_for" in self.table and (not isinstance(kind, str) or kind not in KINDS):
            _note_unknown_kind(self.table.pop("signature_for"), (*self.path, "signature_for"), self.findings)

    def _style(self, style: object, path: Path) -> object:
        if isinstance(style, dict) and "tag_style" not in style:
            message = f"{self.what}: the templating style has no 'tag_style'"
            self.findings.error((*path, "templating_style"), "missing_key", message, 'add `tag_style = "xml"`')
        return {"tag_style": style} if isinstance(style, str) else style

    def _read_compose(self) -> None:
        template = self.table.get("template")
        output = self.table.get("output")
        is_html = isinstance(output, Slot) and output.concept.removeprefix("native.") == "Html"
        path = (*self.path, "template")
        if isinstance(template, str):
            # An Html wants escaping; the author who wants none says so with a template table.
            self.table["template"] = {"template": template} | ({"category": "html"} if is_html else {})
        elif isinstance(template, dict):
            template = self.findings.close_keys(template, _TEMPLATE_KEYS, path, "a template table")
            if "category" not in template:
                self.findings.error(path, "missing_key", f"{self.what}: the template table has no 'category'")
            if "templating_style" in template:
                template["templating_style"] = self._style(template["templating_style"], path)
            if "extra_context" in template:
                where = (*path, "extra_context")
                template["extra_context"] = self.findings.json_at(
                    template["extra_context"], where, "blueprint_validation"
                )
            self.table["template"] = template
        if "construct" in self.table:
            self.table["construct"] = read_construct(
                self.table["construct"], (*self.path, "construct"), self.what, self.findings
            )

    def _read_steps(self, key: str, *, is_parallel: bool) -> None:
        if key in self.table:
            path = (*self.path, key)
            self.table[key] = read_steps(self.table[key], path, self.what, self.findings, is_parallel=is_parallel)

    def _read_outcomes(self) -> None:
        outcomes = self.table.get("outcomes")
        targets: list[tuple[Path, object]] = [(("default_outcome",), self.table.get("default_outcome"))]
        if isinstance(outcomes, dict):
            targets += [(("outcomes", key), target) for key, target in outcomes.items()]
        for path, target in targets:
            if isinstance(target, str) and target not in OUTCOME_WORDS:
                self.findings.pipe_ref(target, (*self.path, *path), self.what)
        self._check_stored("add_alias_from_expression_to")

    def _check_stored(self, key: str) -> None:
        self.findings.stored_name(self.table.get(key), (*self.path, key), self.what)

    def _read_batch(self) -> None:
        if isinstance(self.table.get("branch_pipe_code"), str):
            self.findings.pipe_ref(self.table["branch_pipe_code"], (*self.path, "branch_pipe_code"), self.what)
        self._check_stored("input_item_name")
        lists = [name for name, slot in self.table.get("inputs", {}).items() if slot.is_list]
        if "input_list_name" not in self.table and lists:
            hint = f'add `input_list_name = "{lists[0]}"`'
            self._dated("input_list_name", LEGACY, f"no 'input_list_name': the list is taken to be '{lists[0]}'", hint)
            self.table["input_list_name"] = lists[0]
