"""docs/guides/deploying.md tells what deploy/ does: files, pools, alerts, and the commands inside other commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_kit import DEPLOY, ROOT, WORKERS, compose, manifests, said, settings_of
from deploy_metrics import alerts
from typer.main import get_command

from pipelex.cli.main import app

GUIDE = (ROOT / "docs" / "guides" / "deploying.md").read_text("utf-8")
LINES = [
    line for block in re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]


WORKER = " ".join(yaml.safe_load(said("ENTRYPOINT"))[1:])
ALONE = " ".join(compose()["services"]["cli"]["command"])
FORMS = {
    r"docker run --rm --entrypoint pipelex pipelex-\w+:\S+ (.+)": "{}",
    r"docker run --rm pipelex-\w+:\S+ (.+)": f"{WORKER} {{}}",
    r"docker compose run --rm cli$()": ALONE,
    r"(?:\w+=\S+ )?docker compose run --rm cli (.+)": "{}",
    r"kubectl .* -- pipelex (.+)": "{}",
    r"sudo -u pipelex PIPELEX_HOME=/etc/pipelex /opt/pipelex/bin/pipelex (.+)": "{}",
}
"""Lines that have another program start ours, and what it is started with."""
INNER = [
    (line, shlex.split(arguments.format(found[1])))
    for line in LINES
    for form, arguments in FORMS.items()
    if (found := re.match(form, line))
]


@pytest.mark.parametrize(("line", "arguments"), INNER, ids=[line for line, _ in INNER])
def test_inner_commands_are_valid(line: str, arguments: list[str]) -> None:
    command: Any = get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        command = command.get_command(None, rest.pop(0))
    command.make_context("pipelex", rest)


def test_there_are_inner_commands_of_every_form() -> None:
    assert [form for form in FORMS if not any(re.match(form, line) for line in LINES)] == []


def test_files_of_the_guide_are_there() -> None:
    named = set(re.findall(r"\bdeploy/[\w@./-]*\w", GUIDE))
    assert {"deploy/Dockerfile", "deploy/compose", "deploy/kubernetes", "deploy/systemd", "deploy/monitoring"} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_services_and_deployments_of_the_guide_are_there() -> None:
    services = compose()["services"]
    assert {*re.findall(r"--rm (\w+)", GUIDE), *re.findall(r"exec -T (\w+)", GUIDE)} <= {*services, "pipelex"}
    assert {("Deployment", name) for name in re.findall(r"deployment/(\w+)", GUIDE)} <= set(manifests())
    secrets = {
        volume["secret"]["secretName"]
        for (kind, _), manifest in manifests().items()
        if kind == "Deployment"
        for volume in manifest["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    }
    assert {*secrets, "pipelex-codec-server"} == set(re.findall(r"create secret generic ([\w-]+)", GUIDE))
    assert set(re.findall(r"> secrets/(\w+)", GUIDE)) | {"OPENAI_API_KEY"} == set(compose()["secrets"])


def test_the_table_of_pools_is_what_the_settings_say(tmp_path: Path) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| .* \| (?:the default one|`(\w+)`) \| .* \| (\d+) (s|min) \|$", GUIDE, re.MULTILINE
    )
    assert len(rows) == 4
    temporal = settings_of("compose", tmp_path).temporal
    for worker in WORKERS:
        if worker.kit == "compose":
            queues = worker.flags["task_queue"] or [""]
            patience = temporal.runtime_profile(worker.flags["profile"]).graceful_shutdown_timeout.total_seconds()
            shown = (f"{patience / 60:.0f}", "min") if patience >= 60 else (f"{patience:.0f}", "s")
            assert (worker.name, queues[0], *shown) in rows


def test_the_table_of_alerts_is_the_list_of_alerts() -> None:
    shown = re.findall(r"^\| `(Pipelex\w+)` \|", GUIDE, re.MULTILINE)
    assert shown == [rule["alert"] for rule in alerts()]
    assert f"has {['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven'][len(shown)]}." in GUIDE


def test_the_server_and_its_tools_have_one_version() -> None:
    text = (DEPLOY / "compose" / "compose.yaml").read_text()
    assert len(set(re.findall(r"temporalio/(?:server|admin-tools):([\d.]+)", text))) == 1
