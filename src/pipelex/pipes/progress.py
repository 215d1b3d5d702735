"""How far a run is: a tree of pipes, for people who watch. Pure; the durable host answers it as a workflow query."""

from __future__ import annotations

from typing import Literal

from pipelex.values.frozen import Frozen


class Progress(Frozen):
    """One execution of a pipe. `done` of `total` items when it is a batch; `elapsed_seconds` so far, or in all."""

    pipe: str
    state: Literal["running", "done", "failed"]
    elapsed_seconds: float = 0.0
    done: int | None = None
    total: int | None = None
    children: tuple[Progress, ...] = ()
