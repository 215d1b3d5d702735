"""Each way in which a durable run fails: what is said, how often it was tried, and that nothing is left running.

The messages are those of docs/guides/failures.md.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import TEXT, Bench, Scripted, ask, crate, text
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.converter import ExternalStorage
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from pipelex.errors import (
    AbsentValueError,
    AuthenticationError,
    ConfigError,
    CredentialError,
    DocumentError,
    FunctionError,
    OutputError,
    PipelexError,
    ProviderDownError,
    RateLimitError,
    ReplyError,
    RequestRefusedError,
    RoutingError,
    RunTimeoutError,
    TemplateError,
)
from pipelex.inference.deck import Deck
from pipelex.inference.performer import Performer
from pipelex.inference.settings import InferenceSettings
from pipelex.library.library import library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.requests import TextReply
from pipelex.storage.local import LocalBlobs
from pipelex.temporal.activities import activities
from pipelex.temporal.client import DurableRun
from pipelex.temporal.converter import data_converter
from pipelex.testing.provider_stub import StubAnswer, StubProvider
from pipelex.values.value import Value

pytestmark = pytest.mark.server
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "failures.md"
SAID = "in the words of the provider"
METHOD = """
domain = "d"

[concept.City]
description = "A city"
[concept.City.structure]
name = { type = "text", description = "Name", required = true }
founded = { type = "integer", description = "Year", required = true }

[pipe.ask]
type = "PipeLLM"
description = "Ask"
inputs = { note = "Text" }
output = "Text"
prompt = "Say $note"

[pipe.city]
type = "PipeLLM"
description = "Ask for a city"
output = "City"
prompt = "A city"

[pipe.look]
type = "PipeLLM"
description = "Look"
inputs = { picture = "Image" }
output = "Text"
prompt = "Say what is on $picture"

[pipe.choose]
type = "PipeCondition"
description = "Choose"
inputs = { note = "Text" }
output = "Text"
expression = "note.text"
outcomes = { yes = "ask" }
default_outcome = "fail"

[pipe.demand]
type = "PipeSequence"
description = "Demand what is not there"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "perhaps", result = "about" }, { pipe = "insist", result = "told" }]

[pipe.perhaps]
type = "PipeCondition"
description = "Choose"
inputs = { note = "Text" }
output = "Text?"
expression = "note.text"
outcomes = { yes = "ask" }
default_outcome = "continue"

[pipe.insist]
type = "PipeLLM"
description = "Insist"
inputs = { about = "Text!" }
output = "Text"
prompt = "Tell $about"

[pipe.count]
type = "PipeFunc"
description = "Count"
output = "Text"
function_name = "count"

[pipe.measure]
type = "PipeFunc"
description = "Measure"
output = "City"
function_name = "measure"

