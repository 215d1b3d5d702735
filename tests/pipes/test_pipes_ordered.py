from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator

import pytest

from pipelex.pipes.ordered import gather_ordered


async def after(turns: int, result: int) -> int:
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


async def failing(turns: int, message: str) -> int:
    await after(turns, 0)
    raise ValueError(message)


async def test_results_keep_the_order_given() -> None:
    assert await gather_ordered([after(5, 1), after(1, 2), after(3, 3)]) == [1, 2, 3]
    assert await gather_ordered([]) == []


@pytest.mark.parametrize("window", [1, 3, 20, None])
async def test_no_more_than_the_window_at_a_time_and_lazily(window: int | None) -> None:
    running = most = made = 0

    async def work(index: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await after(2 + index % 3, 0)
        running -= 1
        return index

    def coroutines() -> Iterator[Coroutine[None, None, int]]:
        nonlocal made
        for index in range(10):
            made += 1
            assert window is None or made <= window + most + 10
            yield work(index)

    assert await gather_ordered(coroutines(), window) == list(range(10))
    assert most == min(window or 10, 10)


async def test_coroutines_are_taken_only_when_there_is_room() -> None:
    made = 0

    def coroutines() -> Iterator[Coroutine[None, None, int]]:
        nonlocal made
        for index in range(100):
            made += 1
            yield failing(1, "no") if index == 0 else after(50, index)

    with pytest.raises(ValueError, match="no"):
        await gather_ordered(coroutines(), 4)
    assert made == 4


async def test_the_failure_of_the_lowest_index_is_raised_when_several_fail_together() -> None:
    with pytest.raises(ValueError, match="second"):
        await gather_ordered([after(9, 0), failing(2, "second"), failing(2, "third")])


async def test_a_failure_cancels_and_awaits_the_others_in_order() -> None:
    ended: list[int] = []

    async def slow(index: int) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(index)
        return index

    with pytest.raises(ValueError, match="boom"):
        await gather_ordered([slow(0), slow(1), failing(3, "boom"), slow(3)])
    assert ended == [0, 1, 3]


async def test_what_others_raise_on_being_cancelled_does_not_hide_the_failure() -> None:
    async def sulking() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError("cancelled") from None
        return 0

    with pytest.raises(ValueError, match="boom"):
        await gather_ordered([sulking(), failing(2, "boom")])


async def test_being_cancelled_cancels_all_and_goes_on_up() -> None:
    cancelled: list[int] = []

    async def slow(index: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(index)
            raise
        return index

    task = asyncio.ensure_future(gather_ordered([slow(0), slow(1), slow(2)], 2))
    await after(3, 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == [0, 1]


@pytest.mark.filterwarnings("error")
async def test_cancelled_before_anything_began_leaves_nothing_behind() -> None:
    task = asyncio.ensure_future(gather_ordered([after(1, 0), after(1, 1), after(1, 2)], 2))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
