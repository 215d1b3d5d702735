"""Metrics of a worker, for Prometheus: those of the SDK, and what its calls consumed. Worker side."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.runtime import PrometheusConfig
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from pipelex.errors import ConfigError
from pipelex.pipes.requests import Reply, Request, Usage, handle_of
from pipelex.temporal.health import listen_address

_FLAG = "--metrics-address"
_MICRO = 1_000_000


@dataclass(frozen=True)
class Counter:
    """A counter of ours: Prometheus shows it as `<name>_total`."""

    name: str
    counts: str
    labels: dict[str, str] = field(default_factory=dict)
    """What it is labelled with besides `LABELS`, and what that says."""


LABELS: Final = {
    "activity": "the type of the activity",
    "handle": "the handle of the model, or the name of the function; empty where there is neither",
}
"""The labels of every counter of ours. The SDK adds its own."""
CALLS: Final = Counter("pipelex_calls", "Calls that were answered.")
CALL_FAILURES: Final = Counter(
    "pipelex_call_failures",
    "Attempts that failed, those that are made again included.",
    {"code": "the code of the error"},
)
TOKENS: Final = Counter("pipelex_tokens", "Tokens.", {"kind": "`input`, `cached` (a part of the input) or `output`"})
PAGES: Final = Counter("pipelex_pages", "Pages of documents that were read.")
IMAGES: Final = Counter("pipelex_images", "Images that were made.")
SEARCHES: Final = Counter("pipelex_searches", "Questions that were asked of the web.")
COST: Final = Counter(
    # The counters of the SDK are whole numbers.
    "pipelex_cost_microdollars",
    "What the calls cost, in millionths of a US dollar, as far as their price is known.",
)
CALLS_WITHOUT_PRICE: Final = Counter(
    "pipelex_calls_without_price", "Answers whose price is not known: they are not in the cost."
)
COUNTERS: Final = (CALLS, CALL_FAILURES, TOKENS, PAGES, IMAGES, SEARCHES, COST, CALLS_WITHOUT_PRICE)


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
            _count(CALL_FAILURES, 1, {**labels, "code": failure_code(error)})
            raise
        if isinstance(reply, Reply):
            _count_usage(reply.usage, labels)
        return reply


def _count_usage(usage: Usage, labels: dict[str, str]) -> None:
    _count(CALLS, max(1, usage.calls), labels)
    for kind in ("input", "cached", "output"):
        _count(TOKENS, getattr(usage, f"{kind}_tokens"), {**labels, "kind": kind})
    _count(PAGES, usage.pages, labels)
    _count(IMAGES, usage.images, labels)
    _count(SEARCHES, usage.searches, labels)
    _count(COST, round((usage.cost_usd or 0) * _MICRO), labels)
    if usage.cost_usd is None:
        _count(CALLS_WITHOUT_PRICE, 1, labels)


def _count(counter: Counter, amount: int, labels: dict[str, str]) -> None:
    if amount:
        activity.metric_meter().create_counter(counter.name, counter.counts).add(amount, labels)


def failure_code(error: ApplicationError) -> str:
    """What a failure of a call is known by."""
    report = error.details[0] if error.details else None
    return str(report.get("code", error.type)) if isinstance(report, dict) else error.type or "unknown"
