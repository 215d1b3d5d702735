"""One `.mthds` file once parsed: declarations as written, with the means to point back into the text. Pure."""

from __future__ import annotations

from pydantic import JsonValue

from pipelex.errors import Problem
from pipelex.language.pipes import Pipe
from pipelex.values.concepts import FieldType
from pipelex.values.frozen import Frozen


class FieldDeclaration(Frozen):
    """A structure field as written; references are not resolved yet (`concept_ref`, `item_concept_ref`)."""

    description: str
    type: FieldType = FieldType.TEXT
    required: bool = False
    default_value: JsonValue = None
    choices: tuple[str, ...] = ()
    item_type: FieldType | None = None
    item_concept_ref: str | None = None
    concept_ref: str | None = None
    value_type: FieldType | None = None
    hints: dict[str, str] = {}
    is_shorthand: bool = False
    """Written as a description only: to be filled, by the language, and left empty by real methods."""


class ConceptDeclaration(Frozen):
    """A concept as written: description only, refinement, inline structure, or a structure given as a text.

    `structure_class` is that text: the name of a Python class, or, if no class has that name, a description.
    """

    description: str
    refines: str | None = None
    structure: dict[str, FieldDeclaration] | None = None
    structure_class: str | None = None
    hints: dict[str, str] = {}


class Bundle(Frozen):
    """A parsed file. `source` is the name shown in messages; `text` is kept so that later stages can point into it."""

    source: str
    text: str
    domain: str
    description: str | None = None
    system_prompt: str | None = None
    main_pipe: str | None = None
    concepts: dict[str, ConceptDeclaration] = {}
    pipes: dict[str, Pipe] = {}
    warnings: tuple[Problem, ...] = ()
    package: str = ""
    """The address of the package it is part of; empty for the package that is run. Set by who loads it."""

    def problem(
        self, code: str, message: str, *path: str | int, hint: str | None = None, is_warning: bool = False
    ) -> Problem:
        """A problem that points at the key path, e.g. `("pipe", "summarize", "inputs")`, or at its nearest parent."""
        from pipelex.language.positions import problem_at

        return problem_at(self.source, self.text, path, code, message, hint=hint, is_warning=is_warning)
