"""The walk of docs/guides/topology.md, with its own settings: four processes, two providers, a pool that is killed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from e2e_project import Command, Project, Script, histories_of, workflow_of
from inline_snapshot import snapshot
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from pipelex.testing.provider_stub import StubAnswer, StubProvider, prompt_of

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "topology.md").read_text("utf-8")
FILES = re.compile(r"^```toml\n# (\.pipelex/\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
POOLS = {"openai_q": "runner-llm", "anthropic_q": "runner-llm", "extract_q": "runner-extract"}
GPT, CLAUDE = "gpt-4o-mini", "claude-4.5-sonnet"
HANDLES = {
    "read_pages": "pypdfium2-extract-pdf",
    **dict.fromkeys(("note_page", "find_terms", "find_risks"), GPT),
    **dict.fromkeys(("judge", "see_together", "write_clearance", "write_escalation"), CLAUDE),
}
TOO_LARGE = "PayloadsTooLarge"
"""What every call has besides what is configured: another try would not be smaller."""
NEVER = StubAnswer(delay=3600)
CONTRACTS = 4


def one_after_the_other() -> Any:
    """Find the risks of each contract two seconds after those of the one before: some are left when a pool dies."""
    asked: list[str] = []

    def answer(request: dict[str, Any], before: int) -> StubAnswer | None:
        if "list each clause that departs" not in prompt_of(request):
            return None
        asked.append(prompt_of(request))
        return StubAnswer(data={"items": []}, delay=2.0 * (len(asked) - 1))

    return answer


@dataclass(frozen=True)
class Call:
    """One activity of the run, out of the histories."""

    pipe: str
    asked: Any
    workers: tuple[str, ...]
    attempts: int
    ended_at: float

    @property
    def activity(self) -> str:
        return str(self.asked.activity_type.name)

    @property
    def queue(self) -> str:
        return str(self.asked.task_queue.name)

    @property
    def handle(self) -> str:
        return HANDLES[self.pipe]


@dataclass
class Show:
    """What was seen: who worked, what was said while a pool was away, and what the run left."""

    router: Command
    pools: dict[str, Command]
    openai: StubProvider
    gateway: StubProvider
    killed_at: float
    again_at: float = 0.0
    run: Command | None = None
    said: dict[str, str] = field(default_factory=dict)
    routes: list[dict[str, Any]] = field(default_factory=list)
    histories: list[WorkflowHistory] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        return [call for history in self.histories for call in calls_of(history)]


def calls_of(history: WorkflowHistory) -> Iterator[Call]:
    found = re.search(r"_([a-z_]+)-[0-9a-f]{8}$", history.workflow_id)
    started: dict[int, list[Any]] = {}
    for event in history.events:
        if event.HasField("activity_task_started_event_attributes"):
            attributes = event.activity_task_started_event_attributes
            started.setdefault(attributes.scheduled_event_id, []).append(attributes)
    asked = {event.event_id: event for event in history.events}
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            number = event.activity_task_completed_event_attributes.scheduled_event_id
            yield Call(
                pipe=found[1] if found else "",
                asked=asked[number].activity_task_scheduled_event_attributes,
                workers=tuple(attributes.identity for attributes in started[number]),
                attempts=started[number][-1].attempt,
                ended_at=event.event_time.ToNanoseconds() / 1e9,
            )


def configured(work: Project, address: str, queue: str) -> None:
    """Write the files of the page as they are; add the address of the server and a queue of our own for workflows."""
    files = FILES.findall(PAGE)
    assert len(files) == 5
    for name, text in files:
        work.write(name, text)
    settings = work.folder / ".pipelex" / "pipelex.toml"
    work.configure(
        settings.read_text()
        + f"""
