"""compose.yaml: valid, in an order that works, with nothing open to the network and no secret in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from deploy_kit import COMPOSE, MONITORING, SETTINGS, WORKLOADS, compose, processes, settings_of

SERVICES: dict[str, Any] = compose()["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_it_is_a_compose_file() -> None:
    read = PyCompose.from_yaml(yaml.safe_dump(compose()))
    read.validate()
    assert sorted(read.service_names()) == sorted(SERVICES)


def test_the_check_sees_a_wrong_key() -> None:
    wrong = compose()
    wrong["services"]["llm"]["stop_grace"] = "2m"
    with pytest.raises(ValueError, match="stop_grace"):
        PyCompose.from_yaml(yaml.safe_dump(wrong))


@pytest.mark.parametrize("name", SERVICES)
def test_conditions_can_be_met(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        condition = wanted["condition"]
        if condition == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}, which has no health check"
        else:
            assert condition == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "on-failure", f"{other} has one try"


def test_nothing_starts_before_what_it_needs() -> None:
    def needs(name: str) -> set[str]:
        direct = set(SERVICES[name].get("depends_on", {}))
        return direct.union(*map(needs, direct))

    everything = {"postgresql", "schema", "temporal", "namespace", "setup"}
    assert all(needs(pool) == everything for pool in WORKLOADS)


def test_ports_are_open_to_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    host = [name for name, service in SERVICES.items() if service.get("network_mode") == "host"]
    assert host == ["codec-server"]
    assert "127.0.0.1" in SERVICES["codec-server"]["command"]


def test_secrets_are_files_that_git_ignores() -> None:
    secrets = compose()["secrets"]
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} == set(secrets)
    assert all(secret == {"file": f"./secrets/{name}"} for name, secret in secrets.items())
    assert "/secrets/" in (COMPOSE.parent / ".gitignore").read_text().splitlines()
    plain = [
        f"{name}: {variable}"
        for name, service in SERVICES.items()
        for variable in service.get("environment", {})
        if re.search(r"PASS|PWD|KEY|TOKEN|SECRET", variable) and not variable.endswith("_FILE")
    ]
    assert plain == []


def test_every_pool_that_calls_providers_has_a_key_and_the_router_has_none() -> None:
    with_key = {name for name, service in OURS.items() if "OPENAI_API_KEY" in service.get("secrets", [])}
    assert with_key == {"runner", "llm", "documents", "cli"}
    assert all("payload_key_1" in service["secrets"] for service in OURS.values())


def test_our_containers_may_do_nothing_special() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_mounted_files_are_there_and_written_places_are_volumes(tmp_path: Path) -> None:
    volumes = compose()["volumes"]
    mounts = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    for source, *_ in mounts:
        assert source in volumes or (COMPOSE.parent / source).exists(), source
    settings = settings_of("compose", tmp_path)
    for place in (Path(settings.storage.local_storage_path), settings.temporal.payloads.path):
        assert place.is_relative_to("/var/lib/pipelex")
    assert all("data:/var/lib/pipelex" in service["volumes"] for service in OURS.values())
    assert all("./pipelex:/etc/pipelex:ro" in service["volumes"] for service in OURS.values())
    assert SETTINGS["compose"] == COMPOSE.parent / "pipelex"


def test_addresses_are_those_of_services(tmp_path: Path) -> None:
    server = settings_of("compose", tmp_path).temporal.server_profile()
    assert server.target_host == SERVICES["temporal-ui"]["environment"]["TEMPORAL_ADDRESS"] == "temporal:7233"
    assert SERVICES["namespace"]["environment"]["TEMPORAL_NAMESPACE"] == server.namespace
    codec = next(process for process in processes() if str(process) == "compose/codec-server")
    assert SERVICES["temporal-ui"]["environment"]["TEMPORAL_CODEC_ENDPOINT"].endswith(f":{codec.flags['port']}")
    assert f"('127.0.0.1', {codec.flags['port']})" in SERVICES["codec-server"]["healthcheck"]["test"][-1]
    scraped = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    pools = scraped[0]["dns_sd_configs"][0]
    assert sorted(pools["names"]) == sorted(WORKLOADS)
    router = next(process for process in processes() if str(process) == "compose/router")
    assert router.flags["metrics_address"].endswith(f":{pools['port']}")
    metrics = SERVICES["temporal"]["environment"]["PROMETHEUS_ENDPOINT"].rpartition(":")[2]
    assert scraped[1]["static_configs"][0]["targets"] == [f"temporal:{metrics}"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "/bin/sh" in SERVICES[name].get("entrypoint", [])])
def test_shell_commands_are_valid(name: str) -> None:
    service = SERVICES[name]
    script = service["command"][0].replace("$$", "$")
    done = subprocess.run(["sh", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_schema_is_made_for_both_databases(tmp_path: Path) -> None:
    """The script runs with a stand-in for the tool of the server that writes down what it was asked."""
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text(f'#!/bin/sh\necho "$SQL_PASSWORD $*" >> {tmp_path}/asked\n')
    tool.chmod(0o755)
    (tmp_path / "password").write_text("canary")
    script = SERVICES["schema"]["command"][0].replace("$$", "$")
    script = script.replace("/run/secrets/postgres_password", str(tmp_path / "password"))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    shell = shutil.which("sh")
    assert shell is not None
    subprocess.run([shell, *SERVICES["schema"]["entrypoint"][1:], script], env={"PATH": path}, check=True)
    made = (tmp_path / "asked").read_text().splitlines()
    tables = "/etc/temporal/schema/postgresql/v12/{}/versioned"
    assert made == [
        "canary --database temporal create-database",
        "canary --database temporal setup-schema --version 0.0",
        f"canary --database temporal update-schema --schema-dir {tables.format('temporal')}",
        "canary --database temporal_visibility create-database",
        "canary --database temporal_visibility setup-schema --version 0.0",
        f"canary --database temporal_visibility update-schema --schema-dir {tables.format('visibility')}",
    ]
