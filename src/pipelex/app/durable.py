"""Where durable runs go: the Temporal server to use, its Web UI, and one connection to it. Submitters and workers."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelex.config.settings import Settings
from pipelex.errors import ConfigError

if TYPE_CHECKING:
    from temporalio.client import Client

    from pipelex.temporal.connection import KeyWatch
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
    _watch: KeyWatch | None = None
    _looking: asyncio.Task[None] | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def profile(self) -> ServerProfile:
        """The Temporal server to use: the selected one; when nobody says where it is, the one `pipelex dev` started.

        A profile of temporal.toml has given what it says of the address; paths are absolute.
        """
        profile = self.settings.temporal.server_profile().below(self.settings.root)
        name, secrets = profile.api_key_id, self.settings.secrets_here(self.environ)
        is_secret = profile.api_key_method == "secret_provider" and not self.environ.get(name)
        if is_secret and (file := secrets.file(name)):
            # It is then a file like any other that holds a key, and watched like one.
            profile = profile.model_copy(update={"api_key_id": str(file)})
        if running := self._embedded():
            return profile.model_copy(update={"target_host": running.address})
        if not profile.profile:
            return profile
        need_sdk()
        from pipelex.temporal.access import addressed

        return addressed(profile, self.environ)

    async def client(self, *, metrics_address: str | None = None) -> Client:
        """Connect to the Temporal server, once. Fails within 5 seconds, and says what to do about it.

        A failure is not remembered: the next call tries again. With an address, the first call also serves the metrics
        of this process there.
        """
        watch = await self.watch(metrics_address=metrics_address)
        if self._looking is not None:
            await watch.look()
        return watch.client

    async def watch(self, *, metrics_address: str | None = None) -> KeyWatch:
        """The connection, and what keeps its key and certificates as they are now on this machine."""
        async with self._connecting:
            if self._watch is None:
                self._watch = await self._connected(metrics_address)
                if self._watch.profile.reads_files:
                    self._looking = asyncio.create_task(self._watch.run())
        return self._watch

    async def _connected(self, metrics_address: str | None) -> KeyWatch:
        need_sdk()
        from pipelex.temporal.connection import KeyWatch, connect

        temporal, server = self.settings.temporal, self.profile()
        again = partial(
            connect,
            server,
            payload_root=self.settings.root / temporal.payloads.path,
            settings=temporal.model_copy(update={"payloads": temporal.payloads.below(self.settings.root)}),
            environment=self.environ,
            metrics_address=metrics_address,
        )
        return await KeyWatch.opened(server, self.environ, again)

    async def aclose(self) -> None:
        """Stop looking at keys; the connection ends with the process."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def ui(self) -> str | None:
        """The address of the Web UI, where it can be known."""
        if running := self._embedded():
            return running.ui
        profile = self._watch.profile if self._watch else self.profile()
        host = profile.target_host.partition(":")[0]
        return "https://cloud.temporal.io" if host.endswith((".tmprl.cloud", ".api.temporal.io")) else None

    def _embedded(self) -> ServerRecord | None:
        """The running server of `pipelex dev`, unless the settings say where the selected server is."""
        selected = self.settings.temporal.server_profile()
        if "target_host" in selected.model_fields_set or selected.profile:
            return None
        need_sdk()
        from pipelex.temporal.server import running_server

        return running_server(self.settings.root / EMBEDDED)
