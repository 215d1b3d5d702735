"""How the simulated backend behaves for one model: frozen at submit, alike on every worker. Pure data, on the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from pipelex.values.durations import Duration
from pipelex.values.frozen import Frozen


class Spread(Frozen):
    """A latency that varies: evenly from `min` to `max`, or, as real ones do, with a long tail.

    With `p50` and `p99`, half of the calls take less than the first and one in a hundred more than the second.
    """

    min: Duration | None = None
    max: Duration | None = None
    p50: Duration | None = None
    p99: Duration | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Spread:
        pairs = {("min", "max"): (self.min, self.max), ("p50", "p99"): (self.p50, self.p99)}
        given = [name for name in ("min", "max", "p50", "p99") if getattr(self, name) is not None]
        for names, (low, high) in pairs.items():
            if given == list(names) and low is not None and high is not None:
                if low > high or (names[0] == "p50" and low <= timedelta(0)):
                    above = "above 0 and " if names[0] == "p50" else ""
                    raise ValueError(f"{names[0]} must be {above}at most {names[1]}")
                return self
        raise ValueError("give a latency as a text, or as a table of min and max, or of p50 and p99")


def _kind(latency: Any) -> str:
    return "table" if isinstance(latency, dict | Spread) else "text"


Latency = Annotated[Annotated[Duration, Tag("text")] | Annotated[Spread, Tag("table")], Discriminator(_kind)]
"""How long calls take: always the same, or spread."""


class Outage(Frozen):
    """A time in which every call fails, counted from the start of the run."""

    start: Duration
    end: Duration

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Outage:
        if self.end <= self.start:
            raise ValueError("an outage ends after its start")
        return self


class Behaviour(Frozen):
    """What calls of a simulated model do. Rates are shares of attempts, from 0 to 1; prices are in USD."""

    latency: Latency = timedelta(0)
    """How long a call takes: a duration, or a table of `min` and `max`, or of `p50` and `p99`."""
    jitter: Duration = timedelta(0)
    """The most that is added to the latency."""
    error_rate: float = Field(default=0.0, ge=0, le=1)
    """Server errors (503), worth another try."""
    rate_limit_rate: float = Field(default=0.0, ge=0, le=1)
    """Refusals to answer now (429), worth another try after `rate_limit_retry_after`."""
    rate_limit_retry_after: Duration = timedelta(seconds=1)
    """What a refusal to answer now asks to wait."""
    refusal_rate: float = Field(default=0.0, ge=0, le=1)
    """Replies withheld by a content filter, which another try does not help."""
    truncated_rate: float = Field(default=0.0, ge=0, le=1)
    """Objects whose JSON is cut, so that they are asked again."""
    outages: tuple[Outage, ...] = ()
    """Times, counted from the start of the run, in which every call fails."""
    input_usd_per_million_tokens: float = Field(default=0.0, ge=0)
    """The price of what goes in."""
    output_usd_per_million_tokens: float = Field(default=0.0, ge=0)
    """The price of what comes out."""
    image_usd: float = Field(default=0.0, ge=0)
    """The price of an image."""
    search_usd: float = Field(default=0.0, ge=0)
    """The price of a search."""


class Rehearsal(Frozen):
    """The behaviour of one model in one run. Everything follows from `seed`, the request and the attempt.

    `started` is the time the run was submitted, in seconds since the epoch. `attempt` is set by the host of a call.
    """

    seed: str | int = 0
    started: float
    behaviour: Behaviour = Behaviour()
    attempt: int = 1
