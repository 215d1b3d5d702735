"""Generated methods end the same in process and durably: memory, provider calls, usage, or the same error."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from differential_runs import WAYS, Case, End, disagreements, drawn, durable_ends
from temporalio.client import Client

METHODS = 200


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [Case.of(method, number) for number, method in enumerate(drawn(METHODS))]


@pytest.fixture(scope="module")
async def here(cases: list[Case]) -> list[End]:
    return list(await asyncio.gather(*(case.here() for case in cases)))


async def test_generated_methods_are_many_and_do_many_things(cases: list[Case], here: list[End]) -> None:
    kinds = Counter(pipe.type for case in cases for pipe in case.library.crate.pipes.values())
    errors = Counter(end.error[0] for end in here if end.error)
    asked = sum(end.asked.total() for end in here)
    print(f"\n{len(cases)} methods, {kinds.total()} pipes, {asked} requests: {dict(kinds)}; errors: {dict(errors)}")
    assert len(cases) >= METHODS
    assert len(kinds) >= 10
    assert sum(errors.values()) < METHODS / 3
    assert "InternalError" not in errors


async def test_the_order_of_answers_changes_nothing(cases: list[Case], here: list[End]) -> None:
    for case, expected in zip(cases, here, strict=True):
        again = await case.here(patience=3, batch_window=2, batch_chunk=2)
        assert await disagreements(case, expected, {"slowly, in small parts": again}) == [], str(case.method)


async def test_a_valid_method_runs_dry_and_asks_nothing(cases: list[Case]) -> None:
    ends = [await case.here(is_dry=True) for case in cases]
    assert [end.asked for end in ends if end.asked] == []
    failed = [(end.error, case) for end, case in zip(ends, cases, strict=True) if end.error]
    assert {error[0] for error, _ in failed} <= {"TemplateError", "AbsentValueError"}


@pytest.mark.server
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_a_durable_run_ends_as_one_in_process(client: Client, cases: list[Case], here: list[End], way) -> None:
    ends = await durable_ends(client, cases, way)
    found = {}
    for case, expected, end in zip(cases, here, ends, strict=True):
        if differing := await disagreements(case, expected, {way.name: end}):
            found[str(case.method)] = differing
    if found:
        shortest = min(found, key=len)
        pytest.fail("\n".join([f"{len(found)} methods differ; the shortest:", shortest, *found[shortest]]))
