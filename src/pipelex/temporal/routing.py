"""Where each activity goes, and how patiently: resolved at submit, looked up while the run lasts. Pure; replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pipelex.language.pipes import PipeDocGen, PipeFunc
from pipelex.library.crate import LibraryCrate
from pipelex.pipes.requests import (
    DocumentReply,
    DocumentRequest,
    ExtractRequest,
    FunctionReply,
    FunctionRequest,
    ImageRequest,
    ImagesReply,
    ModelSetting,
    ObjectListRequest,
    ObjectReply,
    ObjectRequest,
    PagesReply,
    Reply,
    Request,
    SearchObjectRequest,
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
)
from pipelex.values.frozen import Frozen

if TYPE_CHECKING:
    from pipelex.temporal.settings import HandleOptions, QueueOptions, TemporalSettings

FAIRNESS_KEY_BYTES = 64

REPLIES: dict[type[Request[Any]], type[Reply]] = {
    TextRequest: TextReply,
    ObjectRequest: ObjectReply,
    ObjectListRequest: ObjectReply,
    ExtractRequest: PagesReply,
    ImageRequest: ImagesReply,
    SearchRequest: SearchReply,
    SearchObjectRequest: ObjectReply,
    DocumentRequest: DocumentReply,
    FunctionRequest: FunctionReply,
}
"""Every request that is an activity, with what it answers."""

_FAMILIES: Mapping[str, tuple[type[Request[Any]], ...]] = {
    "llm": (TextRequest, ObjectRequest, ObjectListRequest),
    "extract": (ExtractRequest,),
    "img_gen": (ImageRequest,),
    "search": (SearchRequest, SearchObjectRequest),
    "judgment": (ObjectRequest,),
}


class Retry(Frozen):
    """When a failed activity is tried again. `maximum_attempts` None is for ever; `maximum_interval` None, no cap."""

    initial_interval: timedelta = timedelta(seconds=3)
    backoff_coefficient: float = 2.0
    maximum_interval: timedelta | None = None
    maximum_attempts: int | None = 3
    non_retryable_error_types: tuple[str, ...] = ()


class Route(Frozen):
    """How one activity is dispatched. `task_queue` None is the workflow's own queue."""

    task_queue: str | None = None
    start_to_close: timedelta = timedelta(minutes=10)
    schedule_to_close: timedelta | None = None
    schedule_to_start: timedelta | None = None
    heartbeat: timedelta = timedelta(seconds=15)
    retry: Retry = Retry()
    layers: dict[str, str] = {}
    """The layer of the settings that each value came from, by its key there; on the wire only when dispatch is traced.

    The layers: `default`, `baseline` ([temporal.worker_config]), or the table, as `queue_options.<queue>`.
    """


class Lane(Frozen):
    """How urgent a run is: a priority key, 1 (first) to 5 (last), and with whom it takes turns among its equals."""

    priority_key: int = 3
    fairness_key: str | None = None
    fairness_weight: float | None = None


class Routes(Frozen):
    """The routes of a run; only what differs from `default` is written. Handle keys are `activity handle`."""

    default: Route = Route()
    by_activity: dict[str, Route] = {}
    by_handle: dict[str, Route] = {}
    child_workflows: Literal["every_pipe", "fan_out"] = "every_pipe"
    search_attributes: tuple[str, ...] = ()
    lane: Lane = Lane()

    def only(self, activities: frozenset[str], handles: frozenset[str]) -> Routes:
        """The routes that calls of these activities and handles can take, without the lane: Temporal hands it down."""
        by_activity = {name: found for name, found in self.by_activity.items() if name in activities}
        by_handle = {
            key: found
            for key, found in self.by_handle.items()
            if key.partition(" ")[0] in activities and key.partition(" ")[2] in handles
        }
        return self.model_copy(update={"by_activity": by_activity, "by_handle": by_handle, "lane": Lane()})


def route(routes: Routes, activity: str, handle: str | None) -> Route:
    """Look up the route of one call."""
    found = routes.by_handle.get(f"{activity} {handle}") or routes.by_activity.get(activity)
    return found or routes.default


def needs(crate: LibraryCrate, models: Mapping[str, ModelSetting]) -> dict[str, tuple[str, ...]]:
    """Which activities a crate may call, and by which handles; `models` is `Plan.models`."""
    found: dict[str, list[str]] = {}
    for key, setting in models.items():
        for kind in _FAMILIES.get(key.partition(":")[0], ()):
            found.setdefault(kind.activity, []).append(setting.handle)
    for pipe in crate.pipes.values():
        if isinstance(pipe, PipeFunc):
            found.setdefault(FunctionRequest.activity, []).append(pipe.function_name)
        elif isinstance(pipe, PipeDocGen):
            found.setdefault(DocumentRequest.activity, [])
    return {activity: tuple(dict.fromkeys(handles)) for activity, handles in found.items()}


