"""A worker process: polls task queues, runs workflows and activities, and drains before it leaves. Worker side only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.common import RawValue, VersioningBehavior, WorkerDeploymentVersion
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    FixedSizeSlotSupplier,
    PollerBehavior,
    PollerBehaviorAutoscaling,
    PollerBehaviorSimpleMaximum,
    ResourceBasedSlotConfig,
    ResourceBasedSlotSupplier,
    ResourceBasedTunerConfig,
    Worker,
    WorkerDeploymentConfig,
    WorkerTuner,
)

from pipelex.errors import ConfigError, PipelexError, UnreachableError
from pipelex.pipes.tracing import Tracer
from pipelex.temporal.activities import Performs, activities
from pipelex.temporal.connection import KeyWatch
from pipelex.temporal.failures import application_error
from pipelex.temporal.health import State, health_endpoint
from pipelex.temporal.namespace import check_search_attributes
from pipelex.temporal.receipts import Receipts
from pipelex.temporal.scopes import Scope, chosen_scope
from pipelex.temporal.settings import ACTIVITIES, TemporalSettings
from pipelex.temporal.settings import chosen_task_queues as chosen_task_queues
from pipelex.temporal.spans import CallSpans
from pipelex.temporal.telemetry import CallMetrics
from pipelex.temporal.worker_settings import RuntimeProfile
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner
from pipelex.values.frozen import Frozen

_log = logging.getLogger(__name__)
DEPLOYMENT = "pipelex"
"""The name under which Temporal knows the versions of workers that have a build id."""
_WORKFLOW_TASKS_PER_CORE = 8
"""Python runs workflow code one at a time: more than this only competes for the interpreter until tasks time out."""
_DEFAULT_LOCAL_ACTIVITIES = 100
_UNKNOWN_ATTEMPTS = 3
"""How often a call that this version does not know is handed back, in case a worker of another version takes it."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Duty(Frozen):
    """What one worker process serves: its queues, what it takes from them, and how much."""

    task_queues: tuple[str, ...]
    scope: Scope
    profile_name: str
    profile: RuntimeProfile
    build_id: str | None = None


def chosen_duty(
    settings: TemporalSettings,
    *,
    task_queues: Sequence[str] = (),
    scope_name: str | None = None,
    profile_name: str | None = None,
    build_id: str | None = None,
) -> Duty:
    """What a worker would serve. Needs no connection; ConfigError when a name is unknown or nothing is left to do."""
    if build_id == "":
        raise ConfigError("the build id is empty", hint="give --build-id a text, or leave the flag out")
    profile = settings.runtime_profile(profile_name)
    name = profile_name or settings.worker_runtime_profiles.default_profile
    scope = chosen_scope(settings, scope_name)
    if not scope.has_workflows and not profile.takes_activities:
        raise ConfigError(
            f"nothing is left to do: the scope {scope.name!r} has no workflows, the profile {name!r} no activities",
            hint=f"set max_concurrent_activities of [temporal.worker_runtime_profiles.profiles.{name}] above 0",
        )
    queues = chosen_task_queues(settings, task_queues)
    return Duty(task_queues=queues, scope=scope, profile_name=name, profile=profile, build_id=build_id)


async def run_worker(
    *,
    client: Client,
    settings: TemporalSettings,
    performer: Performs,
    task_queues: Sequence[str] = (),
    scope_name: str | None = None,
    profile_name: str | None = None,
    build_id: str | None = None,
    health_address: str | None = None,
    watch: KeyWatch | None = None,
    on_ready: Callable[[], object] | None = None,
    stop: asyncio.Event | None = None,
    leave: Callable[[int], object] = os._exit,
    tracer: Tracer | None = None,
) -> None:
    """Serve the queues (the default one when none is named) until SIGTERM, SIGINT or `stop`, then drain and return.

    `on_ready` is called once, when every queue is polled. A second signal calls `leave` with 128 + its number.
    With `stop` given, the caller watches for signals; without, this must run in the main thread to see them.
    `watch` moves the workers to the connection that new certificates open. `tracer` is told the spans of what they do.
    Raises ConfigError before polling when a queue, the scope, the profile or the namespace does not fit.
    """
    duty = chosen_duty(
        settings, task_queues=task_queues, scope_name=scope_name, profile_name=profile_name, build_id=build_id
    )
    workers: list[Worker] = []
    stopping = stop or asyncio.Event()

    def state() -> State:
        if stopping.is_set():
            return "draining"
        return "ready" if workers and all(worker.is_running for worker in workers) else "starting"

    async with health_endpoint(health_address, state):
        if settings.search_attributes.enabled:
            server = watch.profile if watch else None
            await check_search_attributes(client, settings.search_attributes.attributes, server)
        workers += [_worker(client, settings, performer, queue, duty, tracer) for queue in duty.task_queues]
        if watch is not None:
            watch.follow(workers)
        with contextlib.nullcontext() if stop is not None else stop_on_signals(stopping, leave):
            await _serve(workers, stopping, on_ready)


