"""How a run in this process calls out: how many requests at a time, and how they are retried. Stays here."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from pipelex.values.durations import Duration
from pipelex.values.frozen import Frozen


class InProcessSettings(Frozen):
    """The retries are those of a durable run by default, so that both hosts survive the same faults."""

    max_concurrency: int = Field(default=50, ge=1)
    """How many requests of one run are under way at a time."""
    attempts: int = Field(default=3, ge=1)
    """How many times a request is made in all."""
    initial_interval: Duration = timedelta(seconds=3)
    """How long after a failed attempt the next one is made."""
    backoff: float = Field(default=2.0, ge=1.0)
    """What the interval is multiplied with after each attempt."""
    maximum_interval: Duration = timedelta(seconds=100)
    """The longest interval."""
