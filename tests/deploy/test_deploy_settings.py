"""The kits agree with pipelex and with themselves: flags, settings, queues, ports, names of variables, times."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from deploy_kit import DEPLOY, PROCESSES, ROOT, SETTINGS, WORKERS, WORKLOADS, Process, settings_of

from pipelex.temporal.settings import ACTIVITIES
from pipelex.temporal.worker import chosen_duty

kits = pytest.mark.parametrize("kit", SETTINGS)
each_worker = pytest.mark.parametrize("worker", WORKERS, ids=str)
MARGIN = timedelta(seconds=20)
"""What a worker needs to leave, beyond the time in which it finishes its calls."""


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_every_command_line_is_one(process: Process) -> None:
    assert process.flags is not None


@kits
def test_settings_load(kit: str, tmp_path: Path) -> None:
    settings = settings_of(kit, tmp_path)
    assert settings.temporal.search_attributes.enabled
    assert settings.temporal.payloads.encryption.active_key == "key_1"


@kits
def test_every_file_of_settings_is_tested(kit: str) -> None:
    assert sorted(DEPLOY.rglob("pipelex.toml")) == sorted(folder / "pipelex.toml" for folder in SETTINGS.values())


@kits
def test_each_kit_has_the_same_pools(kit: str) -> None:
    assert sorted(worker.name for worker in WORKERS if worker.kit == kit) == sorted(WORKLOADS)


@each_worker
def test_every_worker_has_something_to_do(worker: Process, tmp_path: Path) -> None:
    flags, settings = worker.flags, settings_of(worker.kit, tmp_path)
    queues = flags["task_queue"] or ()
    duty = chosen_duty(settings.temporal, task_queues=queues, scope_name=flags["scope"], profile_name=flags["profile"])
    assert duty.scope.has_workflows is (worker.name == "router")


@kits
def test_every_call_has_a_pool(kit: str, tmp_path: Path) -> None:
    temporal = settings_of(kit, tmp_path).temporal
    default = temporal.worker_config.default_task_queue
    taken: dict[str, set[str]] = {}
    for worker in WORKERS:
        if worker.kit == kit:
            queues = worker.flags["task_queue"] or (default,)
            duty = chosen_duty(temporal, task_queues=queues, scope_name=worker.flags["scope"])
            for queue in queues:
                kinds = [*duty.scope.activities, *(["workflows"] if duty.scope.has_workflows else [])]
                assert not taken.setdefault(queue, set()) & set(kinds), "two pools would share what they differ in"
                taken[queue] |= set(kinds)
    routed = {name: queue.default for name, queue in temporal.worker_config.activity_queues.items()}
    unused = {"act_jinja2_gen_text", "act_render_page_views"}
    for activity in ("workflows", *ACTIVITIES):
        assert activity in taken[routed.get(activity) or default] or activity in unused


@each_worker
def test_a_worker_may_finish_before_it_is_killed(worker: Process, tmp_path: Path) -> None:
    profile = settings_of(worker.kit, tmp_path).temporal.runtime_profile(worker.flags["profile"])
    assert worker.grace is not None
    assert worker.grace >= profile.graceful_shutdown_timeout + MARGIN


@each_worker
def test_every_worker_tells_its_health_and_its_metrics(worker: Process) -> None:
    assert worker.flags["health_address"]
    assert worker.flags["metrics_address"]
    assert worker.flags["log_format"] == "json"


def test_what_the_kits_route_is_the_same(tmp_path: Path) -> None:
    """One picture of the pools for all: the guide describes it once."""
    routed = [settings_of(kit, tmp_path).temporal.worker_config.activity_queues for kit in SETTINGS]
    assert routed[0] == routed[1] == routed[2]


def test_variables_that_change_settings_name_settings(tmp_path: Path) -> None:
    for process in PROCESSES:
        if process.kit in SETTINGS:
            ours = {name: value for name, value in process.environment.items() if name.startswith("PIPELEX__")}
            settings_of(process.kit, tmp_path, **ours)
    written = "\n".join(file.read_text("utf-8") for file in DEPLOY.rglob("*") if file.is_file())
    named = {name for process in PROCESSES for name in process.environment}
    assert set(re.findall(r"\bPIPELEX__\w+", written)) <= named


def test_images_have_the_version_of_the_package() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    released = version.partition(".dev")[0]
    for file in DEPLOY.rglob("*"):
        if file.is_file():
            assert set(re.findall(r"\bpipelex-(?:worker|documents):([\w.]+)", file.read_text("utf-8"))) <= {released}