def taken_activities(
    performer: Performs, duty: Duty, receipts: Receipts | None = None
) -> list[Callable[..., Awaitable[Any]]]:
    """The activities that a worker with this duty performs; each has the name of its type."""
    if not duty.profile.takes_activities:
        return []
    taken = [found for found in activities(performer, receipts) if found.__name__ in duty.scope.activities]
    if not taken and not duty.scope.has_workflows:
        raise ConfigError(
            f"the worker scope {duty.scope.name!r} leaves nothing to do: this version has no activity"
            f" {' or '.join(duty.scope.activities)}",
            hint="start a worker of another scope: `--scope runner` takes all activities",
        )
    return taken


def duty_told(duty: Duty, performer: Performs, settings: TemporalSettings) -> dict[str, Any]:
    """What a start-up line says of a worker: names and numbers, ready for JSON."""
    return {
        "queues": list(duty.task_queues),
        "scope": duty.scope.name,
        "profile": duty.profile_name,
        "workflows": int(duty.scope.has_workflows),
        "activities": [found.__name__ for found in taken_activities(performer, duty)] or ["none"],
        "payloads": settings.payloads.method,
        "build_id": duty.build_id or "none",
        "pid": os.getpid(),
    }


def _worker(
    client: Client,
    settings: TemporalSettings,
    performer: Performs,
    queue: str,
    duty: Duty,
    tracer: Tracer | None = None,
) -> Worker:
    options = settings.queue_options.get(queue)
    cap = options.max_task_queue_activities_per_second if options else None
    profile = duty.profile
    taken = taken_activities(performer, duty, Receipts.of(client))
    return Worker(
        client,
        task_queue=queue,
        # Without workflows, or without activities, the SDK does not poll for them.
        workflows=[PipeWorkflow] if duty.scope.has_workflows else [],
        activities=[*taken, _refusal(duty.scope, queue)] if taken else [],
        interceptors=[CallMetrics()] if tracer is None else [CallMetrics(), CallSpans(tracer)],
        workflow_runner=workflow_runner(),
        # An error of ours ends the run with a report; any other would retry its workflow task for ever.
        workflow_failure_exception_types=[PipelexError],
        max_cached_workflows=profile.max_cached_workflows,
        workflow_task_poller_behavior=_polls(profile.max_concurrent_workflow_task_polls),
        activity_task_poller_behavior=_polls(profile.max_concurrent_activity_task_polls),
        tuner=_tuner(profile),
        max_activities_per_second=profile.max_activities_per_second,
        max_task_queue_activities_per_second=cap,
        # Eager starts do not pass through the queue: they would ignore either cap, and reach nobody else.
        disable_eager_activity_execution=cap is not None
        or profile.max_activities_per_second is not None
        or not duty.scope.is_full,
        sticky_queue_schedule_to_start_timeout=profile.sticky_queue_schedule_to_start_timeout,
        max_heartbeat_throttle_interval=profile.max_heartbeat_throttle_interval,
        default_heartbeat_throttle_interval=profile.default_heartbeat_throttle_interval,
        graceful_shutdown_timeout=profile.graceful_shutdown_timeout,
        deployment_config=_deployment(duty.build_id),
    )


def _refusal(scope: Scope, queue: str) -> Callable[..., Awaitable[Any]]:
    """The activity that answers calls of all others: the SDK would have them retried, at worst for ever."""

    @activity.defn(dynamic=True)
    async def refuse(arguments: Sequence[RawValue]) -> None:
        called = activity.info()
        name = called.activity_type
        if name in ACTIVITIES and name not in scope.activities:
            raise application_error(
                ConfigError(
                    f"{name} went to the queue {queue!r}, to a worker of the scope {scope.name!r}, which leaves it out",
                    hint=f"start the workers of {queue!r} with a scope that has {name}, or send it to another queue"
                    f" under [temporal.worker_config.activity_queues.{name}]",
                )
            )
        raise ApplicationError(
            f"{name} is unknown to this version of pipelex",
            type="NotFoundError",
            non_retryable=called.attempt >= _UNKNOWN_ATTEMPTS,
        )

    return refuse


def _deployment(build_id: str | None) -> WorkerDeploymentConfig | None:
    if build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def _tuner(profile: RuntimeProfile) -> WorkerTuner:
    """Slots for workflow tasks and local activities are counted; those of activities may follow the machine's load."""
    most = max(1, profile.max_concurrent_activities)
    slots: FixedSizeSlotSupplier | ResourceBasedSlotSupplier = FixedSizeSlotSupplier(most)
    if profile.tuning_mode == "resource_based":
        slots = ResourceBasedSlotSupplier(
            ResourceBasedSlotConfig(min(profile.min_concurrent_activities, most), most),
            ResourceBasedTunerConfig(profile.target_memory_usage, profile.target_cpu_usage),
        )
    return WorkerTuner.create_composite(
        workflow_supplier=FixedSizeSlotSupplier(_workflow_tasks(profile)),
        activity_supplier=slots,
        local_activity_supplier=FixedSizeSlotSupplier(
            profile.max_concurrent_local_activities or _DEFAULT_LOCAL_ACTIVITIES
        ),
        nexus_supplier=FixedSizeSlotSupplier(1),
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
    if worker.is_running:
        await worker.shutdown()
    elif not worker.is_shutdown:
        # The SDK still asks the server about the namespace, for up to 45 s: nothing was taken that would be left.
        run.cancel()
    ended = (await asyncio.gather(run, return_exceptions=True))[0]
    return None if isinstance(ended, asyncio.CancelledError) else ended
