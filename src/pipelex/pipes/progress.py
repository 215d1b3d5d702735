"""How far a run is: a tree of pipes, for people who watch. Pure; the durable host answers it as a workflow query."""

from __future__ import annotations

from typing import Literal

from pipelex.pipes.requests import Usage
from pipelex.values.frozen import Frozen


class Spent(Frozen, extra="ignore"):
    """What calls consumed, in short. `cost_usd` None means that a price is unknown, never that it is 0.

    It is part of the answer to a query, of which a reader leaves out what it does not know.
    """

    tokens: int = 0
    cost_usd: float | None = 0.0
    is_simulated: bool = False

    @classmethod
    def of(cls, usage: Usage) -> Spent:
        """The short form of a usage."""
        tokens = usage.input_tokens + usage.output_tokens
        return cls(tokens=tokens, cost_usd=usage.cost_usd, is_simulated=usage.is_simulated)

    def __add__(self, other: Spent) -> Spent:
        is_known = self.cost_usd is not None and other.cost_usd is not None
        return Spent(
            tokens=self.tokens + other.tokens,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if is_known else None,
            is_simulated=self.is_simulated or other.is_simulated,
        )


class Progress(Frozen):
    """One execution of a pipe. `done` of `total` items when it is a batch; `elapsed_seconds` so far, or in all.

    `item` is its place in a batch, from 0. `spent` counts the calls that ended, those of the pipes under it too.
    """

    pipe: str
    state: Literal["running", "done", "failed"]
    elapsed_seconds: float = 0.0
    item: int | None = None
    done: int | None = None
    total: int | None = None
    spent: Spent = Spent()
    children: tuple[Progress, ...] = ()
