"""`[temporal.temporal_config]`: the servers that may be used, and how workers log. No SDK."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelex.temporal.setting_types import did_you_mean
from pipelex.values.frozen import Frozen


class TemporalLogConfig(Frozen):
    """`[temporal.temporal_config.temporal_log_config]`: what the log of a worker says of its workflows and activities.

    `on_extra` adds their ids as fields of JSON lines, `on_message` to the text. The formatter and the prefix are those
    of text lines; the prefix is put on what the managed loggers say.
    """

    is_workflow_info_on_message: bool = False
    """Ids of the workflow in the text of its lines."""
    is_workflow_info_on_extra: bool = True
    """Ids of the workflow as fields of JSON lines."""
    is_full_workflow_info_on_extra: bool = False
    """All that the SDK knows of the workflow, as fields."""
    is_activity_info_on_message: bool = False
    """Ids of the call in the text of its lines."""
    is_activity_info_on_extra: bool = True
    """Ids of the call as fields of JSON lines."""
    is_full_activity_info_on_extra: bool = False
    """All that the SDK knows of the call, as fields."""
    is_formatter_enabled: bool = True
    """Time, level and logger in text lines."""
    is_prefix_enabled: bool = True
    """`[workflow]` or `[activity]` before what the managed loggers say."""
    managed_loggers: tuple[str, ...] = ("temporalio.activity", "temporalio.workflow", "temporalio.worker._activity")
    """The loggers that get the prefix."""
    is_dispatch_resolution_traced: bool = False
    """One line for each call: the queue it goes to, and which setting decided."""


class ServerProfile(Frozen):
    """`[temporal.temporal_config.temporal_server_configs.<name>]`: one Temporal server.

    `api_key_id` names the environment variable that holds the key; with `secret_provider` it may also be a file, told
    by its `/`. Without `tls`, TLS is on when there is a key, a certificate or a server name. Paths of files start at
    the project root. `profile` names a profile of `temporal.toml`, which gives whatever is not set here.
    """

    description: str = ""
    """A note for those who read the settings."""
    target_host: Annotated[str, Field(min_length=1)] = "localhost:7233"
    """The address, as `host:port`."""
    namespace: Annotated[str, Field(min_length=1)] = "default"
    """The namespace of the runs."""
    api_key_method: Literal["none", "env_var", "secret_provider"] = "none"
    """Where the API key is: nowhere, in a variable, or in a secret of the machine."""
    api_key_id: str = ""
    """The name of that variable or secret, or the path of its file."""
    tls: bool | None = None
    """Whether the connection is encrypted."""
    server_root_ca_cert: str = ""
    """The file of the authority that signed the server's certificate."""
    client_cert: str = ""
    """The file of the certificate that the server asks for."""
    client_private_key: str = ""
    """The file of its key."""
    server_name: str = ""
    """The name that the server's certificate is checked for, when it is not that of the host."""
    profile: str = ""
    """A profile of Temporal's own `temporal.toml`."""

    @model_validator(mode="after")
    def _key_is_named(self) -> ServerProfile:
        if self.api_key_method != "none" and not self.api_key_id:
            raise ValueError(f"api_key_method is {self.api_key_method!r} but api_key_id is empty")
        return self

    @model_validator(mode="after")
    def _tls_fits_together(self) -> ServerProfile:
        given = [name for name in (*_FILES, "server_name") if getattr(self, name)]
        if self.tls is False and given:
            raise ValueError(f"tls is false, but {given[0]} is only used with TLS. Remove one of them")
        if bool(self.client_cert) != bool(self.client_private_key) and not self.profile:
            raise ValueError("client_cert and client_private_key are only used together. Set both, or none")
        return self

    @property
    def key_file(self) -> str:
        """The file that holds the key, if it is one."""
        return self.api_key_id if self.api_key_method == "secret_provider" and "/" in self.api_key_id else ""

    @property
    def reads_files(self) -> bool:
        """Whether a key or certificates are in files, which may change while a process runs."""
        return bool(self.key_file or self.profile or any(getattr(self, name) for name in _FILES))

    def below(self, root: Path) -> ServerProfile:
        """The same, with the paths of files made absolute."""
        names = [*_FILES, *(["api_key_id"] if self.key_file else [])]
        files = {name: str(root / Path(path).expanduser()) for name in names if (path := getattr(self, name))}
        return self.model_copy(update=files)


_FILES = ("server_root_ca_cert", "client_cert", "client_private_key")


class TemporalConfig(Frozen):
    """`[temporal.temporal_config]`: the servers, and which one is used. `local` is always there."""

    selected_server: str = "local"
    """The server that is used unless `--server` names another."""
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
            raise ValueError(
                f"selected_server {self.selected_server!r} is not among the servers.{close}"
                f" Known: {', '.join(self.temporal_server_configs)}"
            )
        return self
