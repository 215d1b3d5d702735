"""Workers and servers that stop while runs are under way, providers that refuse: nothing is lost or paid twice."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from e2e_project import NOTE, Script, free_port, project, steps

from pipelex.testing.provider_stub import StubAnswer

pytestmark = pytest.mark.server

QUICK = 'default_activity_heartbeat_timeout = "3s"'
NEVER = StubAnswer(delay=3600)
SLOW = StubAnswer(text="slow", delay=2)


async def test_a_killed_worker_costs_one_call(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script({4: NEVER})
    async with project(tmp_path, script) as work:
        work.use(address, QUICK)
        work.write("method.mthds", steps(10))
        first = await work.worker()
        run = await work.method(*NOTE, "--json", wait=False)
        await script.began(4)
        first.signal(signal.SIGKILL)
        killed_at = time.monotonic()
        await first.ended()
        await work.worker()
        assert await run.ended() == 0, run.err
        assert json.loads(run.out) == {"text": "ok"}
        assert work.stub is not None
        assert work.stub.calls <= 11
    with capsys.disabled():
        print(f"\nfrom the kill of the worker to the next call: {script.began_at[5] - killed_at:.1f} s")


@pytest.mark.parametrize(
    ("number", "status", "code"), [(9, 400, "request-refused"), (0, 401, "key-refused")], ids=["400", "401"]
)
async def test_what_a_provider_refuses_is_not_asked_again(
    address: str, tmp_path: Path, number: int, status: int, code: str
) -> None:
    async with project(tmp_path, Script({number: StubAnswer(status=status, text="not like this")})) as work:
        work.use(address)
        work.write("method.mthds", steps(10))
        worker = await work.worker()
        run = await work.method(*NOTE)
        assert await run.ended() == 1
        assert work.stub is not None
        assert work.stub.calls == number + 1
        errors = [line for line in run.err.splitlines() if line.startswith("error:")]
        assert len(errors) == 1
        assert f"[{code}]" in errors[0]
        assert "not like this" in errors[0]
        assert " main > call\n" in run.err
        assert "Traceback" not in run.err + worker.err
        assert run.out == ""
        assert not any("main_stuff" in path for path in work.results)


async def test_a_drained_worker_makes_its_call_once(address: str, tmp_path: Path) -> None:
    script = Script({0: SLOW})
    async with project(tmp_path, script) as work:
        work.use(address)
        work.write("method.mthds", steps(1))
        worker = await work.worker()
        run = await work.method(*NOTE, "--json", wait=False)
        await script.began(0)
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
        assert "worker stopped: nothing was left behind" in worker.err
        await work.worker()
        assert await run.ended() == 0, run.err
        assert json.loads(run.out) == {"text": "slow"}
        assert work.stub is not None
        assert work.stub.calls == 1


async def test_a_run_goes_on_when_dev_is_started_again(tmp_path: Path) -> None:
    script = Script({1: SLOW})
    async with project(tmp_path, script) as work:
        work.write("method.mthds", steps(3))
        dev = ("dev", "--port", str(free_port()), "--ui-port", str(free_port()))
        first = await work.start(*dev)
        await first.says("worker:   ready")
        run = await work.method(*NOTE, "--json", wait=False)
        await script.began(1)
        first.signal(signal.SIGINT)
        assert await first.ended() == 0
        assert "stopped; the runs are kept in the database" in first.err
        assert run.process.returncode is None
        second = await work.start(*dev)
        await second.says("worker:   ready")
        assert await run.ended() == 0, run.err
        assert json.loads(run.out) == {"text": "ok"}
        assert work.stub is not None
        assert work.stub.calls == 3
        second.signal(signal.SIGINT)
        assert await second.ended() == 0


async def test_without_a_server_a_run_says_how_to_get_one(tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    async with project(tmp_path) as work:
        work.use(nowhere)
        work.write("method.mthds", steps(1))
        run = await work.method(*NOTE)
        assert await run.ended() == 1
        assert nowhere in run.err
        assert "pipelex dev" in run.err
        assert "Traceback" not in run.err
        assert work.results == []
        assert work.stub is not None
        assert work.stub.calls == 0


async def test_a_worker_without_the_payloads_of_a_run_ends_it_with_what_to_set(address: str, tmp_path: Path) -> None:
    async with project(tmp_path / "here", Script()) as work, project(tmp_path / "there") as other:
        work.use(address, 'task_timeout = "2s"', queue=tmp_path.name)
        other.use(address, queue=tmp_path.name)
        work.write("method.mthds", steps(1))
        work.write("inputs.json", json.dumps({"note": "word " * 50_000}))
        stranger = await other.worker()
        run = await work.method("-i", "inputs.json", "--json")
        assert await run.ended() == 1
        said = json.loads(run.err.splitlines()[-1])
        assert " is not in " in said["message"]
        assert "same [temporal.payloads] on every machine" in said["hint"]
        stranger.signal(signal.SIGTERM)
        assert await stranger.ended() == 0
        await work.worker()
        again = await work.method("-i", "inputs.json", "--json")
        assert await again.ended() == 0, again.err
        assert work.stub is not None
        assert work.stub.calls == 1
