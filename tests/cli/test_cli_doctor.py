"""`pipelex doctor`: what it finds without a server, and what it says of queues that nobody polls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
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


def test_without_temporal_all_is_well(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "none")
    (work / ".env").write_text("GROQ_API_KEY=none\n")
    done = cli("doctor")
    assert (done.code, done.err) == (0, "")
    versions, extras, *lines = done.out.replace(str(work), "WORK").replace(str(work.parent), "THERE").splitlines()
    assert re.fullmatch(r"ok       versions: pipelex \S+, temporalio \S+, Python \S+, \w+", versions)
    assert re.match(r"ok       extras: installed: .*temporal", extras)
    (lacking,) = (line for line in lines if line.startswith("ok       keys: not set"))
    assert "OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY or GEMINI_API_KEY" in lacking
    assert lacking.endswith("(looked in the environment, .env of this folder, ~/.pipelex/.env)")
    lines.remove(lacking)
    assert lines == snapshot(
        [
            "ok       configuration: no file of settings in .pipelex nor THERE/home/.pipelex: the defaults hold",
            "ok       configuration: .env: variables, of which those of the environment itself go first",
            "ok       keys: groq: GROQ_API_KEY is set in .env",
            "ok       keys: mistral: MISTRAL_API_KEY is set in the environment",
            "ok       models: the default model is 'mistral-large-latest' of 'mistral'",
            "ok       storage: a file was written and read back: WORK/.pipelex/storage",
            "ok       temporal: Temporal is off ([temporal] is_enabled = false): runs stay in their process;"
            " --temporal looks all the same",
        ]
    )


def test_every_source_of_the_configuration_is_named(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(work, '[storage]\nlocal_storage_path = "blobs"\n[temporal.lanes]\nnormal = 2\n')
    (work / ".pipelex" / "pipelex_local.toml").write_text("# nothing yet\n")
    (work / ".pipelex" / "pipelex_prod.toml").write_text("")
    deck = work / ".pipelex" / "inference" / "deck"
    deck.mkdir(parents=True)
    monkeypatch.setenv("PIPELEX__OUTPUT__DIR", "there")
    said = [finding["message"] for finding in found(cli("doctor", "--json"))["configuration"]]
    assert said == snapshot(
        [
            ".pipelex/pipelex.toml: sets storage.local_storage_path, temporal.lanes.normal",
            ".pipelex/pipelex_local.toml: sets nothing, the defaults hold",
            "environment variable PIPELEX__OUTPUT__DIR: sets output.dir",
            ".pipelex/pipelex_prod.toml: not read, because PIPELEX_ENV is dev and RUN_MODE is normal",
            ".pipelex/inference/deck: laid over the models known out of the box",
        ]
    )


def test_a_configuration_that_does_not_load_is_told_with_its_place(cli: Cli, work: Path) -> None:
    configure(work, "[temporal]\nis_enabld = true\n")
    done = cli("doctor", "--json")
    assert done.code == 1
    assert set(found(done)) == {"versions", "extras", "configuration"}
    assert found(done)["configuration"] == [
        {
            "check": "configuration",
            "state": "error",
            "message": "unknown key 'is_enabld' in [temporal]",
            "place": ".pipelex/pipelex.toml:2:1",
            "fix": "did you mean 'is_enabled'?",
        }
    ]


def test_no_key_is_shown(cli: Cli, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("AZURE_API_KEY", "canary-azure")
    done = cli("doctor", "--json")
    said = [finding["message"] for finding in found(done)["keys"]]
    assert said[:2] == [
        "openai: OPENAI_API_KEY is set in the environment",
        "azure_openai: AZURE_API_KEY is set in the environment; it also needs AZURE_API_BASE",
    ]
    assert "canary" not in done.out


def test_a_secret_in_a_file_is_found_there(cli: Cli, work: Path) -> None:
    configure(work, '[secrets]\ndir = "secrets"\n')
    (work / "secrets").mkdir()
    (work / "secrets" / "XAI_API_KEY").write_text("none\n")
    checks = found(cli("doctor", "--json"))
    assert checks["keys"][0]["message"] == f"xai: XAI_API_KEY is in {work / 'secrets' / 'XAI_API_KEY'}"
    assert checks["models"][0]["message"] == "the default model is 'grok-4' of 'xai'"


def test_the_flag_of_earlier_versions_says_that_nothing_is_changed(cli: Cli, work: Path) -> None:
    done = cli("doctor", "--fix")
    assert done.err == "doctor changes nothing: each fix is printed below the fault, for you to run\n"
    assert not (work / ".pipelex" / "pipelex.toml").exists()


def test_a_server_that_does_not_answer_is_found_with_what_needs_none(cli: Cli, work: Path) -> None:
    configure(
        work,
        '[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "127.0.0.1:1"\n'
        '[temporal.worker_scopes.scopes.ours]\nrequired_activities = ["act_llm_gen_txt"]\n',
    )
    done = cli("doctor", "--temporal")
    assert done.code == 1
    lines = done.out.splitlines()
    assert any(re.match(r"error    workers: .*there is no activity 'act_llm_gen_txt'\.", line) for line in lines)
    assert any(line.startswith("error    temporal: no Temporal server answers at 127.0.0.1:1") for line in lines)
    assert any(line.startswith("         fix: start a server on this machine with `pipelex dev`") for line in lines)


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
    assert re.search(r"\(server \d+\.\d+\.\d+, ended runs are kept for \d+ days\)$", checks["temporal"][0]["message"])
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
