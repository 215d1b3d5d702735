"""The units: every line as systemd reads it, and consistent with the settings beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import deploy_kit
import pytest
from deploy_kit import SYSTEMD, WORKLOADS, environment_of, processes, settings_of, unit, variables

UNITS = ("pipelex-worker@.service", "pipelex-codec-server.service")
DROP_INS = sorted(str(file.relative_to(SYSTEMD)) for file in SYSTEMD.glob("*.d/*.conf"))
units = pytest.mark.parametrize("name", UNITS)
YES, SECONDS, TARGET = "yes|no", r"\d+", r"[\w-]+\.target"
READ: dict[str, dict[str, str]] = {
    "DEFAULT": {},
    "Unit": {"Description": ".+", "Wants": TARGET, "After": TARGET, "StartLimitIntervalSec": SECONDS},
    "Service": {
        "Type": "exec",
        "User": r"[a-z][\w-]*",
        "Group": r"[a-z][\w-]*",
        "Environment": r"\w+=\S*( \w+=\S*)*",
        "EnvironmentFile": "-?/.+",
        "ExecStart": "/.+",
        "WorkingDirectory": "/.+",
        "StateDirectory": "[^/].*",
        "StateDirectoryMode": "0[0-7]{3}",
        "LoadCredential": r"\w+:/.+",
        "KillMode": "control-group|mixed|process|none",
        "KillSignal": "SIG[A-Z]+",
        "TimeoutStopSec": SECONDS,
        "Restart": "no|on-success|on-failure|on-abnormal|on-watchdog|on-abort|always",
        "RestartSec": SECONDS,
        "OOMPolicy": "continue|stop|kill",
        "UMask": "0[0-7]{3}",
        "NoNewPrivileges": YES,
        "CapabilityBoundingSet": "",
        "ProtectSystem": "yes|no|full|strict",
        "ProtectHome": "yes|no|read-only|tmpfs",
        "PrivateTmp": YES,
        "PrivateDevices": YES,
        "ProtectClock": YES,
        "ProtectHostname": YES,
        "ProtectKernelLogs": YES,
        "ProtectKernelModules": YES,
        "ProtectKernelTunables": YES,
        "ProtectControlGroups": YES,
        "ProtectProc": "noaccess|invisible|ptraceable|default",
        "RestrictAddressFamilies": r"AF_[A-Z\d]+( AF_[A-Z\d]+)*",
        "RestrictNamespaces": YES,
        "RestrictRealtime": YES,
        "RestrictSUIDSGID": YES,
        "LockPersonality": YES,
        "RemoveIPC": YES,
        "SystemCallArchitectures": "native",
        "SystemCallFilter": r"@[a-z-]+",
        "SystemCallErrorNumber": "E[A-Z]+",
    },
    "Install": {"WantedBy": TARGET},
}
"""What systemd reads of the directives that the units use: the values that mean something to it."""


@units
def test_units_have_the_sections_of_a_service(name: str) -> None:
    read = unit(name)
    assert read.sections() == ["Unit", "Service", "Install"]
    service = read["Service"]
    assert service["Type"] == "exec"
    assert service["User"] == "pipelex"
    assert service["ExecStart"].startswith("/opt/pipelex/bin/pipelex ")


@units
def test_units_may_do_nothing_special(name: str) -> None:
    service = unit(name)["Service"]
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    assert service["SystemCallFilter"] == "@system-service"
    assert service["UMask"] == "0077"


@pytest.mark.parametrize("name", [*UNITS, *DROP_INS])
def test_every_line_is_one_that_systemd_reads(name: str) -> None:
    """systemd passes over what it does not know with a warning only: a hardening with a typing error is none."""
    for section, keys in unit(name).items():
        for key, values in keys.items():
            for value in str(values).splitlines() or [""]:
                assert re.fullmatch(READ[section][key], value), f"{name}: [{section}] {key}={value}"


@units
@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("NoNewPrivileges=yes", "NoNewPriviliges=yes"),
        ("NoNewPrivileges=yes", "NoNewPrivileges=always"),
        ("ProtectSystem=strict", "ProtectSystem=full-strict"),
        ("RestartSec=5", "RestartSec=five"),
        ("StateDirectory=pipelex", "StateDirectory=/var/lib/pipelex"),
        ("[Install]", "[Instal]"),
    ],
)
def test_a_line_that_systemd_would_not_read_is_seen(
    name: str, said: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (SYSTEMD / name).read_text()
    assert said in text
    (tmp_path / name).write_text(text.replace(said, written))
    monkeypatch.setattr(deploy_kit, "SYSTEMD", tmp_path)
    with pytest.raises((KeyError, AssertionError)):
        test_every_line_is_one_that_systemd_reads(name)


def test_specifiers_and_variables_are_those_that_there_are(tmp_path: Path) -> None:
    """%i is the pool and %d the folder of the credentials; systemd itself is asked as well, where it is installed."""
    for name in UNITS:
        text = "\n".join(line for line in (SYSTEMD / name).read_text().splitlines() if not line.startswith("#"))
        assert set(re.findall(r"%(.)", text)) == ({"i", "d"} if "@" in name else {"d"})
        flags = set(re.findall(r"\$(\w+)", unit(name)["Service"]["ExecStart"]))
        assert flags == {"WORKER_FLAGS" if "@" in name else "CODEC_FLAGS"}
    if shutil.which("systemd-analyze"):
        assert complaints_of_systemd(tmp_path) == (0, [])


def complaints_of_systemd(folder: Path) -> tuple[int, list[str]]:
    """What it says of the units, with a program that is there in place of the one that is to be installed."""
    for name in UNITS:
        text = (SYSTEMD / name).read_text()
        (folder / name).write_text(text.replace("/opt/pipelex/bin/pipelex", shutil.which("true") or "/bin/true"))
    for drop_in in DROP_INS:
        (folder / drop_in).parent.mkdir()
        shutil.copy(SYSTEMD / drop_in, folder / drop_in)
    started = [f"./pipelex-worker@{pool}.service" for pool in WORKLOADS] + [f"./{UNITS[1]}"]
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *started]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if "pipelex" in line]


def test_the_worker_drains_alone_and_is_started_again() -> None:
    service = unit(UNITS[0])["Service"]
    assert (service["KillMode"], service["KillSignal"], service["Restart"]) == ("mixed", "SIGTERM", "always")


def test_ports_are_not_shared() -> None:
    workers = [process.flags for process in processes() if process.kit == "systemd" and process.is_worker]
    ports = [flags[key].rpartition(":")[2] for flags in workers for key in ("health_address", "metrics_address")]
    assert len(workers) == len(WORKLOADS)
    assert len(set(ports)) == len(ports)
    assert "8081" not in ports


def test_credentials_are_where_the_settings_look(tmp_path: Path) -> None:
    file = settings_of("systemd", tmp_path).temporal.payloads.encryption.keys["key_1"].file
    for name in UNITS:
        loaded = dict(line.split(":", 1) for line in unit(name)["Service"]["LoadCredential"].splitlines())
        assert loaded == {"payload_key_1": str(file)}
        given = environment_of(unit(name))["PIPELEX__TEMPORAL__PAYLOADS__ENCRYPTION__KEYS__KEY_1__FILE"]
        assert given == "/run/credentials/unit/payload_key_1"
    pools = set()
    for name in DROP_INS:
        pools.add(re.findall(r"@(\w+)\.service\.d/", name)[0])
        loaded = dict(line.split(":", 1) for line in unit(name)["Service"]["LoadCredential"].splitlines())
        assert all(str(file.parent / key) == path for key, path in loaded.items())
    assert pools == {"llm", "runner"}
    assert environment_of(unit(UNITS[0]))["PIPELEX__SECRETS__DIR"] == "/run/credentials/unit"


def test_files_are_in_the_folder_of_the_state(tmp_path: Path) -> None:
    settings = settings_of("systemd", tmp_path)
    assert unit(UNITS[0])["Service"]["StateDirectory"] == "pipelex"
    for place in (Path(settings.storage.local_storage_path), settings.temporal.payloads.path):
        assert place.is_relative_to("/var/lib/pipelex")


def test_environment_files_are_those_that_the_units_read() -> None:
    assert unit(UNITS[0])["Service"]["EnvironmentFile"] == "/etc/pipelex/workers/%i.env"
    assert unit(UNITS[1])["Service"]["EnvironmentFile"] == "-/etc/pipelex/codec-server.env"
    for file in (SYSTEMD / "workers").glob("*.env"):
        assert set(variables(file.read_text())) == {"WORKER_FLAGS"}
