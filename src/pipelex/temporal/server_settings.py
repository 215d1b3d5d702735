"""`[temporal.temporal_config]`: the servers that may be used, and how workers log. No SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelex.temporal.setting_types import did_you_mean
from pipelex.values.frozen import Frozen


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


class ServerProfile(Frozen):
    """`[temporal.temporal_config.temporal_server_configs.<name>]`: one Temporal server. TLS is on when a key is used.

    `api_key_id` names the environment variable that holds the key; the key itself is never a setting.
    """

    description: str = ""
    target_host: Annotated[str, Field(min_length=1)] = "localhost:7233"
    namespace: Annotated[str, Field(min_length=1)] = "default"
    api_key_method: Literal["none", "env_var", "secret_provider"] = "none"
    api_key_id: str = ""

    @model_validator(mode="after")
    def _key_is_named(self) -> ServerProfile:
        if self.api_key_method != "none" and not self.api_key_id:
            raise ValueError(f"api_key_method is {self.api_key_method!r} but api_key_id is empty")
        return self


class TemporalConfig(Frozen):
    """`[temporal.temporal_config]`: the servers, and which one is used. `local` is always there."""

    selected_server: str = "local"
    temporal_server_configs: dict[str, ServerProfile] = {"local": ServerProfile()}
    temporal_log_config: TemporalLogConfig = TemporalLogConfig()

    @model_validator(mode="before")
    @classmethod
    def _local_is_there(cls, data: Any) -> Any:
        servers = data.get("temporal_server_configs") if isinstance(data, Mapping) else None
        if not isinstance(servers, Mapping):
            return data
        return {**data, "temporal_server_configs": {"local": {}, **servers}}

    @model_validator(mode="after")
    def _selected_exists(self) -> TemporalConfig:
        if self.selected_server not in self.temporal_server_configs:
            close = did_you_mean(self.selected_server, self.temporal_server_configs)
            raise ValueError(f"selected_server {self.selected_server!r} is not among the servers.{close}")
        return self
