"""`[temporal.worker_runtime_profiles]` and `[temporal.worker_scopes]`: how much and what a worker takes on. No SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelex.temporal.setting_types import Count, NotNegative, Positive, Rate, did_you_mean
from pipelex.values.frozen import Frozen

Share = Annotated[float, Field(gt=0, le=1)]


class RuntimeProfile(Frozen):
    """`[temporal.worker_runtime_profiles.profiles.<name>]`: how much a worker takes on from each queue it polls.

    None leaves it open: 8 workflow tasks per core, polling that follows the load, no cap on starts per second.
    With `resource_based`, activities start while memory and processor stay under their targets, between the minimum
    and the maximum; with `explicit`, always up to the maximum.
    """

    tuning_mode: Literal["explicit", "resource_based"] = "explicit"
    """Whether a worker takes calls up to a number, or by the load of its machine."""
    target_memory_usage: Share = 0.8
    """The share of memory that calls may fill, with `resource_based`."""
    target_cpu_usage: Share = 0.9
    """The share of the processor that calls may fill, with `resource_based`."""
    min_concurrent_activities: Count = 5
    """How many calls it holds whatever the load, with `resource_based`."""
    max_cached_workflows: Annotated[int, Field(ge=0)] = 2000
    """How many workflows it keeps in memory, so that they need no replay."""
    max_concurrent_workflow_tasks: Count | None = None
    """How many steps of workflows it computes at a time."""
    max_concurrent_activities: Annotated[int, Field(ge=0)] = 200
    """How many calls it holds at a time; 0 for none."""
    max_concurrent_local_activities: Annotated[int, Field(ge=0)] = 100
    """The same for local activities, which no pipe makes."""
    max_concurrent_workflow_task_polls: Count | None = None
    """How many polls for workflows are open at a time."""
    max_concurrent_activity_task_polls: Annotated[int, Field(ge=0)] | None = None
    """How many polls for calls are open at a time; 0 for none."""
    max_activities_per_second: Rate | None = None
    """The most calls that it starts in a second."""
    # A run waits this long after its worker was killed before another worker takes it over.
    sticky_queue_schedule_to_start_timeout: Positive = timedelta(seconds=3)
    # A call hears that it is cancelled when it may heartbeat, so after this at the latest.
    max_heartbeat_throttle_interval: Positive = timedelta(seconds=3)
    default_heartbeat_throttle_interval: Positive = timedelta(seconds=15)
    """How far apart signs of life are sent where a call has no heartbeat timeout."""
    # Longer than a slow model call: what is cut here is paid for twice.
    graceful_shutdown_timeout: NotNegative = timedelta(seconds=120)

    @property
    def takes_activities(self) -> bool:
        """Whether a worker with this profile performs activities at all."""
        return self.max_concurrent_activities != 0 and self.max_concurrent_activity_task_polls != 0


class WorkerRuntimeProfiles(Frozen):
    """`[temporal.worker_runtime_profiles]`: named profiles; each inherits what it leaves out from `default`."""

    default_profile: str = "default"
    """The profile of a worker without `--profile`."""
    profiles: dict[str, RuntimeProfile] = {"default": RuntimeProfile()}

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        profiles = data.get("profiles") if isinstance(data, Mapping) else None
        if not isinstance(profiles, Mapping):
            return data
        base = profiles.get("default", {})
        base = dict(base) if isinstance(base, Mapping | RuntimeProfile) else {}
        base = {key: value for key, value in base.items() if key in RuntimeProfile.model_fields}
        inherited = {
            name: {**base, **profile} if isinstance(profile, Mapping) and name != "default" else profile
            for name, profile in profiles.items()
        }
        return {**data, "profiles": {"default": {}, **inherited}}

    @model_validator(mode="after")
    def _default_exists(self) -> WorkerRuntimeProfiles:
        if self.default_profile not in self.profiles:
            close = did_you_mean(self.default_profile, self.profiles)
            raise ValueError(
                f"default_profile {self.default_profile!r} is not among the profiles.{close}"
                f" Known: {', '.join(self.profiles)}"
            )
        return self


class WorkerScope(Frozen):
    """`[temporal.worker_scopes.scopes.<name>]`: which workflows and activities a worker takes.

    What the packs and the required names add up to, less the excluded names, less what is disabled as a whole.
    """

    required_tasks_packs: tuple[str, ...] = ()
    """Packs that it takes: `crafting` is all activities, `pipe` is the workflow."""
    required_workflows: tuple[str, ...] = ()
    """Workflows that it takes, by name."""
    required_activities: tuple[str, ...] = ()
    """Activities that it takes, by name."""
    excluded_workflows: tuple[str, ...] = ()
    """Workflows that it leaves."""
    excluded_activities: tuple[str, ...] = ()
    """Activities that it leaves."""
    disable_all_workflows: bool = False
    """Take no workflows at all."""
    disable_all_activities: bool = False
    """Take no activities at all."""


_LLM = ("act_llm_gen_text", "act_llm_gen_object", "act_llm_gen_object_list")
_PACKS = ("crafting", "pipe")
BUILT_IN_SCOPES = {
    "full": WorkerScope(required_tasks_packs=_PACKS),
    "router": WorkerScope(required_tasks_packs=_PACKS, disable_all_activities=True),
    "runner": WorkerScope(required_tasks_packs=_PACKS, disable_all_workflows=True),
    "runner-llm": WorkerScope(required_activities=_LLM),
    "runner-img-gen": WorkerScope(required_activities=("act_img_gen_images", "act_render_page_views")),
    "runner-extract": WorkerScope(required_activities=("act_extract_gen_extract_pages", "act_render_page_views")),
    "runner-search": WorkerScope(required_activities=("act_search_gen_sourced_answer", "act_search_gen_structured")),
    "runner-jinja2": WorkerScope(required_activities=("act_jinja2_gen_text",)),
}


class WorkerScopes(Frozen):
    """`[temporal.worker_scopes]`: named scopes. A table named like a built-in scope changes the keys it gives."""

    default_scope: str = "full"
    """The scope of a worker without `--scope`."""
    scopes: dict[str, WorkerScope] = BUILT_IN_SCOPES

    @model_validator(mode="before")
    @classmethod
    def _onto_the_built_in_ones(cls, data: Any) -> Any:
        given = data.get("scopes") if isinstance(data, Mapping) else None
        if not isinstance(given, Mapping):
            return data
        changed = {
            name: {**dict(BUILT_IN_SCOPES[name]), **scope}
            for name, scope in given.items()
            if isinstance(scope, Mapping) and name in BUILT_IN_SCOPES
        }
        return {**data, "scopes": {**BUILT_IN_SCOPES, **given, **changed}}

    @model_validator(mode="after")
    def _default_exists(self) -> WorkerScopes:
        if self.default_scope not in self.scopes:
            close = did_you_mean(self.default_scope, self.scopes)
            raise ValueError(
                f"default_scope {self.default_scope!r} is not among the scopes.{close} Known: {', '.join(self.scopes)}"
            )
        return self
