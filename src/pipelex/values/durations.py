"""Durations as people write them: "10m", "1h30m", "0:10:00", "PT10M", or a number of seconds. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_CLOCK = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?)")


def parse_duration(value: Any) -> Any:
    """Read the spellings above into a timedelta; anything else is left to pydantic, which knows ISO 8601."""
    if isinstance(value, bool):
        raise ValueError("a duration is a text such as '10m', or a number of seconds")
    if isinstance(value, int | float):
        return timedelta(seconds=value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if clock := _CLOCK.fullmatch(text):
        return timedelta(hours=int(clock[1]), minutes=int(clock[2]), seconds=float(clock[3]))
    parts = list(_PART.finditer(text))
    if parts and "".join(part[0] for part in parts) == text:
        return timedelta(seconds=sum(float(part[1]) * _UNITS[part[2]] for part in parts))
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
