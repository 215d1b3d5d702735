"""`pipelex doctor`: what it finds without a server, and what it says of queues that nobody polls."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

Cli = Callable[..., Any]
PIPELEX = str(Path(sys.executable).parent / "pipelex")


def configure(work: Path, text: str) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text(text)


def found(done: Any) -> dict[str, list[dict[str, str]]]:
    """The findings of a `--json` answer, by check."""
    answer = json.loads(done.out)
    assert answer["is_well"] is (done.code == 0)
    by_check: dict[str, list[dict[str, str]]] = {}
    for finding in answer["findings"]:
        by_check.setdefault(finding["check"], []).append(finding)
    return by_check


def test_without_temporal_all_is_well(cli: Cli, work: Path) -> None:
    done = cli("doctor")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"ok       configuration: it loads: {work / '.pipelex'}",
        "ok       storage: a file was written and read back",
        "ok       temporal: Temporal is off ([temporal] is_enabled = false): runs stay in their process;"
        " --temporal looks all the same",
    ]


def test_a_configuration_that_does_not_load_is_the_only_finding(cli: Cli, work: Path) -> None:
    configure(work, "[temporal]\nis_enabld = true\n")
    done = cli("doctor", "--json")
    assert done.code == 1
    (finding,) = found(done)["configuration"]
    assert finding["state"] == "error"
    assert "is_enabld" in finding["message"]


def test_a_server_that_does_not_answer_is_found_with_what_needs_none(cli: Cli, work: Path) -> None:
    configure(
        work,
        '[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "127.0.0.1:1"\n'
        '[temporal.worker_scopes.scopes.ours]\nrequired_activities = ["act_llm_gen_txt"]\n',
    )
    done = cli("doctor", "--temporal")
    assert done.code == 1
    lines = done.out.splitlines()
    assert any(line.startswith("error    workers: there is no activity 'act_llm_gen_txt'.") for line in lines)
    assert any(line.startswith("error    temporal: no Temporal server answers at 127.0.0.1:1") for line in lines)
    assert any(line.startswith("         fix: start a server on this machine with `pipelex dev`") for line in lines)


def test_a_storage_that_is_a_file_is_found(cli: Cli, work: Path) -> None:
    (work / "taken").write_text("")
    configure(work, '[storage]\nlocal_storage_path = "taken"\n')
    (finding,) = found(cli("doctor", "--json"))["storage"]
    assert finding["state"] == "error"
    assert "local_storage_path" in finding["fix"]


ROUTED = """
[temporal]
is_enabled = true
[temporal.temporal_config.temporal_server_configs.local]
target_host = "{address}"
[temporal.search_attributes]
enabled = true
[temporal.worker_config]
default_task_queue = "{queue}"
[temporal.worker_config.activity_queues.act_llm_gen_text]
default = "{queue}-llm"
[temporal.worker_config.activity_queues.act_img_gen_images]
by_handle = {{ "gpt-image-1" = "{queue}-img" }}
[temporal.queue_options.{queue}-llm]
[temporal.queue_options.{queue}-img]
"""


@pytest.mark.server
def test_queues_that_nobody_polls_are_named_with_what_would_serve_them(client: Client, cli: Cli, work: Path) -> None:
    queue = f"doctor-{time.monotonic_ns()}"
    configure(work, ROUTED.format(address=client.service_client.config.target_host, queue=queue))
    process = subprocess.Popen([PIPELEX, "worker"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("worker ready")
        deadline = time.monotonic() + 60
        while True:
            done = cli("doctor", "--json")
            checks = found(done)
            states = [finding["state"] for finding in checks["task queues"]]
            if states == ["ok", "ok", "error", "error"]:
                break
            assert time.monotonic() < deadline, done.out
    finally:
        process.kill()
        process.communicate()
    assert done.code == 1
    assert {checks[name][0]["state"] for name in ("temporal", "search attributes", "payloads", "workers")} == {"ok"}
    _, _, text_calls, image_calls = checks["task queues"]
    assert text_calls["message"] == f"no worker polls '{queue}-llm' for activities: act_llm_gen_text"
    assert text_calls["fix"] == f"pipelex worker --task-queue {queue}-llm --scope runner-llm"
    assert "act_img_gen_images (gpt-image-1)" in image_calls["message"]
    assert image_calls["fix"].endswith("--scope runner-img-gen")


@pytest.mark.server
def test_a_worker_whose_build_is_not_current_is_found(client: Client, cli: Cli, work: Path) -> None:
    queue = f"doctor-{time.monotonic_ns()}"
    server = f'target_host = "{client.service_client.config.target_host}"'
    configure(
        work,
        f"[temporal.temporal_config.temporal_server_configs.local]\n{server}\n"
        f'[temporal.worker_config]\ndefault_task_queue = "{queue}"\n',
    )
    process = subprocess.Popen([PIPELEX, "worker", "--build-id", queue], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("worker ready")
        deadline = time.monotonic() + 60
        while "no build id is current" not in (done := cli("doctor", "--temporal")).out:
            assert time.monotonic() < deadline, done.out
    finally:
        process.kill()
        process.communicate()
    assert done.code == 1
    command = f"temporal worker deployment set-current-version --deployment-name pipelex --build-id {queue}"
    assert f"fix: {command}" in done.out
