"""A worker process: polls task queues, runs workflows and activities, and drains before it leaves. Worker side only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from temporalio.client import Client
from temporalio.worker import (
    PollerBehavior,
    PollerBehaviorAutoscaling,
    PollerBehaviorSimpleMaximum,
    Worker,
)

from pipelex.errors import PipelexError, UnreachableError
from pipelex.temporal.activities import Performs, activities
from pipelex.temporal.namespace import check_search_attributes
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.settings import chosen_task_queues as chosen_task_queues
from pipelex.temporal.worker_settings import RuntimeProfile
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner

_log = logging.getLogger(__name__)
_WORKFLOW_TASKS_PER_CORE = 8
"""Python runs workflow code one at a time: more than this only competes for the interpreter until tasks time out."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_worker(
    *,
    client: Client,
    settings: TemporalSettings,
    performer: Performs,
    task_queues: Sequence[str] = (),
    profile_name: str | None = None,
    on_ready: Callable[[], object] | None = None,
    stop: asyncio.Event | None = None,
    leave: Callable[[int], object] = os._exit,
) -> None:
    """Serve the queues (the default one when none is named) until SIGTERM, SIGINT or `stop`, then drain and return.

    `on_ready` is called once, when every queue is polled. A second signal calls `leave` with 128 + its number.
    With `stop` given, the caller watches for signals; without, this must run in the main thread to see them.
    Raises ConfigError before polling when a queue, the profile or the namespace does not fit.
    """
    queues = chosen_task_queues(settings, task_queues)
    profile = settings.runtime_profile(profile_name)
    if settings.search_attributes.enabled:
        await check_search_attributes(client, settings.search_attributes.attributes)
    workers = [_worker(client, settings, performer, queue, profile) for queue in queues]
    if stop is not None:
        await _serve(workers, stop, on_ready)
        return
    stopping = asyncio.Event()
    with stop_on_signals(stopping, leave):
        await _serve(workers, stopping, on_ready)


def _worker(
    client: Client, settings: TemporalSettings, performer: Performs, queue: str, profile: RuntimeProfile
) -> Worker:
    options = settings.queue_options.get(queue)
    cap = options.max_task_queue_activities_per_second if options else None
    takes_activities = profile.max_concurrent_activities != 0 and profile.max_concurrent_activity_task_polls != 0
    return Worker(
        client,
        task_queue=queue,
        workflows=[PipeWorkflow],
        activities=activities(performer) if takes_activities else [],
        workflow_runner=workflow_runner(),
        # An error of ours ends the run with a report; any other would retry its workflow task for ever.
        workflow_failure_exception_types=[PipelexError],
        max_cached_workflows=profile.max_cached_workflows,
        max_concurrent_workflow_tasks=_workflow_tasks(profile),
        max_concurrent_activities=profile.max_concurrent_activities or None,
        max_concurrent_local_activities=profile.max_concurrent_local_activities or None,
        workflow_task_poller_behavior=_polls(profile.max_concurrent_workflow_task_polls),
        activity_task_poller_behavior=_polls(profile.max_concurrent_activity_task_polls),
        max_activities_per_second=profile.max_activities_per_second,
        max_task_queue_activities_per_second=cap,
        # Eager starts do not pass through the queue, so they would ignore either cap.
        disable_eager_activity_execution=cap is not None or profile.max_activities_per_second is not None,
        sticky_queue_schedule_to_start_timeout=profile.sticky_queue_schedule_to_start_timeout,
        max_heartbeat_throttle_interval=profile.max_heartbeat_throttle_interval,
        default_heartbeat_throttle_interval=profile.default_heartbeat_throttle_interval,
        graceful_shutdown_timeout=profile.graceful_shutdown_timeout,
    )


def _workflow_tasks(profile: RuntimeProfile) -> int:
    # The SDK wants two at least: one for the sticky queue, one for the other.
    return max(2, profile.max_concurrent_workflow_tasks or _WORKFLOW_TASKS_PER_CORE * (os.cpu_count() or 1))


def _polls(maximum: int | None) -> PollerBehavior:
    return PollerBehaviorSimpleMaximum(max(2, maximum)) if maximum else PollerBehaviorAutoscaling()


@contextlib.contextmanager
def stop_on_signals(stopping: asyncio.Event, leave: Callable[[int], object] = os._exit) -> Iterator[None]:
    """Make the first SIGTERM or SIGINT set the event, and the second call `leave` with 128 + its number."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stopping.is_set():
            leave(128 + number)
        _log.info("%s: no new work is taken, what runs is finished first", number.name)
        stopping.set()

    watched = []
    # Not in other threads, nor where loops have no signals: there, whoever runs the worker gives `stop`.
    with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, partial(on_signal, number))
            watched.append(number)
    try:
        yield
    finally:
        for number in watched:
            loop.remove_signal_handler(number)


async def _serve(workers: Sequence[Worker], stopping: asyncio.Event, on_ready: Callable[[], object] | None) -> None:
    runs = [asyncio.create_task(worker.run()) for worker in workers]
    stop = asyncio.create_task(stopping.wait())
    try:
        if await _polling(workers, [*runs, stop]) and on_ready is not None:
            on_ready()
        await asyncio.wait([*runs, stop], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        # Every queue stops being polled at once; each worker then waits for what it holds.
        ended = await asyncio.gather(*(_stopped(worker, run) for worker, run in zip(workers, runs, strict=True)))
    for error in filter(None, ended):
        raise UnreachableError(
            f"the worker cannot go on: {error}",
            hint="check that the Temporal server is up and that this connection may poll its namespace",
        ) from error


async def _polling(workers: Sequence[Worker], ends: Sequence[asyncio.Task[Any]]) -> bool:
    """Wait until every worker has passed the SDK's own checks; False when something ended first."""
    while not all(worker.is_running for worker in workers):
        done, _ = await asyncio.wait(ends, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return False
    return True


async def _stopped(worker: Worker, run: asyncio.Task[None]) -> BaseException | None:
    if not run.done():
        await worker.shutdown()
    return (await asyncio.gather(run, return_exceptions=True))[0]
