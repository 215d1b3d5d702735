"""`pipelex show config`, `backends`, `models` and `routes`: what holds here, and who says so."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pipelex.cli.show_settings import as_toml
from pipelex.cli.toml_text import Entry, toml_text
from pipelex.config.load import load_settings

Cli = Callable[..., Any]

SETTINGS = """\
[temporal]
is_enabled = true

[temporal.temporal_config.temporal_server_configs.local]
target_host = "${TEMPORAL_HOST}:7233"

[temporal.temporal_config.temporal_server_configs.cloud]
target_host = "ada:pw1@cloud.example:7233"
api_key_method = "env_var"
api_key_id = "abc123def456ghi7"

[temporal.queue_options.fast]
start_to_close_timeout = "90s"

[temporal.activity_queues.act_llm_gen_text]
default = "fast"

[temporal.worker_runtime_profiles.profiles.default]
max_concurrent_activities = 7

[temporal.worker_runtime_profiles.profiles.big]
max_cached_workflows = 5

[packages.mirrors]
"example.org" = "https://ada:lovelace-1843@mirror.example/"
"""
BACKENDS = """\
[openai]
api_key = "sk-written-in-the-file"

[groq]
enabled = false

[corp]
endpoint = "https://ada:lovelace-1843@llm.example/v1?code=q7"
api_key = "${CORP_KEY}"
"""


@pytest.fixture
def project(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings, backends, a model table and routes of its own."""
    monkeypatch.setenv("TEMPORAL_HOST", "temporal.example")
    monkeypatch.setenv("PIPELEX__INPROCESS__ATTEMPTS", "5")
    monkeypatch.setenv("PIPELEXPATH", str(work / "lib"))
    inference = work / ".pipelex" / "inference"
    (inference / "backends").mkdir(parents=True)
    (work / ".pipelex" / "pipelex.toml").write_text(SETTINGS)
    (inference / "backends.toml").write_text(BACKENDS)
    (inference / "backends" / "corp.toml").write_text(
        '[defaults]\nmodel_type = "llm"\n\n[corp-1]\ncosts = { input = 1.5 }\nX-Secret = "shh-it-is-one"\n'
    )
    (inference / "routing_profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\ndefault = "openai"\n[profiles.mine.routes]\n"corp-*" = "corp"\n'
    )
    return work


def lines(text: str, *keys: str) -> list[str]:
    """The lines that begin with those keys, without what aligns them."""
    wanted = [line for line in text.splitlines() if line.split(" ")[0] in keys]
    return [" ".join(line.split()) for line in wanted]


def test_config_is_toml_that_reads_back_as_the_same_settings(cli: Cli, project: Path) -> None:
    text = cli("show", "config").out
    before = load_settings().settings
    assert tomllib.loads(text)["temporal"]["queue_options"]["fast"]["start_to_close_timeout"] == "90s"
    (project / ".pipelex" / "pipelex.toml").write_text(text)
    after = load_settings().settings
    hidden = {"packages": True, "temporal": {"temporal_config": {"temporal_server_configs": {"cloud": True}}}}
    assert after.model_dump(exclude=hidden) == before.model_dump(exclude=hidden)


def test_the_origin_of_each_setting_is_told(cli: Cli, project: Path) -> None:
    done = cli("show", "config", "--origin")
    assert done.code == 0, done.err
    told = lines(
        done.out, "is_enabled", "target_host", "attempts", "dirs", "start_to_close_timeout", "max_cached_workflows"
    )
    assert [line.replace(str(project), "WORK") for line in told] == snapshot(
        [
            "is_enabled = true # .pipelex/pipelex.toml:2",
            'start_to_close_timeout = "90s" # .pipelex/pipelex.toml:13',
            "max_cached_workflows = 2000 # default",
            "max_cached_workflows = 5 # .pipelex/pipelex.toml:22",
            'target_host = "temporal.example:7233" # .pipelex/pipelex.toml:5, ${TEMPORAL_HOST}',
            'target_host = "cloud.example:7233" # .pipelex/pipelex.toml:8',
            "is_enabled = false # default",
            "is_enabled = false # default",
            "attempts = 5 # environment variable PIPELEX__INPROCESS__ATTEMPTS",
            'dirs = ["WORK/lib"] # environment variable PIPELEXPATH',
        ]
    )
    assert tomllib.loads(done.out) == tomllib.loads(cli("show", "config").out)


def test_moved_and_inherited_settings_have_the_place_where_they_are_written(cli: Cli, project: Path) -> None:
    listed = json.loads(cli("show", "config", "--origin", "--json").out)
    found = {item["key"]: item for item in listed}
    moved = found["temporal.worker_config.activity_queues.act_llm_gen_text.default"]
    assert (moved["value"], moved["source"], moved["line"]) == ("fast", ".pipelex/pipelex.toml", 16)
    inherited = found["temporal.worker_runtime_profiles.profiles.big.max_concurrent_activities"]
    assert (inherited["value"], inherited["line"]) == (7, 19)
    assert found["output.dir"] == {"key": "output.dir", "value": "results", "layer": "default"}
    assert {item["layer"] for item in listed} == {"default", "file", "environment"}


