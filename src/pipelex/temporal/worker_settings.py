"""`[temporal.worker_runtime_profiles]` and `[temporal.worker_scopes]`: how much and what a worker takes on. No SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelex.temporal.setting_types import Count, NotNegative, Positive, Rate, did_you_mean
from pipelex.values.frozen import Frozen


class RuntimeProfile(Frozen):
    """`[temporal.worker_runtime_profiles.profiles.<name>]`: how much a worker takes on from each queue it polls.

    None leaves it open: 8 workflow tasks per core, polling that follows the load, no cap on starts per second.
    """

    tuning_mode: Literal["explicit"] = "explicit"
    max_cached_workflows: Annotated[int, Field(ge=0)] = 2000
    max_concurrent_workflow_tasks: Count | None = None
    max_concurrent_activities: Annotated[int, Field(ge=0)] = 200
    max_concurrent_local_activities: Annotated[int, Field(ge=0)] = 100
    max_concurrent_workflow_task_polls: Count | None = None
    max_concurrent_activity_task_polls: Annotated[int, Field(ge=0)] | None = None
    max_activities_per_second: Rate | None = None
    # A run waits this long after its worker was killed before another worker takes it over.
    sticky_queue_schedule_to_start_timeout: Positive = timedelta(seconds=3)
    max_heartbeat_throttle_interval: Positive = timedelta(seconds=30)
    default_heartbeat_throttle_interval: Positive = timedelta(seconds=15)
    # Longer than a slow model call: what is cut here is paid for twice.
    graceful_shutdown_timeout: NotNegative = timedelta(seconds=120)

    @model_validator(mode="before")
    @classmethod
    def _mode_is_supported(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("tuning_mode") == "resource_based":
            raise ValueError("tuning_mode 'resource_based' is not supported by this version; use 'explicit'")
        return data


class WorkerRuntimeProfiles(Frozen):
    """`[temporal.worker_runtime_profiles]`: named profiles; each inherits what it leaves out from `default`."""

    default_profile: str = "default"
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
            raise ValueError(f"default_profile {self.default_profile!r} is not among the profiles.{close}")
        return self


class WorkerScope(Frozen):
    """`[temporal.worker_scopes.scopes.<name>]`: which workflows and activities a worker would take."""

    required_tasks_packs: tuple[str, ...] = ()
    required_workflows: tuple[str, ...] = ()
    required_activities: tuple[str, ...] = ()
    excluded_workflows: tuple[str, ...] = ()
    excluded_activities: tuple[str, ...] = ()
    disable_all_workflows: bool = False
    disable_all_activities: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether a worker with this scope would leave something out."""
        excluded = self.excluded_workflows or self.excluded_activities
        return bool(excluded) or self.disable_all_workflows or self.disable_all_activities


class WorkerScopes(Frozen):
    """`[temporal.worker_scopes]`: every worker of this version has the scope `full`."""

    default_scope: str = "full"
    scopes: dict[str, WorkerScope] = {}

    @model_validator(mode="after")
    def _is_full(self) -> WorkerScopes:
        if self.default_scope != "full" or ("full" in self.scopes and self.scopes["full"].is_partial):
            raise ValueError("worker scopes other than 'full' are not supported by this version")
        return self
