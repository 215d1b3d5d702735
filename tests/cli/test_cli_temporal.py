from __future__ import annotations

import json
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
def started(work: Path, *arguments: str, until: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, once it has said a line that starts so; it is ended in any case."""
    process = subprocess.Popen(
        [PIPELEX, *arguments], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith(until):
                break
        else:
            pytest.fail("".join(said))
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit code and the rest of what is said."""
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    return process.returncode, rest


RUN = ("--temporal", "--simulate", "--json", "-i", '{"name": "Ada"}')
DEV = ("dev", "--port", "17233", "--ui-port", "18233")


@pytest.mark.server
def test_dev_runs_a_method_durably_and_leaves_without_loss(work: Path, greet: Path) -> None:
    with started(work, *DEV, until="worker:") as dev:
        run = subprocess.run(
            [PIPELEX, "run", "bundle", str(greet), *RUN], cwd=work, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, run.stderr
        assert set(json.loads(run.stdout)) == {"text"}
        assert "workflow: " in run.stderr
        assert "/namespaces/default/workflows/" in run.stderr
        assert (work / "results" / "greet_output_01" / "working_memory.json").is_file()
        greet.write_text(greet.read_text().replace('output = "Greeting"', 'output = "Dynamic"'))
        as_before = ("--orchestrator", "temporal", "-O", "Card", *RUN[1:])
        run = subprocess.run(
            [PIPELEX, "run", "bundle", str(greet), *as_before], cwd=work, capture_output=True, text=True, timeout=60
        )
        assert set(json.loads(run.stdout)) == {"title", "year"}, run.stderr
        assert "workflow: " in run.stderr
        code, rest = ended(dev, signal.SIGINT)
        assert code == 0, rest
        assert rest.index("worker drained") < rest.index("stopped")
        assert not (work / ".pipelex" / "temporal" / "server.json").exists()


@pytest.mark.server
def test_a_run_waits_for_a_worker_and_survives_its_submitter(work: Path, greet: Path) -> None:
    run = ("run", "bundle", str(greet), *RUN)
    with started(work, *DEV, "--no-worker", until="no worker") as dev:
        with started(work, *run, until="waiting: no worker polls") as left:
            code, rest = ended(left, signal.SIGINT)
            assert code == 130
            assert "the run goes on: " in rest
            assert "Traceback" not in rest
        with (
            started(work, *run, until="waiting: no worker polls") as waiting,
            started(work, "worker", "--no-sandbox", until="worker ready: 127.0.0.1:") as worker,
        ):
            out, rest = waiting.communicate(timeout=60)
            assert waiting.returncode == 0, rest
            assert set(json.loads(out)) == {"text"}
            assert ended(worker, signal.SIGTERM)[0] == 0
        assert ended(dev, signal.SIGTERM)[0] == 0
