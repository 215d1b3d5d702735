"""Checks of one pipe against the concepts it names (MTHDS rules 46, 47, 56, 59 and 60). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pipelex.language.findings import Path, did_you_mean
from pipelex.language.pipes import (
    ComposeTemplate,
    ConstructValue,
    FromPath,
    FromTemplate,
    Literally,
    Nested,
    Pipe,
    PipeCompose,
    PipeCondition,
    PipeExtract,
    PipeLLM,
)
from pipelex.language.templates import analyse, condition_template, template_fault
from pipelex.library.paths import NoField, Reached, field_fault, walk
from pipelex.library.scope import Site
from pipelex.values.concepts import Concepts, Field, FieldType

_ANY = ("native.Anything", "native.Dynamic")


def check_concepts(code: str, pipe: Pipe, site: Site, concepts: Concepts) -> None:
    """Note what is wrong with the paths a pipe reads and the concepts it takes and makes."""
    check = _Check(code, site, concepts)
    check.paths(pipe)
    match pipe:
        case PipeLLM():
            check.llm(pipe)
        case PipeExtract():
            check.extract(pipe)
        case PipeCompose():
            check.compose(pipe)
        case _:
            pass


@dataclass(frozen=True)
class _Check:
    code: str
    site: Site
    concepts: Concepts

    def at(self, *path: str | int) -> Path:
        return ("pipe", self.code, *path)

    def error(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        self.site.findings.error(path, code, f"'{self.code}': {message}", hint)

    def warn(self, path: Path, code: str, message: str, hint: str | None = None) -> None:
        self.site.findings.warn(path, code, f"'{self.code}': {message}", hint)

    def paths(self, pipe: Pipe) -> None:
        """Rule 46: the dotted paths of templates exist, as far as structures are declared."""
        for path, text, category in _templates(pipe):
            # A template that cannot be read is told by the checks of its file.
            if template_fault(text, category) is not None:
                continue
            for dotted in analyse(text, category).paths:
                root, *segments = dotted.split(".")
                if segments and root in pipe.inputs:
                    self.reach(pipe, dotted, self.at(*path))

    def reach(self, pipe: Pipe, dotted: str, path: Path) -> Reached | None:
        """What a dotted path of an input reaches; None, with a warning, if it names a field that does not exist."""
        root, *segments = dotted.split(".")
        slot = pipe.inputs[root]
        reached = walk(self.concepts, Reached(slot.concept, 1 if slot.is_list else 0), segments)
        if not isinstance(reached, NoField):
            return reached
        shown = self.site.short(reached.concept)
        if reached.known:
            message = f"'{dotted}': {shown} has no field '{reached.segment}'"
            hint = did_you_mean(reached.segment, reached.known) or f"its fields are {', '.join(reached.known)}"
        else:
            message = f"'{dotted}': '{reached.segment}' is read on a list of {shown}"
            hint = "loop over its items, or batch over it"
        self.warn(path, "unknown_field", message, hint)
        return None

    def llm(self, pipe: PipeLLM) -> None:
        """Rule 47, and the variables of a system prompt inherited from another file."""
        if self.concepts.is_a(pipe.output.concept, "native.Image"):
            message = f"a PipeLLM cannot make an image ({self.site.short(pipe.output.concept)})"
            self.error(self.at("output"), "llm_output_cannot_be_image", message)
        own = (self.site.bundle.pipes[self.code], self.site.bundle)
        is_inherited = not any(getattr(holder, "system_prompt", None) is not None for holder in own)
        if pipe.system_prompt is None or not is_inherited or template_fault(pipe.system_prompt, "llm_prompt"):
            return
        for root in analyse(pipe.system_prompt, "llm_prompt").roots:
            if root not in pipe.inputs:
                message = f"the system prompt of the domain reads '{root}', which is not an input"
                hint = "declare it as an input, or give the pipe a system prompt of its own"
                self.error(self.at("inputs"), "missing_input_variable", message, hint)

    def extract(self, pipe: PipeExtract) -> None:
        """Rule 56: the input can be read."""
        for name, slot in pipe.inputs.items():
            if not self._is_readable(slot.concept):
                message = f"a PipeExtract reads a Document or an Image; '{name}' is {self.site.short(slot.concept)}"
                hint = "declare it as Document or Image, or as a concept that refines one of them"
                self.error(self.at("inputs", name), "input_stuff_spec_mismatch", message, hint)

    def _is_readable(self, ref: str) -> bool:
        return ref in _ANY or any(self.concepts.is_a(ref, native) for native in ("native.Document", "native.Image"))

    def compose(self, pipe: PipeCompose) -> None:
        """Rules 59 and 60."""
        ref = pipe.output.concept
        if pipe.template is not None and not self._is_printable(ref):
            message = f"a template makes a text or an Html, not {self.site.short(ref)}"
            hint = "use a construct table, or output a text-valued concept"
            self.error(self.at("output"), "inadequate_output_concept", message, hint)
        if pipe.construct_fields is not None:
            self._construct(pipe, pipe.construct_fields, ref, ("construct",))

    def _is_printable(self, ref: str) -> bool:
        return ref in _ANY or self.concepts.is_text(ref) or self.concepts.is_a(ref, "native.Html")

    def _construct(self, pipe: PipeCompose, values: Mapping[str, ConstructValue], ref: str | None, path: Path) -> None:
        """Check named values against the fields of a concept; None is a table of any shape."""
        fields: dict[str, Field] | None = None
        if ref is not None and not self.concepts.is_open(ref):
            fields = self.concepts.structure(ref)
        for name, value in values.items():
            field = fields.get(name) if fields is not None else None
            if field is not None or fields is None:
                self._value(pipe, name, value, field, (*path, name))
                continue
            hint = did_you_mean(name, fields) or f"its fields are {', '.join(fields)}"
            message = f"{self.site.short(ref or '')} has no field '{name}'"
            self.error(self.at(*path, name), "construct_field_error", message, hint)
        for name, field in (fields or {}).items():
            if field.required and field.default is None and name not in values:
                message = f"{self.site.short(ref or '')} requires the field '{name}', which nothing gives"
                self.error(self.at(*path), "construct_field_error", message, f"add `{name} = …` to the construct")

    def _value(self, pipe: PipeCompose, name: str, value: ConstructValue, field: Field | None, path: Path) -> None:
        fault: str | None = None
        match value:
            case FromPath():
                fault = self._from(pipe, value, field, path)
            case Nested() if field is None or field.type in (FieldType.CONCEPT, FieldType.DICT):
                self._construct(pipe, value.fields, field.concept if field else None, path)
            case Nested() if field is not None:
                fault = f"is {field.type.value}; a table is given"
            case Literally() if field is not None and field.choices and str(value.value) not in field.choices:
                hint = did_you_mean(str(value.value), field.choices) or f"the choices are {', '.join(field.choices)}"
                self.error(self.at(*path), "construct_field_error", f"'{value.value}' is no choice of '{name}'", hint)
            case _:
                pass
        if fault is not None:
            self.error(self.at(*path), "construct_field_error", f"the field '{name}' {fault}")

    def _from(self, pipe: PipeCompose, value: FromPath, field: Field | None, path: Path) -> str | None:
        """Why what stands at a path cannot be the field, if so."""
        # An undeclared root is told by the checks of its file.
        if value.from_.split(".")[0] not in pipe.inputs:
            return None
        reached = self.reach(pipe, value.from_, self.at(*path))
        if reached is None:
            return None
        if value.list_to_dict_keyed_by is not None:
            return self._keyed(value, value.list_to_dict_keyed_by, reached, field, path)
        fault = field_fault(self.concepts, field, reached) if field is not None else None
        return f"{fault}; '{value.from_}' is {self._spoken(reached)}" if fault else None

    def _keyed(self, value: FromPath, key: str, reached: Reached, field: Field | None, path: Path) -> str | None:
        if reached.depth == 0:
            return f"needs a list to key by '{key}'; '{value.from_}' is {self._spoken(reached)}"
        item = walk(self.concepts, replace(reached, depth=0), [key]) if reached.depth == 1 else None
        if isinstance(item, NoField):
            message = f"{self.site.short(item.concept)} has no field '{key}' to key by"
            self.warn(self.at(*path), "unknown_field", message, did_you_mean(key, item.known))
        if field is not None and field.type in (FieldType.DICT, FieldType.CONCEPT):
            return None
        return f"is {field.type.value}; a dict is given" if field is not None else None

    def _spoken(self, reached: Reached) -> str:
        what = reached.scalar.value if reached.scalar else "a value"
        if reached.concept is not None:
            what = self.site.short(reached.concept)
        return f"a list of {what}" if reached.depth else what


def _templates(pipe: Pipe) -> Iterator[tuple[Path, str, str]]:
    """Every template of a pipe: its key path inside the pipe, its text, its category."""
    match pipe:
        case PipeLLM():
            for key in ("prompt", "system_prompt"):
                if (text := getattr(pipe, key)) is not None:
                    yield (key,), text, "llm_prompt"
        case PipeCompose():
            if isinstance(pipe.template, ComposeTemplate):
                yield ("template",), pipe.template.template, pipe.template.category
            yield from _construct_templates(pipe.construct_fields or {}, ("construct",))
        case PipeCondition():
            key = "expression_template" if pipe.expression is None else "expression"
            yield (key,), condition_template(pipe), "expression"
        case _:
            return


def _construct_templates(values: Mapping[str, ConstructValue], path: Path) -> Iterator[tuple[Path, str, str]]:
    for name, value in values.items():
        if isinstance(value, FromTemplate):
            yield (*path, name), value.template, "basic"
        elif isinstance(value, Nested):
            yield from _construct_templates(value.fields, (*path, name))
