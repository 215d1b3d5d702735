"""Draw what `pipelex run` shows of examples/contract_review while it runs: `python scripts/terminal_picture.py`.

The example runs in this process, on mock replies that take a made-up time: the same picture each time, and no key.
"""

from __future__ import annotations

import asyncio
import heapq
import io
import itertools
import sys
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from pipelex.cli.progress_tree import drawn
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import library_from_texts
from pipelex.pipes.dry import mock_reply
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.progress import Progress
from pipelex.pipes.requests import ExtractRequest, ModelSetting, PagesReply, ReplyT, Request, Usage
from pipelex.values.inputs import shape_inputs

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "pictures" / "terminal_run.svg"
METHOD = "examples/contract_review"
MAIN = "contract_review.review_contracts"
CONTRACTS = {"cloud_subscription": 4, "office_lease": 7, "freight_services": 5, "design_services": 3}
"""The contracts of the example and, for the picture, how many pages each has."""
MOMENT = 10.6
WIDTH = 66
THEME = TerminalTheme(
    (41, 41, 41),
    (230, 232, 230),
    [
        (75, 78, 85),
        (224, 102, 112),
        (152, 195, 92),
        (224, 190, 92),
        (110, 160, 220),
        (190, 140, 220),
        (112, 186, 206),
        (230, 232, 230),
    ],
)
"""Colours with contrast enough, also for what is dim."""
INPUT_USD, OUTPUT_USD = 2.5e-6, 10e-6

TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="pipelex run">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-family: ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; font-size: 15px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""No font is fetched from anywhere: that of the reader's machine will do."""


class MadeUpTime:
    """A clock that goes from one end of a call to the next; nothing really waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has come that far."""
        event = asyncio.Event()
        heapq.heappush(self._waiting, (self.now + seconds, next(self._numbers), event))
        await event.wait()

    async def go_to(self, moment: float) -> None:
        """Let everything happen that happens before that moment."""
        while True:
            for _ in range(200):
                await asyncio.sleep(0)
            if not self._waiting or self._waiting[0][0] > moment:
                self.now = moment
                return
            self.now, _, event = heapq.heappop(self._waiting)
            event.set()


class Paced:
    """Answers with mocks, each after a time of its own, and says what a call of that kind may have consumed."""

    def __init__(self, time: MadeUpTime) -> None:
        self._time = time
        self._numbers = itertools.count(1)
        self._pages = iter(CONTRACTS.values())

    async def perform(self, request: Request[ReplyT], *, key: str | None = None, checkpoint: Any = None) -> ReplyT:
        """Answer one request."""
        number = next(self._numbers)
        reply = mock_reply(request)
        if isinstance(request, ExtractRequest):
            count = next(self._pages)
            await self._time.sleep(0.3 + 0.1 * count)
            assert isinstance(reply, PagesReply)
            return cast(ReplyT, reply.model_copy(update={"pages": (reply.pages * count)[:count]}))
        await self._time.sleep(1.6 + 0.7 * (number * 7 % 5))
        tokens_in, tokens_out = 700 + 90 * (number * 5 % 7), 120 + 30 * (number % 4)
        usage = Usage(
            calls=1,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cost_usd=tokens_in * INPUT_USD + tokens_out * OUTPUT_USD,
            is_simulated=True,
        )
        return cast(ReplyT, reply.model_copy(update={"usage": usage}))


async def progress_at(moment: float) -> Progress:
    """How far the example is at that moment."""
    library, _ = library_from_texts({"bundle.mthds": (ROOT / METHOD / "bundle.mthds").read_text("utf-8")})
    given = {"contracts": [{"url": f"https://example.com/{name}.pdf"} for name in CONTRACTS], "playbook": "…"}
    memory, _warnings = shape_inputs(given, library.pipe(MAIN).inputs, library.concepts, domain="contract_review")
    models = {ask.key: ModelSetting(handle="simulated") for ask in model_asks(library.crate).values()}
    time = MadeUpTime()
    host = InProcessHost(library, Plan(models=models), Paced(time), clock=lambda: time.now, now=lambda: time.now)
    call = PipeCall(pipe=MAIN, run=RunInfo(run_id="picture"), memory=memory, shares_memory=True)
    task = asyncio.ensure_future(host.run_pipe(call))
    await time.go_to(moment)
    progress = host.progress()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return progress


def picture() -> str:
    """The picture, as SVG."""
    progress = asyncio.run(progress_at(MOMENT))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ pipelex run bundle {METHOD} --simulate", style="bold"))
    console.print(drawn(progress, None, width=WIDTH, height=40))
    return console.export_svg(title="pipelex run", theme=THEME, code_format=TEMPLATE, unique_id="run")


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}\n")
