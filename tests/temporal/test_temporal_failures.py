"""Errors cross to Temporal and back as the same class, whatever Temporal wraps around them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    RetryState,
    TerminatedError,
    TimeoutError,
    TimeoutType,
)

from pipelex.errors import (
    ConfigError,
    FunctionError,
    InferenceError,
    InputError,
    InternalError,
    LanguageError,
    OutputError,
    PipelexError,
    Problem,
    ProviderDownError,
    RateLimitError,
    RequestRefusedError,
    RunCancelledError,
    RunTimeoutError,
)
from pipelex.temporal.failures import application_error, raised, unexpected

ERRORS = [
    InputError("no such input", hint="give it"),
    RateLimitError("slow down", retryable=True, provider="acme", model="m", status=429, retry_after=7.5),
    ProviderDownError("timeout", retryable=True),
    RequestRefusedError("refused", status=400),
    FunctionError("f raised ValueError", where="f"),
    OutputError("does not fit"),
    LanguageError("1 problem", problems=[Problem("toml_parse_error", "bad", file="a.mthds", line=3)]),
]


def in_activity(cause: BaseException) -> ActivityError:
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="w",
        activity_type="act_llm_gen_text",
        activity_id="1",
        retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )
    error.__cause__ = cause
    return error


def in_child(cause: BaseException) -> ChildWorkflowError:
    error = ChildWorkflowError(
        "Child Workflow execution failed",
        namespace="default",
        workflow_id="run_b-1",
        run_id="r",
        workflow_type="wf_pipe_run",
        initiated_event_id=1,
        started_event_id=2,
        retry_state=None,
    )
    error.__cause__ = cause
    return error


async def over_the_wire(error: FailureError) -> BaseException:
    failure = Failure()
    await DataConverter.default.encode_failure(error, failure)
    return await DataConverter.default.decode_failure(failure)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("wrap", [lambda error: error, in_activity, lambda error: in_child(in_activity(error))])
async def test_the_same_error_comes_back(error: PipelexError, wrap) -> None:
    error.pipe_path = ("main", "step")
    found = raised(await over_the_wire(wrap(application_error(error))))
    assert type(found) is type(error)
    assert found.report() == error.report()


def test_what_temporal_is_told() -> None:
    told = application_error(
        RateLimitError("slow down", retryable=True, retry_after=600), maximum_interval=timedelta(minutes=1)
    )
    assert told.type == "RateLimitError"
    assert not told.non_retryable
    assert told.next_retry_delay == timedelta(minutes=1)
    assert told.category == ApplicationErrorCategory.BENIGN

    told = application_error(RateLimitError("slow down", retryable=True, retry_after=600))
    assert told.next_retry_delay == timedelta(minutes=10)

    told = application_error(RequestRefusedError("no", retry_after=3))
    assert told.non_retryable
    assert told.next_retry_delay is None
    assert told.category == ApplicationErrorCategory.UNSPECIFIED


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (TimeoutType.START_TO_CLOSE, "start-to-close"),
        (TimeoutType.SCHEDULE_TO_START, "schedule-to-start"),
        (TimeoutType.SCHEDULE_TO_CLOSE, "schedule-to-close"),
        (TimeoutType.HEARTBEAT, "heartbeat"),
    ],
)
def test_a_timeout_says_which_of_which_activity(kind: TimeoutType, word: str) -> None:
    cause = TimeoutError("activity timeout", type=kind, last_heartbeat_details=[])
    found = raised(in_child(in_activity(cause)))
    assert isinstance(found, RunTimeoutError)
    assert found.message == f"act_llm_gen_text exceeded its {word} timeout"
    assert found.hint


def test_a_timeout_tells_the_last_failure() -> None:
    cause = TimeoutError("activity timeout", type=TimeoutType.SCHEDULE_TO_CLOSE, last_heartbeat_details=[])
    cause.__cause__ = application_error(ProviderDownError("connection dropped", retryable=True))
    assert "connection dropped" in raised(in_activity(cause)).message


def test_the_run_itself() -> None:
    timeout = TimeoutError("workflow timeout", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=[])
    assert raised(timeout).message == "the run exceeded its time"
    assert isinstance(raised(TerminatedError("by an operator")), RunCancelledError)
    assert isinstance(raised(CancelledError("cancelled")), RunCancelledError)
    assert raised(in_child(CancelledError("cancelled"))).message == "run_b-1 was cancelled"


def test_what_is_not_ours_is_an_internal_error_without_its_text() -> None:
    foreign = raised(in_activity(ApplicationError("password=hunter2", type="RuntimeError")))
    assert type(foreign) is InternalError
    assert "RuntimeError" in foreign.message
    assert "hunter2" not in foreign.render()
    assert "hunter2" not in unexpected(ValueError("hunter2")).render()
    assert type(raised(KeyError("hunter2"))) is InternalError


def test_an_activity_that_no_worker_knows() -> None:
    assert isinstance(raised(in_activity(ApplicationError("not registered", type="NotFoundError"))), ConfigError)


def test_a_report_of_another_version() -> None:
    strange = ApplicationError("odd", {"code": "language-error", "problems": [{"unknown": 1}]}, type="LanguageError")
    assert type(raised(strange)) is InternalError
    unknown = ApplicationError("new", {"code": "brand-new", "message": "new"}, type="BrandNewError")
    assert raised(unknown).message == "new"


def test_our_own_errors_pass_through() -> None:
    error = InferenceError("x")
    assert raised(error) is error


def test_reports_of_earlier_and_later_versions_are_read() -> None:
    earlier = {"code": "rate-limited", "message": "slow", "retryable": True, "provider": "p", "status": 429}
    found = raised(ApplicationError("slow", earlier, type="RateLimitError"))
    assert isinstance(found, RateLimitError)
    assert (found.request_id, found.category) == (None, "transient")
    later = {**earlier, "retryable": False, "category": "of tomorrow", "request_id": "req-1", "weather": "fine"}
    found = raised(ApplicationError("slow", later, type="RateLimitError"))
    assert isinstance(found, RateLimitError)
    assert (found.request_id, found.category) == ("req-1", "capacity")


@pytest.mark.parametrize("mark", ["TMPRL1103", "TMPRL1105", "TMPRL1106"])
def test_what_the_sdk_says_of_payloads_is_told_in_words(mark: str) -> None:
    found = raised(in_activity(ApplicationError(f"[{mark}] something of the SDK", type="PayloadsTooLarge")))
    assert type(found) is ConfigError
    assert found.message.startswith("act_llm_gen_text ")
    assert found.hint
