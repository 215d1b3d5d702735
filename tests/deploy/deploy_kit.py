"""What deploy/ says, read as Docker, Kubernetes and systemd read it: settings, and processes with their flags."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from dockerfile_parse import DockerfileParser
from typer.main import get_command

from pipelex.cli.main import app
from pipelex.config.load import load_settings
from pipelex.config.settings import Settings
from pipelex.values.durations import Duration

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
KUBERNETES = DEPLOY / "kubernetes"
SYSTEMD = DEPLOY / "systemd"
MONITORING = DEPLOY / "monitoring"
SETTINGS = {"compose": DEPLOY / "compose" / "pipelex", "kubernetes": KUBERNETES, "systemd": SYSTEMD}
"""Where each kit has its pipelex.toml."""
WORKLOADS = ("router", "runner", "llm", "documents")


@dataclass(frozen=True)
class Process:
    """One process that a kit starts. `grace` is how long it may take to stop, None where nothing is said."""

    kit: str
    name: str
    arguments: list[str]
    grace: timedelta | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kit}/{self.name}"

    @property
    def is_worker(self) -> bool:
        return self.arguments[0] == "worker"

    @property
    def flags(self) -> dict[str, Any]:
        """The flags as the command reads them. Fails when one does not exist."""
        command: Any = get_command(app)
        return dict(command.get_command(None, self.arguments[0]).make_context("pipelex", self.arguments[1:]).params)


def dockerfile() -> list[dict[str, str]]:
    """The instructions, in their order."""
    parser = DockerfileParser(fileobj=(DEPLOY / "Dockerfile").open("rb"))
    return [line for line in parser.structure if line["instruction"] != "COMMENT"]


def said(instruction: str) -> str:
    """What the last instruction of that name says."""
    return [line["value"] for line in dockerfile() if line["instruction"] == instruction][-1]


def compose() -> dict[str, Any]:
    """compose.yaml with variables and anchors replaced, as `docker compose config` shows it."""
    text = re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text("utf-8"))
    read: dict[str, Any] = yaml.safe_load(text)
    return {key: value for key, value in read.items() if not key.startswith("x-")}


def manifests(folder: Path = KUBERNETES) -> dict[tuple[str, str], dict[str, Any]]:
    """Every manifest by its kind and name, those of the components included."""
    found = {}
    for file in sorted(folder.rglob("*.yaml")):
        for manifest in yaml.safe_load_all(file.read_text("utf-8")):
            name = manifest.get("metadata", {}).get("name", str(file.relative_to(folder).parent))
            found[manifest["kind"], name] = manifest
    return found


def unit(name: str) -> configparser.ConfigParser:
    """A unit; of a key that is there several times, all values, one in a line."""

    class Lines(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            before = self.get(key)
            is_again = isinstance(before, list) and isinstance(value, list)
            super().__setitem__(key, before + value if is_again else value)

    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), dict_type=Lines)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(SYSTEMD / name)
    return parser


def variables(text: str) -> dict[str, str]:
    """The variables of an environment file, or of `Environment=` lines."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def environment_of(service: configparser.ConfigParser) -> dict[str, str]:
    words = shlex.split(service["Service"]["Environment"].replace("\n", " ").replace("%d", "/run/credentials/unit"))
    return dict(word.split("=", 1) for word in words)


def processes() -> Iterator[Process]:
    """Every process of ours that deploy/ starts."""
    entry = yaml.safe_load(said("ENTRYPOINT"))
    yield Process("docker", "image", entry[1:])
    for name, service in compose()["services"].items():
        if "build" in service:
            command = [*service.get("entrypoint", entry), *service["command"]]
            grace = service.get("stop_grace_period")
            yield Process(
                "compose", name, command[1:], seconds(grace) if grace else None, service.get("environment", {})
            )
    for (kind, name), manifest in manifests().items():
        if kind in ("Deployment", "Job"):
            pod = manifest["spec"]["template"]["spec"]
            container = pod["containers"][0]
            command = [*container.get("command", entry), *container["args"]]
            grace = pod.get("terminationGracePeriodSeconds")
            yield Process("kubernetes", name, command[1:], timedelta(seconds=grace) if grace else None)
    yield from _units()


def _units() -> Iterator[Process]:
    worker, codec = unit("pipelex-worker@.service"), unit("pipelex-codec-server.service")
    for file in sorted((SYSTEMD / "workers").glob("*.env")):
        flags = variables(file.read_text("utf-8"))["WORKER_FLAGS"]
        yield _of_unit(file.stem, worker, "$WORKER_FLAGS", flags)
    yield _of_unit("codec-server", codec, "$CODEC_FLAGS", "")
    commented = (SYSTEMD / "codec-server.env").read_text("utf-8").replace("# CODEC", "CODEC")
    yield _of_unit("codec-server for others", codec, "$CODEC_FLAGS", variables(commented)["CODEC_FLAGS"])


def _of_unit(name: str, service: configparser.ConfigParser, variable: str, flags: str) -> Process:
    command = shlex.split(service["Service"]["ExecStart"].replace(variable, flags))
    grace = timedelta(seconds=int(service["Service"]["TimeoutStopSec"]))
    return Process("systemd", name, command[1:], grace, environment_of(service))


def seconds(text: str) -> timedelta:
    """A duration such as 2m30s."""
    from pydantic import TypeAdapter

    read: timedelta = TypeAdapter(Duration).validate_python(text)
    return read


def settings_of(kit: str, folder: Path, **environment: str) -> Settings:
    """The settings of a kit, as its processes read them in an empty folder."""
    environ = {"HOME": str(folder), "PIPELEX_HOME": str(SETTINGS[kit]), **environment}
    loaded = load_settings(cwd=folder, environ=environ)
    assert not loaded.warnings
    return loaded.settings


PROCESSES = list(processes())
WORKERS = [process for process in PROCESSES if process.is_worker and process.kit != "docker"]
