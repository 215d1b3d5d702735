"""Which models a library asks for, and the key under which a plan keeps each resolved setting. Pure; replayed."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

from pipelex.language.pipes import (
    ModelChoice,
    PipeExtract,
    PipeImgGen,
    PipeJudge,
    PipeLLM,
    PipeSearch,
    PipeStructure,
)
from pipelex.library.crate import LibraryCrate
from pipelex.values.concepts import Concepts

Family = Literal["llm", "extract", "img_gen", "search", "judgment"]
Default = Literal["for_text", "for_object", "default"]


class ModelAsk(NamedTuple):
    """A choice of model as a pipe declares it; `default` names the deck's default when `choice` is None."""

    family: Family
    choice: ModelChoice | None
    default: Default

    @property
    def key(self) -> str:
        """The key of the resolved setting in `Plan.models`."""
        if self.choice is None:
            return f"{self.family}:{self.default}"
        if isinstance(self.choice, str):
            return f"{self.family}:={self.choice}"
        return f"{self.family}:{json.dumps(self.choice, sort_keys=True)}"


Asking = PipeLLM | PipeStructure | PipeImgGen | PipeExtract | PipeSearch | PipeJudge
"""The kinds of pipe that need a model."""


def model_ask(pipe: Asking, concepts: Concepts) -> ModelAsk:
    """What one pipe asks for."""
    match pipe:
        case PipeLLM():
            is_plain_text = concepts.is_text(pipe.output.concept) and not pipe.output.is_list
            return ModelAsk("llm", pipe.model, "for_text" if is_plain_text else "for_object")
        case PipeStructure():
            return ModelAsk("llm", pipe.model, "for_object")
        case PipeImgGen():
            return ModelAsk("img_gen", pipe.model, "default")
        case PipeExtract():
            return ModelAsk("extract", pipe.model, "default")
        case PipeSearch():
            return ModelAsk("search", pipe.model, "default")
        case PipeJudge():
            return ModelAsk("judgment", pipe.model, "default")


def model_asks(crate: LibraryCrate) -> dict[str, ModelAsk]:
    """Every model the pipes of a crate ask for: pipe reference -> ask."""
    concepts = Concepts(crate.concepts)
    return {ref: model_ask(pipe, concepts) for ref, pipe in crate.pipes.items() if isinstance(pipe, Asking)}
