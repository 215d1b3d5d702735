"""The kinds of value that `[temporal]` tables hold. No SDK."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field

from pipelex.values.durations import Duration

Positive = Annotated[Duration, Field(gt=timedelta(0))]
NotNegative = Annotated[Duration, Field(ge=timedelta(0))]
Attempts = Annotated[int, Field(gt=0)] | Literal["unlimited"]
Interval = Positive | Literal["unlimited"]
Rate = Annotated[float, Field(gt=0)]
PriorityKey = Annotated[int, Field(ge=1, le=5)]
Count = Annotated[int, Field(gt=0)]
Queue = Annotated[str, Field(min_length=1, max_length=1000)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or an empty text when nothing is close."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f" Did you mean {close[0]!r}?" if close else ""