def routes_for(
    settings: TemporalSettings,
    crate: LibraryCrate,
    models: Mapping[str, ModelSetting],
    lane: Lane = Lane(),  # noqa: B008 - frozen
) -> Routes:
    """Resolve the routes of everything a crate may call, and freeze what else the settings decide of a run."""
    is_traced = settings.temporal_config.temporal_log_config.is_dispatch_resolution_traced

    def resolved(activity: str | None, handle: str | None) -> Route:
        found = resolve(settings, activity, handle)
        return found if is_traced else found.model_copy(update={"layers": {}})

    default = resolved(None, None)
    by_activity: dict[str, Route] = {}
    by_handle: dict[str, Route] = {}
    for activity, handles in needs(crate, models).items():
        found = resolved(activity, None)
        if found != default:
            by_activity[activity] = found
        for handle in handles:
            closer = resolved(activity, handle)
            if closer != found:
                by_handle[f"{activity} {handle}"] = closer
    attributes = settings.search_attributes
    return Routes(
        default=default,
        by_activity=by_activity,
        by_handle=by_handle,
        child_workflows=settings.execution.child_workflows,
        search_attributes=attributes.attributes if attributes.enabled else (),
        lane=lane,
    )


def resolve(settings: TemporalSettings, activity: str | None, handle: str | None = None) -> Route:
    """Resolve the route of one call, with the layer that gave each value, deepest layer last.

    The layers: the worker's baseline, the options of the queue, the options of the handle.
    """
    config = settings.worker_config
    queue, layer = _queue(settings, activity, handle)
    times = {key: getattr(config, f"default_activity_{key}") for key in ("start_to_close_timeout", "heartbeat_timeout")}
    policy = config.retry_policy_config
    layers = {"task_queue": layer}
    layers |= {key: _baseline(config, f"default_activity_{key}") for key in times}
    layers |= {key: _baseline(policy, key) for key in type(policy).model_fields}
    for name, overlay in _overlays(settings, activity, handle, queue):
        given = {key: value for key, value in overlay if key.endswith("_timeout") and value is not None}
        times |= given
        layers |= dict.fromkeys(given, name)
        if (changes := overlay.retry_policy_config) is not None:
            layers |= dict.fromkeys(changes.scalars(), name)
            if changes.non_retryable_error_types_extra:
                above = f"{layers[_TYPES]} + " if policy.non_retryable_error_types else ""
                layers[_TYPES] = above + name
            policy = policy.overlaid(changes)
    return Route(
        task_queue=queue,
        start_to_close=times["start_to_close_timeout"],
        schedule_to_close=times.get("schedule_to_close_timeout"),
        schedule_to_start=times.get("schedule_to_start_timeout"),
        heartbeat=times["heartbeat_timeout"],
        retry=Retry(
            initial_interval=policy.initial_interval,
            backoff_coefficient=policy.backoff_coefficient,
            maximum_interval=None if policy.maximum_interval == "unlimited" else policy.maximum_interval,
            maximum_attempts=None if policy.maximum_attempts == "unlimited" else policy.maximum_attempts,
            non_retryable_error_types=policy.non_retryable_error_types,
        ),
        layers=layers,
    )


_TYPES = "non_retryable_error_types"


def _queue(settings: TemporalSettings, activity: str | None, handle: str | None) -> tuple[str | None, str]:
    """The queue of a call, and who says so. None: it stays on the workflow's own, where it may start at once."""
    config = settings.worker_config
    routed = config.activity_queues.get(activity or "")
    if routed is not None:
        if handle is not None and handle in routed.by_handle:
            return routed.by_handle[handle], f"activity_queues.{activity}.by_handle.{handle}"
        if routed.default is not None:
            return routed.default, f"activity_queues.{activity}.default"
    return None, _baseline(config, "default_task_queue")


def _overlays(
    settings: TemporalSettings, activity: str | None, handle: str | None, queue: str | None
) -> Iterator[tuple[str, QueueOptions | HandleOptions]]:
    """The tables that change a call on that queue, with their names, deepest last."""
    name = queue or settings.worker_config.default_task_queue
    if (at_queue := settings.queue_options.get(name)) is not None:
        yield f"queue_options.{name}", at_queue
    routed = settings.worker_config.activity_queues.get(activity or "")
    if routed is not None and handle is not None and handle in routed.handle_options:
        yield f"activity_queues.{activity}.handle_options.{handle}", routed.handle_options[handle]


def _baseline(table: Frozen, key: str) -> str:
    return "baseline" if key in table.model_fields_set else "default"


def dispatched(activity: str, handle: str | None, found: Route) -> str:
    """One line on how a call is dispatched, each value with the layer it came from."""
    attempts = found.retry.maximum_attempts
    told = {
        "queue": (found.task_queue or "of the workflow", "task_queue"),
        "start_to_close": (found.start_to_close, "start_to_close_timeout"),
        "attempts": ("unlimited" if attempts is None else attempts, "maximum_attempts"),
        "heartbeat": (found.heartbeat, "heartbeat_timeout"),
    }
    values = ", ".join(f"{name} {value} ({found.layers[key]})" for name, (value, key) in told.items())
    return f"dispatch {activity}, handle {handle or 'none'}: {values}"


def lane_of(settings: TemporalSettings, name: str | None, user_id: str) -> Lane:
    """The lane of that name, or the default one, for a run of that user. Raises ConfigError when there is none."""
    lanes = settings.lanes
    return Lane(
        priority_key=settings.priority_key(name),
        fairness_key=_fairness_key(user_id) if lanes.fairness_by_user else None,
        fairness_weight=lanes.fairness_weight,
    )


def _fairness_key(user_id: str) -> str:
    """The user, in at most the 64 bytes that Temporal takes; long ids that begin alike stay different."""
    if len(user_id.encode()) <= FAIRNESS_KEY_BYTES:
        return user_id
    digest = hashlib.sha256(user_id.encode()).hexdigest()[:16]
    return user_id.encode()[: FAIRNESS_KEY_BYTES - 17].decode(errors="ignore") + "~" + digest
