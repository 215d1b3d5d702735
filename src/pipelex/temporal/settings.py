"""The `[temporal]` tables as frozen values: what the operator may set, with defaults. Never crosses a wire; no SDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from pipelex.errors import ConfigError
from pipelex.temporal.payload_settings import PayloadCodecConfig, Payloads, with_earlier_codec
from pipelex.temporal.server_settings import ServerProfile, TemporalConfig
from pipelex.temporal.setting_types import (
    Attempts,
    Interval,
    NotNegative,
    Positive,
    PriorityKey,
    Queue,
    Rate,
    did_you_mean,
)
from pipelex.temporal.worker_settings import RuntimeProfile, WorkerRuntimeProfiles, WorkerScopes
from pipelex.values.frozen import Frozen

SearchAttribute = Literal[
    "PipeCode",
    "PipelineRunId",
    "SessionId",
    "UserId",
    "DomainCode",
    "PipelexCostUsd",
    "PipelexTokens",
    "PipelexModels",
    "PipelexStatus",
    "CrateFingerprint",
]
SEARCH_ATTRIBUTES: tuple[SearchAttribute, ...] = ("PipeCode", "PipelineRunId", "SessionId", "UserId", "DomainCode")
"""What runs are labelled with when the operator names no attribute."""

SEARCH_ATTRIBUTE_TYPES: dict[str, str] = {
    **dict.fromkeys(get_args(SearchAttribute), "Keyword"),
    "PipelexCostUsd": "Double",
    "PipelexTokens": "Int",
    "PipelexModels": "KeywordList",
}
"""Every attribute that may be named, and its type in the namespace, as Temporal spells it."""

KEYED_ACTIVITIES = (
    "act_llm_gen_text",
    "act_llm_gen_object",
    "act_llm_gen_object_list",
    "act_img_gen_images",
    "act_extract_gen_extract_pages",
    "act_search_gen_sourced_answer",
    "act_search_gen_structured",
    "act_func_call",
)
"""Activities that may be routed by handle: the model's, or the function's name for `act_func_call`."""

ACTIVITIES = (*KEYED_ACTIVITIES, "act_doc_gen_document", "act_render_page_views", "act_jinja2_gen_text")
"""Every documented activity name that may be given a queue."""


class SearchAttributes(Frozen):
    """`[temporal.search_attributes]`: what runs are labelled with, once the namespace knows the names."""

    enabled: bool = False
    """Whether runs are labelled at all."""
    attributes: tuple[SearchAttribute, ...] = SEARCH_ATTRIBUTES
    """The labels. `pipelex setup-temporal-namespace` registers them."""


class RetryOverlay(Frozen):
    """What a queue or a handle changes in the baseline retry policy; unset keys are inherited."""

    initial_interval: Positive | None = None
    """How long after a failed attempt the next one is made."""
    backoff_coefficient: Annotated[float, Field(ge=1)] | None = None
    """What the interval is multiplied with after each attempt."""
    maximum_interval: Interval | None = None
    """The longest interval."""
    maximum_attempts: Attempts | None = None
    """How many attempts a call gets in all."""
    non_retryable_error_types_extra: tuple[str, ...] = ()
    """Errors of your own functions that end a call at once, besides those of the baseline."""

    def scalars(self) -> dict[str, Any]:
        """The keys that replace those of the layers above."""
        return self.model_dump(exclude_none=True, exclude={"non_retryable_error_types_extra"})


class RetryPolicyConfig(Frozen):
    """`[temporal.worker_config.retry_policy_config]`: the baseline of every activity."""

    initial_interval: Positive = timedelta(seconds=3)
    """How long after a failed attempt the next one is made."""
    backoff_coefficient: Annotated[float, Field(ge=1)] = 2.0
    """What the interval is multiplied with after each attempt."""
    maximum_interval: Interval = "unlimited"
    """The longest interval."""
    maximum_attempts: Attempts = 3
    """How many attempts a call gets in all."""
    # Our own errors say themselves whether a retry makes sense; this list is for the others.
    non_retryable_error_types: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> RetryPolicyConfig:
        if self.maximum_interval != "unlimited" and self.maximum_interval < self.initial_interval:
            raise ValueError(
                f"maximum_interval ({self.maximum_interval}) is shorter than initial_interval ({self.initial_interval})"
            )
        return self

    def overlaid(self, overlay: RetryOverlay | None) -> RetryPolicyConfig:
        """This policy with the keys that the overlay sets; the non-retryable types are united, in order."""
        if overlay is None:
            return self
        scalars = overlay.scalars()
        types = dict.fromkeys((*self.non_retryable_error_types, *overlay.non_retryable_error_types_extra))
        return RetryPolicyConfig(**{**dict(self), **scalars, "non_retryable_error_types": tuple(types)})


class HandleOptions(Frozen):
    """`handle_options.<handle>`: what one model or function changes."""

    start_to_close_timeout: Positive | None = None
    """How long one attempt may take."""
    retry_policy_config: RetryOverlay | None = None


class ActivityQueue(Frozen):
    """`[temporal.worker_config.activity_queues.<activity>]`: where calls of one activity go."""

    default: Queue | None = None
    """The queue of calls whose handle is not under `by_handle`."""
    by_handle: dict[str, Queue] = {}
    """The queue of each handle that has one of its own."""
    handle_options: dict[str, HandleOptions] = {}

    @model_validator(mode="before")
    @classmethod
    def _handles_with_a_dot_are_quoted(cls, data: Any) -> Any:
        for key in ("by_handle", "handle_options"):
            tables = data.get(key) if isinstance(data, Mapping) else None
            for name, table in tables.items() if isinstance(tables, Mapping) else ():
                for inner, value in table.items() if isinstance(table, Mapping) else ():
                    if inner not in HandleOptions.model_fields and (key == "by_handle" or isinstance(value, Mapping)):
                        raise ValueError(f'{key}.{name}.{inner}: quote a name that has a dot: {key}."{name}.{inner}"')
        return data


class QueueOptions(Frozen):
    """`[temporal.queue_options.<queue>]`: what calls sent to one queue change; the cap holds for all its workers."""

    start_to_close_timeout: Positive | None = None
    """How long one attempt may take."""
    schedule_to_close_timeout: Positive | None = None
    """How long a call may take in all, waits and attempts included."""
    schedule_to_start_timeout: Positive | None = None
    """How long a call may wait for a worker before it fails."""
    heartbeat_timeout: Positive | None = None
    """How long after the last sign of life an attempt counts as lost."""
    retry_policy_config: RetryOverlay | None = None
    max_task_queue_activities_per_second: Rate | None = None
    """The most calls that start in a second, on all workers of the queue together."""


class WorkerConfig(Frozen):
    """`[temporal.worker_config]`: the queue, the times of runs, and the baseline of activities."""

    default_task_queue: Queue = "temporal_task_queue"
    """The queue of workflows, and of calls that no route sends elsewhere."""
    workflow_execution_timeout: Positive = timedelta(hours=1)
    """How long a run may take, from submit to end."""
    run_timeout: Positive = timedelta(hours=1)
    """The same bound for a single execution of the workflow."""
    task_timeout: Positive = timedelta(seconds=10)
    """How long a worker may compute one step of a workflow before the step is given to another."""
    start_delay: NotNegative = timedelta(0)
    """How long a run waits before it starts."""
    rpc_timeout: Positive = timedelta(hours=1)
    """How long a submit waits for the server's answer."""
    default_activity_start_to_close_timeout: Positive = timedelta(minutes=10)
    """How long one attempt of a call may take."""
    # Every activity of ours heartbeats, so a killed worker is noticed after this, not after start_to_close.
    default_activity_heartbeat_timeout: Positive = timedelta(seconds=15)
    activity_queues: dict[str, ActivityQueue] = {}
    retry_policy_config: RetryPolicyConfig = RetryPolicyConfig()

    @model_validator(mode="after")
    def _activities_exist(self) -> WorkerConfig:
        for name, queue in self.activity_queues.items():
            if name not in ACTIVITIES:
                raise ValueError(
                    f"activity_queues.{name}: no such activity.{did_you_mean(name, ACTIVITIES)}"
                    f" Known: {', '.join(ACTIVITIES)}"
                )
            if name not in KEYED_ACTIVITIES and (queue.by_handle or queue.handle_options):
                raise ValueError(f"activity_queues.{name}: this activity has no handle to route by; use 'default' only")
        return self


