"""Where durable runs go: the Temporal server to use, its Web UI, and one connection to it. Submitters and workers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelex.config.settings import Settings
from pipelex.errors import ConfigError

if TYPE_CHECKING:
    from temporalio.client import Client

    from pipelex.temporal.server import ServerRecord
    from pipelex.temporal.server_settings import ServerProfile

EMBEDDED = Path(".pipelex/temporal")
"""Where the server of `pipelex dev` keeps its database and says where it listens, relative to the project root."""


def need_sdk() -> None:
    """Raise ConfigError when the Temporal SDK is not installed."""
    if importlib.util.find_spec("temporalio") is None:
        hint = 'pip install "pipelex[temporal]", or run in this process with --no-temporal'
        raise ConfigError("durable runs need the Temporal SDK, which is not installed", hint=hint)


@dataclass
class TemporalAccess:
    """The selected Temporal server of a process; nothing is imported or connected before it is used."""

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    _client: Client | None = None

    def profile(self) -> ServerProfile:
        """The Temporal server to use: the selected one; when nobody says where it is, the one `pipelex dev` started."""
        profile = self.settings.temporal.server_profile()
        running = self._embedded()
        return profile.model_copy(update={"target_host": running.address}) if running else profile

    async def client(self) -> Client:
        """Connect to the Temporal server, once. Fails within 5 seconds, and says what to do about it."""
        if self._client is None:
            need_sdk()
            from pipelex.temporal.connection import connect

            temporal = self.settings.temporal
            payloads = self.settings.root / temporal.payloads.path
            server = self.profile()
            self._client = await connect(server, payload_root=payloads, settings=temporal, environment=self.environ)
        return self._client

    def ui(self) -> str | None:
        """The address of the Web UI, where it can be known."""
        if running := self._embedded():
            return running.ui
        host = self.profile().target_host.partition(":")[0]
        return "https://cloud.temporal.io" if host.endswith((".tmprl.cloud", ".api.temporal.io")) else None

    def _embedded(self) -> ServerRecord | None:
        """The running server of `pipelex dev`, unless the settings say where the selected server is."""
        if "target_host" in self.settings.temporal.server_profile().model_fields_set:
            return None
        need_sdk()
        from pipelex.temporal.server import running_server

        return running_server(self.settings.root / EMBEDDED)