[temporal.worker_config]
default_task_queue = "{queue}"
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{address}"
"""
    )
    shutil.copytree(ROOT / "examples" / "contract_review", work.folder / "contract_review")


async def pool(work: Project, queue: str) -> Command:
    return await work.start("worker", "--scope", POOLS[queue], "--task-queue", queue)


async def watched(work: Project, run: Command, show: Show) -> None:
    """Ask what an operator would ask while the pool is away."""
    await run.says("waiting: nobody takes work")
    doctor, shown, routes = await asyncio.gather(
        work.run("doctor", "--temporal"),
        work.run("runs", "show", workflow_of(run)),
        work.run("routes", "contract_review", "--pipe", "review_contracts", "--json"),
    )
    for command in (doctor, shown, routes):
        assert command.process.returncode == 0, command.err
    show.said |= {"doctor": doctor.out, "show": shown.out, "run": run.err}
    show.routes = json.loads(routes.out)


@pytest.fixture(scope="module")
async def show(address: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Show]:
    folder = tmp_path_factory.mktemp("topology")
    async with AsyncExitStack() as stack:
        openai = await stack.enter_async_context(StubProvider(one_after_the_other()))
        script = Script({0: NEVER})
        gateway = await stack.enter_async_context(StubProvider(script))
        keys = {"GATEWAY_URL": gateway.base_url, "GATEWAY_API_KEY": "stub"}
        work = await stack.enter_async_context(Project(folder, openai, **keys))
        configured(work, address, folder.name)
        router = await work.start("worker", "--scope", "router")
        pools = {queue: await pool(work, queue) for queue in POOLS}
        await asyncio.gather(*(each.says("worker ready") for each in (router, *pools.values())))
        run = await work.start("run", "bundle", "contract_review", "--temporal", "--json")
        await script.began(0)
        pools["anthropic_q"].signal(signal.SIGKILL)
        show = Show(router, pools, openai, gateway, time.time())
        await watched(work, run, show)
        show.again_at = time.time()
        show.pools["anthropic_q"] = await pool(work, "anthropic_q")
        assert await run.ended() == 0, run.err
        show.run, show.histories = run, await histories_of(address, run)
        yield show


def test_the_run_ends_as_if_nothing_had_happened(show: Show) -> None:
    assert show.run is not None
    assert json.loads(show.run.out)["text"].startswith("# Contract review")
    assert f"{CONTRACTS} contracts" in show.run.out
    assert "Traceback" not in show.run.err + show.router.err + "".join(each.err for each in show.pools.values())


def test_each_call_ran_on_its_queue_in_its_process(show: Show) -> None:
    where = {GPT: "openai_q", CLAUDE: "anthropic_q", HANDLES["read_pages"]: "extract_q"}
    assert {call.handle for call in show.calls} == set(where)
    for call in show.calls:
        assert call.queue == where[call.handle]
        assert [name.partition("@")[0] for name in call.workers] == [str(show.pools[call.queue].process.pid)]
    routers = {
        event.workflow_task_started_event_attributes.identity.partition("@")[0]
        for history in show.histories
        for event in history.events
        if event.HasField("workflow_task_started_event_attributes")
    }
    assert routers == {str(show.router.process.pid)}


def test_a_killed_pool_stalls_its_own_calls_only(show: Show) -> None:
    while_away = [call for call in show.calls if show.killed_at < call.ended_at < show.again_at]
    assert {call.handle for call in while_away} >= {GPT}
    assert {call.pipe for call in while_away} >= {"find_risks"}
    assert all(call.ended_at > show.again_at for call in show.calls if call.queue == "anthropic_q")


def test_only_the_call_in_flight_is_made_again(show: Show) -> None:
    queues = Counter(call.queue for call in show.calls)
    assert show.openai.calls == queues["openai_q"]
    assert show.gateway.calls == queues["anthropic_q"] + 1
    assert Counter(call.attempts for call in show.calls) == {1: len(show.calls) - 1, 2: 1}
    assert [(call.pipe, call.queue) for call in show.calls if call.attempts == 2] == [("judge", "anthropic_q")]
    assert {asked.body["model"] for asked in show.openai.requests} == {GPT}
    assert {asked.body["model"] for asked in show.gateway.requests} == {"anthropic/claude-sonnet-4.5"}


def test_the_queue_that_nobody_serves_is_named(show: Show) -> None:
    waiting = next(line for line in show.said["run"].splitlines() if "nobody takes work" in line)
    assert waiting in PAGE
    assert "act_llm_gen_object claude-4.5-sonnet, waits on the task queue 'anthropic_q'" in show.said["show"]
    assert waiting.removeprefix("waiting: ") in show.said["show"]
    queues = [line for line in show.said["doctor"].splitlines() if "'anthropic_q'" in line or "anthropic_q " in line]
    assert [line.partition(" (act")[0] for line in queues] == snapshot(
        [
            "warning  task queues: nobody takes what waits on 'anthropic_q':"
            " its workers are gone, or hold as much as they take",
            "         fix: pipelex worker --task-queue anthropic_q --scope runner-llm",
        ]
    )
    polled = re.findall(r"^ok +task queues: '(\w+)' is polled", show.said["doctor"], re.MULTILINE)
    assert polled[1:] == ["extract_q", "openai_q"]


def test_routes_say_what_the_history_shows(show: Show) -> None:
    told = {(entry["activity"], entry["handle"]): entry["values"] for entry in show.routes}
    for call in show.calls:
        values, asked = told[call.activity, call.handle], call.asked
        assert values["task_queue"]["value"] == call.queue
        for key in ("start_to_close_timeout", "heartbeat_timeout"):
            assert values[key]["value"] == str(getattr(asked, key).ToTimedelta())
        policy = asked.retry_policy
        assert values["maximum_attempts"]["value"] == policy.maximum_attempts
        assert values["initial_interval"]["value"] == str(policy.initial_interval.ToTimedelta())
        assert values["backoff_coefficient"]["value"] == policy.backoff_coefficient
        assert [*values["non_retryable_error_types"]["value"], TOO_LARGE] == list(policy.non_retryable_error_types)


def test_the_trace_says_what_the_history_shows(show: Show) -> None:
    told = {(entry["activity"], entry["handle"]): entry["values"] for entry in show.routes}
    names = (
        ("queue", "task_queue"),
        ("start_to_close", "start_to_close_timeout"),
        ("attempts", "maximum_attempts"),
        ("heartbeat", "heartbeat_timeout"),
    )
    expected: Counter[str] = Counter()
    for call in show.calls:
        values = told[call.activity, call.handle]
        parts = ", ".join(f"{name} {values[key]['value']} ({values[key]['layer']})" for name, key in names)
        expected[f"dispatch {call.activity}, handle {call.handle}: {parts}"] += 1
    traced = Counter(found[0] for found in re.finditer(r"dispatch act_.*?\)(?=$| \(\{)", show.router.err, re.MULTILINE))
    assert traced == expected
    assert all(line in traced for line in re.findall(r"^dispatch .*$", PAGE, re.MULTILINE))


def test_overlays_take_effect(show: Show) -> None:
    of = {(call.activity, call.handle): call.asked for call in show.calls}
    text, judged = of["act_llm_gen_text", CLAUDE], of["act_llm_gen_object", CLAUDE]
    # The queue says ten minutes, one handle of one activity says twenty.
    assert text.start_to_close_timeout.ToTimedelta() == timedelta(minutes=10)
    assert judged.start_to_close_timeout.ToTimedelta() == timedelta(minutes=20)
    # Three keys of a retry policy come from the queue, the others from the baseline.
    overlaid = of["act_llm_gen_object", GPT].retry_policy
    assert (overlaid.maximum_attempts, overlaid.initial_interval.seconds) == (4, 1)
    assert overlaid.backoff_coefficient == judged.retry_policy.backoff_coefficient == 2
    assert list(overlaid.non_retryable_error_types) == ["OpenAIBadRequestError", TOO_LARGE]
    assert (judged.retry_policy.maximum_attempts, judged.retry_policy.initial_interval.seconds) == (3, 3)
    assert list(judged.retry_policy.non_retryable_error_types) == [TOO_LARGE]
