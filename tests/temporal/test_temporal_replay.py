"""Recorded runs replay: every kind of pipe and of ending gives the same commands again."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from temporal_bench import TEXT, Bench, Scripted, ask, batch, crate, parallel, sequence, text, texts

from pipelex.errors import PipelexError, RequestRefusedError
from pipelex.language.pipes import Step
from pipelex.library.crate import LibraryCrate
from pipelex.testing.replay import record, replay
from pipelex.values.slots import Slot
from pipelex.values.value import Value

pytestmark = pytest.mark.server


def refuse(request: Any) -> Any:
    if "bad" in request.prompt:
        raise RequestRefusedError("bad")
    return Scripted.echo(request)


TELL = ask("$thing", thing=TEXT)
SHAPES: dict[str, tuple[LibraryCrate, dict[str, Value]]] = {
    "steps": (
        crate(main=sequence(Step(pipe="d.a", result="x"), Step(pipe="d.b")), a=ask("1"), b=ask("$x", x=TEXT)),
        {},
    ),
    "branches": (
        crate(
            main=parallel(Step(pipe="d.a", result="x"), Step(pipe="d.b", result="y"), output=Slot("native.Composite")),
            a=ask("1"),
            b=ask("2"),
        ),
        {},
    ),
    "tree": (
        crate(main=batch("d.tell", "things", "thing"), tell=TELL),
        {"things": texts(*"abcdefghijkl")},
    ),
    "failure": (
        crate(main=batch("d.tell", "things", "thing"), tell=TELL),
        {"things": texts("a", "bad", "c", "bad")},
    ),
    "large": (crate(main=TELL), {"thing": text("x" * 200_000)}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["every_pipe", "fan_out"])
async def test_histories_replay(bench: Bench, tmp_path: Path, shape: str, mode: str) -> None:
    found, inputs = SHAPES[shape]
    settings = bench.settings(execution={"child_workflows": mode})
    # Without a cache every workflow task replays the history from its start.
    async with bench.worker(Scripted(refuse), max_cached_workflows=0):
        run = await bench.start(found, "main", inputs, settings=settings, batch_chunk=4)
        try:
            await run.result()
        except PipelexError:
            assert shape == "failure"
        paths = await record(bench.client, run.workflow_id, tmp_path)
    assert await replay(tmp_path, payload_root=bench.payload_root) == len(paths)


async def test_another_method_does_not_replay(bench: Bench, tmp_path: Path) -> None:
    async with bench.worker(Scripted()):
        run = await bench.start(crate(main=ask("1")), "main")
        await run.result()
        (path,) = await record(bench.client, run.workflow_id, tmp_path)
    path.write_text(path.read_text().replace("act_llm_gen_text", "act_llm_gen_object"))
    with pytest.raises(Exception, match=r"(?i)nondeterminism"):
        await replay(tmp_path, payload_root=bench.payload_root)


SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from pipelex.testing.replay import replay
print(asyncio.run(replay(Path(sys.argv[1]))), flush=True)
os._exit(0)
"""


async def test_the_order_of_sets_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    found, inputs = SHAPES["tree"]
    async with bench.worker(Scripted()):
        run = await bench.start(found, "main", inputs, batch_chunk=4)
        await run.result()
        paths = await record(bench.client, run.workflow_id, tmp_path)
    for seed in ("1", "2"):
        replaying = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SCRIPT,
            str(tmp_path),
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await replaying.communicate()
        assert told.decode().strip() == str(len(paths))
