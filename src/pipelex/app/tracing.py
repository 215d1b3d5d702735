"""Whether a process sends traces: the OTEL_* variables say. Without an endpoint nothing is imported."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pipelex.pipes.requests import ModelSetting

if TYPE_CHECKING:
    from pipelex.app.otlp import Tracing

_log = logging.getLogger(__name__)
_PROTOCOL = "http/protobuf"


def open_tracing(
    environ: Mapping[str, str], provider_of: Callable[[ModelSetting], str | None] = lambda _: None
) -> Tracing | None:
    """Begin to send spans, if the environment names a collector; None, after a warning, when that cannot be done."""
    endpoint = _endpoint(environ)
    if endpoint is None or not _is_possible(environ):
        return None
    from pipelex.app.otlp import Tracing

    headers = _pairs(_first(environ, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"))
    resource = {"service.name": "pipelex", **_pairs(_first(environ, "OTEL_RESOURCE_ATTRIBUTES"))}
    if name := _first(environ, "OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    return Tracing(endpoint, headers=headers, resource=resource, provider_of=provider_of)


def _endpoint(environ: Mapping[str, str]) -> str | None:
    """Where spans go: the endpoint of traces as it is, that of all signals with the path of traces."""
    is_disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_disabled or environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    if own := _first(environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return own
    base = _first(environ, "OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/traces" if base else None


def _is_possible(environ: Mapping[str, str]) -> bool:
    """Whether spans can be sent from here as they are asked for. A run goes on without its trace."""
    protocol = _first(environ, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or _PROTOCOL
    if protocol != _PROTOCOL:
        _log.warning(
            "no traces are sent: OTEL_EXPORTER_OTLP_PROTOCOL is %s, and pipelex speaks %s only;"
            " set it to that, and the endpoint to the HTTP port of the collector, mostly 4318",
            protocol,
            _PROTOCOL,
        )
        return False
    if not _is_installed("opentelemetry.sdk") or not _is_installed("opentelemetry.exporter.otlp.proto.http"):
        _log.warning(
            "no traces are sent: an OTLP endpoint is set, but the OpenTelemetry SDK is not installed;"
            ' pip install "pipelex[otel]", or set OTEL_SDK_DISABLED=true'
        )
        return False
    return True


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _pairs(text: str | None) -> dict[str, str]:
    """`name=value,name=value`, as the variables of OpenTelemetry are written; values may be percent-encoded."""
    parts = (part.partition("=") for part in (text or "").split(","))
    return {name.strip(): unquote(value.strip()) for name, equals, value in parts if equals and name.strip()}


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := environ.get(name, "").strip())), None)
