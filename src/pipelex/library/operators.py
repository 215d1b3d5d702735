"""Checks of one operator against the concepts it names (MTHDS rules 46 to 48, 52, 54 to 57, 59 and 61). Pure.

How many inputs an operator has, and whether they are lists, is told by the checks of its file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pipelex.language.pipes import (
    BasePipe,
    ComposeTemplate,
    ConstructValue,
    FromTemplate,
    Nested,
    Pipe,
    PipeCompose,
    PipeCondition,
    PipeDocGen,
    PipeExtract,
    PipeImgGen,
    PipeJudge,
    PipeLLM,
    PipeSearch,
    PipeStructure,
)
from pipelex.language.templates import analyse, condition_template, template_fault
from pipelex.library.check import Check
from pipelex.library.constructs import ConstructCheck
from pipelex.library.elaborate import is_structuring
from pipelex.library.judges import JudgeCheck
from pipelex.library.scope import Site
from pipelex.values.concepts import Concepts

DOCUMENT_FORMATS = ("pdf", "xlsx", "docx", "pptx")
"""The formats of the language; an engine may be missing for some."""
_EXTRA = ("pdf", "xlsx")
"""The formats that the extra `documents` brings an engine for."""

_ANY = ("native.Anything", "native.Dynamic")
_Keys = tuple[str, ...]


def check_operator(
    code: str, pipe: Pipe, site: Site, concepts: Concepts, document_formats: Collection[str] = DOCUMENT_FORMATS
) -> None:
    """Note what is wrong with the paths a pipe reads and the concepts it takes and makes."""
    check = _OperatorCheck(code, site, concepts)
    check.paths(pipe)
    match pipe:
        case PipeLLM():
            check.no_image(pipe)
        case PipeStructure():
            check.structure(pipe)
        case PipeImgGen():
            check.gives(pipe, "native.Image", "a PipeImgGen makes an Image")
        case PipeExtract():
            check.extract(pipe)
        case PipeSearch():
            check.search(pipe)
        case PipeJudge():
            JudgeCheck(code, site, concepts).judge(pipe)
        case PipeCompose():
            check.template(pipe)
            ConstructCheck(code, site, concepts).construct(pipe)
        case PipeDocGen():
            check.document(pipe, document_formats)
        case _:
            pass


class _OperatorCheck(Check):
    def paths(self, pipe: Pipe) -> None:
        """Rule 46: the dotted paths of templates exist, as far as structures are declared."""
        for path, text, category in _templates(pipe):
            # A template that cannot be read is told by the checks of its file.
            if template_fault(text, category) is not None:
                continue
            for dotted in analyse(text, category).paths:
                root, dot, _ = dotted.partition(".")
                if dot and root in pipe.inputs:
                    self.reach(pipe, dotted, self.at(*path), is_strict=isinstance(pipe, PipeDocGen))

    def no_image(self, pipe: PipeLLM | PipeStructure) -> None:
        """Rule 47."""
        if self.concepts.is_a(pipe.output.concept, "native.Image"):
            message = f"a {pipe.type} cannot make an image ({self.site.short(pipe.output.concept)})"
            self.error(self.at("output"), "llm_output_cannot_be_image", message, "use a PipeImgGen")

    def structure(self, pipe: PipeStructure) -> None:
        """Rules 47, 48 and 52."""
        self.no_image(pipe)
        shown = self.site.short(pipe.output.concept)
        if self.concepts.is_text(pipe.output.concept):
            if is_structuring(self.code, self.site.origins):
                message = f"a preliminary text is of no use for an output that is a text ({shown})"
                hint = "drop 'structuring_method', or output a concept with a structure"
                self.error(self.at("structuring_method"), "pipe_validation", message, hint)
            else:
                message = f"a PipeStructure fills a structure, and {shown} is a text"
                self.error(self.at("output"), "inadequate_output_concept", message, "output a concept with a structure")
        for name, slot in pipe.inputs.items():
            if slot.concept not in _ANY and not self.concepts.is_text(slot.concept):
                message = f"a PipeStructure reads a text; '{name}' is {self.site.short(slot.concept)}"
                self.error(self.at("inputs", name), "input_stuff_spec_mismatch", message, "declare it as a Text")

    def extract(self, pipe: PipeExtract) -> None:
        """Rule 56: the input can be read, and what is asked of the extraction can be had here."""
        if pipe.page_image_captions:
            hint = "drop page_image_captions, and describe the images with a PipeLLM"
            self.error(self.at("page_image_captions"), "pipe_validation", "no model here writes captions", hint)
        for key in ("render_js", "include_raw_html"):
            if getattr(pipe, key):
                message = f"'{key}' changes nothing: it is for web pages, which are not read by this version"
                self.warn(self.at(key), "pipe_validation", message, "drop it, and give a PDF of the page")
        for name, slot in pipe.inputs.items():
            if not self._is_readable(slot.concept):
                message = f"a PipeExtract reads a Document or an Image; '{name}' is {self.site.short(slot.concept)}"
                hint = "declare it as Document or Image, or as a concept that refines one of them"
                self.error(self.at("inputs", name), "input_stuff_spec_mismatch", message, hint)

    def _is_readable(self, ref: str) -> bool:
        return ref in _ANY or any(self.concepts.is_a(ref, native) for native in ("native.Document", "native.Image"))

    def gives(self, pipe: BasePipe, native: str, makes: str) -> None:
        """The output is that native or goes back to it (rules 54, 57 and 61)."""
        if pipe.output.concept not in _ANY and not self.concepts.is_a(pipe.output.concept, native):
            word = native.rpartition(".")[2]
            message = f"{makes}, not {self.site.short(pipe.output.concept)}"
            hint = f'write output = "{word}", or a concept that refines it'
            self.error(self.at("output"), "inadequate_output_concept", message, hint)

    def search(self, pipe: PipeSearch) -> None:
        """Rule 57: another structure than a SearchResult may be filled, which the strict profile does not know."""
        ref = pipe.output.concept
        if self.concepts.root(ref).startswith("native."):
            self.gives(pipe, "native.SearchResult", "a PipeSearch makes a SearchResult")
            return
        message = (
            f"'{self.code}': a PipeSearch makes a SearchResult; only some search models fill {self.site.short(ref)}"
        )
        hint = 'write output = "SearchResult" and fill the structure with a PipeLLM, to run with any search model'
        self.site.findings.dated(self.at("output"), "inadequate_output_concept", message, hint)

    def template(self, pipe: PipeCompose) -> None:
        """Rule 59: a template makes a text or an Html."""
        ref = pipe.output.concept
        is_printable = ref in _ANY or self.concepts.is_text(ref) or self.concepts.is_a(ref, "native.Html")
        if pipe.template is not None and not is_printable:
            message = f"a template makes a text or an Html, not {self.site.short(ref)}"
            hint = "use a construct table, or output a text-valued concept"
            self.error(self.at("output"), "inadequate_output_concept", message, hint)

    def document(self, pipe: PipeDocGen, document_formats: Collection[str]) -> None:
        """Rule 61."""
        self.gives(pipe, "native.Document", "a PipeDocGen makes a Document")
        if pipe.format == "xlsx" and pipe.template_file is not None:
            message = "an Excel file is laid out from the inputs: no template of one is read"
            self.error(self.at("template_file"), "pipe_factory", message, "drop 'template_file', or make a pdf")
        if pipe.format in document_formats:
            return
        if pipe.format in _EXTRA:
            # The one that is asked to write the file may be a worker, elsewhere.
            message = f"nothing is installed here that makes a {pipe.format}: only a worker that has it can"
            self.warn(self.at("format"), "pipe_factory", message, 'pip install "pipelex[documents]"')
        else:
            there = ", ".join(kind for kind in DOCUMENT_FORMATS if kind in document_formats)
            hint = f"the formats that can be made are {there or ', '.join(_EXTRA)}"
            self.error(self.at("format"), "pipe_factory", f"nothing here makes a {pipe.format}", hint)


def _templates(pipe: Pipe) -> Iterator[tuple[_Keys, str, str]]:
    """Every template of a pipe: its key path inside the pipe, its text, its category."""
    match pipe:
        case PipeLLM():
            yield from _texts(pipe, "llm_prompt", "prompt", "system_prompt")
        case PipeImgGen():
            yield from _texts(pipe, "img_gen_prompt", "prompt", "negative_prompt")
        case PipeSearch():
            yield from _texts(pipe, "basic", "prompt")
        case PipeJudge():
            yield from _texts(pipe, "llm_prompt", "prompt")
            if pipe.question is not None:
                yield ("question",), pipe.question.question, "llm_prompt"
            for name, question in pipe.questions.items():
                yield ("questions", name, "question"), question.question, "llm_prompt"
        case PipeDocGen():
            yield from _texts(pipe, "html", "template")
            yield from _texts(pipe, "basic", "filename")
        case PipeCompose():
            if isinstance(pipe.template, ComposeTemplate):
                yield ("template",), pipe.template.template, pipe.template.category
            yield from _construct_templates(pipe.construct_fields or {}, ("construct",))
        case PipeCondition():
            key = "expression_template" if pipe.expression is None else "expression"
            yield (key,), condition_template(pipe), "expression"
        case _:
            return


def _texts(pipe: BasePipe, category: str, *keys: str) -> Iterator[tuple[_Keys, str, str]]:
    for key in keys:
        if (text := getattr(pipe, key)) is not None:
            yield (key,), text, category


def _construct_templates(values: Mapping[str, ConstructValue], path: _Keys) -> Iterator[tuple[_Keys, str, str]]:
    for name, value in values.items():
        if isinstance(value, FromTemplate):
            yield (*path, name), value.template, "basic"
        elif isinstance(value, Nested):
            yield from _construct_templates(value.fields, (*path, name))
