"""The Dockerfile: linted, and what it says is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from deploy_kit import DEPLOY, ROOT, compose, dockerfile, manifests, said

PINNED = re.compile(r"[\w./-]+:(v?\d+(\.\d+)+[\w.-]*|\$\{\w+\})")
"""A tag that names a version at least as far as its second number."""


def instructions(name: str) -> list[str]:
    return [line["value"] for line in dockerfile() if line["instruction"] == name]


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_image_is_pinned() -> None:
    base = dict(line.split("=", 1) for line in instructions("ARG") if "=" in line)["PYTHON_IMAGE"]
    services = [service["image"] for service in compose()["services"].values()]
    pods = [
        manifest["spec"]["template"]["spec"]["containers"][0]["image"]
        for (kind, _), manifest in manifests().items()
        if kind in ("Deployment", "Job")
    ]
    assert services
    assert pods
    for image in [base, *services, *pods]:
        assert PINNED.fullmatch(image), image


def test_it_has_two_stages_and_two_images() -> None:
    stages = [value.split(" AS ") for value in instructions("FROM")]
    assert [name for _, name in stages] == ["build", "base", "documents", "worker"]
    assert [image for image, _ in stages] == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}", "base", "base"]
    built = {service["build"]["target"] for service in compose()["services"].values() if "build" in service}
    assert built == {"worker", "documents"}


def test_everything_is_installed_at_the_versions_that_are_tested() -> None:
    installs = [part for value in instructions("RUN") for part in value.split("&&") if "pip install" in part]
    assert installs
    assert all("--constraint constraints.txt" in part for part in installs)


def test_the_extras_are_all_but_the_development_server() -> None:
    extras = dict(line.split("=", 1) for line in instructions("ARG") if "=" in line)["EXTRAS"].split(",")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    everything = re.findall(r"\[(.*)\]", declared["all"][0])[0].split(",")
    assert set(extras) == set(everything) - {"server"}


def test_it_does_not_run_as_root() -> None:
    users = instructions("USER")
    assert users[-1] == "10001:10001"
    ids = {
        manifest["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
        for (kind, _), manifest in manifests().items()
        if kind in ("Deployment", "Job")
    }
    assert ids == {10001}


def test_the_worker_gets_the_signal_and_answers_the_health_check() -> None:
    entry = json.loads(said("ENTRYPOINT"))
    assert entry[:2] == ["pipelex", "worker"]
    assert said("STOPSIGNAL") == "SIGTERM"
    port = entry[entry.index("--health-address") + 1].rpartition(":")[2]
    check = said("HEALTHCHECK")
    command = yaml.safe_load(check.partition("CMD ")[2])
    assert f"http://127.0.0.1:{port}/ready" in command[-1]
    compile(command[-1], "health check", "exec")
    assert port in said("EXPOSE").split()


def test_the_context_has_what_is_copied_and_no_more() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    values = [value.split() for value in instructions("COPY") if not value.startswith("--from")]
    copied = {name for value in values for name in value[:-1]}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
