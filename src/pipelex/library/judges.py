"""A PipeJudge held against the verdicts it declares (MTHDS section 9.8, rule 58). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pipelex.language.findings import did_you_mean
from pipelex.language.pipes import PipeJudge, Question
from pipelex.language.templates import analyse, template_fault
from pipelex.library.check import Check
from pipelex.library.paths import NoField, Reached, walk
from pipelex.values.concepts import Field, FieldType

_CODE = "pipe_validation"
_FILES = ("native.Image", "native.Document")


def verdict(question: Question) -> str:
    """The native concept of the answer to a question."""
    if question.options:
        return "native.Choice"
    return "native.Rating" if question.levels else "native.YesNo"


class JudgeCheck(Check):
    """Checks one PipeJudge."""

    def judge(self, pipe: PipeJudge) -> None:
        """Rule 58: questions read no file, and the output holds their verdicts."""
        if pipe.question is not None:
            self._no_file(pipe, pipe.question, "question")
            wanted = verdict(pipe.question)
            if not self.concepts.is_a(pipe.output.concept, wanted):
                shown = wanted.rpartition(".")[2]
                message = f"the answer to its question is a {shown}, not {self.site.short(pipe.output.concept)}"
                hint = f'write output = "{shown}", or a concept that refines it'
                self.error(self.at("output"), _CODE, message, hint)
        for name, question in pipe.questions.items():
            self._no_file(pipe, question, "questions", name, "question")
        if pipe.questions:
            self._verdicts(pipe)

    def _no_file(self, pipe: PipeJudge, question: Question, *path: str) -> None:
        if template_fault(question.question, "llm_prompt") is not None:
            return
        for dotted in analyse(question.question, "llm_prompt").paths:
            root, *segments = dotted.split(".")
            slot = pipe.inputs.get(root)
            if slot is None:
                continue
            reached = walk(self.concepts, Reached(slot.concept, 1 if slot.is_list else 0), segments)
            if isinstance(reached, NoField) or reached.concept is None:
                continue
            if any(self.concepts.is_a(reached.concept, native) for native in _FILES):
                message = f"a question cannot show a file, and '{dotted}' is one"
                self.error(self.at(*path), _CODE, message, "show it in the prompt, where the evidence is")

    def _verdicts(self, pipe: PipeJudge) -> None:
        """One field per question, of the right verdict."""
        ref = pipe.output.concept
        shown = self.site.short(ref)
        if self.concepts.is_open(ref) or self.concepts.is_text(ref):
            message = f"the answers to its questions are the fields of a structure, and {shown} has none"
            self.error(self.at("output"), _CODE, message, "output a concept with one field per question")
            return
        fields = self.concepts.structure(ref)
        for name, question in pipe.questions.items():
            self._verdict(name, question, fields, shown)
        for name in fields:
            if name not in pipe.questions:
                message = f"{shown} has a field '{name}', which no question answers"
                self.error(self.at("output"), _CODE, message, f"add a [pipe.{self.code}.questions.{name}] table")

    def _verdict(self, name: str, question: Question, fields: Mapping[str, Field], shown: str) -> None:
        field, wanted = fields.get(name), verdict(question)
        word = wanted.rpartition(".")[2]
        if field is None:
            message = f"{shown} has no field for the question '{name}'"
            self.error(self.at("questions", name), _CODE, message, did_you_mean(name, fields))
        elif field.type is not FieldType.CONCEPT or not self.concepts.is_a(field.concept or "", wanted):
            message = f"the answer to '{name}' is a {word}, and the field '{name}' of {shown} is not"
            hint = f'declare it as {{ type = "concept", concept_ref = "{word}" }}'
            self.error(self.at("questions", name), _CODE, message, hint)
