"""`pipelex runs` against a real server: runs are found, shown, awaited, stopped."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from temporalio.client import Client
from temporalio.worker import Worker

from pipelex.errors import RequestRefusedError
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.requests import ModelSetting, Request, TextReply, Usage
from pipelex.temporal.activities import activities
from pipelex.temporal.client import DurableRun, submit
from pipelex.temporal.converter import data_converter
from pipelex.temporal.routing import routes_for
from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import TemporalSettings
from pipelex.temporal.workflow import PipeWorkflow, workflow_runner
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.value import Memory, Value

pytestmark = pytest.mark.server

Cli = Callable[..., Any]
PIPELEX = str(Path(sys.executable).parent / "pipelex")

METHOD = """
domain = "desk"
[pipe.answer]
type = "PipeSequence"
description = "Answer a letter"
inputs = { letter = "Text" }
output = "Text"
steps = [{ pipe = "draft", result = "drafted" }, { pipe = "polish", result = "polished" }]
[pipe.draft]
type = "PipeLLM"
description = "Draft"
inputs = { letter = "Text" }
output = "Text"
prompt = "$letter"
[pipe.polish]
type = "PipeLLM"
description = "Polish"
inputs = { drafted = "Text" }
output = "Text"
prompt = "Polish $drafted"
"""
CRATE = library_from_texts({"desk.mthds": METHOD})[0].crate
SPENT = Usage(calls=1, input_tokens=1000, output_tokens=200, cost_usd=0.01)


def reply(request: Request[Any]) -> Any:
    prompt = str(getattr(request, "prompt", ""))
    return RequestRefusedError("not that", provider="stub") if "bad" in prompt else TextReply(text=prompt, usage=SPENT)


class Desk:
    """A project that uses the server of the session, on a task queue of its own."""

    _numbers = itertools.count(1)

    def __init__(self, client: Client, work: Path, payload_root: Path, cli: Cli) -> None:
        self.client = client
        self.work = work
        self.number = next(self._numbers)
        self.queue = f"runs-{self.number}"
        self.user = f"user-{self.number}"
        self.temporal: dict[str, Any] = {}
        self._cli = cli
        (work / ".pipelex" / "pipelex.toml").write_text(f"""
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{client.service_client.config.target_host}"
[temporal.payloads]
path = "{payload_root}"
""")

    def label(self) -> None:
        """Let runs be labelled."""
        self.temporal["search_attributes"] = {"enabled": True}
        with (self.work / ".pipelex" / "pipelex.toml").open("a") as file:
            file.write("[temporal.search_attributes]\nenabled = true\n")

    async def cli(self, *arguments: str) -> Any:
        return await asyncio.to_thread(self._cli, "runs", *arguments)

    async def start(self, letter: str, name: str, pipe: str = "answer") -> DurableRun:
        worker = {"default_task_queue": self.queue}
        settings = TemporalSettings.model_validate({"worker_config": worker, **self.temporal})
        run = RunInfo(run_id=f"{name}-{self.number}", user_id=self.user)
        memory = Memory(root={"letter": Value(concept="native.Text", data={"text": letter})})
        models = {ask.key: ModelSetting(handle="small") for ask in model_asks(CRATE).values()}
        call = PipeCall(pipe=f"desk.{pipe}", run=run, memory=memory, shares_memory=True)
        return await submit(
            self.client, call, CRATE, Plan(models=models), routes_for(settings, CRATE, models), settings
        )

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        async with Worker(
            self.client,
            task_queue=self.queue,
            workflows=[PipeWorkflow],
            activities=activities(ScriptedPerformer(reply)),
            workflow_runner=workflow_runner(),
        ):
            yield

    async def done(self, *letters: str) -> None:
        """Runs `run-<letter>` that have ended, and are listed."""
        async with self.worker():
            for letter in letters:
                run = await self.start(letter, f"run-{letter}")
                try:
                    await run.result()
                except RequestRefusedError:
                    assert letter == "bad"
        await self.listed(len(letters), "--query", "ExecutionStatus != 'Running'")

    async def listed(self, count: int, *more: str) -> list[dict[str, Any]]:
        """The list as JSON, once it is that long: visibility takes its time."""
        async with asyncio.timeout(30):
            while True:
                found = json.loads((await self.cli("list", "--user", self.user, "--json", *more)).out)
                if len(found) == count:
                    return list(found)
                await asyncio.sleep(0.1)

    def plain(self, text: str) -> list[str]:
        """Without times, spaces of columns, and what differs from test to test."""
        text = re.sub(r"-[0-9a-f]{8}\b", "-xxxxxxxx", text).replace(f"-{self.number}", "-1")
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", re.sub(r"\b\d+\.\ds\b", "1.0s", text))
        return [re.sub(r"(?<=\S) +", " ", line) for line in text.splitlines()]


@pytest.fixture
def desk(client: Client, work: Path, payload_root: Path, cli: Cli) -> Desk:
    return Desk(client, work, payload_root, cli)


@pytest.mark.parametrize("is_labelled", [False, True])
async def test_runs_are_listed(desk: Desk, is_labelled: bool) -> None:
    if is_labelled:
        desk.label()
    await desk.done("good", "bad")
    shown = await desk.cli("list", "--user", desk.user)
    assert desk.plain(shown.out) == snapshot(
        [
            "RUN ID PIPE STATE STARTED DURATION",
            "run-bad-1 desk.answer failed TIME 1.0s",
            "run-good-1 desk.answer done TIME 1.0s",
        ]
    )
    assert [run["run_id"] for run in await desk.listed(1, "--status", "failed")] == [f"run-bad-{desk.number}"]
    assert len(await desk.listed(1, "--limit", "1")) == 1
    assert len(await desk.listed(2, "--pipe", "desk.answer", "--since", "1h")) == 2
    assert await desk.listed(0, "--since", "2100-01-01") == []
    assert await desk.listed(0, "--pipe", "draft") == []
    children = await desk.listed(2, "--pipe", "draft", "--children")
    assert {run["pipe"] for run in children} == {"desk.draft"}
    assert set(children[0]) == (
        {"cost_usd", "duration_seconds", "ended", "pipe", "run_id", "started", "state", "tokens", "user"}
    )
    nobody = await desk.cli("list", "--user", "nobody's", "--status", "running")
    assert (nobody.code, nobody.out, nobody.err) == (0, "", "no run is like that\n")


async def test_what_cannot_be_listed_is_said(desk: Desk) -> None:
    for arguments, expected in [
        (("--status", "stuck"), "'stuck' is not one of running, paused, done"),
        (("--since", "yesterday"), "'yesterday' is no age such as '2h'"),
    ]:
        refused = await desk.cli("list", *arguments)
        assert (refused.code, expected in refused.err.replace("\n", " ")) == (2, True), refused.err
    wrong = await desk.cli("list", "--query", "Nothing = 1")
    assert wrong.code == 1
    assert "invalid search attribute: Nothing" in wrong.err


async def test_a_run_is_shown(desk: Desk) -> None:
    await desk.done("good", "bad")
    good = await desk.cli("show", f"run-good-{desk.number}")
    assert desk.plain(good.out) == snapshot(
        [
            "run run-good-1",
            "pipe desk.answer",
            "state done",
            "started TIME",
            "ended TIME, after 1.0s",
            "user user-1",
            "used 2 calls, 2,000 tokens in, 400 out, 0.0200 USD",
            "paid 2 calls / 2 = 1.000",
            "prices from a source that was not noted, which may be stale",
            "",
            "✓ answer 1.0s 0.0200 USD",
            "  ✓ draft 1.0s 0.0100 USD",
            "    ✓ act_llm_gen_text small 1.0s",
            "  ✓ polish 1.0s 0.0100 USD",
            "    ✓ act_llm_gen_text small 1.0s",
        ]
    )
    bad = await desk.cli("show", f"run-bad-{desk.number}")
    assert (bad.code, desk.plain(bad.out)) == snapshot(
        (
            0,
            [
                "run run-bad-1",
                "pipe desk.answer",
                "state failed",
                "started TIME",
                "ended TIME, after 1.0s",
                "user user-1",
                "",
                "✗ answer 1.0s",
                "  ✗ draft 1.0s",
                "    ✗ act_llm_gen_text small 1.0s: not that [request-refused]",
                "",
                "error: not that [request-refused]",
                "  in: answer > draft",
            ],
        )
    )
    facts = json.loads((await desk.cli("show", f"run-bad-{desk.number}", "--json")).out)
    assert (facts["state"], facts["error"]["code"], facts["waiting"]) == ("failed", "request-refused", None)
    assert facts["record"]["children"][0]["calls"][0]["activity"] == "act_llm_gen_text"


async def test_a_run_that_waits_is_shown_with_the_reason(desk: Desk) -> None:
    run = await desk.start("good", "waits")
    shown = await desk.cli("show", run.run_id)
    assert f"waits    no worker polls the task queue '{desk.queue}'" in shown.out
    none = await desk.cli("result", run.run_id, "--no-wait")
    assert none.code == 1
    assert "has no result yet: it is running" in none.err
    assert f"pipelex runs tail {run.run_id}" in none.err


async def test_a_result_is_printed_without_its_bundle(desk: Desk) -> None:
    long = "long " * 40_000
    await desk.done("good", "bad")
    async with desk.worker():
        await (await desk.start(long, "large")).result()
    plain = await desk.cli("result", f"run-good-{desk.number}")
    assert (plain.code, plain.out, plain.err.splitlines()[0]) == snapshot(
        (0, "Polish good\n", "done: desk.answer (2 calls, 2000 tokens in, 400 out, 0.0200 USD)")
    )
    folder = desk.work / "results" / "answer_output_01"
    assert {f"  results/answer_output_01/{file.name}" for file in folder.iterdir()} <= set(plain.err.splitlines())
    assert {"cost_report.json", "graphspec.json", "main_stuff.json"} <= {file.name for file in folder.iterdir()}
    assert json.loads((await desk.cli("result", f"large-{desk.number}", "--json")).out) == {"text": f"Polish {long}"}
    full = json.loads((await desk.cli("result", f"run-good-{desk.number}", "--with-memory", "-o", "kept")).out)
    assert set(full["working_memory"]["root"]) >= {"letter", "drafted", "polished"}
    assert (desk.work / "kept" / "answer_output_01" / "main_stuff.md").is_file()
    bad = await desk.cli("result", f"run-bad-{desk.number}")
    assert (bad.code, bad.out, bad.err.splitlines()) == snapshot(
        (1, "", ["error: not that [request-refused]", "  in: answer > draft"])
    )
    told = json.loads((await desk.cli("tail", f"run-bad-{desk.number}", "--json")).err.splitlines()[-1])
    assert (told["error_type"], told["pipe_stack"]) == ("RequestRefusedError", ["answer", "draft"])


@pytest.mark.parametrize("command", ["show", "result", "tail", "cancel", "terminate"])
async def test_a_run_that_is_not_there_is_said(desk: Desk, command: str) -> None:
    missing = await desk.cli(command, "no-such-run")
    assert missing.code == 1
    assert "error: there is no run 'no-such-run' at 127.0.0.1:" in missing.err
    assert "hint: `pipelex runs list` shows the runs" in missing.err


@pytest.mark.parametrize("command", ["show", "result", "tail"])
async def test_a_failure_is_a_document_where_json_is_asked_for(desk: Desk, command: str) -> None:
    missing = await desk.cli(command, "run-nowhere", "--json")
    assert (missing.code, missing.out) == (1, "")
    told = json.loads(missing.err)
    assert told["code"] == "input-error"


async def test_runs_are_stopped(desk: Desk) -> None:
    one, other = await desk.start("good", "one"), await desk.start("good", "other")
    asked = await desk.cli("cancel", one.run_id)
    assert asked.code == 0
    assert asked.err == f"asked to stop: {one.run_id}; see it end with: pipelex runs tail {one.run_id}\n"
    stopped = await desk.cli("terminate", other.run_id, "--reason", "wrong letter")
    assert (stopped.code, stopped.err) == (0, f"terminated: {other.run_id}\n")
    async with desk.worker():
        left = await desk.cli("tail", one.run_id)
    assert (left.code, "[run-cancelled]" in left.err) == (1, True)
    ended = await desk.cli("result", other.run_id)
    assert (ended.code, "wrong letter" in ended.err) == (1, True)
    for command, state in [("cancel", "canceled"), ("terminate", "canceled")]:
        again = await desk.cli(command, one.run_id)
        assert again.code == 1
        assert f"error: the run '{one.run_id}' is over: {state}" in again.err
        assert f"pipelex runs show {one.run_id}" in again.err
    assert "state    terminated" in (await desk.cli("show", other.run_id)).out


async def test_runs_are_stopped_by_programs(desk: Desk) -> None:
    run = await desk.start("good", "other")
    asked = await desk.cli("cancel", run.run_id, "--json")
    assert (json.loads(asked.out), asked.err) == ({"run_id": run.run_id, "is_asked_to_stop": True}, "")
    stopped = await desk.cli("terminate", run.run_id, "--reason", "wrong letter", "--json")
    told = {"run_id": run.run_id, "state": "terminated", "reason": "wrong letter"}
    assert (json.loads(stopped.out), stopped.err) == (told, "")


async def test_one_comes_back_to_a_run_and_leaves_it_again(desk: Desk) -> None:
    run = await desk.start("good", "later")
    process = await asyncio.create_subprocess_exec(
        PIPELEX,
        *("runs", "tail", run.run_id),
        cwd=desk.work,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        assert (await process.stderr.readline()).startswith(b"waiting: no worker polls")
        process.send_signal(signal.SIGINT)
        out, said = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert said.decode().splitlines() == [
        f"the run goes on: {run.run_id}",
        f"  follow it: pipelex runs tail {run.run_id}",
        f"  cancel it: pipelex runs cancel {run.run_id}",
    ]
    async with desk.worker():
        back = await desk.cli("tail", run.run_id)
    assert (back.code, back.out) == (0, "Polish good\n")
    assert (desk.work / "results" / "answer_output_01" / "main_stuff.md").is_file()


async def test_tail_streams_json_and_ends_with_the_result(desk: Desk) -> None:
    await desk.done("good")
    run_id = f"run-good-{desk.number}"
    told = [json.loads(line) for line in (await desk.cli("tail", run_id, "--json")).out.splitlines()]
    result = {"text": "Polish good"}
    assert told[-1] == {"run_id": run_id, "state": "done", "tokens": 2400, "cost_usd": 0.02, "result": result}


async def test_a_run_is_started_and_left(desk: Desk, greet: Path, cli: Cli) -> None:
    command = ("run", "bundle", str(greet), "-i", '{"name": "Ada"}', "--temporal", "--simulate", "--detach")
    done = await asyncio.to_thread(cli, *command, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told == {"run_id": told["run_id"], "workflow_id": told["run_id"], "url": None}
    assert f"  follow it: pipelex runs tail {told['run_id']}\n" in done.err
    assert not (desk.work / "results").exists()
    assert (await desk.cli("terminate", told["run_id"])).code == 0


async def test_a_paused_run_is_found_and_says_how_to_go_on(work: Path, payload_root: Path, cli: Cli) -> None:
    from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest
    from temporalio.testing import WorkflowEnvironment

    async with await WorkflowEnvironment.start_local(
        data_converter=data_converter(payload_root),
        dev_server_existing_path=str(find_temporal()),
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowPauseEnabled=true"],
        dev_server_log_level="error",
    ) as environment:
        desk = Desk(environment.client, work, payload_root, cli)
        run = await desk.start("good", "still")
        await environment.client.workflow_service.pause_workflow_execution(
            PauseWorkflowExecutionRequest(namespace="default", workflow_id=run.run_id, reason="lunch", request_id="1")
        )
        assert [found["state"] for found in await desk.listed(1, "--status", "paused")] == ["paused"]
        shown = await desk.cli("show", run.run_id)
        assert f"is paused; go on with: temporal workflow unpause --workflow-id {run.run_id}" in shown.out
        assert (await desk.cli("terminate", run.run_id)).code == 0
