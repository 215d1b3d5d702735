"""One connection to one Temporal server, usable while keys and certificates change. Runs in workers and submitters."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError

from pipelex.errors import ConfigError
from pipelex.temporal.access import ServerAccess, read_access
from pipelex.temporal.converter import check_store, converter_for
from pipelex.temporal.refusals import no_connection, refusal
from pipelex.temporal.server_settings import ServerProfile
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.telemetry import metrics_refused, prometheus

if TYPE_CHECKING:
    from temporalio.worker import Worker

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
"""How often keys and certificates are looked at; the SDK goes on asking for a minute with a key that is refused."""


async def connect(
    profile: ServerProfile,
    *,
    payload_root: Path,
    settings: TemporalSettings,
    timeout_seconds: float = 4.0,
    environment: Mapping[str, str] | None = None,
    metrics_address: str | None = None,
) -> Client:
    """Connect and check that the namespace is there; fails within the timeout plus one second.

    `environment` is where the key is looked up, the process's own by default.
    Raises UnreachableError, CredentialError, or ConfigError; none of them shows the key.
    """
    given = os.environ if environment is None else environment
    access = read_access(profile, given)
    converter = converter_for(settings.payloads, payload_root, environ=given, namespace=access.namespace)
    runtime = sdk_runtime(metrics_address)
    try:
        async with asyncio.timeout(timeout_seconds):
            client = await Client.connect(
                access.target_host,
                namespace=access.namespace,
                api_key=access.api_key,
                tls=access.tls or False,
                rpc_metadata=access.metadata,
                data_converter=converter,
                runtime=runtime,
            )
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=access.namespace))
    except RPCError as error:
        raise refusal(profile, access, error) from error
    except (RuntimeError, ValueError, TimeoutError) as error:
        raise await no_connection(profile, access, error) from error
    await check_store(converter)
    return client


class KeyWatch:
    """Takes up, in a process that goes on running, the key and the certificates that the profile's files hold by now.

    A new key is put into the connection; new certificates need a new connection, to which the workers move. `connect`
    opens it. Where what is found cannot be used, that is logged once, and the former connection stays.
    """

    def __init__(
        self,
        profile: ServerProfile,
        environment: Mapping[str, str],
        connect: Callable[[], Awaitable[Client]],
        *,
        client: Client,
        access: ServerAccess,
    ) -> None:
        self.profile = profile
        self.client = client
        self._access = access
        self._environment = environment
        self._connect = connect
        self._workers: list[Worker] = []
        self._complaint = ""
        self._looking = asyncio.Lock()

    @classmethod
    async def opened(
        cls, profile: ServerProfile, environment: Mapping[str, str], connect: Callable[[], Awaitable[Client]]
    ) -> KeyWatch:
        """Connect, knowing what to compare later looks with."""
        access = read_access(profile, environment)
        return cls(profile, environment, connect, client=await connect(), access=access)

    def follow(self, workers: Iterable[Worker]) -> None:
        """Move these workers to the connection that takes the place of theirs."""
        for worker in workers:
            # The connection may have been replaced since the worker was made.
            if worker.client is not self.client:
                worker.client = self.client
            self._workers.append(worker)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the next look may succeed; its text may be a key
                self._complain(type(error).__name__)

    async def look(self) -> None:
        """Look once; whoever asks while somebody looks waits for that look, then looks too."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            access = await asyncio.to_thread(read_access, self.profile, self._environment)
            if access == self._access:
                return
            if (access.tls, access.metadata) == (self._access.tls, self._access.metadata):
                self.client.api_key = access.api_key
                _log.info("the key of the Temporal server was replaced")
            else:
                self.client = await self._connect()
                for worker in self._workers:
                    worker.client = self.client
                _log.info("connected to the Temporal server again, with the new certificates")
        except ConfigError as error:
            self._complain(f"{error.message} ({error.where})" if error.where else error.message)
            return
        self._access, self._complaint = access, ""

    def _complain(self, reason: str) -> None:
        if reason != self._complaint:
            _log.warning("the former key and certificates stay in use: %s", reason)
        self._complaint = reason


@cache
def sdk_runtime(metrics_address: str | None = None) -> Runtime:
    """The SDK's threads, one set per process as the SDK asks; workers tell the server every 10 s that they live.

    What the threads log goes through Python's logging: by themselves they write to stdout, where results go.
    With an address, metrics are served there; ConfigError when it is taken.
    """
    logs = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logging.getLogger("temporalio.core")),
    )
    metrics = prometheus(metrics_address) if metrics_address else None
    telemetry = TelemetryConfig(logging=logs, metrics=metrics)
    try:
        return Runtime(telemetry=telemetry, worker_heartbeat_interval=timedelta(seconds=10))
    except ValueError as error:
        raise metrics_refused(metrics_address or "", error) from error
