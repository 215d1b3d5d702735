"""The guide on traces has every attribute of a span, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from pipelex.pipes import tracing

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "tracing.md"


def test_the_table_of_attributes_is_that_of_the_code() -> None:
    known = {value for name, value in vars(tracing).items() if name.isupper() and isinstance(value, str)}
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", GUIDE.read_text("utf-8"), re.MULTILINE)) == known
