"""Runs that are large, the files that runs leave, and the set-up of a namespace, through the real commands."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from e2e_project import NOTE, Project, Script, free_port, histories_of, project, steps

from pipelex.temporal.server import find_temporal
from pipelex.temporal.settings import SEARCH_ATTRIBUTES
from pipelex.testing.provider_stub import StubAnswer

pytestmark = pytest.mark.server

LARGE = """
domain = "large"
main_pipe = "main"

[pipe.main]
type = "PipeSequence"
description = "Rewrite a long text, then judge it"
inputs = { book = "Text" }
output = "Text"
steps = [{ pipe = "rewrite", result = "draft" }, { pipe = "judge", result = "verdict" }]

[pipe.rewrite]
type = "PipeLLM"
description = "Rewrite"
inputs = { book = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Rewrite $book"

[pipe.judge]
type = "PipeLLM"
description = "Judge"
inputs = { draft = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Judge $draft"
"""

MANY = """
domain = "many"
main_pipe = "main"

[pipe.main]
type = "PipeBatch"
description = "One call per note"
inputs = { notes = "Text[]" }
output = "Text[]"
branch_pipe_code = "call"
input_list_name = "notes"
input_item_name = "note"

[pipe.call]
type = "PipeLLM"
description = "Call"
inputs = { note = "Text" }
output = "Text"
model = "gpt-4o-mini"
prompt = "Say something about $note"
"""


async def test_three_megabytes_in_and_out(address: str, tmp_path: Path) -> None:
    book, draft = "word " * 600_000, "line\n" * 600_000 + "end"
    async with project(tmp_path, Script({0: StubAnswer(text=draft), 1: StubAnswer(text="fine")})) as work:
        work.use(address)
        work.write("method.mthds", LARGE)
        work.write("inputs.json", json.dumps({"book": book}))
        await work.worker()
        run = await work.method("-i", "inputs.json")
        assert await run.ended() == 0, run.err
        assert work.stub is not None
        assert work.stub.calls == 2
        assert [len(json.dumps(asked.body)) > 3_000_000 for asked in work.stub.requests] == [True, True]
        memory = json.loads((work.folder / "results" / "main_output_01" / "working_memory.json").read_text())
        assert memory["root"]["draft"]["content"] == {"text": draft}
        found = await histories_of(address, run)
        assert len(found) == 3
        assert max(event.ByteSize() for history in found for event in history.events) < 100_000


async def test_a_batch_of_hundreds_is_a_tree(address: str, tmp_path: Path) -> None:
    async with project(tmp_path, Script()) as work:
        work.use(address, "[temporal.execution]\nbatch_chunk = 50")
        work.write("method.mthds", MANY)
        work.write("inputs.json", json.dumps({"notes": [f"note {number}" for number in range(300)]}))
        await work.worker()
        run = await work.method("-i", "inputs.json", "--json")
        assert await run.ended() == 0, run.err
        assert json.loads(run.out) == [{"text": "ok"}] * 300
        assert work.stub is not None
        assert work.stub.calls == 300
        assert len(work.stub.calls_by_prompt) == 300
        found = await histories_of(address, run)
        assert len(found) == 1 + 6 + 300
        assert max(len(history.events) for history in found) <= 1000


async def test_a_run_leaves_its_files_whole(address: str, tmp_path: Path) -> None:
    async with project(tmp_path, Script({0: StubAnswer(text="# Kettles"), 1: StubAnswer(text="# Kettles")})) as work:
        work.use(address)
        work.write("method.mthds", steps(1))
        await work.worker()
        for _ in range(2):
            run = await work.method(*NOTE)
            assert await run.ended() == 0, run.err
        here = await work.run("run", "bundle", "method.mthds", "--no-temporal", "-o", "elsewhere", *NOTE)
        assert await here.ended() == 0, here.err
        names = (
            "cost_report.json",
            "execution_graph.html",
            "graphspec.json",
            "index.html",
            "main_stuff.json",
            "main_stuff.md",
            "working_memory.json",
        )
        assert work.results == [f"main_output_{number}/{name}" for number in ("01", "02") for name in names]
        first = work.folder / "results" / "main_output_01"
        assert json.loads((first / "main_stuff.json").read_text()) == {"text": "# Kettles"}
        assert "<h1>Kettles</h1>" in (first / "index.html").read_text()
        for folder in (first, work.folder / "elsewhere" / "main_output_01"):
            page = (folder / "index.html").read_text()
            assert '"Say something about the kettle"' in page
            assert '["prompt",' in page
        assert (first / "main_stuff.md").read_text() == "# Kettles\n"
        memory = json.loads((first / "working_memory.json").read_text())
        assert list(memory["root"]) == ["note", "r0"]
        assert memory["aliases"] == {"main_stuff": "r0"}
        alike = json.loads((work.folder / "elsewhere" / "main_output_01" / "working_memory.json").read_text())
        assert alike["aliases"] == memory["aliases"]
        assert list(alike["root"]) == list(memory["root"])


async def test_nothing_is_run_whose_result_could_not_be_written(address: str, tmp_path: Path) -> None:
    async with project(tmp_path) as work:
        work.use(address)
        work.write("method.mthds", steps(1))
        work.write("results", "a file where the directory should be")
        run = await work.run("run", "bundle", "method.mthds", "--no-temporal", *NOTE)
        assert await run.ended() == 1
        assert run.out == ""
        assert "error: the results cannot be written in results: Not a directory [config-error]" in run.err
        assert "Traceback" not in run.err
        assert (work.folder / "results").is_file()


async def test_the_set_up_of_a_namespace_can_be_repeated(tmp_path: Path) -> None:
    server = f"127.0.0.1:{free_port()}"
    command = [str(find_temporal()), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port"]
    quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(*command, server.partition(":")[2], **quiet)
    try:
        async with Project(tmp_path) as work:
            work.use(server, "[temporal.search_attributes]\nenabled = true")
            dry = await work.run("setup-temporal-namespace", "--dry-run")
            assert await dry.ended() == 0, dry.err
            assert dry.out.startswith(f"temporal operator search-attribute create --address {server} ")
            assert all(f"--name {name} --type Keyword" in dry.out for name in SEARCH_ATTRIBUTES)
            await until_up(server)
            first = await work.run("setup-temporal-namespace")
            assert (await first.ended(), first.out) == (0, f"registered: {', '.join(SEARCH_ATTRIBUTES)}\n"), first.err
            second = await work.run("setup-temporal-namespace")
            already = f"already registered: {', '.join(SEARCH_ATTRIBUTES)}\nregistered: nothing new\n"
            assert (await second.ended(), second.out) == (0, already), second.err
    finally:
        process.terminate()
        await process.wait()


async def until_up(server: str) -> None:
    """Wait until the server has its namespace."""
    temporal = str(find_temporal())
    quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    async with asyncio.timeout(60):
        while True:
            asking = await asyncio.create_subprocess_exec(
                temporal, "operator", "namespace", "describe", "default", "--address", server, **quiet
            )
            if await asking.wait() == 0:
                return
