from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, use_span

from otlp_receiver import OtlpReceiver
from pipelex.app.tracing import open_tracing

ELSEWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ELSEWHERE, "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ELSEWHERE, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_or_when_told_so_nothing_is_traced(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert open_tracing(environ) is None
    assert caplog.messages == []


def test_a_missing_extra_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    assert open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": ELSEWHERE}) is None
    (said,) = caplog.messages
    assert 'pip install "pipelex[otel]"' in said


def test_another_protocol_is_refused_with_the_port_to_use(caplog: pytest.LogCaptureFixture) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": ELSEWHERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert open_tracing(environ) is None
    (said,) = caplog.messages
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is grpc" in said
    assert "4318" in said


def test_a_run_without_an_endpoint_imports_no_opentelemetry(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "hello"
    code = (
        "import sys; from pipelex.cli.main import run_command; "
        f"status = run_command(['run', 'bundle', {str(example)!r}, '--simulate', '--no-pretty-print']); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[] 0\n"


def test_a_worker_that_does_not_trace_imports_no_opentelemetry() -> None:
    code = "import sys, pipelex.temporal.worker; print([name for name in sys.modules if name.startswith('opentel')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_run_is_under_the_span_that_its_caller_is_in() -> None:
    above = SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with OtlpReceiver() as receiver:
        environ = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=two%20words,team=a",
        }
        tracing = open_tracing(environ)
        assert tracing is not None
        with use_span(NonRecordingSpan(above)):
            tracing.run("main", "r").end()
        tracing.run("main", "r").end()
        tracing.close()
        under, alone = receiver.spans
        assert (int(under.trace_id, 16), int(under.parent_id, 16)) == (0xA1, 0xB2)
        assert alone.parent_id == ""
        assert alone.trace_id != under.trace_id
        assert alone.service == "two words"
    assert not get_current_span().get_span_context().is_valid


@pytest.mark.parametrize(("sampler", "expected"), [("always_off", 0), ("parentbased_always_on", 1)])
def test_which_runs_are_kept_is_decided_where_they_start(
    sampler: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with OtlpReceiver() as receiver:
        tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
        assert tracing is not None
        span = tracing.run("main", "r")
        assert span.context is not None
        assert span.context.is_sampled is bool(expected)
        span.end()
        tracing.close()
        assert len(receiver.spans) == expected


def test_a_span_that_cannot_be_sent_costs_its_caller_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": ELSEWHERE})
    assert tracing is not None
    monkeypatch.setattr(tracing, "_sender", None)
    tracing.run("main", "r").end()
    tracing.close()
    assert caplog.messages == ["the span of pipelex run main is lost: AttributeError"]
