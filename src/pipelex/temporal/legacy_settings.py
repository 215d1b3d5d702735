"""Documented `[temporal]` tables that this version does not act on: read when harmless, refused when turned on."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from pipelex.values.frozen import Frozen


class PayloadCodecConfig(Frozen):
    """`[temporal.payload_codec_config]`: the former way to keep large payloads out of histories."""

    is_enabled: bool = False
    size_threshold: Annotated[int, Field(gt=0)] = 1024 * 1024
    storage_prefix: str = "temporal-payloads/"
    storage_provider_config: dict[str, Any] = {}

    @model_validator(mode="after")
    def _is_off(self) -> PayloadCodecConfig:
        if self.is_enabled:
            raise ValueError(
                "the payload codec is not supported by this version; large payloads are always kept out of"
                " histories, see [temporal.payloads]. Set is_enabled = false"
            )
        return self


class TemporalLogConfig(Frozen):
    """`[temporal.temporal_config.temporal_log_config]`: how records of workers are decorated."""

    is_workflow_info_on_message: bool = False
    is_workflow_info_on_extra: bool = True
    is_full_workflow_info_on_extra: bool = False
    is_activity_info_on_message: bool = False
    is_activity_info_on_extra: bool = True
    is_full_activity_info_on_extra: bool = False
    is_formatter_enabled: bool = True
    is_prefix_enabled: bool = True
    managed_loggers: tuple[str, ...] = ("temporalio.activity", "temporalio.workflow", "temporalio.worker._activity")
    is_dispatch_resolution_traced: bool = False

    @model_validator(mode="after")
    def _is_as_documented(self) -> TemporalLogConfig:
        changed = [name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default]
        if changed:
            raise ValueError(f"not supported by this version: {', '.join(changed)}. Remove the key")
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
