"""The pools of the kits, started with the settings and flags of deploy/ against a real server; only places differ."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from deploy_kit import PROCESSES, ROOT, SETTINGS, WORKERS, Process
from deploy_metrics import alerts, metrics_of_alerts, metrics_of_dashboard, queries, selected
from e2e_project import Command, Project, free_port, histories_of, new_namespace
from temporalio.api.enums.v1 import EventType
from temporalio.bridge import temporal_sdk_bridge

from object_servers import BUCKET, CREDENTIALS, fake_s3, s3_keys

pytestmark = pytest.mark.server

BAD_DAY = """
seed = "deploy"
rate_limit_rate = 0.2
rate_limit_retry_after = "50ms"
input_usd_per_million_tokens = 2.0
output_usd_per_million_tokens = 8.0
"""
OF_TROUBLE = {"temporal_workflow_task_execution_failed_total"}
"""A counter of the SDK that begins when a worker cannot go on with a run, which no run of this test brings about."""
OF_PROMETHEUS = {"up"}


@dataclass
class Pools:
    """The workers of a kit, by pool, and the places that they serve."""

    kit: str
    work: Project
    workers: dict[str, Command] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)

    async def start(self, process: Process) -> Command:
        arguments = list(process.arguments)
        for flag, places in (("--health-address", self.health), ("--metrics-address", self.metrics)):
            if flag in arguments:
                places[process.name] = arguments[arguments.index(flag) + 1] = f"127.0.0.1:{free_port()}"
        if "--port" in arguments:
            arguments[arguments.index("--port") + 1] = str(free_port())
        return await self.work.start(*arguments)

    def process(self, name: str) -> Process:
        return next(process for process in PROCESSES if (process.kit, process.name) == (self.kit, name))

    async def exposed(self) -> str:
        return "\n".join([await fetched(f"http://{address}/metrics") for address in self.metrics.values()])


async def fetched(url: str) -> str:
    def fetch() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(fetch)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with Project(tmp_path_factory.mktemp("deploy-server")) as project:
        dev = await project.start("dev", "--no-worker", "--port", str(free_port()), "--ui-port", str(free_port()))
        await dev.says("no worker;")
        yield next(line.split()[1] for line in dev.err.splitlines() if line.startswith("temporal: "))


def places(kit: str, server: str, folder: Path, **more: str) -> dict[str, str]:
    """What is elsewhere than in a container: the server, the folders, the keys, the bucket."""
    keys = folder / "keys"
    keys.mkdir()
    (keys / "payload_key_1").write_text(base64.b64encode(os.urandom(32)).decode())
    server_name = {"compose": "COMPOSE", "kubernetes": "CLUSTER"}[kit]
    temporal = "PIPELEX__TEMPORAL__"
    return {
        "PIPELEX_HOME": str(SETTINGS[kit]),
        f"{temporal}TEMPORAL_CONFIG__TEMPORAL_SERVER_CONFIGS__{server_name}__TARGET_HOST": server,
        f"{temporal}PAYLOADS__ENCRYPTION__KEYS__KEY_1__FILE": str(keys / "payload_key_1"),
        "PIPELEX__SECRETS__DIR": str(keys),
        **more,
    }


@pytest.fixture(scope="module")
async def compose(server: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pools]:
    """The services of compose.yaml, in the order in which they depend on each other."""
    folder = tmp_path_factory.mktemp("compose")
    here = places(
        "compose",
        server,
        folder,
        PIPELEX__STORAGE__LOCAL_STORAGE_PATH=str(folder / "data" / "storage"),
        PIPELEX__TEMPORAL__PAYLOADS__PATH=str(folder / "data" / "payloads"),
    )
    async with Project(folder, **here) as work:
        pools = Pools("compose", work)
        setup = await pools.start(pools.process("setup"))
        assert await setup.ended() == 0, setup.err
        for example in ("contract_review", "hello"):
            shutil.copytree(ROOT / "examples" / example, work.folder / example)
        for worker in WORKERS:
            if worker.kit == "compose":
                pools.workers[worker.name] = await pools.start(worker)
        await asyncio.gather(*(each.says("worker ready") for each in pools.workers.values()))
        yield pools


async def test_workers_are_ready_when_their_health_says_so(compose: Pools) -> None:
    assert [await fetched(f"http://{address}/ready") for address in compose.health.values()] == ["ready\n"] * 4


async def test_what_the_cli_service_does_by_itself_finds_nothing_wrong(compose: Pools) -> None:
    doctor = await compose.start(compose.process("cli"))
    assert await doctor.ended() == 0, doctor.out + doctor.err
    assert not [line for line in doctor.out.splitlines() if line.startswith("error") and "task queues" in line]


async def test_the_codec_server_starts(compose: Pools) -> None:
    codec = await compose.start(compose.process("codec-server"))
    await codec.says("codec server ready")
    codec.signal(signal.SIGTERM)
    assert await codec.ended() == 0


@pytest.fixture(scope="module")
async def reviewed(compose: Pools) -> Command:
    """The contract example, on a day on which providers slow down and cost something; then a run that is refused."""
    compose.work.write("bad_day.toml", BAD_DAY)
    compose.work.write("refused.toml", "refusal_rate = 1.0\n")
    flags = ("--temporal", "--simulate")
    done = await compose.work.run("run", "bundle", "contract_review", *flags, "bad_day.toml", "--json")
    assert done.process.returncode == 0, done.err
    refused = await compose.work.run("run", "bundle", "hello", *flags, "refused.toml")
    assert refused.process.returncode == 1, refused.err
    return done


async def test_each_pool_does_its_part(compose: Pools, reviewed: Command, server: str) -> None:
    assert json.loads(reviewed.out)["text"].startswith("# Contract review")
    pids = {name: str(worker.process.pid) for name, worker in compose.workers.items()}
    seen: set[tuple[str, str]] = set()
    for history in await histories_of(server, reviewed):
        asked: dict[int, Any] = {event.event_id: event for event in history.events}
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                scheduled = asked[started.scheduled_event_id].activity_task_scheduled_event_attributes
                seen.add((scheduled.task_queue.name, started.identity.partition("@")[0]))
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                seen.add(("workflows", event.workflow_task_started_event_attributes.identity.partition("@")[0]))
    assert seen == {("workflows", pids["router"]), ("llm", pids["llm"]), ("documents", pids["documents"])}


async def test_every_metric_of_the_dashboard_and_the_alerts_is_exposed(compose: Pools, reviewed: Command) -> None:
    exposed = set(re.findall(r"^([a-z_]+)(?=[{ ])", await compose.exposed(), re.MULTILINE))
    asked = metrics_of_dashboard() | metrics_of_alerts()
    assert {"pipelex_calls_total", "pipelex_call_failures_total", "pipelex_cost_microdollars_total"} <= asked
    assert asked - exposed <= OF_TROUBLE | OF_PROMETHEUS
    sdk = await asyncio.to_thread(Path(str(temporal_sdk_bridge.__file__)).read_bytes)
    assert all(name.removeprefix("temporal_").removesuffix("_total").encode() in sdk for name in OF_TROUBLE)


async def test_labels_of_queries_are_labels_of_metrics(compose: Pools, reviewed: Command) -> None:
    labels: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^([a-z_]+)\{(.*)\}", await compose.exposed(), re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    texts = [text for panel in queries().values() for text in panel] + [rule["expr"] for rule in alerts()]
    count = 0
    for text in texts:
        grouped = {label.strip() for found in re.findall(r"\bby \(([^)]*)\)", text) for label in found.split(",")}
        for metric, chosen in selected(text):
            if metric in labels:
                # A worker does not know its own address: Prometheus adds that.
                assert {*chosen, *grouped} - {"instance"} <= labels[metric], text
                count += 1
    assert count > len(texts)


async def test_pods_share_a_bucket_and_nothing_else(server: str, tmp_path: Path) -> None:
    """The deployments of Kubernetes: each pool in a folder of its own, with files and payloads in the bucket."""
    async with AsyncExitStack() as stack:
        endpoint = stack.enter_context(fake_s3())
        here = places(
            "kubernetes",
            server,
            tmp_path,
            **CREDENTIALS,
            **{
                f"PIPELEX__{table}__S3__{key}": value
                for table in ("STORAGE", "TEMPORAL__PAYLOADS")
                for key, value in (("ENDPOINT", endpoint), ("BUCKET_NAME", BUCKET))
            },
        )
        # The workers of the other kit poll queues of the same names.
        here["PIPELEX__TEMPORAL__TEMPORAL_CONFIG__TEMPORAL_SERVER_CONFIGS__CLUSTER__NAMESPACE"] = "pods"
        await new_namespace(server, "pods")
        pools = {}
        for worker in (worker for worker in WORKERS if worker.kit == "kubernetes"):
            work = await stack.enter_async_context(Project(tmp_path / worker.name, **here))
            pools[worker.name] = Pools("kubernetes", work)
        setup = await pools["router"].start(pools["router"].process("setup"))
        assert await setup.ended() == 0, setup.err
        started = [await each.start(each.process(name)) for name, each in pools.items()]
        await asyncio.gather(*(each.says("worker ready") for each in started))
        submitter = await stack.enter_async_context(Project(tmp_path / "submitter", **here))
        example = submitter.folder / "contract_review"
        shutil.copytree(ROOT / "examples" / "contract_review", example)
        inputs = json.loads((example / "inputs.json").read_text())
        (example / "inputs.json").write_text(json.dumps({**inputs, "contracts": inputs["contracts"][:1]}))
        run = await submitter.run("run", "bundle", "contract_review", "--temporal", "--simulate", "--json")
        assert run.process.returncode == 0, run.err
        assert json.loads(run.out)["text"].startswith("# Contract review")
        assert s3_keys(endpoint, "files/")
        assert s3_keys(endpoint, "payloads/")
        for each in started:
            each.signal(signal.SIGTERM)
        assert [await each.ended() for each in started] == [0] * 4
