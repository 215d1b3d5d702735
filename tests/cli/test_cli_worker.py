"""`pipelex worker` as a process: what it says, its health, its metrics, its log, and the roll-out of a new build."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import ACTIVITIES
from pipelex.testing.provider_stub import StubAnswer, StubProvider

PIPELEX = str(Path(sys.executable).parent / "pipelex")
PATIENCE = 60.0

HOLD = """
domain = "hold"
main_pipe = "hold"

[pipe.hold]
type = "PipeFunc"
description = "Wait until told to go on"
inputs = { name = "Text" }
output = "Text"
function_name = "hold"
"""

HOLD_FUNCTION = """
import asyncio
from pathlib import Path
from pipelex import pipe_func

@pipe_func
async def hold(working_memory):
    Path("begun").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "held"
"""

RUN = ("--temporal", "--json", "-i", '{"name": "Ada"}')


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    """The status and the text at that path; 0 when nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Started:
    """A process of `pipelex` in the current directory; what it says goes to a file."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.log = Path(f"{name}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen([PIPELEX, *arguments], stdout=subprocess.PIPE, stderr=log, text=True)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def says(self, text: str) -> None:
        def is_said() -> bool:
            assert self.process.poll() is None or text in self.said, self.said
            return text in self.said

        until(is_said)

    def ends(self, number: signal.Signals | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        self.out = self.process.communicate(timeout=PATIENCE)[0]
        return self.process.returncode


Start = Callable[..., Started]


@pytest.fixture
def start(work: Path) -> Iterator[Start]:
    """Start a command; it is killed if it still runs when the test ends."""
    started: list[Started] = []

    def begin(*arguments: str) -> Started:
        started.append(Started(f"{arguments[0]}-{len(started)}", *arguments))
        return started[-1]

    yield begin
    for found in started:
        if found.process.poll() is None:
            found.process.kill()
            found.process.communicate()


@pytest.fixture
def queue(client: Client, work: Path) -> str:
    """The name of a queue of its own, in settings that lead to the server of the session."""
    name = f"q-{work.parent.name}"
    write_settings(client, work, name)
    return name


def write_settings(client: Client, work: Path, queue: str, more: str = "") -> None:
    (work / ".pipelex" / "pipelex.toml").write_text(f"""
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{client.service_client.config.target_host}"
[temporal.worker_config]
default_task_queue = "{queue}"
{more}
""")


@pytest.fixture
def hold(work: Path) -> tuple[str, ...]:
    """Write a method whose call waits for the file `go`; the arguments that run it."""
    (work / "hold").mkdir()
    (work / "hold" / "bundle.mthds").write_text(HOLD)
    (work / "functions.py").write_text(HOLD_FUNCTION)
    return ("run", "bundle", "hold/bundle.mthds", "--functions", "functions.py", *RUN)


def fields(line: str) -> dict[str, Any]:
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


@pytest.mark.server
def test_the_line_at_the_start_says_what_is_served(start: Start, queue: str) -> None:
    worker = start("worker", "--scope", "runner-llm")
    worker.says("worker ready")
    line = next(line for line in worker.said.splitlines() if line.startswith("worker ready"))
    shown = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line).replace(queue, "QUEUE").replace(str(worker.process.pid), "PID")
    assert shown == (
        "worker ready: ADDRESS, queue QUEUE; scope runner-llm; profile default; workflows 0;"
        " activities act_llm_gen_text, act_llm_gen_object, act_llm_gen_object_list; payloads local;"
        " build id none; pid PID"
    )
    assert worker.ends(signal.SIGTERM) == 0


@pytest.mark.server
def test_health_from_the_start_through_a_drain(start: Start, queue: str, hold: tuple[str, ...]) -> None:
    port = free_port()
    worker = start("worker", "--functions", "functions.py", "--health-address", f"127.0.0.1:{port}")
    worker.says("worker ready")
    assert get(port, "/live") == get(port, "/ready") == (200, "ready\n")
    assert get(port, "/elsewhere")[0] == 404
    run = start(*hold)
    until(lambda: Path("begun").exists() or run.process.poll() is not None)
    assert run.process.poll() is None, run.said
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: get(port, "/ready")[0] == 503)
    assert get(port, "/ready") == (503, "draining\n")
    assert get(port, "/live")[0] == 200
    Path("go").touch()
    assert worker.ends() == 0, worker.said
    assert get(port, "/live") == (0, "")
    successor = start("worker", "--functions", "functions.py")
    assert run.ends() == 0, run.said
    assert json.loads(run.out) == {"text": "held"}
    assert successor.ends(signal.SIGTERM) == 0


@pytest.mark.server
@pytest.mark.parametrize("flag", ["--health-address", "--metrics-address"])
def test_a_port_that_is_taken_ends_the_worker(start: Start, queue: str, flag: str) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        worker = start("worker", flag, f"127.0.0.1:{taken.getsockname()[1]}")
        assert worker.ends() == 1
    assert "Address already in use" in worker.said.replace("address already", "Address already")
    assert f"give {flag} a free port" in worker.said
    assert "Traceback" not in worker.said


@contextlib.asynccontextmanager
async def provider(monkeypatch: pytest.MonkeyPatch, answers: dict[int, StubAnswer]) -> AsyncIterator[StubProvider]:
    async with StubProvider(lambda asked, before: answers.get(before)) as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "stub")
        yield stub


QUICK = """
[temporal.worker_config.retry_policy_config]
initial_interval = "10ms"
"""


@pytest.mark.server
async def test_metrics_tell_what_the_calls_of_a_run_consumed(
    client: Client, work: Path, greet: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(client, work, f"q-{work.parent.name}", QUICK)
    port = free_port()
    answers = {
        0: StubAnswer(status=429, body={"error": {"message": "slow down"}}),
        1: StubAnswer(text="Hello", usage={"prompt_tokens": 70, "completion_tokens": 5}),
    }
    async with provider(monkeypatch, answers):
        worker = start("worker", "--metrics-address", f"localhost:{port}")
        await asyncio.to_thread(worker.says, "worker ready")
        run = start("run", "bundle", str(greet), *RUN)
        assert await asyncio.to_thread(run.ends) == 0, run.said
        status, text = await asyncio.to_thread(get, port, "/metrics")
    assert status == 200

    def counted(name: str, **labels: str) -> float:
        lines = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
        found = [line for line in lines if all(f'{key}="{value}"' in line for key, value in labels.items())]
        assert len(found) == 1, (name, labels, [line for line in text.splitlines() if "pipelex" in line])
        return float(found[0].rpartition(" ")[2])

    text_call = {"activity": "act_llm_gen_text", "task_queue": f"q-{work.parent.name}"}
    assert counted("pipelex_calls_total", **text_call) == 1
    assert counted("pipelex_call_failures_total", code="rate-limited", **text_call) == 1
    assert counted("pipelex_tokens_total", kind="input", **text_call) == 70
    assert counted("pipelex_tokens_total", kind="output", **text_call) == 5
    assert counted("pipelex_cost_microdollars_total", **text_call) > 0
    assert "temporal_activity_execution_latency_seconds_bucket" in text
    assert worker.ends(signal.SIGTERM) == 0


@pytest.mark.server
async def test_a_log_of_json_lines_knows_the_workflow_and_the_call(
    client: Client, work: Path, greet: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(client, work, f"q-{work.parent.name}", QUICK)
    async with provider(monkeypatch, {0: StubAnswer(status=503, body="down")}):
        worker = start("worker", "--log-format", "json")
        await asyncio.to_thread(worker.says, "worker ready")
        run = start("run", "bundle", str(greet), *RUN)
        assert await asyncio.to_thread(run.ends) == 0, run.said
        assert await asyncio.to_thread(worker.ends, signal.SIGTERM) == 0
    lines = [fields(line) for line in worker.said.splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    ready = next(line for line in lines if line["message"] == "worker ready")
    assert (ready["scope"], ready["workflows"], ready["pid"]) == ("full", 1, worker.process.pid)
    assert set(ready["activities"]) <= set(ACTIVITIES)
    failed = next(line for line in lines if line.get("activity_type"))
    assert (failed["level"], failed["activity_type"], failed["attempt"]) == ("WARNING", "act_llm_gen_text", 1)
    assert failed["workflow_id"] in run.said
    assert re.fullmatch(r"[0-9a-f-]{36}", failed["run_id"])
    assert lines[-1]["message"].startswith("worker stopped")


def test_errors_and_warnings_are_json_lines_too(start: Start, work: Path) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text("[temporal]\nis_enabled = true\n")
    worker = start("worker", "--log-format", "json", "--scope", "ruoter")
    assert worker.ends() == 1
    last = fields(worker.said.splitlines()[-1])
    assert (last["level"], last["code"]) == ("ERROR", "config-error")
    assert "Did you mean 'router'?" in last["message"]
    assert last["hint"].startswith("known scopes: full, router")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scope", "runer"), "Did you mean 'runner'?"),
        (("--profile", "defalt"), "Did you mean 'default'?"),
        (("--task-queue", "temporal_task_queu"), "Did you mean 'temporal_task_queue'?"),
        (("--health-address", "8080"), "--health-address is '8080', which is no HOST:PORT"),
        (("--metrics-address", "here:port"), "--metrics-address is 'here:port', which is no HOST:PORT"),
        (("--build-id", ""), "the build id is empty"),
    ],
)
def test_what_can_be_refused_is_refused_before_connecting(cli: Any, arguments: tuple[str, ...], said: str) -> None:
    done = cli("worker", *arguments)
    assert done.code == 1
    assert said in done.err
    assert "no Temporal server" not in done.err


async def set_current(client: Client, build: str) -> None:
    """As an operator would, with the `temporal` program; tried again until the server has met the worker."""
    command = [str(find_temporal()), "worker", "deployment", "set-current-version", "--yes"]
    command += ["--deployment-name", "pipelex", "--build-id", build]
    command += ["--address", client.service_client.config.target_host]

    def is_set() -> bool:
        return subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0

    await asyncio.to_thread(until, is_set)


async def build_of(client: Client, run: Started) -> str:
    """The build id that the run of a command is pinned to."""
    workflow_id = next(line.split()[1] for line in run.said.splitlines() if line.startswith("workflow: "))
    described = await client.get_workflow_handle(workflow_id).describe()
    return described.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id


@pytest.mark.server
async def test_a_run_ends_on_the_build_it_began_on(
    client: Client, queue: str, start: Start, hold: tuple[str, ...]
) -> None:
    serve = ("worker", "--functions", "functions.py", "--build-id")
    first = start(*serve, f"a-{queue}")
    await asyncio.to_thread(first.says, "worker ready")
    try:
        await set_current(client, f"a-{queue}")
        earlier = start(*hold)
        await asyncio.to_thread(until, Path("begun").exists)

        second = start(*serve, f"b-{queue}")
        await asyncio.to_thread(second.says, "worker ready")
        await set_current(client, f"b-{queue}")
        await asyncio.to_thread(Path("go").touch)
        later = start(*hold)
        for run in (earlier, later):
            assert await asyncio.to_thread(run.ends) == 0, run.said
        assert await build_of(client, earlier) == f"a-{queue}"
        assert await build_of(client, later) == f"b-{queue}"
    finally:
        unversioned = ["worker", "deployment", "set-current-version", "--yes", "--deployment-name", "pipelex"]
        address = client.service_client.config.target_host
        command = [str(find_temporal()), *unversioned, "--unversioned", "--allow-no-pollers", "--address", address]
        await asyncio.to_thread(subprocess.run, [*command, "--ignore-missing-task-queues"], check=True)
