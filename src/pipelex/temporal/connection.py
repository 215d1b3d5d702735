"""One connection to one Temporal server, with the errors an operator can act on. Runs in workers and submitters."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from pipelex.errors import ConfigError, CredentialError, UnreachableError
from pipelex.temporal.converter import data_converter
from pipelex.temporal.server_settings import ServerProfile
from pipelex.temporal.settings import TemporalSettings

_PROBE_SECONDS = 0.5


async def connect(
    profile: ServerProfile,
    *,
    payload_root: Path,
    settings: TemporalSettings,
    timeout_seconds: float = 4.0,
    environment: Mapping[str, str] | None = None,
) -> Client:
    """Connect and check that the namespace is there; fails within the timeout plus half a second.

    `environment` is where the key is looked up, the process's own by default.
    Raises UnreachableError, CredentialError, or ConfigError; none of them shows the key.
    """
    key = _api_key(profile, os.environ if environment is None else environment)
    converter = data_converter(payload_root=payload_root, threshold_bytes=settings.payloads.threshold_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            client = await Client.connect(
                profile.target_host,
                namespace=profile.namespace,
                api_key=key,
                tls=key is not None,
                rpc_metadata={"temporal-namespace": profile.namespace} if key else {},
                data_converter=converter,
                runtime=sdk_runtime(),
            )
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=profile.namespace))
    except RPCError as error:
        raise _refusal(profile, error) from error
    except (RuntimeError, ValueError, TimeoutError) as error:
        raise await _no_connection(profile, error) from error
    return client


@cache
def sdk_runtime() -> Runtime:
    """The SDK's threads, one set per process as the SDK asks; workers tell the server every 10 s that they live.

    What the threads log goes through Python's logging: by themselves they write to stdout, where results go.
    """
    logs = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logging.getLogger("temporalio.core")),
    )
    return Runtime(telemetry=TelemetryConfig(logging=logs), worker_heartbeat_interval=timedelta(seconds=10))


def _api_key(profile: ServerProfile, environment: Mapping[str, str]) -> str | None:
    """The key of the server; secrets are provided by the environment, so both methods read it there."""
    if profile.api_key_method == "none":
        return None
    key = environment.get(profile.api_key_id, "").strip()
    if not key:
        raise CredentialError(
            f"the Temporal server {profile.target_host} needs a key, and {profile.api_key_id} is not set",
            hint=f"export {profile.api_key_id}=… in the environment of this process, or put it in .env",
        )
    return key


_HINT = (
    "start a server on this machine with `pipelex dev`, or correct target_host of the selected server"
    " under [temporal.temporal_config.temporal_server_configs]"
)


def _key_refused(profile: ServerProfile) -> ConfigError:
    key = f"the key in {profile.api_key_id}" if profile.api_key_method != "none" else "a connection without a key"
    return ConfigError(
        f"the Temporal server at {profile.target_host} refuses {key} for the namespace {profile.namespace!r}",
        hint="check namespace, api_key_method and api_key_id of the selected server under [temporal.temporal_config]",
    )


def _refusal(profile: ServerProfile, error: RPCError) -> ConfigError:
    """What the server's answer about the namespace means to an operator."""
    address = profile.target_host
    if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
        return _key_refused(profile)
    if error.status == RPCStatusCode.NOT_FOUND:
        return ConfigError(
            f"the Temporal server at {address} has no namespace {profile.namespace!r}",
            hint=f"create it: temporal operator namespace create --address {address} --namespace {profile.namespace}",
        )
    return UnreachableError(
        f"the Temporal server at {address} does not answer as it should: {error.status.name}", hint=_HINT
    )


async def _no_connection(profile: ServerProfile, error: Exception) -> ConfigError:
    """Tell a server that is not there from one that refuses, and from something that speaks differently."""
    address = profile.target_host
    if "Unauthenticated" in str(error) or "PermissionDenied" in str(error):
        return _key_refused(profile)
    if not await _listens(address):
        return UnreachableError(f"no Temporal server answers at {address}", hint=_HINT)
    spoken = "with TLS, because a key is used" if profile.api_key_method != "none" else "without TLS"
    return UnreachableError(
        f"something listens at {address}, but does not answer as a Temporal server spoken to {spoken}",
        hint="TLS is used exactly when api_key_method is not 'none': check it, and target_host. Or " + _HINT,
    )


async def _listens(address: str) -> bool:
    host, _, port = address.removeprefix("http://").removeprefix("https://").rpartition(":")
    if not host or not port.isdigit():
        return False
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, OverflowError):
        return False
    writer.close()
    return True
