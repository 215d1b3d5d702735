"""Many coroutines at once, with an order that never depends on who finishes first. Pure; replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def gather_ordered(coroutines: Iterable[Coroutine[Any, Any, T]], window: int | None = None) -> list[T]:
    """Run coroutines, at most `window` at a time (None: all), and return their results in the order given.

    The next one is taken from the iterable when a place is free, so that a generator makes them lazily. On a failure
    the others are cancelled and awaited, then the failure of the lowest index is raised. Being cancelled cancels all.
    """
    results: dict[int, T] = {}
    failures: dict[int, Exception] = {}
    numbered = enumerate(coroutines)

    async def take(index: int, coroutine: Coroutine[Any, Any, T]) -> None:
        try:
            results[index] = await coroutine
        except Exception as error:
            failures[index] = error
            raise

    async def keep_taking(index: int, coroutine: Coroutine[Any, Any, T]) -> None:
        await take(index, coroutine)
        for index, coroutine in numbered:
            await take(index, coroutine)

    workers: list[asyncio.Future[None]] = []
    opened: list[Coroutine[Any, Any, T]] = []
    try:
        for index, coroutine in numbered:
            opened.append(coroutine)
            workers.append(asyncio.ensure_future(keep_taking(index, coroutine)))
            if window is not None and len(workers) >= window:
                break
        await asyncio.gather(*workers)
    except BaseException:
        # Taken before the others are cancelled: what they raise on being cancelled is no failure of theirs.
        first = failures[min(failures)] if failures else None
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        # Those that never began, so that they do not warn about it; closing one that ended does nothing.
        for coroutine in [*opened, *coroutines] if isinstance(coroutines, Sequence) else opened:
            coroutine.close()
        if first is not None:
            raise first from first.__cause__
        raise
    return [results[index] for index in range(len(results))]
