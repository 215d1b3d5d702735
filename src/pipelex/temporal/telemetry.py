"""Metrics of a worker, for Prometheus: those of the SDK, and what its calls consumed. Worker side."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.runtime import PrometheusConfig
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from pipelex.errors import ConfigError
from pipelex.pipes.requests import Reply, Request, Usage, handle_of
from pipelex.temporal.health import listen_address

_FLAG = "--metrics-address"
_MICRO = 1_000_000


def prometheus(address: str) -> PrometheusConfig:
    """The endpoint at HOST:PORT: durations in seconds, counters that end with `_total`."""
    host, port = listen_address(address, _FLAG)
    try:
        host = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ConfigError(f"{_FLAG} names the host {host!r}, which is unknown", hint="give an address") from error
    bound = f"[{host}]:{port}" if ipaddress.ip_address(host).version == 6 else f"{host}:{port}"
    return PrometheusConfig(bind_address=bound, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True)


def metrics_refused(address: str, error: Exception) -> ConfigError:
    """What it means that the SDK could not open the endpoint."""
    reason = str(error).removeprefix("Failed starting Prometheus exporter: ")
    return ConfigError(
        f"the metrics endpoint cannot listen at {address}: {reason}",
        hint=f"give {_FLAG} a free port of this machine",
    )


class CallMetrics(Interceptor):
    """Counts the calls that activities make, what they consumed, and how they failed."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap one activity."""
        return _Counted(next)


class _Counted(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        request = input.args[0] if input.args else None
        handle = (handle_of(request) if isinstance(request, Request) else None) or ""
        labels = {"activity": activity.info().activity_type, "handle": handle}
        try:
            reply = await super().execute_activity(input)
        except ApplicationError as error:
            _count("pipelex_call_failures", 1, {**labels, "code": failure_code(error)})
            raise
        if isinstance(reply, Reply):
            _count_usage(reply.usage, labels)
        return reply


def _count_usage(usage: Usage, labels: dict[str, str]) -> None:
    _count("pipelex_calls", max(1, usage.calls), labels)
    for kind in ("input", "cached", "output"):
        _count("pipelex_tokens", getattr(usage, f"{kind}_tokens"), {**labels, "kind": kind})
    for what in ("pages", "images", "searches"):
        _count(f"pipelex_{what}", getattr(usage, what), labels)
    # The counters of the SDK are whole numbers.
    _count("pipelex_cost_microdollars", round((usage.cost_usd or 0) * _MICRO), labels)
    if usage.cost_usd is None:
        _count("pipelex_calls_without_price", 1, labels)


def _count(name: str, amount: int, labels: dict[str, str]) -> None:
    if amount:
        activity.metric_meter().create_counter(name).add(amount, labels)


def failure_code(error: ApplicationError) -> str:
    """What a failure of a call is known by."""
    report = error.details[0] if error.details else None
    return str(report.get("code", error.type)) if isinstance(report, dict) else error.type or "unknown"
