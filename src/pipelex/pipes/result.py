"""What a run made, as the caller sees it: the outcome, the memory, the usage. Submitter side; pure."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue

from pipelex.pipes.port import PipeResult, RunInfo
from pipelex.pipes.record import RunRecord
from pipelex.pipes.requests import Usage
from pipelex.values.concepts import Concepts
from pipelex.values.contents import ListContent, TextContent
from pipelex.values.value import Absence, Memory, Outcome, Value
from pipelex.values.working_memory import Stuff, WorkingMemory

ContentT = TypeVar("ContentT", bound=BaseModel)


class RunResult:
    """What a run made. Typed access goes through the working memory; `data` is the plain JSON of the main stuff."""

    def __init__(self, *, pipe: str, run: RunInfo, given: Memory, result: PipeResult, concepts: Concepts) -> None:
        self.pipe = pipe
        self.run_id = run.run_id
        self.usage: Usage = result.usage
        self.outcome: Outcome = result.outcome
        self.memory = _final_memory(given, result)
        self.working_memory = WorkingMemory(self.memory, concepts)
        self.concepts = concepts
        self.record: RunRecord | None = None
        """What the run did, when it ran in this process; that of a durable run is asked of its handle."""

    @property
    def is_simulated(self) -> bool:
        """Whether the simulated backend answered for a model."""
        return self.usage.is_simulated

    @property
    def absence(self) -> Absence | None:
        """Why there is no main stuff, when there is none: a successful run may end so."""
        return self.outcome if isinstance(self.outcome, Absence) else None

    @property
    def data(self) -> JsonValue:
        """The main stuff as JSON data: an object, or an array for a list; None when it is absent."""
        return self.outcome.data if isinstance(self.outcome, Value) else None

    @property
    def main_stuff(self) -> Stuff:
        """The main stuff with its concept and its typed content."""
        return self.working_memory.main_stuff

    def main_stuff_as(self, content_type: type[ContentT]) -> ContentT:
        """The main stuff as an object of that class."""
        return self.working_memory.main_stuff_as(content_type)

    def main_stuff_as_list(self, item_type: type[ContentT]) -> ListContent[Any]:
        """The main stuff as a list of objects of that class."""
        return self.working_memory.main_stuff_as_list(item_type)

    @property
    def main_stuff_as_text(self) -> TextContent:
        """The main stuff when it is a text; its string is `.text`."""
        return self.working_memory.main_stuff_as_text


def _final_memory(given: Memory, result: PipeResult) -> Memory:
    """The inputs, what the pipes stored, and the outcome as the main stuff, under the name it was stored by if any."""
    memory = given.merged(result.stored)
    if result.stored.main is not None and memory.get(result.stored.main) == result.outcome:
        return memory
    return memory.with_output(None, result.outcome)
