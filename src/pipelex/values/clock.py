"""Dates, times and date-times as ISO texts: read leniently, written one way. Pure; replayed."""

from __future__ import annotations

import re
from datetime import date, datetime, time

_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)?"
_DATE_ONLY = re.compile(_DATE)
_TIME_ONLY = re.compile(_TIME)
_DATE_TIME = re.compile(f"{_DATE}[Tt ]{_TIME}")


def read_date(text: str) -> str | None:
    """Read a date, or the date part of a date-time; None for anything else."""
    text = text.strip()
    if not _DATE_ONLY.fullmatch(text):
        moment = read_datetime(text)
        return None if moment is None else moment[:10]
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def read_datetime(text: str) -> str | None:
    """Read a date with a time of day, and its offset if any; None for anything else, a bare date included."""
    text = text.strip().upper()
    if not _DATE_TIME.fullmatch(text):
        return None
    try:
        return _utc(datetime.fromisoformat(text).isoformat())
    except ValueError:
        return None


def read_time(text: str) -> str | None:
    """Read a time of day; None for anything else."""
    text = text.strip().upper()
    if not _TIME_ONLY.fullmatch(text):
        return None
    try:
        return _utc(time.fromisoformat(text).isoformat())
    except ValueError:
        return None


def _utc(text: str) -> str:
    # The spelling pydantic writes too, so that data is the same after a trip through a content object.
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
