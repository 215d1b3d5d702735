"""What every command does first: load the settings and say what they warn about."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from pipelex.config.load import Loaded


class EndedError(Exception):
    """Wraps an error that ends the command with another exit code than 1."""

    def __init__(self, error: Exception, code: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code


def load(*, server: str | None = None, warn: Callable[[str], object] | None = None) -> Loaded:
    """Load the settings for the current directory; warnings go to stderr, or to `warn`.

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
        warn(warning) if warn else say(f"warning: {warning}")
    return loaded


def say(text: str) -> None:
    """One line for the person, on stderr: stdout is for results."""
    from pipelex.values.terminal import for_terminal

    print(for_terminal(text), file=sys.stderr, flush=True)


def counted(number: int, noun: str) -> str:
    """`1 pipe`, `2 pipes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_json(data: object) -> None:
    """The one document on stdout of a command with `--json`."""
    import json

    print(json.dumps(data, ensure_ascii=False))


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