def test_a_flag_is_an_origin_too(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = cli("show", "config", "--origin", "--server", "local")
    assert lines(done.out, "selected_server") == ['selected_server = "local" # command line']


def test_no_secret_is_shown(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_HOST", "a-secret-password-in-a-host")
    monkeypatch.setenv("MY_PASSWORD", "a-secret-password-in-a-host")
    monkeypatch.setenv("CORP_KEY", "corp-key-0123456789")
    for command in ("config", "backends", "models"):
        for flags in ((), ("--origin",), ("--json",), ("--json", "--origin")):
            done = cli("show", command, *flags)
            assert done.code == 0, done.err
            for secret in ("lovelace", "?code", "ada:", "abc123", "sk-written", "a-secret", "shh-it", "corp-key-0"):
                assert secret not in done.out + done.err


def test_backends_are_listed_with_their_state_and_the_routes(cli: Cli, project: Path) -> None:
    done = cli("show", "backends")
    table = done.out.splitlines()
    assert table[0].split() == ["BACKEND", "STATE", "KEY", "MODELS", "ENDPOINT"]
    rows = {line.split()[0]: line.split()[1:] for line in table[1:] if line}
    assert rows["openai"] == ["enabled", "yes", "7", "https://api.openai.com/v1"]
    assert rows["corp"] == ["enabled", "no", "1", "https://llm.example/v1"]
    assert "groq" not in rows
    assert table[-5:] == [
        f"{project}/.pipelex/inference/routing_profiles.toml: [profiles.mine]",
        "  corp-*         ->  corp",
        "  anything else  ->  openai",
        "",
        "then built-in routes: 27 patterns of handles; --all shows them",
    ]
    every = cli("show", "backends", "--all").out
    assert "groq" in every
    assert "  gpt-*             ->  openai\n" in every


def test_the_origin_of_a_backend_is_told(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    tables = cli("show", "backends", "--origin").out.split("\n\n")
    found = {table.splitlines()[0]: [" ".join(line.split()) for line in table.splitlines()[1:]] for table in tables}
    assert [found["[openai]"][-1], found["[corp]"][-1], found["[anthropic]"][2]] == snapshot(
        [
            'api_key = "[key]" # .pipelex/inference/backends.toml:2',
            'api_key = "${CORP_KEY}" # .pipelex/inference/backends.toml:9',
            'endpoint = "http://127.0.0.1:9" # environment variable ANTHROPIC_BASE_URL',
        ]
    )
    listed = json.loads(cli("show", "backends", "--origin", "--json").out)["backends"]
    corp = next(item for item in listed if item["backend"] == "corp")
    assert corp["origins"]["endpoint"] == {"layer": "file", "source": ".pipelex/inference/backends.toml", "line": 8}


def test_models_of_one_backend(cli: Cli, project: Path) -> None:
    done = cli("show", "models", "corp")
    assert [line.split() for line in done.out.splitlines()] == [
        ["MODEL", "TYPE", "BACKEND", "KEY", "COSTS", "IN", "USD", "FROM"],
        ["corp-1", "llm", "corp", "no", "input", "1.5", "your", "tables", "of", ".pipelex/inference/backends"],
    ]
    assert "per million tokens" in done.err
    assert cli("show", "models", "corp", "--origin").out == snapshot("""\
[corp.corp-1]
model_type = "llm"       # .pipelex/inference/backends/corp.toml:2
costs = { input = 1.5 }  # .pipelex/inference/backends/corp.toml:5
X-Secret = "[key]"       # .pipelex/inference/backends/corp.toml:6
""")
    rows = list(csv.DictReader(io.StringIO(cli("show", "models", "--flat").out)))
    assert next(row for row in rows if row["model"] == "corp-1")["costs_usd"] == "input=1.5"


def test_a_backend_that_is_not_there(cli: Cli, project: Path) -> None:
    done = cli("show", "models", "opnai")
    assert (done.code, done.err) == (
        1,
        snapshot("""\
error: there is no backend 'opnai' [input-error]
  hint: did you mean 'openai' or 'azure_openai'?
"""),
    )


def test_routes_are_those_of_pipelex_routes(cli: Cli, project: Path) -> None:
    assert cli("show", "routes", "--origin").out == cli("routes").out
    short = cli("show", "routes", "--handle", "gpt-4o")
    assert "task_queue" in short.out
    assert "default" not in short.out
    plain = json.loads(cli("show", "routes", "--handle", "gpt-4o", "--json").out)
    text = next(item for item in plain if item["activity"] == "act_llm_gen_text")
    assert (text["values"]["task_queue"], text["values"]["start_to_close_timeout"]) == ("fast", "0:01:30")


def test_a_value_of_each_kind_is_written_as_toml() -> None:
    given = {"a b": 'x"y\n\x7f é', "n": 1.5, "l": ["a", True], "t": {"k.k": 1}, "none": None}
    text = toml_text(Entry(("top", key), value, "why") for key, value in given.items())
    assert tomllib.loads(text) == {"top": {key: value for key, value in given.items() if value is not None}}
    assert "# none is not set" in text


def test_durations_are_written_as_people_do(work: Path) -> None:
    written = {"1h": "1h", "90m": "90m", "0.5s": "500ms", "86400": "24h", "90s": "90s", "61m": "61m"}
    for given, shown in written.items():
        (work / ".pipelex" / "pipelex.toml").write_text(f'[temporal.worker_config]\nrun_timeout = "{given}"\n')
        if given == "86400":
            (work / ".pipelex" / "pipelex.toml").write_text("[temporal.worker_config]\nrun_timeout = 86400\n")
        assert f'run_timeout = "{shown}"\n' in as_toml(load_settings(), with_origin=False)
