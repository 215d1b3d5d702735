"""A run as somebody at a terminal sees it: the tree, Ctrl-C once and twice, leaving it and coming back."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import termios
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from e2e_project import PATIENCE, PIPELEX, Project

METHOD = """
domain = "desk"
main_pipe = "answer"

[pipe.answer]
type = "PipeSequence"
description = "Two steps"
inputs = { notes = "Text[]" }
output = "Text"
steps = [
  { pipe = "read", batch_over = "notes", batch_as = "note", result = "said" },
  { pipe = "judge", result = "verdict" },
]

[pipe.read]
type = "PipeLLM"
description = "Read one note"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Read $note"

[pipe.judge]
type = "PipeLLM"
description = "Judge all"
inputs = { said = "Text[]" }
output = "Text"
model = "gpt-4o"
prompt = "Judge $said"
"""
HANGS = """
latency = "20ms"
input_usd_per_million_tokens = 2.0
[handles."gpt-4o"]
latency = "300s"
"""
"""The first step is quick, the second does not end while a test lasts."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BUNDLE = ("run", "bundle", "method.mthds")
SIMULATED = (*BUNDLE, "-i", "inputs.json", "--simulate", "profile.toml")


class Terminal:
    """A command whose stdin and stderr are a terminal of that width; its stdout is a pipe."""

    def __init__(self, process: asyncio.subprocess.Process, screen: int) -> None:
        self.process = process
        self.seen = ""
        self.out = b""
        self._screen = screen
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(screen, self._read)
        self._reading = asyncio.create_task(self._collect())

    @classmethod
    async def open(cls, work: Project, *arguments: str, columns: int = 80, lines: int = 24) -> Terminal:
        screen, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

        def prepare() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        process = await asyncio.create_subprocess_exec(
            PIPELEX,
            *arguments,
            cwd=work.folder,
            env={**work.environment, "TERM": "xterm-256color"},
            stdin=inside,
            stdout=asyncio.subprocess.PIPE,
            stderr=inside,
            start_new_session=True,
            preexec_fn=prepare,
        )
        os.close(inside)
        return cls(process, screen)

    def _read(self) -> None:
        try:
            data = os.read(self._screen, 1 << 16)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._screen)
        self.seen += data.decode(errors="replace")
        self._changed.set()

    async def _collect(self) -> None:
        assert self.process.stdout is not None
        self.out = await self.process.stdout.read()
        self._changed.set()

    @property
    def text(self) -> str:
        """All that was ever on the screen, without the codes that steer it."""
        return ESCAPES.sub("", self.seen)

    async def says(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while text not in self.text:
                assert not self._reading.done(), f"ended without saying {text!r}:\n{self.text}"
                self._changed.clear()
                await self._changed.wait()

    def press_ctrl_c(self) -> None:
        os.write(self._screen, b"\x03")

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self._reading)
            return await self.process.wait()

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading
        self._read_rest()
        os.close(self._screen)

    def _read_rest(self) -> None:
        asyncio.get_running_loop().remove_reader(self._screen)


@contextlib.asynccontextmanager
async def terminal(work: Project, *arguments: str, columns: int = 80, lines: int = 24) -> AsyncIterator[Terminal]:
    opened = await Terminal.open(work, *arguments, columns=columns, lines=lines)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[Project]:
    async with Project(tmp_path) as opened:
        opened.write("method.mthds", METHOD)
        opened.write("profile.toml", HANGS)
        opened.write("inputs.json", json.dumps({"notes": ["one", "two", "three"]}))
        yield opened


async def state_of(work: Project, run_id: str) -> str:
    shown = await work.run("runs", "show", run_id, "--json")
    assert shown.process.returncode == 0, shown.err
    return str(json.loads(shown.out)["state"])


async def test_a_batch_of_a_thousand_is_a_small_tree_that_fits_the_screen(work: Project) -> None:
    work.write("inputs.json", json.dumps({"notes": [f"note {number}" for number in range(1000)]}))
    work.write("profile.toml", 'latency = "100ms"\n')
    async with terminal(work, *SIMULATED, "--json", "--no-graph", columns=50, lines=10) as screen:
        assert await screen.ended() == 0, screen.text
        assert set(json.loads(screen.out)) == {"text"}
    counts = [int(found) for found in re.findall(r"read (\d+)/1000", screen.text)]
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    live = screen.seen.partition("simulated: no model was called")[0]
    frames = [ESCAPES.sub("", frame) for frame in live.split("\x1b[2K")]
    assert max(frame.count("\n") for frame in frames) < 10
    tree = [line for line in re.split(r"[\r\n]+", ESCAPES.sub("", live)) if line.startswith((" ", "… "))]
    assert tree
    assert max(map(len, tree)) <= 50
    assert "simulated: no model is called" in screen.text
    assert len(screen.seen) < 200_000


async def test_ctrl_c_cancels_a_run_in_this_process_and_tells_what_it_cost(work: Project) -> None:
    async with terminal(work, *SIMULATED) as screen:
        await screen.says("… judge")
        screen.press_ctrl_c()
        assert await screen.ended() == 130
    assert screen.out == b""
    said = screen.text.partition("^C")[2]
    assert "cancelling the run; press Ctrl-C again to leave at once" in said
    assert "what the run did until it ended: results/answer_output_01" in said
    assert said.rstrip().endswith("cancelled")
    costs = json.loads((work.folder / "results" / "answer_output_01" / "cost_report.json").read_text())
    assert [(part["model"], part["nb_calls"]) for part in costs["by_model"]] == [("gpt-4o-mini", 3)]
    assert costs["total_cost"] > 0
    assert "Traceback" not in screen.text


