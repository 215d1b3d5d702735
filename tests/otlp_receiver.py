"""A collector of traces for tests: a real OTLP/HTTP server on loopback that keeps the spans it is sent."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE = 30.0


@dataclass(frozen=True)
class Seen:
    """One span as it arrived. `status` is 0 unset, 1 ok, 2 error."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    seconds: float
    attributes: dict[str, Any]
    status: int
    message: str


class OtlpReceiver:
    """A context manager; `url` is what to set OTEL_EXPORTER_OTLP_ENDPOINT to."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                receiver.receive(body, {name.lower(): value for name, value in self.headers.items()})
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> OtlpReceiver:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def receive(self, body: bytes, headers: dict[str, str]) -> None:
        self.bodies.append(body)
        self.headers.append(headers)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_seen(service, span) for span in scope.spans]

    async def until(self, is_enough: Callable[[list[Seen]], bool]) -> None:
        """Wait until what has arrived is enough."""
        deadline = time.monotonic() + PATIENCE
        while not is_enough(self.spans):
            assert time.monotonic() < deadline, self.tree()
            await asyncio.sleep(0.02)

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Seen:
        (found,) = self.named(name)
        return found

    def tree(self) -> list[str]:
        """The spans, each under its parent, those of one parent by name."""
        known = {span.span_id for span in self.spans}

        def lines(parent: str, depth: int) -> list[str]:
            found: list[str] = []
            for span in sorted((each for each in self.spans if above(each) == parent), key=lambda each: each.name):
                found += [
                    f"{'  ' * depth}{span.name}{' !' if span.status == 2 else ''}",
                    *lines(span.span_id, depth + 1),
                ]
            return found

        def above(span: Seen) -> str:
            assert span.parent_id in {"", *known}, f"{span.name} is under a span that never came"
            return span.parent_id

        return lines("", 0)

    def check(self) -> None:
        """One trace, and no span twice."""
        assert len({span.trace_id for span in self.spans}) == 1
        assert max(Counter(span.span_id for span in self.spans).values()) == 1


def _seen(service: str, span: Any) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        attributes=_attributes(span),
        status=span.status.code,
        message=span.status.message,
    )


def _attributes(owner: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in owner.attributes}
