"""The log of a worker on stderr: lines for people, or one JSON object a line. Worker side."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from pipelex.temporal.server_settings import TemporalLogConfig
from pipelex.values.terminal import for_terminal

LogFormat = Literal["text", "json"]
_QUIET = ("temporalio", "httpx2")
"""Each workflow and activity attempt is in the Web UI already."""
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_CHILD_ID = re.compile(r"(?:[-~][0-9a-f]{8}|-[0-9a-f]{12})_(\w+)-[0-9a-f]{8}$")
"""The id of a workflow that another one started, after an id of known form: it ends with the code of its pipe."""
_FIELDS = ("workflow_id", "workflow_type", "activity_type", "activity_id", "attempt", "task_queue")


def log_on_stderr(config: TemporalLogConfig, log_format: LogFormat = "text") -> None:
    """Let this process say what happens: records of level INFO and above, in the way that the settings ask for."""
    _set_up_sdk(config)
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines(config))
    elif config.is_formatter_enabled:
        handler.setFormatter(TextLines(config))
    handler.addFilter(_shorten)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # What runs trace is for people who asked for it when they submitted.
    logging.getLogger("temporalio.workflow").setLevel(logging.INFO)


def _set_up_sdk(config: TemporalLogConfig) -> None:
    # These two adapters are the SDK's own, one of each per process.
    activity.logger.activity_info_on_message = config.is_activity_info_on_message
    activity.logger.activity_info_on_extra = config.is_activity_info_on_extra
    activity.logger.full_activity_info_on_extra = config.is_full_activity_info_on_extra
    workflow.logger.workflow_info_on_message = config.is_workflow_info_on_message
    workflow.logger.workflow_info_on_extra = config.is_workflow_info_on_extra
    workflow.logger.full_workflow_info_on_extra = config.is_full_workflow_info_on_extra


class TextLines(logging.Formatter):
    """Time, level, logger and message; the managed loggers say of which workflow and activity they speak."""

    def __init__(self, config: TemporalLogConfig) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(prefix)s%(message)s")
        self._config = config

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        record.prefix = self._prefix(record)
        return for_terminal(super().format(record))

    def _prefix(self, record: logging.LogRecord) -> str:
        if not self._config.is_prefix_enabled or record.name not in self._config.managed_loggers:
            return ""
        where = _where(record)
        names = [where[key] for key in ("workflow_type", "activity_type") if where.get(key)]
        return "".join(f"[{name}]" for name in names) + (" " if names else "")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message; workflow and activity when there is one; what is extra."""

    def __init__(self, config: TemporalLogConfig) -> None:
        super().__init__()
        self._config = config

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return for_terminal(json.dumps(line, ensure_ascii=False, default=str))

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        where, config = _where(record), self._config
        fields: dict[str, Any] = {}
        if config.is_activity_info_on_extra if "activity_type" in where else config.is_workflow_info_on_extra:
            fields = {key: where[key] for key in _FIELDS if where.get(key) is not None}
            run_id, workflow_id = where.get("workflow_run_id") or where.get("run_id"), where.get("workflow_id")
            if run_id:
                fields["run_id"] = run_id
            if workflow_id and (pipe := _CHILD_ID.search(workflow_id)):
                fields["pipe_code"] = pipe[1]
        told = {"temporal_activity", "temporal_workflow", "temporal_where", "prefix"}
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD and key not in told}
        return fields | {key: value for key, value in extra.items() if not key.startswith("__")}


def _where(record: logging.LogRecord) -> Mapping[str, Any]:
    """What is known of the activity or the workflow that a record comes from, as the SDK names it."""
    found: Mapping[str, Any] | None = getattr(record, "temporal_activity", None) or getattr(
        record, "temporal_workflow", None
    )
    if found is not None:
        return found
    # What runs under an activity logs without knowing of it.
    if activity.in_activity():
        info = activity.info()
        return {key: getattr(info, key) for key in ("activity_id", "activity_type", "attempt", *_OF_WORKFLOW)}
    if workflow.in_workflow():
        about = workflow.info()
        names = ("workflow_id", "run_id", "workflow_type", "attempt", "task_queue")
        return {key: getattr(about, key) for key in names}
    return {}


_OF_WORKFLOW = ("workflow_id", "workflow_run_id", "workflow_type", "task_queue")


def _shorten(record: logging.LogRecord) -> bool:
    """Say in one line that a call failed as calls do; what is not an error of ours keeps its stack trace."""
    error = record.exc_info[1] if record.exc_info else None
    call = _where(record)
    if isinstance(error, ApplicationError) and call.get("activity_type"):
        # On one line: what a provider says must not look like another record.
        said = " ".join(str(error).split())
        record.msg = f"{call['activity_type']}, attempt {call['attempt']}, in {call['workflow_id']}: {said}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True
