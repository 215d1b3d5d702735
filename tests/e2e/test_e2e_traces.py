"""One trace from `pipelex run` through workflows to calls on a worker of another process, as a collector gets it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from e2e_project import Project, Script, project

from otlp_receiver import OtlpReceiver
from pipelex.testing.provider_stub import StubAnswer

CANARY = "canary-7315"
METHOD = """
domain = "trip"
main_pipe = "main"

[pipe.main]
type = "PipeSequence"
description = "Plan, then tell of each stop"
inputs = { note = "Text", stops = "Text[]" }
output = "Text[]"
steps = [
  { pipe = "planned", result = "plan" },
  { pipe = "stop", batch_over = "stops", batch_as = "place", result = "told" },
]

[pipe.planned]
type = "PipeSequence"
description = "Plan"
inputs = { note = "Text" }
output = "Text"
steps = [{ pipe = "plan" }]

[pipe.plan]
type = "PipeLLM"
description = "Plan"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Plan $note"

[pipe.stop]
type = "PipeLLM"
description = "Tell"
inputs = { place = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Tell of $place"
"""
INPUTS = ("-i", f'{{"note": "{CANARY}", "stops": ["{CANARY}-a", "{CANARY}-b"]}}')
NO_CACHE = """
[temporal.worker_runtime_profiles]
default_profile = "small"
[temporal.worker_runtime_profiles.profiles.small]
max_cached_workflows = 0
"""
TREE = [
    "pipelex run main",
    "  pipe main",
    "    pipe planned",
    "      pipe plan",
    "        chat gpt-4o-mini !",
    "        chat gpt-4o-mini",
    "    pipe stop",
    "      chat gpt-4o-mini",
    "    pipe stop",
    "      chat gpt-4o-mini",
]


def traced(work: Project, receiver: OtlpReceiver) -> None:
    work.write("method.mthds", METHOD)
    work.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{CANARY}-key",
        "OTEL_SERVICE_NAME": "trips",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


def busy() -> Script:
    """The first call is refused; a worker makes it again."""
    return Script({0: StubAnswer(status=429, text=f"{CANARY} slow down", headers={"retry-after": "1"})})


def check_values(receiver: OtlpReceiver, run_id: str) -> None:
    receiver.check()
    assert {span.service for span in receiver.spans} == {"trips"}
    assert {headers["authorization"] for headers in receiver.headers} == {f"Bearer {CANARY}-key"}
    assert not [body for body in receiver.bodies if CANARY.encode() in body]
    main = receiver.one("pipe main").attributes
    assert main["pipelex.pipe.code"] == "main"
    assert (main["pipelex.pipe.domain"], main["pipelex.pipe.kind"]) == ("trip", "PipeSequence")
    assert main["pipelex.run.id"] == receiver.one("pipelex run main").attributes["pipelex.run.id"] == run_id
    items = [span.attributes for span in receiver.named("pipe stop")]
    assert sorted((item["pipelex.item.index"], item["pipelex.item.total"]) for item in items) == [(0, 2), (1, 2)]
    failed, *done = sorted(receiver.named("chat gpt-4o-mini"), key=lambda span: (span.status != 2, span.seconds))
    assert (failed.status, failed.message, failed.attributes["error.type"]) == (2, "rate-limited", "rate-limited")
    assert failed.attributes["pipelex.attempt"] == 1
    again = next(span for span in done if span.parent_id == failed.parent_id)
    assert again.status == 0
    assert again.kind == 3
    assert {name: value for name, value in again.attributes.items() if name != "pipelex.cost_usd"} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.output.type": "text",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": again.attributes["gen_ai.usage.input_tokens"],
        "gen_ai.usage.output_tokens": again.attributes["gen_ai.usage.output_tokens"],
        "pipelex.activity": "act_llm_gen_text",
        "pipelex.attempt": 2,
        "pipelex.state": "done",
    }
    assert again.attributes["pipelex.cost_usd"] > 0
    pipe = receiver.one("pipe plan")
    assert pipe.seconds >= again.seconds
    assert pipe.status == 0


def run_id_of(receiver: OtlpReceiver) -> str:
    return str(receiver.one("pipelex run main").attributes["pipelex.run.id"])


async def test_a_run_in_one_process_is_one_trace_sent_before_the_process_leaves(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        async with project(tmp_path, busy()) as work:
            traced(work, receiver)
            # The delay is that of a run with the defaults: what has arrived was sent at the end.
            del work.environment["OTEL_BSP_SCHEDULE_DELAY"]
            work.configure('[inprocess]\ninitial_interval = "0.01s"\n')
            run = await work.run("run", "bundle", "method.mthds", *INPUTS)
            assert run.process.returncode == 0, run.err
        assert receiver.tree() == TREE
        check_values(receiver, run_id_of(receiver))


@pytest.mark.parametrize(
    "settings",
    [NO_CACHE, f'[temporal.execution]\nchild_workflows = "fan_out"\n{NO_CACHE}'],
    ids=["every_pipe", "fan_out"],
)
async def test_a_durable_run_is_one_trace_across_processes(tmp_path: Path, address: str, settings: str) -> None:
    with OtlpReceiver() as receiver:
        async with project(tmp_path, busy()) as work:
            work.use(address, settings)
            traced(work, receiver)
            worker = await work.worker()
            run = await work.method(*INPUTS)
            assert run.process.returncode == 0, run.err
            worker.signal(signal.SIGTERM)
            assert await worker.ended() == 0
            # Both processes are gone: what they had to tell is here.
            assert receiver.tree() == TREE
            workflow = next(line.split()[1] for line in run.err.splitlines() if line.startswith("workflow: "))
        check_values(receiver, workflow)
        assert receiver.one("pipe main").attributes["pipelex.workflow.id"] == workflow


@pytest.mark.parametrize("durable", [False, True], ids=["in_process", "durable"])
async def test_a_failed_run_tells_what_failed_by_its_code_alone(tmp_path: Path, address: str, durable: bool) -> None:
    with OtlpReceiver() as receiver:
        refused = Script({0: StubAnswer(status=400, text=CANARY)})
        async with project(tmp_path, refused) as work:
            work.use(address)
            traced(work, receiver)
            worker = await work.worker() if durable else None
            run = await work.run("run", "bundle", "method.mthds", *(["--temporal"] if durable else []), *INPUTS)
            assert run.process.returncode == 1
            if worker is not None:
                worker.signal(signal.SIGTERM)
                assert await worker.ended() == 0
        receiver.check()
        assert [line.strip() for line in receiver.tree()] == [
            "pipelex run main !",
            "pipe main !",
            "pipe planned !",
            "pipe plan !",
            "chat gpt-4o-mini !",
        ]
        (code,) = {span.attributes["error.type"] for span in receiver.spans}
        assert {span.message for span in receiver.spans} == {code}
        assert not [body for body in receiver.bodies if CANARY.encode() in body]


async def test_a_collector_that_is_away_costs_a_run_nothing_but_its_trace(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        pass
    async with project(tmp_path) as work:
        traced(work, receiver)
        run = await work.run("run", "bundle", "method.mthds", *INPUTS)
        assert run.process.returncode == 0
        assert receiver.url.removeprefix("http://") in run.err
        assert CANARY not in run.err
        assert "Traceback" not in run.err
