"""Record tests/replay/histories again: `python scripts/record_histories.py [CASE …]`, all cases by default.

Do it only when the workflow code is meant to issue other commands than before: runs that are under way when a new
version is installed will then not go on. The histories in the repository stand for those runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from pipelex.temporal.converter import data_converter
from pipelex.temporal.namespace import register
from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES
from pipelex.testing.replay import record

REPLAY = Path(__file__).parents[1] / "tests" / "replay"
HISTORIES = REPLAY / "histories"


def compact(path: Path) -> None:
    """One event a line, so that changes can be read and files stay small; no stack traces, which name local files."""
    events = json.loads(path.read_text(), object_hook=without_stack)["events"]
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in events)
    path.write_text(f'{{"events":[\n{lines}\n]}}\n')


def without_stack(found: dict[str, Any]) -> dict[str, Any]:
    """A JSON object without its stack trace."""
    return {key: value for key, value in found.items() if key != "stackTrace"}


async def main(names: list[str]) -> None:
    """Run the cases on a server of their own and write what they leave."""
    # Failures are what some of the cases are about.
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    sys.path.insert(0, str(REPLAY))
    from replay_cases import CASES, ended

    with tempfile.TemporaryDirectory() as payloads:
        async with await WorkflowEnvironment.start_local(
            data_converter=data_converter(Path(payloads)),
            dev_server_existing_path=str(find_temporal()),
            dev_server_log_level="error",
            dev_server_extra_args=["--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"],
            identity="submitter",
        ) as environment:
            await register(environment.client, tuple(SEARCH_ATTRIBUTE_TYPES))
            for name in names or CASES:
                shutil.rmtree(HISTORIES / name, ignore_errors=True)
                run, end = await ended(environment.client, name)
                expected = CASES[name].error
                if isinstance(end, Exception) != (expected is not None):
                    raise SystemExit(f"{name} ended with {end!r}, not with {expected or 'a result'}")
                paths = await record(environment.client, run.workflow_id, HISTORIES / name)
                for path in paths:
                    compact(path)
                print(f"{name}: {len(paths)} histories, {sum(path.stat().st_size for path in paths)} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
    sys.stdout.flush()
    # The SDK's native threads may abort the interpreter while it exits.
    os._exit(0)
