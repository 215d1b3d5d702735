"""A worker as a process of its own, for tests that signal or kill it: python worker_process.py ADDRESS FOLDER SETTINGS.

Each text call appends `begun PROMPT` to FOLDER/calls, waits for the file FOLDER/go, then appends `ended PROMPT`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Any

from pipelex.errors import PipelexError
from pipelex.pipes.requests import TextReply
from pipelex.temporal.connection import connect
from pipelex.temporal.settings import ServerProfile, TemporalSettings
from pipelex.temporal.worker import run_worker


class WaitingPerformer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, line: str) -> None:
        with (self.folder / "calls").open("a") as calls:
            calls.write(f"{line}\n")

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        self.note(f"begun {request.prompt}")
        while not (self.folder / "go").exists():  # noqa: ASYNC110 - another process makes the file
            await asyncio.sleep(0.02)
        self.note(f"ended {request.prompt}")
        return TextReply(text=f"reply to {request.prompt}")


async def main(address: str, folder: Path, settings: TemporalSettings) -> None:
    client = await connect(ServerProfile(target_host=address), payload_root=folder / "payloads", settings=settings)
    await run_worker(
        client=client,
        settings=settings,
        performer=WaitingPerformer(folder),
        on_ready=lambda: print("ready", flush=True),
    )
    print("drained", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    status = 0
    try:
        asyncio.run(main(sys.argv[1], Path(sys.argv[2]), TemporalSettings.model_validate_json(sys.argv[3])))
    except PipelexError as error:
        print(error.render(), flush=True)
        status = 1
    # As the command line does: the SDK may abort while the interpreter exits.
    os._exit(status)
