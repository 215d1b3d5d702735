"""Which task queues somebody must poll, and whether somebody does. Runs wherever a client is."""

from __future__ import annotations

import time
from typing import Literal

from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from pipelex.temporal.settings import ACTIVITIES, TemporalSettings
from pipelex.values.frozen import Frozen

Work = Literal["workflow", "activity"]
_KINDS = {"workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY}
_POLLER_SECONDS = 75.0
"""A poll lasts 60 s at most: a poller not seen for longer is gone."""
_LEFT_SECONDS = 10.0
"""Work that waits this long without a single poll is left there: an idle worker would have had it at once."""


class Polling(Frozen):
    """Who polls a queue for one kind of work. `waiting_builds` are builds that poll while none of them is current.

    `is_left`: work has waited there for some time and nobody asked for it since. A worker that was killed looks polling
    for a minute; this shows earlier that it is gone, or that it holds as much as it takes.
    """

    is_polled: bool
    is_left: bool = False
    waiting_builds: tuple[str, ...] = ()


class Need(Frozen):
    """A queue that routing names: what is sent there, by activity. `is_sure` False: only what nothing routes stays."""

    queue: str
    work: Work
    sent: dict[str, tuple[str, ...]] = {}
    is_sure: bool = True


async def polling(client: Client, queue: str, work: Work) -> Polling:
    """Ask the server who polls a queue. Raises RPCError."""
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=_KINDS[work],
            report_stats=True,
        )
    )
    now, waited = time.time(), described.stats.approximate_backlog_age.ToTimedelta().total_seconds()
    seen = [poller for poller in described.pollers if poller.last_access_time.seconds >= now - _POLLER_SECONDS]
    is_asked_since = any(poller.last_access_time.seconds >= now - waited for poller in seen)
    versioned = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    builds = {
        poller.deployment_options.build_id
        for poller in seen
        if poller.deployment_options.worker_versioning_mode == versioned
    }
    is_waiting = len(builds) > 0 and not described.versioning_info.current_deployment_version.build_id
    has_others = any(poller.deployment_options.worker_versioning_mode != versioned for poller in seen)
    return Polling(
        is_polled=bool(seen),
        is_left=bool(seen) and waited >= _LEFT_SECONDS and not is_asked_since,
        waiting_builds=tuple(sorted(builds)) if is_waiting and not has_others else (),
    )


def needs_of_queues(settings: TemporalSettings) -> list[Need]:
    """Every queue that must be polled for runs of these settings to go on, the default one first."""
    config = settings.worker_config
    sent: dict[str, dict[str, list[str]]] = {}
    for activity, routed in config.activity_queues.items():
        if routed.default is not None:
            sent.setdefault(routed.default, {}).setdefault(activity, [])
        for handle, queue in routed.by_handle.items():
            sent.setdefault(queue, {}).setdefault(activity, []).append(handle)
    default, queues = config.default_task_queue, config.activity_queues
    is_sure = not queues or default in sent
    staying = [name for name in ACTIVITIES if name not in queues or queues[name].default is None]
    found = [Need(queue=default, work="workflow")]
    if default in sent or staying:
        stays = {**dict.fromkeys(staying, ()), **_told(sent.pop(default, {}))}
        found.append(Need(queue=default, work="activity", sent=stays, is_sure=is_sure))
    return [*found, *(Need(queue=queue, work="activity", sent=_told(what)) for queue, what in sent.items())]


def _told(sent: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {activity: tuple(handles) for activity, handles in sent.items()}
