"""Generated methods run the same in process and durably: memory, calls, usage, or error; and the record of it all."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from differential_records import record_differences
from differential_runs import WAYS, Case, End, disagreements, drawn, durable_ends
from temporalio.client import Client

from pipelex.language.read_pipes import KINDS
from pipelex.pipes.port import Item

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
    assert set(kinds) == set(KINDS)
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


async def test_records_that_differ_are_told_apart(cases: list[Case], here: list[End]) -> None:
    """The comparison of records itself: what is left out, or told otherwise, is found wherever it is."""
    done = [(case, end) for case, end in zip(cases, here, strict=True) if end.error is None and end.record.children]
    assert len(done) > METHODS / 3
    for case, end in done:
        assert [*record_differences(case, end, end, is_inline=False)] == []
        inner = end.record.children[-1]
        for change in ({"state": "canceled"}, {"item": Item(index=9, total=10)}, {"pipe": "made.other"}):
            children = (*end.record.children[:-1], inner.model_copy(update=change))
            other = replace(end, record=end.record.model_copy(update={"children": children}))
            assert len([*record_differences(case, end, other, is_inline=False)]) == 1
        other = replace(end, record=end.record.model_copy(update={"children": ()}))
        has_calls = any(record.calls for record in end.record.walk())
        assert bool([*record_differences(case, end, other, is_inline=True)]) == has_calls


@pytest.mark.server
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_a_durable_run_ends_as_one_in_process(client: Client, cases: list[Case], here: list[End], way) -> None:
    ends = await durable_ends(client, cases, way)
    found: dict[str, list[str]] = {}
    for case, expected, end in zip(cases, here, ends, strict=True):
        differing = await disagreements(case, expected, {way.name: end})
        differing += record_differences(case, expected, end, is_inline=way.choice(case) == "fan_out")
        if differing:
            found[str(case.method)] = differing
    if found:
        shortest = min(found, key=len)
        others = [line for text, lines in found.items() if text is not shortest for line in lines]
        pytest.fail("\n".join([f"{len(found)} methods differ; the shortest:", shortest, *found[shortest], *others]))
