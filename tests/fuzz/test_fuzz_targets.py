"""A few thousand cases of every fuzz target; `make fuzz` runs as many as one has time for."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz_targets import TARGETS, Target, run_case
from hypothesis import HealthCheck, given, settings


@pytest.mark.timeout(240)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_case_gives_a_value_or_one_of_our_errors(target: Target) -> None:
    @settings(max_examples=target.count, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def check(case: Any) -> None:
        run_case(target, case)

    check()
