"""The rules of one file that need no other file: templates and the shapes of pipes (MTHDS section 22). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelex.errors import Problem
from pipelex.language.bundle import Bundle, ConceptDeclaration
from pipelex.language.findings import Path, did_you_mean, sorted_by_place
from pipelex.language.hints import misplaced_intents
from pipelex.language.pipes import (
    BasePipe,
    Binding,
    ConstructValue,
    FromPath,
    FromTemplate,
    Nested,
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
    Step,
)
from pipelex.language.positions import positions_of, problem_on
from pipelex.language.templates import analyse, condition_template, guards_missing, template_fault, unguarded_line

Unused = Literal["error", "dated", "allowed"]
"""What to say of an input that no template reads; `dated`: an error in the strict profile only."""


@dataclass(frozen=True)
class Rest:
    """What a file goes by that other files say too: the system prompt of its domain, and the file which gives that; the
    concepts of its package, by `domain.Code`.
    """

    system_prompt: str | None = None
    prompt_source: str = ""
    concepts: Mapping[str, ConceptDeclaration] = field(default_factory=dict)


def check_bundle(bundle: Bundle, *, strict: bool = False, rest: Rest | None = None) -> list[Problem]:
    """Every breach of rules 39-45, 52-59 (shapes), 62-65, 75, 77, 80 and 86 in one file, in its order.

    Warnings are marked so; `strict` makes errors of those that the strict profile refuses.
    """
    rest = rest or Rest()
    checks = _Checks(bundle, strict, rest)
    if bundle.system_prompt is not None:
        checks.fault(_Template(bundle.system_prompt, "llm_prompt", (("system_prompt",),)))
    for code, pipe in bundle.pipes.items():
        checks.pipe(code, pipe)
    for path, message in misplaced_intents(bundle, rest.concepts):
        checks.note(path, "hint_inapplicable_intent", message, is_warning=True)
    return sorted_by_place(list(dict.fromkeys(checks.problems)))


@dataclass(frozen=True)
class _Template:
    """A template and the key paths where it may be written; `owner` says whose it is when it is not the pipe's.

    `file` is where it stands when it is not in the bundle.
    """

    text: str
    category: str
    paths: tuple[Path, ...]
    owner: str | None = None
    constants: tuple[str, ...] = ()
    file: str | None = None


class _Checks:
    def __init__(self, bundle: Bundle, strict: bool, rest: Rest) -> None:
        self.bundle = bundle
        self.strict = strict
        self.rest = rest
        self.problems: list[Problem] = []

    def note(self, path: Path, code: str, message: str, hint: str | None = None, *, is_warning: bool = False) -> None:
        self.problems.append(self.bundle.problem(code, message, *path, hint=hint, is_warning=is_warning))

    def note_in(
        self, template: _Template, line: int, word: str | None, code: str, message: str, hint: str | None = None
    ) -> None:
        """Note a problem on a line of a template, at a word of it when given."""
        if template.file is not None:
            self.note(template.paths[0], code, f"{message} (line {line} of {template.file})", hint)
            return
        positions = positions_of(self.bundle.text)
        path = next((path for path in template.paths if positions.has_value(path)), template.paths[0])
        place = positions.word(path, line, word)
        self.problems.append(problem_on(self.bundle.source, self.bundle.text, place, code, message, hint=hint))

    def pipe(self, code: str, pipe: Pipe) -> None:
        match pipe:
            case PipeLLM():
                self.templates(code, pipe, list(self.llm_templates(code, pipe)), (), "error")
            case PipeStructure():
                self.one_value(code, pipe, "one text", "fills a structure from one text")
            case PipeImgGen():
                self.image(code, pipe)
            case PipeExtract():
                self.extract(code, pipe)
            case PipeSearch():
                # A search sends no files: its prompt has the filters of a plain text.
                self.templates(code, pipe, [_Template(pipe.prompt, "basic", (("pipe", code, "prompt"),))], (), "error")
                self.one_output(code, pipe, "a PipeSearch gives one result", "inadequate_output_multiplicity")
            case PipeJudge():
                self.templates(
                    code, pipe, list(_judge_templates(code, pipe)), (), "error" if pipe.prompt else "allowed"
                )
                self.one_output(code, pipe, "a PipeJudge gives one verdict", "pipe_validation")
            case PipeCompose():
                self.compose(code, pipe)
            case PipeDocGen():
                self.document(code, pipe)
            case PipeSequence():
                self.steps(code, "steps", pipe.steps)
            case PipeParallel():
                self.steps(code, "branches", pipe.branches)
                self.results(code, pipe)
            case PipeCondition():
                self.condition(code, pipe)
            case PipeBatch():
                self.batch(code, pipe)
            case PipeFunc() | PipeSignature():
                pass

    # Templates: rules 39 to 45.

    def llm_templates(self, code: str, pipe: PipeLLM) -> Iterator[_Template]:
        if pipe.system_prompt is not None:
            yield _Template(pipe.system_prompt, "llm_prompt", (("pipe", code, "system_prompt"),))
        elif self.bundle.system_prompt is not None:
            yield _Template(
                self.bundle.system_prompt, "llm_prompt", (("system_prompt",),), "the bundle's system prompt"
            )
        elif self.rest.system_prompt is not None and not template_fault(self.rest.system_prompt, "llm_prompt"):
            # Told at the pipe, where it can be mended; what is wrong with the prompt itself is told in its own file.
            inputs: Path = ("pipe", code, "inputs")
            file = f"the system_prompt in {self.rest.prompt_source}"
            yield _Template(
                self.rest.system_prompt, "llm_prompt", (inputs,), "the system prompt of the domain", file=file
            )
        if pipe.prompt is not None:
            paths = (("pipe", code, "prompt"), ("pipe", code, "prompt_template"))
            yield _Template(pipe.prompt, "llm_prompt", paths)

    def fault(self, template: _Template) -> bool:
        """Whether the template cannot be used; noted."""
        found = template_fault(template.text, template.category)
        if found:
            self.note_in(template, found.line, None, "template_syntax", found.message)
        return found is not None

    def templates(
        self, code: str, pipe: BasePipe, templates: list[_Template], other_roots: tuple[str, ...], unused: Unused
    ) -> None:
        """Hold what the templates read against the declared inputs, both ways (MTHDS section 8.6)."""
        used = dict.fromkeys(other_roots)
        sound = [template for template in templates if not self.fault(template)]
        for template in sound:
            used |= dict.fromkeys(self.template(code, pipe, template))
        if unused == "allowed" or len(sound) < len(templates):
            return
        for name in pipe.inputs:
            if name not in used:
                where: Path = ("pipe", code, "inputs", name)
                message = f"pipe '{code}' declares the input '{name}' and never reads it"
                hint = f"write `${name}` or `@{name}` where it belongs, or drop the input"
                self.note(
                    where, "extraneous_input_variable", message, hint, is_warning=unused == "dated" and not self.strict
                )

    def template(self, code: str, pipe: BasePipe, template: _Template) -> tuple[str, ...]:
        """Check one sound template; the declared inputs and other names it reads."""
        use = analyse(template.text, template.category)
        reader = f"{template.owner}, used by pipe '{code}'," if template.owner else f"pipe '{code}'"
        for name in use.roots:
            if name not in pipe.inputs and name not in template.constants:
                message = f"{reader} reads '{name}', which is not an input"
                hint = _missing_hint(name, pipe)
                self.note_in(template, use.line_of(name), name, "missing_input_variable", message, hint)
        for name in use.private:
            message = f"{reader} reads the private name '{name}'"
            self.note_in(template, use.line_of(name), name, "template_private_name", message)
        optional = [name for name, slot in pipe.inputs.items() if slot.presence == "optional"]
        for name in guards_missing(template.text, template.category, optional):
            message = f"{reader} reads the optional input '{name}' without a guard"
            hint = f"write `@?{name}`, or put it inside `{{% if {name} %}} … {{% endif %}}`"
            line = unguarded_line(template.text, template.category, name)
            self.note_in(template, line, name, "optional_input_unguarded", message, hint)
        return (*use.roots, *use.globals)

    # Operators: what rules 52 and 54 to 59 say of shapes.

    def one_value(self, code: str, pipe: BasePipe, wanted: str, does: str) -> None:
        """Note an operator that has not exactly one input, or that takes a list."""
        where: Path = ("pipe", code, "inputs")
        if len(pipe.inputs) != 1:
            message = f"pipe '{code}' must have exactly one input, {wanted}; it has {len(pipe.inputs)}"
            self.note(where, "input_stuff_spec_mismatch", message)
        for name, slot in pipe.inputs.items():
            if slot.is_list:
                message = f"pipe '{code}' {does} at a time, and '{name}' is a list"
                hint = "declare one, and call this pipe from a batch"
                self.note((*where, name), "input_stuff_spec_mismatch", message, hint)

    def one_output(self, code: str, pipe: BasePipe, gives: str, breach: str) -> None:
        """Note an output that is a list."""
        if pipe.output.is_list:
            message = f"{gives}: the output of '{code}' cannot be '{pipe.output}'"
            self.note(("pipe", code, "output"), breach, message, f'write `output = "{pipe.output.concept}"`')

    def image(self, code: str, pipe: PipeImgGen) -> None:
        prompts = {"prompt": pipe.prompt, "negative_prompt": pipe.negative_prompt}
        templates = [
            _Template(text, "img_gen_prompt", (("pipe", code, key),))
            for key, text in prompts.items()
            if text is not None
        ]
        self.templates(code, pipe, templates, (), "error")
        if pipe.output.is_list and pipe.output.count is None:
            message = f"pipe '{code}' must say how many images it makes, and its output is '{pipe.output}'"
            hint = f'write `output = "{pipe.output.concept}[3]"`, or drop the brackets for one image'
            self.note(("pipe", code, "output"), "inadequate_output_multiplicity", message, hint)

    def document(self, code: str, pipe: PipeDocGen) -> None:
        templates: list[_Template] = []
        if pipe.template is not None:
            is_file = pipe.template_file is not None
            where: Path = ("pipe", code, "template_file" if is_file else "template")
            templates.append(_Template(pipe.template, "html", (where,), file=pipe.template_file))
        if pipe.filename is not None:
            templates.append(_Template(pipe.filename, "basic", (("pipe", code, "filename"),)))
        # Without a template every input is laid out.
        self.templates(code, pipe, templates, (), "allowed" if pipe.template is None else "dated")
        self.one_output(code, pipe, "a PipeDocGen makes one file", "inadequate_output_multiplicity")

    def extract(self, code: str, pipe: PipeExtract) -> None:
        self.one_value(code, pipe, "a Document or an Image", "reads one document")
        output: Path = ("pipe", code, "output")
        if pipe.output.concept.removeprefix("native.") != "Page":
            message = f"a PipeExtract gives pages: the output of '{code}' cannot be '{pipe.output}'"
            self.note(output, "inadequate_output_concept", message, 'write `output = "Page[]"`')
        elif pipe.output.count is not None:
            message = f"pipe '{code}' cannot promise exactly {pipe.output.count} pages"
            self.note(output, "inadequate_output_multiplicity", message, 'write `output = "Page[]"`')

    def compose(self, code: str, pipe: PipeCompose) -> None:
        if (pipe.template is None) == (pipe.construct_fields is None):
            both = "both 'template' and 'construct'" if pipe.template else "neither 'template' nor 'construct'"
            self.note(("pipe", code), "pipe_factory", f"pipe '{code}' has {both}", "keep exactly one of them")
        self.one_output(code, pipe, "a PipeCompose makes one value", "inadequate_output_multiplicity")
        templates: list[_Template] = []
        roots: list[str] = []
        if pipe.template is not None:
            paths = (("pipe", code, "template", "template"), ("pipe", code, "template"))
            constants = tuple(pipe.template.extra_context)
            templates.append(_Template(pipe.template.template, pipe.template.category, paths, constants=constants))
        for path, value in _leaves(pipe.construct_fields or {}, ("pipe", code, "construct")):
            if isinstance(value, FromTemplate):
                templates.append(_Template(value.template, "basic", ((*path, "template"),)))
            elif isinstance(value, FromPath):
                roots.append(self.from_path(code, pipe, value, (*path, "from")))
        self.templates(code, pipe, templates, tuple(roots), "dated")

    def from_path(self, code: str, pipe: PipeCompose, value: FromPath, where: Path) -> str:
        """Check the path of a construct value; its root."""
        root, *below = value.from_.split(".")
        if root not in pipe.inputs:
            message = f"pipe '{code}' reads '{root}', which is not an input"
            self.note(where, "missing_input_variable", message, _missing_hint(root, pipe))
        for name in (*below, value.list_to_dict_keyed_by or ""):
            if name.startswith("_"):
                self.note(where, "template_private_name", f"pipe '{code}' reads the private name '{name}'")
        return root

    # Controllers: rules 62 to 64, 75, 77 and 80.

    def steps(self, code: str, key: str, steps: tuple[Step | Binding, ...]) -> None:
        if not steps:
            self.note(("pipe", code, key), "blueprint_validation", f"pipe '{code}' has no {key}", "add at least one")
        for index, step in enumerate(steps):
            if isinstance(step, Binding):
                continue
            where: Path = ("pipe", code, key, index)
            if step.nb_output is not None and step.multiple_output is not None:
                message = f"pipe '{code}': 'nb_output' and 'multiple_output' exclude each other"
                self.note((*where, "multiple_output"), "blueprint_validation", message, "keep one of them")
            if (step.batch_over is None) != (step.batch_as is None):
                there, missing = ("batch_over", "batch_as") if step.batch_over else ("batch_as", "batch_over")
                message = f"pipe '{code}': a step has '{there}' without '{missing}'"
                self.note((*where, there), "blueprint_validation", message, f"add `{missing} = …`")
            elif step.batch_over is not None and step.batch_over == step.batch_as:
                message = f"pipe '{code}': the list and its item are both called '{step.batch_as}'"
                hint = "give the item a name of its own"
                self.note((*where, "batch_as"), "batch_item_name_collision", message, hint)

    def results(self, code: str, pipe: PipeParallel) -> None:
        taken: list[str] = []
        for index, branch in enumerate(pipe.branches):
            where: Path = ("pipe", code, "branches", index)
            if branch.result is None:
                message = f"pipe '{code}': a branch has no 'result'"
                self.note(where, "missing_key", message, "add `result = …`: the output is made of the results")
            elif branch.result in taken:
                message = f"pipe '{code}': two branches give the result '{branch.result}'"
                self.note((*where, "result"), "inadequate_output_concept", message, "rename one of them")
            else:
                taken.append(branch.result)

    def condition(self, code: str, pipe: PipeCondition) -> None:
        if not pipe.outcomes:
            message = f"pipe '{code}' has no outcomes"
            self.note(("pipe", code, "outcomes"), "blueprint_validation", message, "add at least one")
        if (pipe.expression is None) == (pipe.expression_template is None):
            there = "neither" if pipe.expression is None else "both"
            message = f"pipe '{code}' must have one of 'expression' and 'expression_template', and has {there}"
            self.note(("pipe", code), "blueprint_validation", message)
            return
        key = "expression" if pipe.expression is not None else "expression_template"
        template = _Template(condition_template(pipe), "expression", (("pipe", code, key),))
        if pipe.expression is not None and ("{{" in pipe.expression or "{%" in pipe.expression):
            message = f"pipe '{code}': 'expression' is written without braces"
            hint = "drop the braces, or call it 'expression_template'"
            self.note_in(template, 1, None, "template_syntax", message, hint)
            return
        self.templates(code, pipe, [template], (), "allowed")

    def batch(self, code: str, pipe: PipeBatch) -> None:
        name = pipe.input_list_name
        where: Path = ("pipe", code, "input_list_name")
        if name not in pipe.inputs:
            hint = did_you_mean(name, pipe.inputs) or f'declare it: inputs = {{ {name} = "…[]" }}'
            message = f"pipe '{code}' runs over '{name}', which is not an input"
            self.note(where, "input_stuff_spec_mismatch", message, hint)
        elif not pipe.inputs[name].is_list:
            slot = pipe.inputs[name]
            message = f"pipe '{code}' runs over '{name}', which is declared as one '{slot}'"
            hint = f'write `{name} = "{slot.concept}[]"`'
            self.note(("pipe", code, "inputs", name), "input_stuff_spec_mismatch", message, hint)
        item = pipe.input_item_name
        if item == name or item in pipe.inputs:
            what = "the list" if item == name else "an input"
            message = f"pipe '{code}': '{item}' is the name of {what}, and cannot be the name of the item"
            hint = "give the item a name of its own"
            self.note(("pipe", code, "input_item_name"), "batch_item_name_collision", message, hint)


def _judge_templates(code: str, pipe: PipeJudge) -> Iterator[_Template]:
    where: Path = ("pipe", code)
    if pipe.prompt is not None:
        yield _Template(pipe.prompt, "llm_prompt", ((*where, "prompt"),))
    if pipe.question is not None:
        yield _Template(pipe.question.question, "llm_prompt", ((*where, "question"),))
    for name, question in pipe.questions.items():
        yield _Template(question.question, "llm_prompt", ((*where, "questions", name, "question"),))


def _missing_hint(name: str, pipe: BasePipe) -> str:
    return did_you_mean(name, pipe.inputs) or f'declare it: inputs = {{ {name} = "…" }}'


def _leaves(fields: Mapping[str, ConstructValue], path: Path) -> Iterator[tuple[Path, ConstructValue]]:
    for name, value in fields.items():
        if isinstance(value, Nested):
            yield from _leaves(value.fields, (*path, name))
        else:
            yield (*path, name), value