[pipe.render]
type = "PipeCompose"
description = "Render"
inputs = { note = "Text" }
output = "Text"
template = "{{ note.text | round }}"
"""
CRATE = library_from_texts({"method.mthds": METHOD})[0].crate
NOTE = {"note": text("hello")}


def measure(working_memory: Any) -> dict[str, Any]:
    return {"name": "Lyon", "founded": "long ago"}


@pytest.fixture
async def stub() -> AsyncIterator[StubProvider]:
    async with StubProvider() as found:
        yield found


def performer(folder: Path, stub: StubProvider, **settings: Any) -> Performer:
    environ = {"OPENAI_BASE_URL": stub.base_url} | (
        {} if settings.pop("is_keyless", False) else {"OPENAI_API_KEY": "k"}
    )
    found = InferenceSettings(**settings)
    return Performer(found, Deck.load([], environ), LocalBlobs(folder), functions={"measure": measure})


async def started(bench: Bench, pipe: str, inputs: dict[str, Any], **changes: Any) -> DurableRun:
    """Start a pipe of the method; retries follow at once."""
    worker_config = {"retry_policy_config": {"initial_interval": "1ms"}, **changes.pop("worker_config", {})}
    settings = bench.settings(worker_config=worker_config, **changes)
    models = {found.key: {"handle": "gpt-4o-mini"} for found in model_asks(CRATE).values()}
    return await bench.start(CRATE, pipe, inputs, settings=settings, models=models)


async def failure(bench: Bench, run: DurableRun) -> PipelexError:
    """The error of a run, once its workflow is closed and nothing of it waits; the guide has its message."""
    with pytest.raises(PipelexError) as caught:
        async with asyncio.timeout(30):
            await run.result()
    described = await bench.client.get_workflow_handle(run.workflow_id).describe()
    assert described.status in (WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TERMINATED)
    assert await run.waiting_reason() is None
    assert in_guide(caught.value.message), caught.value.message
    assert caught.value.hint or caught.value.category == "content"
    return caught.value


def in_guide(message: str) -> bool:
    """Whether the guide shows the message, with `…` for what differs from run to run."""
    rows = [line for line in GUIDE.read_text("utf-8").splitlines() if line.startswith("|")]
    shown = re.findall(r"`([^`]+)`", "\n".join(rows))
    patterns = (".*".join(re.escape(part) for part in found.split("…")) for found in shown if len(found) > 12)
    return any(re.fullmatch(pattern, message, re.DOTALL) for pattern in patterns)


QUOTA = {"error": {"message": SAID, "code": "insufficient_quota"}}
POLICY = {"error": {"message": SAID, "code": "content_policy_violation"}}


@pytest.mark.parametrize(
    ("answer", "expected", "category", "calls"),
    [
        pytest.param(StubAnswer(status=429, text=SAID), RateLimitError, "transient", 3, id="429"),
        pytest.param(StubAnswer(status=429, body=QUOTA), RequestRefusedError, "capacity", 1, id="quota"),
        pytest.param(StubAnswer(status=401, text=SAID), AuthenticationError, "configuration", 1, id="401"),
        pytest.param(StubAnswer(status=400, body=POLICY), RequestRefusedError, "content", 1, id="policy"),
        pytest.param(StubAnswer(status=503, text=SAID), ProviderDownError, "transient", 3, id="503"),
        pytest.param(StubAnswer(drop=True), ProviderDownError, "transient", 3, id="dropped"),
        pytest.param(StubAnswer(text="cut", finish_reason="length"), ReplyError, "content", 1, id="cut"),
    ],
)
async def test_what_a_provider_answers(
    bench: Bench,
    stub: StubProvider,
    tmp_path: Path,
    answer: StubAnswer,
    expected: type[PipelexError],
    category: str,
    calls: int,
) -> None:
    named = {} if answer.drop else {"x-request-id": "req-7"}
    stub.behaviour = lambda asked, before: dataclasses.replace(answer, headers=named)
    async with bench.worker(performer(tmp_path, stub)):
        error = await failure(bench, await started(bench, "ask", NOTE))
    assert type(error) is expected
    assert error.category == category
    assert stub.calls == calls
    assert error.report()["provider"] == "openai"
    if isinstance(error, RateLimitError | RequestRefusedError | AuthenticationError):
        assert error.request_id == "req-7"
        assert error.status == answer.status


async def test_a_reply_that_never_fits_is_asked_for_again_then_fails(
    bench: Bench, stub: StubProvider, tmp_path: Path
) -> None:
    stub.behaviour = lambda asked, before: StubAnswer(data={"name": "Lyon"})
    async with bench.worker(performer(tmp_path, stub)):
        error = await failure(bench, await started(bench, "city", {}))
    assert isinstance(error, ReplyError)
    assert stub.calls == InferenceSettings().schema_reask_max_attempts + 1


async def test_a_provider_that_is_too_slow(bench: Bench, stub: StubProvider, tmp_path: Path) -> None:
    stub.behaviour = lambda asked, before: StubAnswer(delay=60)
    async with bench.worker(performer(tmp_path, stub, request_timeout="200ms")):
        error = await failure(bench, await started(bench, "ask", NOTE))
    assert isinstance(error, ProviderDownError)
    assert stub.calls == 3


GONE = "pipelex-storage://" + "0" * 64 + ".png"


@pytest.mark.parametrize(
    ("pipe", "inputs", "expected"),
    [
        ("choose", {"note": text("no")}, RoutingError),
        ("render", NOTE, TemplateError),
        ("demand", NOTE, AbsentValueError),
        ("measure", {}, OutputError),
        ("count", {}, FunctionError),
        ("look", {"picture": Value(concept="native.Image", data={"url": GONE})}, DocumentError),
        ("look", {"picture": Value(concept="native.Image", data={"url": "file:///etc/hostname"})}, DocumentError),
        ("look", {"picture": Value(concept="native.Image", data={"url": "/etc/hostname"})}, DocumentError),
    ],
    ids=["condition", "template", "absent", "output", "function", "blob", "file url", "path"],
)
async def test_what_a_method_does_wrong(
    bench: Bench, stub: StubProvider, tmp_path: Path, pipe: str, inputs: dict[str, Any], expected: type[PipelexError]
) -> None:
    async with bench.worker(performer(tmp_path, stub)):
        error = await failure(bench, await started(bench, pipe, inputs))
    assert type(error) is expected
    assert error.category == "content"
    assert error.pipe_path[0] == pipe
    assert stub.calls == 0


async def test_a_worker_without_the_key(bench: Bench, stub: StubProvider, tmp_path: Path) -> None:
    async with bench.worker(performer(tmp_path, stub, is_keyless=True)):
        error = await failure(bench, await started(bench, "ask", NOTE))
    assert type(error) is CredentialError
    assert error.category == "configuration"


async def test_a_call_that_no_worker_takes_in_time(bench: Bench) -> None:
    changes = {
        "worker_config": {"activity_queues": {"act_llm_gen_text": {"default": "nobody"}}},
        "queue_options": {"nobody": {"schedule_to_start_timeout": "300ms"}},
    }
    async with bench.worker(Scripted()):
        error = await failure(bench, await started(bench, "ask", NOTE, **changes))
    assert isinstance(error, RunTimeoutError)
    assert error.category == "capacity"


def with_storage(bench: Bench, storage: ExternalStorage | None) -> Bench:
    """The same server and queue, seen by a process that keeps payloads in another way."""
    config = bench.client.config()
    config["data_converter"] = dataclasses.replace(config["data_converter"], external_storage=storage)
    other = Bench(Client(**config), bench.payload_root)
    other.queue = bench.queue
    return other


async def test_a_run_that_the_server_stops_for_sending_too_much(bench: Bench) -> None:
    """The server stops a workflow in this way when its answer is larger than a message may be."""
    run = await bench.start(crate(main=ask("hello")), "main")
    await bench.client.get_workflow_handle(run.workflow_id).terminate(reason="GrpcMessageTooLarge")
    error = await failure(bench, run)
    assert isinstance(error, ConfigError)
    assert "batch_window" in (error.hint or "")


async def test_a_value_that_the_server_does_not_take(bench: Bench) -> None:
    async with with_storage(bench, None).worker(scripted := Scripted(lambda request: TextReply(text="x" * 3_000_000))):
        error = await failure(bench, await bench.start(crate(main=ask("hello")), "main"))
    assert isinstance(error, ConfigError)
    assert len(scripted.asked) == 1


async def waits(run: DurableRun, part: str) -> str:
    """What a run that is open says to its operator, when it says that part."""
    async with asyncio.timeout(60):
        while True:
            said = await run.waiting_reason() or ""
            if part in said:
                return said
            await asyncio.sleep(0.2)


async def test_a_worker_that_keeps_no_payloads_leaves_the_run_to_another(bench: Bench) -> None:
    found = crate(main=ask("Say $note", note=TEXT))
    quick = bench.settings(worker_config={"task_timeout": "2s"})
    run = await bench.start(found, "main", {"note": text("x" * 100_000)}, settings=quick)
    async with with_storage(bench, None).worker(Scripted()):
        assert in_guide(f"waiting: {await waits(run, 'cannot go on')}")
    async with bench.worker(Scripted(lambda request: TextReply(text="done"))):
        assert (await run.result()).outcome == text("done")


def damage(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and b"damaged damaged" in (content := file.read_bytes()):
            file.chmod(0o644)
            file.write_bytes(content.replace(b"damaged", b"Damaged"))


async def test_a_damaged_payload_fails_the_run(client: Client, payload_root: Path) -> None:
    bench = Bench(client, payload_root)
    run = await bench.start(crate(main=ask("Say $note", note=TEXT)), "main", {"note": text("damaged " * 20_000)})
    damage(payload_root)
    # A process that has not seen them.
    async with with_storage(bench, data_converter(payload_root).external_storage).worker(Scripted()):
        error = await failure(bench, run)
    assert isinstance(error, ConfigError)


@workflow.defn(name="wf_pipe_run", sandboxed=False)
class ChangedWorkflow:
    """What another version might be: it begins with a timer."""

    @workflow.run
    async def run(
        self, call: dict[str, Any], crate: dict[str, Any], plan: dict[str, Any], routes: dict[str, Any]
    ) -> None:
        await workflow.sleep(1)


async def test_a_changed_workflow_waits_for_the_version_that_knows_it(bench: Bench) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: Any) -> TextReply:
        began.set()
        await go_on.wait()
        return TextReply(text="done")

    quick = bench.settings(
        worker_config={"task_timeout": "2s"}, queue_options={bench.queue: {"heartbeat_timeout": "2s"}}
    )
    async with bench.worker(Scripted(answer)):
        run = await bench.start(crate(tell=ask("x")), "tell", settings=quick)
        await began.wait()
    go_on.set()
    other = Worker(
        bench.client,
        task_queue=bench.queue,
        workflows=[ChangedWorkflow],
        activities=activities(Scripted()),
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with other:
        assert in_guide(f"waiting: {await waits(run, 'cannot go on')}")
    async with bench.worker(Scripted(answer)):
        assert (await run.result()).outcome == text("<x>")
