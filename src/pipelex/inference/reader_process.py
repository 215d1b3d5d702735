"""A process that has one file open and gives its pages one by one. Runs on workers.

pdfium is not thread-safe, and what reads files of strangers may crash or swell. A process per file, with a bound on its
memory and none of our keys, keeps that away from the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMMAND: Final = (sys.executable, "-P", "-m", "pipelex.inference.readers")
_PACKAGES: Final = str(Path(__file__).parents[2])
_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TESSDATA_PREFIX")
_MAX_ANSWER_BYTES: Final = 512 * 1024 * 1024
_COMPLAINTS: Final = 20


class ReaderCrashed(Exception):
    """The process ended before it had answered."""


@dataclass(frozen=True)
class Answer:
    """What it says, and the bytes that go with it."""

    head: dict[str, Any]
    blobs: tuple[bytes, ...] = ()


class ReaderProcess:
    """One such process. Ask one thing at a time; a process that was asked and not waited for is of no more use."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._complaints: deque[bytes] = deque(maxlen=_COMPLAINTS)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, folder: Path, command: tuple[str, ...] = COMMAND) -> ReaderProcess:
        """Start it; what it writes for itself goes to `folder`."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            # Threads of tesseract would fight over the cores that the other pages use.
            env={**environment, "PYTHONPATH": _PACKAGES, "TMPDIR": str(folder), "OMP_THREAD_LIMIT": "1"},
            # A group of its own, so that tesseract ends with it.
            start_new_session=True,
        )
        return cls(process)

    async def ask(self, question: dict[str, Any]) -> Answer:
        """Ask, and wait for the answer. Raises ReaderCrashed when none comes."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(question).encode() + b"\n")
            await stdin.drain()
            size = int.from_bytes(await stdout.readexactly(8), "big")
            self._check(size)
            head = json.loads(await stdout.readexactly(size))
            sizes = [picture["data"] for picture in head.get("pictures", ())]
            self._check(sum(sizes))
            return Answer(head, tuple([await stdout.readexactly(size) for size in sizes]))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            raise ReaderCrashed(await self._last_words()) from error

    async def aclose(self) -> None:
        """End it, with what it started."""
        self._kill()
        await self._process.wait()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)

    def _kill(self) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _check(self, size: int) -> None:
        if size > _MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of {size} bytes")

    async def _last_words(self) -> str:
        self._kill()
        status = await self._process.wait()
        await asyncio.wait({self._listening}, timeout=1)
        lines = b"".join(self._complaints).decode("utf-8", "replace").strip().splitlines()[-1:]
        return " ".join([f"exit status {status}", *lines])

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while chunk := await stderr.read(4096):
            self._complaints.append(chunk)