class Execution(Frozen):
    """`[temporal.execution]`: which pipes are workflows of their own, and how batches are cut. Frozen into each run.

    `batch_window` items of a batch run at a time, and may start in one message, which the server takes up to 4 MiB; a
    batch of more than `batch_chunk` items is split into workflows.
    """

    child_workflows: Literal["every_pipe", "fan_out"] = "every_pipe"
    """Which pipes become workflows of their own: every pipe, or only batch items and parallel branches."""
    batch_window: Annotated[int, Field(gt=0, le=200)] = 50
    """How many items of a batch run at a time."""
    batch_chunk: Annotated[int, Field(gt=1, le=1000)] = 200
    """Above how many items a batch is split into workflows."""


class Lanes(Frozen, extra="allow"):
    """`[temporal.lanes]`: how urgent runs may be. Each lane is a name and a priority key, 1 (first) to 5 (last).

    Names may be added. With `fairness_by_user`, the users of a lane take turns; `fairness_weight` is how many turns
    the runs submitted with these settings take at a time, compared with those of other submitters.
    """

    __pydantic_extra__: dict[str, PriorityKey]

    interactive: PriorityKey = 1
    """The key of runs that somebody waits for."""
    normal: PriorityKey = 3
    """The key of all other runs."""
    batch: PriorityKey = 5
    """The key of runs that may wait."""
    default_lane: str = "normal"
    """The lane of a run that names none."""
    fairness_by_user: bool = False
    """Whether the users of a lane take turns."""
    fairness_weight: Annotated[float, Field(ge=0.001, le=1000)] | None = None
    """How many turns these runs take at a time, compared with others."""

    @model_validator(mode="before")
    @classmethod
    def _no_misspelled_option(cls, data: Any) -> Any:
        for name in data if isinstance(data, Mapping) else ():
            if name not in cls.model_fields and (close := did_you_mean(name, _LANE_OPTIONS)):
                raise ValueError(f"lanes.{name} is not a key of [temporal.lanes].{close}")
        return data

    @model_validator(mode="after")
    def _default_exists(self) -> Lanes:
        if self.default_lane not in self.priority_keys():
            known = self.priority_keys()
            close = did_you_mean(self.default_lane, known)
            raise ValueError(f"default_lane {self.default_lane!r} is not a lane.{close} Known: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _weight_has_users(self) -> Lanes:
        if self.fairness_weight is not None and not self.fairness_by_user:
            raise ValueError("fairness_weight has no effect without fairness_by_user = true")
        return self

    def priority_keys(self) -> dict[str, int]:
        """The lanes by name."""
        return {name: key for name, key in self if name not in _LANE_OPTIONS}


_LANE_OPTIONS = ("default_lane", "fairness_by_user", "fairness_weight")


def _moved(data: dict[str, Any], key: str, source: Any, target: Any) -> tuple[Any, Any]:
    """Move the table `key` from one parent to the other, name by name; the same name in both is an error."""
    if not (isinstance(source, Mapping) and isinstance(source.get(key), Mapping)):
        return source, target
    if not isinstance(target, Mapping) or not isinstance(target.get(key, {}), Mapping):
        return source, target
    theirs = target.get(key, {})
    for name in source[key]:
        if name in theirs:
            raise ValueError(f"{key}.{name} is given both under [temporal] and under [temporal.worker_config]")
    rest = {name: value for name, value in source.items() if name != key}
    return rest, {**target, key: {**theirs, **source[key]}}


class TemporalSettings(Frozen):
    """`[temporal]`. `[temporal.activity_queues]` and `[temporal.worker_config.queue_options]` are read as well."""

    is_enabled: bool = False
    """Whether runs are durable unless the command line says otherwise."""
    search_attributes: SearchAttributes = SearchAttributes()
    worker_config: WorkerConfig = WorkerConfig()
    queue_options: dict[str, QueueOptions] = {}
    worker_runtime_profiles: WorkerRuntimeProfiles = WorkerRuntimeProfiles()
    temporal_config: TemporalConfig = TemporalConfig()
    execution: Execution = Execution()
    lanes: Lanes = Lanes()
    payloads: Payloads = Payloads()
    payload_codec_config: PayloadCodecConfig = PayloadCodecConfig()
    worker_scopes: WorkerScopes = WorkerScopes()

    @model_validator(mode="before")
    @classmethod
    def _both_documented_places(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        top = with_earlier_codec(data)
        worker = top.get("worker_config", {})
        if isinstance(worker, WorkerConfig):
            return data
        top, worker = _moved(top, "activity_queues", top, worker)
        worker, top = _moved(top, "queue_options", worker, top)
        return {**top, "worker_config": worker}

    @model_validator(mode="after")
    def _no_orphan_queue(self) -> TemporalSettings:
        routed: dict[str, str] = {}
        for where, queue in self._routes():
            routed.setdefault(queue, where)
        default = self.worker_config.default_task_queue
        known = [default, *self.queue_options]
        nameless = [
            f"{where} names the queue {queue!r}, which no table describes.{did_you_mean(queue, known)}"
            f" Add [temporal.queue_options.{queue}] (it may be empty)"
            for queue, where in routed.items()
            if queue not in known
        ]
        unused = [
            f"queue_options.{queue} describes a queue that nothing is sent to.{did_you_mean(queue, [default, *routed])}"
            " Remove the table, or route an activity to it"
            for queue in self.queue_options
            if queue != default and queue not in routed
        ]
        # A misspelled queue is in both lists: once is enough.
        if wrong := nameless or unused:
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _retries_fit_together(self) -> TemporalSettings:
        for queue, options in self.queue_options.items():
            self._checked_retry(options.retry_policy_config, where=f"queue_options.{queue}")
        for name, activity in self.worker_config.activity_queues.items():
            for handle, changes in activity.handle_options.items():
                queue = activity.by_handle.get(handle) or activity.default or self.worker_config.default_task_queue
                options = self.queue_options.get(queue, QueueOptions())
                where = f"activity_queues.{name}.handle_options.{handle}"
                self._checked_retry(options.retry_policy_config, changes.retry_policy_config, where=where)
        return self

    def _checked_retry(self, *overlays: RetryOverlay | None, where: str) -> None:
        policy = self.worker_config.retry_policy_config
        try:
            for overlay in overlays:
                policy = policy.overlaid(overlay)
        except ValueError as error:
            raise ValueError(
                f"{where}.retry_policy_config: its maximum_interval is below its initial_interval"
            ) from error

    def _routes(self) -> Iterable[tuple[str, str]]:
        for name, activity in self.worker_config.activity_queues.items():
            where = f"activity_queues.{name}"
            if activity.default is not None:
                yield f"{where}.default", activity.default
            for handle, queue in activity.by_handle.items():
                yield f"{where}.by_handle.{handle}", queue

    def known_task_queues(self) -> tuple[str, ...]:
        """Every queue that a worker may poll, the default one first."""
        return tuple(dict.fromkeys((self.worker_config.default_task_queue, *self.queue_options)))

    def server_profile(self, name: str | None = None) -> ServerProfile:
        """The server of that name, or the selected one."""
        servers = self.temporal_config.temporal_server_configs
        wanted = name or self.temporal_config.selected_server
        if wanted not in servers:
            raise ConfigError(
                f"there is no Temporal server profile {wanted!r}.{did_you_mean(wanted, servers)}",
                hint=f"known profiles: {', '.join(servers)};"
                f" add [temporal.temporal_config.temporal_server_configs.{wanted}]",
            )
        return servers[wanted]

    def priority_key(self, lane: str | None = None) -> int:
        """The priority key of the lane of that name, or of the default one."""
        known = self.lanes.priority_keys()
        wanted = lane or self.lanes.default_lane
        if wanted not in known:
            raise ConfigError(
                f"there is no lane {wanted!r}.{did_you_mean(wanted, known)}",
                hint=f"known lanes: {', '.join(known)}; add {wanted} = 1 (first) to 5 (last) under [temporal.lanes]",
            )
        return known[wanted]

    def runtime_profile(self, name: str | None = None) -> RuntimeProfile:
        """The worker profile of that name, or the default one."""
        profiles = self.worker_runtime_profiles.profiles
        wanted = name or self.worker_runtime_profiles.default_profile
        if wanted not in profiles:
            raise ConfigError(
                f"there is no worker profile {wanted!r}.{did_you_mean(wanted, profiles)}",
                hint=f"known profiles: {', '.join(profiles)}; add [temporal.worker_runtime_profiles.profiles.{wanted}]",
            )
        return profiles[wanted]


def chosen_task_queues(settings: TemporalSettings, names: Sequence[str]) -> tuple[str, ...]:
    """The queues to poll. Needs no connection; an unknown name is a ConfigError that lists the known ones."""
    known = settings.known_task_queues()
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no task queue {name!r}.{did_you_mean(name, known)}",
                hint=f"known queues: {', '.join(known)}; a new one needs a route under [temporal.activity_queues] and a"
                f" table [temporal.queue_options.{name}]",
            )
    return tuple(dict.fromkeys(names)) or known[:1]
