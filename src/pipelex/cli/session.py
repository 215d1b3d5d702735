"""What every command does first: load the settings and say what they warn about."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from pipelex.config.load import Loaded


def load(*, server: str | None = None) -> Loaded:
    """Load the settings for the current directory; warnings go to stderr.

    `.env` files become part of the environment of this process: providers and SDKs read their keys there.
    """
    from pipelex.config.load import load_settings

    loaded = load_settings()
    if server is not None:
        loaded.settings.temporal.server_profile(server)
        # Loaded again: the variables that a server needs are only asked for when it is the selected one.
        loaded = load_settings(overrides={"temporal": {"temporal_config": {"selected_server": server}}})
    for name, value in loaded.environ.items():
        os.environ.setdefault(name, value)
    for warning in loaded.warnings:
        say(f"warning: {warning}")
    return loaded


def say(text: str) -> None:
    """One line for the person, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def logs_on_stderr() -> None:
    """Let a process that serves say what happens: records of level INFO and above, on stderr."""
    import logging

    def shorten(record: logging.LogRecord) -> bool:
        """Say in one line that a call failed as calls do; what is not an error of ours keeps its stack trace."""
        error = record.exc_info[1] if record.exc_info else None
        call = getattr(record, "temporal_activity", None)
        if call and type(error).__name__ == "ApplicationError":
            record.msg = f"{call['activity_type']}, attempt {call['attempt']}, in {call['workflow_id']}: {error}"
            record.args, record.exc_info, record.exc_text = (), None, None
        return True

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(shorten)
    # Each workflow and activity attempt is in the Web UI already.
    for name in ("temporalio", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def function_sources(given: Sequence[str] | None, loaded: Loaded) -> list[str | Path]:
    """Where the functions of PipeFunc are: modules and files of the settings and of the command line.

    Modules are found from the project root and from the current directory.
    """
    names = list(dict.fromkeys([*loaded.settings.library.functions, *(given or ())]))
    for directory in (str(loaded.project.root), str(Path.cwd())):
        if names and directory not in sys.path:
            sys.path.insert(0, directory)
    return [Path(name) if "/" in name or name.endswith(".py") else name for name in names]


@contextlib.contextmanager
def signals_to(stop: asyncio.Event) -> Iterator[None]:
    """Make Ctrl-C and SIGTERM set the event instead of breaking off what runs."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
