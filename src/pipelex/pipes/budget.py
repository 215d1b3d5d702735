"""What one rendering of a template may cost, in steps and characters. Pure; replayed.

Nothing here looks at a clock: the same template with the same values is refused at the same point on every replay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MappingView
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

from pipelex.pipes.views import ContentView, ListView, Printer

MAX_STEPS = 1_000_000
"""Iterations, calls, filtered items and list cells that one rendering may cost."""
CALL_STEPS = 4
"""What a call of a macro or a method costs: some four times the time of an iteration."""
MAX_CHARACTERS = 64 * 1024 * 1024
"""Characters that one rendering may build on its way, all together."""
MAX_OUTPUT = 32 * 1024 * 1024
"""Characters of the text that a template may give."""
MAX_WIDTH = 10_000
"""Widest column, longest padding, largest count that a filter or a format may ask for."""
MAX_RANGE = 100_000
MAX_BITS = 64

RENDERING = "<rendering>"
"""The name of the `Rendering` in a context; no template can spell it."""

_DATA = (
    *(str, int, float, complex, type(None), date, time, timedelta),
    *(list, tuple, dict, range, MappingView, ContentView, Undefined),
)
"""What can be turned into text. Of anything else that would tell an address in memory, another one on each replay."""
_WIDTHS = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?")


@dataclass
class Rendering:
    """One rendering: how it prints, and what is left of its budget."""

    printer: Printer
    steps: int = MAX_STEPS
    characters: int = MAX_CHARACTERS

    def step(self, count: int = 1) -> None:
        """Pay for work."""
        self.steps -= count
        if self.steps < 0:
            raise SecurityError(f"the template does too much work: more than {MAX_STEPS:,} steps")

    def build(self, count: int) -> None:
        """Pay for characters, before they are built where that can be known."""
        self.characters -= count
        if self.characters < 0:
            raise SecurityError(f"the template builds too much text: more than {MAX_CHARACTERS:,} characters")

    def weigh_each(self, values: object, times: int) -> None:
        """Pay for values that a format may print several times."""
        before = self.characters
        self.weigh(values)
        self.build((before - self.characters) * max(0, times - 1))

    def weigh(self, value: object) -> None:
        """Pay for turning a value into text; containers are walked, since they may hold one text many times.

        Raises SecurityError for what is no data, such as a method that is not called.
        """
        if not isinstance(value, _DATA):
            raise SecurityError(_no_data(value))
        if isinstance(value, str):
            self.build(len(value))
        elif isinstance(value, ListView):
            self.step(len(value))
        elif isinstance(value, list | tuple):
            self.step(len(value))
            for item in value:
                self.weigh(item)
        elif isinstance(value, dict):
            self.step(len(value))
            for item in value.values():
                self.weigh(item)


def _no_data(value: object) -> str:
    if isinstance(value, Iterator):
        return f"a {type(value).__name__} cannot be printed: add `| list`"
    return f"a {type(value).__name__} cannot be printed" + (": call it" if callable(value) else "")


def rendering_of(context: Context) -> Rendering:
    """The rendering that a context belongs to."""
    found = context.resolve_or_missing(RENDERING)
    assert isinstance(found, Rendering)
    return found


def check_widths(template: str) -> None:
    """Refuse a template of `%` formatting that asks for an absurd width."""
    for found in _WIDTHS.finditer(template):
        for width in found.groups():
            if width is not None and (width == "*" or len(width) > 5 or int(width) > MAX_WIDTH):
                raise SecurityError("a width in a % format is too large, or is not written in the template")


def weigh_product(rendering: Rendering, left: Any, right: Any) -> None:
    """Pay for `left * right` before it is computed."""
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS * 2:
            raise SecurityError("the result of * is too large a number")
        return
    repeated, count = (right, left) if isinstance(left, int) else (left, right)
    if isinstance(repeated, str | list | tuple) and isinstance(count, int) and count > 0:
        alone = Rendering(rendering.printer)
        alone.weigh(repeated)
        rendering.step((MAX_STEPS - alone.steps) * count)
        rendering.build((MAX_CHARACTERS - alone.characters) * count)


def replaced(text: str, old: str, new: str, count: int = -1) -> str:
    """As `str.replace`, refused when the result would be longer than any output."""
    growth = text.count(old) * max(0, len(new) - len(old))
    if len(text) + growth > MAX_OUTPUT:
        raise SecurityError("the result of 'replace' is too large a text")
    return text.replace(old, new, count)
