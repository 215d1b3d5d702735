"""Image sizes in pixels, from the ratios and tiers of the language. Runs on workers; pure."""

from __future__ import annotations

import math
import re
from typing import Final

from pipelex.pipes.requests import ImageRequest

_TIERS: Final = {"1k": 1024, "2k": 2048, "4k": 4096}
_EXACT: Final = re.compile(r"(\d{1,5})\s*[xX]\s*(\d{1,5})")
_STEP: Final = 16
"""Makers of images want sizes that are multiples of this."""


def pixels(request: ImageRequest) -> tuple[int, int] | None:
    """The width and height asked for; None when the request leaves them to the model.

    A tier is the side of a square of that many pixels; a ratio keeps the number of pixels.
    """
    if request.size is not None and (exact := _EXACT.fullmatch(request.size.strip())):
        return int(exact[1]), int(exact[2])
    if request.size is None and request.aspect_ratio is None:
        return None
    side = _TIERS.get((request.size or "1k").strip().lower(), 1024)
    name = request.aspect_ratio or "square"
    if name == "square":
        return side, side
    width, height = (int(part) for part in name.split("_")[1:])
    scale = side / math.sqrt(width * height)
    return round(width * scale / _STEP) * _STEP, round(height * scale / _STEP) * _STEP


def ratio(request: ImageRequest) -> str | None:
    """The aspect ratio as most providers write it, such as `16:9`; None when none is asked for."""
    name = request.aspect_ratio
    if name is None:
        return None
    return "1:1" if name == "square" else ":".join(name.split("_")[1:])


def tier(request: ImageRequest) -> str | None:
    """The tier asked for, such as `2k`; None when there is none, or an exact size instead."""
    asked = (request.size or "").strip().lower()
    return asked if asked in _TIERS else None
