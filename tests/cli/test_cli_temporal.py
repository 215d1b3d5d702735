from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

PIPELEX = str(Path(sys.executable).parent / "pipelex")

NOWHERE = '[temporal.temporal_config.temporal_server_configs.local]\ntarget_host = "127.0.0.1:1"\n'


def configure(work: Path, text: str) -> None:
    (work / ".pipelex" / "pipelex.toml").write_text(text)


def test_a_server_that_does_not_answer_is_named_with_the_way_out(cli: Cli, work: Path, greet: Path) -> None:
    configure(work, NOWHERE)
    done = cli("run", "bundle", str(greet), "--simulate", "--temporal", "-i", '{"name": "Ada"}')
    assert done.code == 1
    assert "127.0.0.1:1" in done.err
    assert "pipelex dev" in done.err
    assert len(done.err.splitlines()) < 8


def test_is_enabled_makes_runs_durable_and_no_temporal_undoes_it(cli: Cli, work: Path, greet: Path) -> None:
    configure(work, "[temporal]\nis_enabled = true\n" + NOWHERE)
    given = ("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    assert "[unreachable]" in cli(*given).err
    assert cli(*given, "--no-temporal").code == 0


def test_a_worker_without_a_server_says_so(cli: Cli, work: Path) -> None:
    configure(work, NOWHERE)
    done = cli("worker")
    assert (done.code, "127.0.0.1:1" in done.err) == (1, True)


def test_a_worker_refuses_an_unknown_queue_before_it_connects(cli: Cli, work: Path) -> None:
    configure(work, NOWHERE)
    done = cli("worker", "--task-queue", "temporal_task_queu")
    assert done.code == 1
    assert "Did you mean 'temporal_task_queue'?" in done.err


def test_an_unknown_server_is_refused(cli: Cli) -> None:
    done = cli("worker", "--server", "prod")
    assert done.code == 1
    assert "'prod'" in done.err


def test_without_search_attributes_there_is_nothing_to_set_up(cli: Cli) -> None:
    done = cli("setup-temporal-namespace")
    assert (done.code, done.out) == (0, "")
    assert "nothing to register" in done.err


def test_the_dry_run_of_the_set_up_prints_the_commands(cli: Cli, work: Path) -> None:
    configure(work, "[temporal.search_attributes]\nenabled = true\n" + NOWHERE)
    done = cli("setup-temporal-namespace", "--dry-run")
    assert done.code == 0
    assert done.out.startswith("temporal operator search-attribute create --address 127.0.0.1:1")
    assert "tcld " in done.out


@contextmanager
def dev_server(work: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`pipelex dev` in its own process, ready; it is ended in any case."""
    process = subprocess.Popen(
        [PIPELEX, "dev", "--port", "17233", "--ui-port", "18233"],
        cwd=work,
        env=os.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith("worker:"):
                break
        yield process, said
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.server
def test_dev_runs_a_method_durably_and_leaves_without_loss(work: Path, greet: Path) -> None:
    with dev_server(work) as (process, said):
        assert process.poll() is None, said
        assert any(line.startswith("web ui:") for line in said)
        run = subprocess.run(
            [PIPELEX, "run", "bundle", str(greet), "--temporal", "--simulate", "--json", "-i", '{"name": "Ada"}'],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        assert set(json.loads(run.stdout)) == {"text"}
        assert "workflow: " in run.stderr
        assert "/namespaces/default/workflows/" in run.stderr
        assert (work / "results" / "greet_output_01" / "working_memory.json").is_file()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0, rest
        assert rest.index("worker drained") < rest.index("stopped")
        assert not (work / ".pipelex" / "temporal" / "server.json").exists()
