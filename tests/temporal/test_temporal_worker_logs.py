"""The lines of a worker's log, and what the settings change in them."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from pipelex.temporal.server_settings import TemporalLogConfig
from pipelex.temporal.worker_logs import JsonLines, TextLines, _shorten

CHILD = "5d961885-8962-4451-895e-c5fdb747c291_review_each-0a1b2c3d_judge-4e5f6071"
CALL = {
    "activity_id": "1",
    "activity_type": "act_llm_gen_text",
    "attempt": 2,
    "namespace": "default",
    "task_queue": "q",
    "workflow_id": CHILD,
    "workflow_run_id": "r",
    "workflow_type": "wf_pipe_run",
}


def record(name: str = "temporalio.activity", **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": name, "levelname": "WARNING", "msg": "%s failed", "args": ("it",), **extra})
    assert _shorten(made)
    return made


def as_json(made: logging.LogRecord, **config: Any) -> dict[str, Any]:
    line = JsonLines(TemporalLogConfig(**config)).format(made)
    assert "\n" not in line
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_json_line_has_the_ids_and_the_pipe() -> None:
    line = as_json(record(temporal_activity=CALL))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "temporalio.activity",
        "message": "it failed",
        "workflow_id": CHILD,
        "workflow_type": "wf_pipe_run",
        "activity_type": "act_llm_gen_text",
        "activity_id": "1",
        "attempt": 2,
        "task_queue": "q",
        "run_id": "r",
        "pipe_code": "judge",
    }


@pytest.mark.parametrize(
    "workflow_id", ["5d961885-8962-4451-895e-c5fdb747c291", "nightly_run-2", "my_run_judge-4e5f6071"]
)
def test_a_pipe_that_is_not_known_is_not_guessed(workflow_id: str) -> None:
    assert "pipe_code" not in as_json(record(temporal_activity=CALL | {"workflow_id": workflow_id}))


def test_the_settings_take_the_ids_out_and_keep_what_is_extra() -> None:
    line = as_json(record(temporal_activity=CALL, colour="red"), is_activity_info_on_extra=False)
    assert (line["colour"], "workflow_id" in line) == ("red", False)
    flow = {key: CALL[key] for key in ("workflow_id", "workflow_type", "attempt", "task_queue")} | {"run_id": "r"}
    line = as_json(record("temporalio.workflow", temporal_workflow=flow))
    assert (line["run_id"], line["pipe_code"]) == ("r", "judge")
    off = as_json(record("temporalio.workflow", temporal_workflow=flow), is_workflow_info_on_extra=False)
    assert "run_id" not in off


def test_managed_loggers_have_a_prefix() -> None:
    def line(name: str, **config: Any) -> str:
        return (
            TextLines(TemporalLogConfig(**config)).format(record(name, temporal_activity=CALL)).partition("WARNING ")[2]
        )

    told = "temporalio.activity: [wf_pipe_run][act_llm_gen_text] it failed"
    assert line("temporalio.activity") == told
    assert line("temporalio.activity", is_prefix_enabled=False) == "temporalio.activity: it failed"
    assert line("temporalio.activity", managed_loggers=()) == "temporalio.activity: it failed"
    assert line("pipelex") == "pipelex: it failed"


def test_a_failed_call_takes_one_line_and_a_bug_keeps_its_trace() -> None:
    error = ApplicationError("rate limited")
    failed = record(temporal_activity=CALL, exc_info=(type(error), error, None))
    assert failed.getMessage() == f"act_llm_gen_text, attempt 2, in {CHILD}: rate limited"
    assert "exception" not in as_json(failed)
    bug = ValueError("what")
    assert "ValueError: what" in as_json(record(temporal_activity=CALL, exc_info=(type(bug), bug, None)))["exception"]


def test_what_a_provider_says_neither_steers_a_terminal_nor_looks_like_another_record() -> None:
    error = ApplicationError("no\x1b[2J\n2031-05-04 INFO all is well")
    failed = record(temporal_activity=CALL, exc_info=(type(error), error, None))
    line = TextLines(TemporalLogConfig()).format(failed)
    assert line.endswith("no\\u001b[2J 2031-05-04 INFO all is well")
    assert "\n" not in line
    assert as_json(record(msg="a\x1b\x9b", args=()))["message"] == "a\x1b\x9b"


async def test_what_runs_under_an_activity_is_told_apart_without_knowing_of_it() -> None:
    async def inside() -> dict[str, Any]:
        return as_json(record("some.provider"))

    line = await ActivityEnvironment().run(inside)
    assert (line["logger"], line["activity_type"], line["workflow_id"]) == ("some.provider", "unknown", "test")
    assert "activity_type" not in await inside()
