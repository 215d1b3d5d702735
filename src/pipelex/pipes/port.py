"""The port between pipes and the world: calls, results, the plan of a run, and the Host. Pure; replayed."""

from __future__ import annotations

from typing import Protocol

from pipelex.pipes.requests import ModelSetting, ReplyT, Request, Usage
from pipelex.values.frozen import Frozen
from pipelex.values.value import Memory, Outcome


class RunInfo(Frozen):
    """Which run this is, and for whom. `run_id` is unique; the others are labels."""

    run_id: str
    user_id: str = "anonymous"
    session_id: str = ""


class Batch(Frozen):
    """Run the pipe once per item of the list `over`, each item under the name `item` (MTHDS section 9A.4).

    `first` is the index in the whole list of the first item of this part, `total` the length of the whole list.
    """

    over: str
    item: str
    first: int = 0
    total: int
    window: int
    """How many items of this part may run at a time."""


class Item(Frozen):
    """Which item of a batch a call is for; `index` counts from 0."""

    index: int
    total: int


class PipeCall(Frozen):
    """One execution of a pipe: the memory holds the inputs the pipe declares, nothing else.

    With `batch`, the pipe is run once per item and the outcome is the list of its results.
    `path` is the codes of the calling pipes, outermost first, this pipe excluded.
    `nb_output` and `multiple_output` override the declared multiplicity of the output (MTHDS section 9A.1).
    `shares_memory` says whether what the pipe stores under names comes back to the caller.
    `is_branch` says that the caller runs it beside others, as a branch of a parallel.
    """

    pipe: str
    run: RunInfo
    memory: Memory = Memory()
    path: tuple[str, ...] = ()
    batch: Batch | None = None
    item: Item | None = None
    nb_output: int | None = None
    multiple_output: bool | None = None
    shares_memory: bool = False
    is_branch: bool = False


class PipeResult(Frozen):
    """What a pipe gives back: its outcome, what it stored for its caller, and what it consumed, children included."""

    outcome: Outcome
    stored: Memory = Memory()
    usage: Usage = Usage()


class Plan(Frozen):
    """What is decided when a run is submitted and must not change while it lasts.

    `models` maps the key of a model choice (`models.key`) to its setting. `batch_window` is how many items of a batch
    may run at a time; `batch_chunk`, if given, how many calls one batch makes itself before it splits into parts.
    `depth_limit` bounds nested calls.
    """

    models: dict[str, ModelSetting] = {}
    batch_window: int = 50
    batch_chunk: int | None = None
    depth_limit: int = 50
    is_dry: bool = False


class Host(Protocol):
    """What a pipe may ask of the world. Everything else, it computes."""

    async def run_pipe(self, call: PipeCall) -> PipeResult:
        """Run another pipe, somewhere."""
        ...

    async def perform(self, request: Request[ReplyT]) -> ReplyT:
        """Carry out a request, once paid for, retried as the host sees fit."""
        ...
