"""Where each activity goes, and how patiently: resolved at submit, looked up while the run lasts. Pure; replayed."""

from __future__ import annotations

from collections.abc import Mapping
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
    SearchReply,
    SearchRequest,
    TextReply,
    TextRequest,
)
from pipelex.values.frozen import Frozen

if TYPE_CHECKING:
    from pipelex.temporal.settings import ActivityQueue, TemporalSettings

REPLIES: dict[type[Request[Any]], type[Reply]] = {
    TextRequest: TextReply,
    ObjectRequest: ObjectReply,
    ObjectListRequest: ObjectReply,
    ExtractRequest: PagesReply,
    ImageRequest: ImagesReply,
    SearchRequest: SearchReply,
    DocumentRequest: DocumentReply,
    FunctionRequest: FunctionReply,
}
"""Every request that is an activity, with what it answers."""

_FAMILIES: Mapping[str, tuple[type[Request[Any]], ...]] = {
    "llm": (TextRequest, ObjectRequest, ObjectListRequest),
    "extract": (ExtractRequest,),
    "img_gen": (ImageRequest,),
    "search": (SearchRequest,),
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


class Routes(Frozen):
    """The routes of a run; only what differs from `default` is written. Handle keys are `activity handle`."""

    default: Route = Route()
    by_activity: dict[str, Route] = {}
    by_handle: dict[str, Route] = {}
    child_workflows: Literal["every_pipe", "fan_out"] = "every_pipe"
    search_attributes: tuple[str, ...] = ()

    def only(self, activities: frozenset[str], handles: frozenset[str]) -> Routes:
        """The routes that calls of these activities and handles can take."""
        by_activity = {name: found for name, found in self.by_activity.items() if name in activities}
        by_handle = {
            key: found
            for key, found in self.by_handle.items()
            if key.partition(" ")[0] in activities and key.partition(" ")[2] in handles
        }
        return self.model_copy(update={"by_activity": by_activity, "by_handle": by_handle})


def handle_of(request: Request[Any]) -> str | None:
    """The name a request may be routed by: its model's handle, or its function."""
    if isinstance(request, FunctionRequest):
        return request.function_name
    model = getattr(request, "model", None)
    return model.handle if isinstance(model, ModelSetting) else None


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


def routes_for(settings: TemporalSettings, crate: LibraryCrate, models: Mapping[str, ModelSetting]) -> Routes:
    """Resolve the queues, timeouts and retries of everything a crate may call, deepest layer last.

    The layers: the worker's baseline, the options of the queue, the options of the handle.
    """
    queues = settings.worker_config.activity_queues
    default = _resolved(settings, None, None)
    by_activity: dict[str, Route] = {}
    by_handle: dict[str, Route] = {}
    for activity, handles in needs(crate, models).items():
        if activity not in queues:
            continue
        found = _resolved(settings, queues[activity], None)
        if found != default:
            by_activity[activity] = found
        for handle in handles:
            closer = _resolved(settings, queues[activity], handle)
            if closer != found:
                by_handle[f"{activity} {handle}"] = closer
    attributes = settings.search_attributes
    return Routes(
        default=default,
        by_activity=by_activity,
        by_handle=by_handle,
        child_workflows=settings.execution.child_workflows,
        search_attributes=attributes.attributes if attributes.enabled else (),
    )


def _resolved(settings: TemporalSettings, activity: ActivityQueue | None, handle: str | None) -> Route:
    config = settings.worker_config
    queue = (activity.by_handle.get(handle or "") or activity.default) if activity else None
    # An activity that nothing routes stays on the workflow's own queue, where it may start at once.
    at_queue = settings.queue_options.get(queue or config.default_task_queue)
    at_handle = activity.handle_options.get(handle or "") if activity else None
    start_to_close = config.default_activity_start_to_close_timeout
    heartbeat = config.default_activity_heartbeat_timeout
    policy = config.retry_policy_config
    for layer in (at_queue, at_handle):
        if layer is not None:
            start_to_close = layer.start_to_close_timeout or start_to_close
            policy = policy.overlaid(layer.retry_policy_config)
    return Route(
        task_queue=queue,
        start_to_close=start_to_close,
        schedule_to_close=at_queue.schedule_to_close_timeout if at_queue else None,
        schedule_to_start=at_queue.schedule_to_start_timeout if at_queue else None,
        heartbeat=(at_queue.heartbeat_timeout if at_queue else None) or heartbeat,
        retry=Retry(
            initial_interval=policy.initial_interval,
            backoff_coefficient=policy.backoff_coefficient,
            maximum_interval=None if policy.maximum_interval == "unlimited" else policy.maximum_interval,
            maximum_attempts=None if policy.maximum_attempts == "unlimited" else policy.maximum_attempts,
            non_retryable_error_types=policy.non_retryable_error_types,
        ),
    )
