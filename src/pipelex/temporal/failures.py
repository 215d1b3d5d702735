"""Errors of ours <-> Temporal failures: the caller catches the class that was raised. Pure; replayed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    TimeoutError,
    TimeoutType,
)

from pipelex.errors import (
    ConfigError,
    InferenceError,
    InternalError,
    PipelexError,
    RateLimitError,
    RunCancelledError,
    RunTimeoutError,
    from_report,
)

_TIMEOUTS = {
    TimeoutType.START_TO_CLOSE: ("start-to-close", "raise start_to_close_timeout for its queue or its handle"),
    TimeoutType.SCHEDULE_TO_CLOSE: ("schedule-to-close", "raise schedule_to_close_timeout for its queue"),
    TimeoutType.SCHEDULE_TO_START: (
        "schedule-to-start",
        "no worker took it in time: start one on its queue with `pipelex worker`",
    ),
    TimeoutType.HEARTBEAT: ("heartbeat", "its worker stopped or was blocked while the call ran: see the worker's log"),
}


_TOO_MUCH_AT_ONCE = "GrpcMessageTooLarge"
"""The reason that the server gives when a workflow sends more in one answer than it takes."""
PAYLOADS_TOO_LARGE = "PayloadsTooLarge"
"""The type that the SDK gives to a failure when a value does not pass: made again, the call would fail again."""
_OUR_CONVERTER = (
    "start every worker with `pipelex worker`, which keeps large values in the store of [temporal.payloads]"
)
_SDK_PAYLOADS = {
    "TMPRL1103": ("gave a value that is larger than the server takes", _OUR_CONVERTER),
    "TMPRL1105": ("needs a stored payload, and its worker has no store", _OUR_CONVERTER),
    "TMPRL1106": (
        "refers to a stored payload in a way that cannot be read",
        "run the same version of pipelex on every worker and submitter",
    ),
}
"""What the SDK says of payloads, by the marks in its messages: what it means, and what to do."""


def application_error(error: PipelexError, *, maximum_interval: timedelta | None = None) -> ApplicationError:
    """Tell an error to Temporal. A provider's `retry_after` delays the next attempt, by `maximum_interval` at most."""
    delay = None
    if error.is_retryable and isinstance(error, InferenceError) and error.retry_after is not None:
        seconds = max(error.retry_after, 0.0)
        delay = timedelta(
            seconds=seconds if maximum_interval is None else min(seconds, maximum_interval.total_seconds())
        )
    is_benign = isinstance(error, RateLimitError)
    return ApplicationError(
        error.message,
        error.report(),
        type=type(error).__name__,
        non_retryable=not error.is_retryable,
        next_retry_delay=delay,
        category=ApplicationErrorCategory.BENIGN if is_benign else ApplicationErrorCategory.UNSPECIFIED,
    )


def unexpected(exc: BaseException) -> InternalError:
    """Name the class of an exception that is nobody's fault but ours; its text may hold data, so it stays out."""
    return InternalError(
        f"unexpected {type(exc).__name__}", hint="this is a bug of pipelex: the log of the worker has the traceback"
    )


def raised(exc: BaseException) -> PipelexError:
    """Find the error that was raised on the other side, under the layers Temporal wrapped it in."""
    call = "the run"
    current: BaseException | None = exc
    while current is not None:
        if isinstance(current, PipelexError):
            return current
        if isinstance(current, ActivityError):
            call = current.activity_type
        elif isinstance(current, ChildWorkflowError):
            call = current.workflow_id or current.workflow_type
        elif isinstance(current, ApplicationError):
            return _reported(current) or _foreign(current, call)
        elif isinstance(current, TimeoutError):
            return _timed_out(current, call)
        elif isinstance(current, CancelledError | asyncio.CancelledError):
            return RunCancelledError(f"{call} was cancelled")
        elif isinstance(current, TerminatedError):
            return _terminated(current, call)
        current = current.__cause__
    return unexpected(exc)


def _reported(error: ApplicationError) -> PipelexError | None:
    report: Any = error.details[0] if error.details else None
    if not isinstance(report, dict) or "code" not in report:
        return None
    try:
        return from_report(report)
    except (TypeError, ValueError):  # a report of another version
        return InternalError(error.message)


def _terminated(error: TerminatedError, call: str) -> PipelexError:
    if _TOO_MUCH_AT_ONCE in str(error):
        return ConfigError(
            f"the server stopped {call}: it sent more at once than the server takes ({_TOO_MUCH_AT_ONCE})",
            hint="lower batch_window under [temporal.execution], so that fewer items begin at the same moment",
        )
    return RunCancelledError(f"{call} was terminated: {error}")


def _foreign(error: ApplicationError, call: str) -> PipelexError:
    for mark, (meaning, hint) in _SDK_PAYLOADS.items():
        if mark in error.message:
            return ConfigError(f"{call} {meaning} ({mark})", hint=hint)
    if error.type == "NotFoundError":
        return ConfigError(
            f"the worker that took {call} does not know it",
            hint="run the same version of pipelex on every worker of the queue",
        )
    return InternalError(
        f"unexpected {error.type or 'failure'} in {call}", hint="the log of the worker has the traceback"
    )


def _timed_out(error: TimeoutError, call: str) -> RunTimeoutError:
    if call == "the run" or error.type not in _TIMEOUTS:
        return RunTimeoutError(
            f"{call} exceeded its time",
            hint="raise workflow_execution_timeout and run_timeout in [temporal.worker_config]",
        )
    name, hint = _TIMEOUTS[error.type]
    message = f"{call} exceeded its {name} timeout"
    if isinstance(error.__cause__, ApplicationError | TimeoutError):
        message += f"; its last attempt failed: {error.__cause__.message}"
    return RunTimeoutError(message, hint=hint)
