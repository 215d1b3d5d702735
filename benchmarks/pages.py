"""The page of a large run: how large it is, how long it takes to make, and until a browser has drawn it.

`python -m benchmarks.pages` prints it; without Chromium the last figure is left out. Nothing is asserted.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from playwright.async_api import async_playwright

from pipelex.cli.run_page import run_page
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import Library, library_from_texts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.record import RunRecord
from pipelex.pipes.requests import ModelSetting, Request, TextReply, Usage
from pipelex.testing.scripted import ScriptedPerformer
from pipelex.values.value import Memory, Outcome, Value

PIPES = 1000
WORDS = 150
METHOD = """
domain = "pages"
main_pipe = "main"

[pipe.read]
type = "PipeLLM"
description = "Read a letter"
inputs = { letter = "Text" }
output = "Text"
prompt = "Read $letter"

[pipe.answer]
type = "PipeLLM"
description = "Answer it"
inputs = { gist = "Text" }
output = "Text"
prompt = "Answer $gist"

[pipe.handle]
type = "PipeSequence"
description = "Read, then answer"
inputs = { letter = "Text" }
output = "Text"
steps = [{ pipe = "read", result = "gist" }, { pipe = "answer", result = "reply" }]

[pipe.main]
type = "PipeSequence"
description = "Every letter"
inputs = { letters = "Text[]" }
output = "Text[]"
steps = [{ pipe = "handle", batch_over = "letters", batch_as = "letter", result = "replies" }]
"""


def answer(request: Request[TextReply]) -> TextReply:
    """As many words as a short reply has, other ones for each prompt."""
    text = f"{getattr(request, 'prompt', '')[-60:]} " + "and so on " * (WORDS // 3)
    return TextReply(text=text, usage=Usage(calls=1, input_tokens=2 * WORDS, output_tokens=WORDS, cost_usd=0.001))


async def run_of(pipes: int) -> tuple[RunRecord, Library, Outcome]:
    """A run of about that many pipes, three for each letter."""
    library, _ = library_from_texts({"pages.mthds": METHOD})
    models = {ask.key: ModelSetting(handle="model") for ask in model_asks(library.crate).values()}
    host = InProcessHost(library, Plan(models=models), ScriptedPerformer(answer))
    letters = [{"text": f"letter {number} " + "word " * WORDS} for number in range(pipes // 3)]
    memory = Memory(root={"letters": Value(concept="native.Text", data=letters)})
    result = await host.run_pipe(PipeCall(pipe="pages.main", run=RunInfo(run_id="pages"), memory=memory))
    return host.record(), library, result.outcome


async def drawn(program: str, file: Path) -> float:
    """Seconds from asking for a page until it is laid out and painted."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program)
        page = await browser.new_page()
        begun = time.perf_counter()
        await page.goto(file.as_uri())
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        seconds = time.perf_counter() - begun
        await browser.close()
        return seconds


async def measured() -> dict[str, float | None]:
    """The figures, by name."""
    record, library, outcome = await run_of(PIPES)
    begun = time.perf_counter()
    text = run_page(record, library, outcome)
    made = time.perf_counter() - begun
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "index.html"
        file.write_text(text, encoding="utf-8")
        seconds = await drawn(program, file) if program else None
        return {"bytes": file.stat().st_size, "make_seconds": made, "drawn_seconds": seconds}


def told(figures: dict[str, float | None]) -> str:
    """The figures as one sentence."""
    drawn_in = figures["drawn_seconds"]
    shown = "no chromium here to open it" if drawn_in is None else f"drawn in {drawn_in:.2f} s"
    size = f"{(figures['bytes'] or 0) / 1e6:.2f} MB"
    return f"page of {PIPES} pipes: {size}, made in {figures['make_seconds']:.2f} s, {shown}"


if __name__ == "__main__":
    print(told(asyncio.run(measured())))