async def test_ctrl_c_again_does_not_wait_for_a_function_that_goes_on(work: Project) -> None:
    work.write(
        "slow.mthds",
        'domain = "slow"\nmain_pipe = "wait"\n[pipe.wait]\ntype = "PipeFunc"\ndescription = "Wait"\n'
        'inputs = { note = "Text" }\noutput = "Text"\nfunction_name = "wait"\n',
    )
    work.write(
        "functions.py",
        "import sys, time\nfrom pipelex import pipe_func\n\n\n@pipe_func\ndef wait(working_memory):\n"
        "    print('in the function', file=sys.stderr)\n    time.sleep(300)\n",
    )
    arguments = ("run", "bundle", "slow.mthds", "-i", '{"note": "one"}', "--functions", "functions.py")
    async with terminal(work, *arguments) as screen:
        await screen.says("in the function")
        screen.press_ctrl_c()
        await screen.says("\ncancelled")
        await screen.says("waiting for the function of wait, which a thread runs to its end; press Ctrl-C to leave")
        screen.press_ctrl_c()
        assert await screen.ended() == 130
    assert "Traceback" not in screen.text


@pytest.mark.server
async def test_ctrl_c_leaves_a_durable_run_and_one_comes_back_to_it(work: Project, address: str) -> None:
    work.use(address)
    work.write("profile.toml", 'latency = "10ms"\n')
    async with terminal(work, *SIMULATED, "--temporal") as screen:
        await screen.says("waiting: no worker polls")
        screen.press_ctrl_c()
        await screen.says("the run goes on; press Ctrl-C again to cancel it")
        assert await screen.ended() == 130
    said = screen.text
    run_id = re.findall(r"workflow: (\S+)", said)[0]
    assert f"follow it: pipelex runs tail {run_id}" in said
    assert f"cancel it: pipelex runs cancel {run_id}" in said
    assert screen.out == b""
    assert await state_of(work, run_id) == "running"
    async with terminal(work, "runs", "tail", run_id) as back:
        await back.says("waiting: no worker polls")
        await work.worker()
        await back.says("done: desk.answer (4 calls")
        assert await back.ended() == 0
    assert back.out.startswith(b"[simulated] Judge")
    assert "answer_output_01/main_stuff.md" in back.text


@pytest.mark.server
async def test_a_second_ctrl_c_cancels_a_durable_run(work: Project, address: str) -> None:
    work.use(address)
    await work.worker()
    async with terminal(work, *SIMULATED, "--temporal") as screen:
        await screen.says("… judge")
        screen.press_ctrl_c()
        await screen.says("press Ctrl-C again to cancel it")
        screen.press_ctrl_c()
        assert await screen.ended() == 130
    run_id = re.findall(r"workflow: (\S+)", screen.text)[0]
    assert "cancelling the run" in screen.text
    assert screen.text.rstrip().endswith("cancelled")
    assert "gpt-4o-mini" in screen.text
    assert await state_of(work, run_id) == "canceled"


@pytest.mark.server
async def test_the_tree_of_a_durable_run_counts_items_and_tokens(work: Project, address: str) -> None:
    work.use(address)
    await work.worker()
    async with terminal(work, *SIMULATED, "--temporal", columns=100) as screen:
        await screen.says("✓ read 3/3")
        await screen.says("… judge")
        line = next(line for line in re.split(r"[\r\n]+", screen.text) if "✓ read 3/3" in line)
        assert re.search(r"read 3/3 +[\d.]+s +\d+ tokens +0\.0\d+ USD", line)
        run_id = re.findall(r"workflow: (\S+)", screen.text)[0]
        assert (await work.run("runs", "cancel", run_id)).process.returncode == 0
        assert await screen.ended() == 1
    assert "[run-cancelled]" in screen.text


@pytest.mark.server
async def test_a_run_is_started_and_left_then_gives_what_it_would_have_given(work: Project, address: str) -> None:
    work.use(address)
    work.write("profile.toml", 'latency = "10ms"\n')
    plain = await work.run(*SIMULATED, "--temporal", "--detach")
    run_id = plain.out.strip()
    assert (plain.process.returncode, plain.out) == (0, f"{run_id}\n")
    assert plain.err.splitlines() == [
        f"the run goes on: {run_id}",
        f"  follow it: pipelex runs tail {run_id}",
        f"  cancel it: pipelex runs cancel {run_id}",
    ]
    assert work.results == []
    await work.worker()
    tail = await work.run("runs", "tail", run_id, "--json")
    assert tail.process.returncode == 0, tail.err
    last = json.loads(tail.out.splitlines()[-1])
    assert (last["run_id"], last["state"]) == (run_id, "done")
    result = await work.run("runs", "result", run_id)
    assert (result.process.returncode, result.out) == (0, f"{last['result']['text']}\n")
    assert (await work.run(*SIMULATED, "--temporal")).process.returncode == 0
    names: dict[str, set[str]] = defaultdict(set)
    for path in work.results:
        folder, _, name = path.partition("/")
        names[folder].add(name)
    assert names["answer_output_01"] == names["answer_output_02"]
    assert names["answer_output_01"] == names["answer_output_03"] - {"rehearsal.json"}
