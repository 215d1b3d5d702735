"""How far a run is, for people: the tree on a screen, the lines of a log, and that a large batch stays small."""

from __future__ import annotations

import asyncio
import io
import json
import re
import runpy
import sys
from pathlib import Path
from typing import cast

import pytest
from inline_snapshot import snapshot
from rich.console import Console

from pipelex.app import RunHandle, RunResult
from pipelex.cli import progress
from pipelex.cli.progress import Changes, is_terminal
from pipelex.cli.progress_tree import drawn, rows
from pipelex.inprocess.watch import Watch
from pipelex.pipes.port import Item, PipeCall, RunInfo
from pipelex.pipes.progress import Progress, Spent
from pipelex.pipes.requests import Usage
from pipelex.values.value import Memory

ROOT = Path(__file__).parents[2]
SPENT = Spent(tokens=1200, cost_usd=0.0123)


def pipe(name: str, state: str = "running", *children: Progress, seconds: float = 1.0, **more: object) -> Progress:
    return Progress.model_validate(
        {"pipe": f"desk.{name}", "state": state, "elapsed_seconds": seconds, "children": children, **more}
    )


def items(*states: str) -> list[Progress]:
    return [pipe("one", state, item=index) for index, state in enumerate(states)]


def shown(tree: Progress, reason: str | None = None, *, width: int = 80, height: int = 24) -> list[str]:
    """What a screen of that size shows."""
    screen = io.StringIO()
    console = Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)
    console.print(drawn(tree, reason, width=width, height=height))
    return [line.rstrip() for line in screen.getvalue().splitlines()]


TREE = pipe(
    "answer",
    "running",
    pipe("draft", "done", pipe("inner", "done"), spent=SPENT),
    pipe(
        "each",
        "running",
        *items("done", "running", "failed", "running", "running", "running", "running"),
        done=1,
        total=1000,
    ),
    seconds=75.0,
    spent=SPENT,
)


def test_a_tree_folds_what_is_done_and_counts_items() -> None:
    assert shown(TREE) == snapshot(
        [
            "… answer          1m15s  1,200 tokens  0.0123 USD",
            "  ✓ draft          1.0s  1,200 tokens  0.0123 USD",
            "  … each 1/1000    1.0s",
            "    … one [2]      1.0s",
            "    ✗ one [3]      1.0s",
            "    … one [4]      1.0s",
            "    … one [5]      1.0s",
            "    … and 2 more",
        ]
    )


def test_a_narrow_screen_cuts_names_and_leaves_numbers_out() -> None:
    assert shown(TREE, "no worker polls the task queue 'queue'", width=22) == snapshot(
        [
            "… answer         1m15s",
            "  ✓ draft         1.0s",
            "  … each 1/1000   1.0s",
            "    … one [2]     1.0s",
            "    ✗ one [3]     1.0s",
            "    … one [4]     1.0s",
            "    … one [5]     1.0s",
            "    … and 2 mo…",
            "waiting: no worker",
            "polls the task queue",
            "'queue'",
        ]
    )
    assert all(len(line) <= 30 for line in shown(TREE, width=30))


def test_a_low_screen_leaves_out_what_is_deepest() -> None:
    assert shown(TREE, height=4) == snapshot(
        [
            "… answer         1m15s  1,200 tokens  0.0123 USD",
            "  ✓ draft         1.0s  1,200 tokens  0.0123 USD",
            "  … each 1/1000   1.0s",
        ]
    )
    assert len(shown(TREE, height=1)) == 1


def test_many_steps_leave_out_the_oldest_that_are_done() -> None:
    steps = [pipe(f"s{number}", "done") for number in range(20)]
    told = [row.name for row in rows(pipe("main", "running", *steps, pipe("last")))]
    assert told == ["… main", *(f"✓ s{number}" for number in range(9, 20)), "… last", "… and 9 more"]


def test_what_is_not_known_or_made_up_is_said() -> None:
    unknown = pipe("main", spent=Spent(tokens=5, cost_usd=None))
    assert shown(unknown) == ["… main  1.0s  5 tokens  price unknown"]
    made_up = pipe("main", spent=Spent(tokens=5, is_simulated=True))
    assert shown(made_up) == ["… main  1.0s  5 tokens", "simulated: no model is called"]


def test_names_and_reasons_do_not_steer_the_terminal() -> None:
    told = "\n".join(shown(pipe("a\x1b]0;owned\x07"), "b\x1b[2J"))
    assert "\x1b" not in told
    assert told.count("\\u001b") == 2


def test_a_log_gets_a_line_for_each_change() -> None:
    changes = Changes()

    def told(*children: Progress) -> list[str]:
        return list(changes.since(pipe("main", "running", *children)))

    read = pipe("read", "done", seconds=2.0, spent=SPENT)
    assert told(pipe("read")) == ["… read  1.0s"]
    assert told(pipe("read", seconds=4.0)) == []
    looks = [
        [read, pipe("each", "running", pipe("one", "running", *items("running"), done=done, total=40))]
        for done in (0, 3, 4, 7, 30)
    ]
    assert [told(*look) for look in looks] == snapshot(
        [
            ["✓ read  2.0s  1,200 tokens  0.0123 USD", "… each  1.0s", "  … one 0/40  1.0s"],
            [],
            ["  … one 4/40  1.0s"],
            [],
            ["  … one 30/40  1.0s"],
        ]
    )
    ended = pipe("each", "done", pipe("one", "done", done=40, total=40))
    assert told(read, ended, pipe("read", "failed")) == snapshot(
        ["✓ each  1.0s", "  ✓ one 40/40  1.0s", "✗ read  1.0s"]
    )


def test_a_thousand_items_stay_a_small_tree() -> None:
    def call(name: str, index: int | None = None) -> PipeCall:
        item = None if index is None else Item(index=index, total=1000)
        return PipeCall(pipe=f"desk.{name}", run=RunInfo(run_id="r"), memory=Memory(root={}), item=item)

    root = Watch.of(call("main"), lambda: 0.0)
    for index in range(1000):
        item = root.begin(call("one", index))
        if index < 970:
            item.spend(Usage(calls=1, input_tokens=10, cost_usd=0.001))
            item.end(failed=False)
    told = root.snapshot()
    assert len(list(rows(told))) == 7
    assert told.spent.tokens == 9700
    assert shown(told)[1].split()[:3] == ["…", "one", "970/1000"]
    assert len(told.model_dump_json()) < 20_000


class Looked:
    """A run that is further at each look, and ends after the last one."""

    workflow_id: str | None = None
    run_id = "run-1"

    def __init__(self, *looks: tuple[Progress, str | None]) -> None:
        self._looks = list(looks)
        self._ended: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()

    async def result(self) -> RunResult:
        return await self._ended

    async def waiting_reason(self) -> str | None:
        return self._looks[0][1]

    async def progress(self) -> Progress:
        progress, _ = self._looks[0]
        if len(self._looks) > 1:
            del self._looks[0]
        else:
            self._ended.set_result(cast(RunResult, None))
        return progress


class Silent(Looked):
    """A run that ends while its server does not say why it waits."""

    async def waiting_reason(self) -> str | None:
        self._ended.set_result(cast(RunResult, None))
        await asyncio.Event().wait()
        raise AssertionError


LOOKS = (
    (pipe("main", "running", pipe("read")), "no worker polls the task queue 'q'"),
    (pipe("main", "running", pipe("read")), "no worker polls the task queue 'q'"),
    (pipe("main", "running", pipe("read", seconds=2)), None),
    (pipe("main", "running", pipe("read", "done", spent=SPENT), pipe("judge")), None),
)


async def test_without_a_terminal_a_run_is_told_in_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    await progress.watch(cast(RunHandle, Looked(*LOOKS)))
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == snapshot(
        (
            "",
            [
                "waiting: no worker polls the task queue 'q'",
                "… read  1.0s",
                "✓ read  1.0s  1,200 tokens  0.0123 USD",
                "… judge  1.0s",
            ],
        )
    )


async def test_a_stream_has_a_line_for_each_change(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.0)
    await progress.watch(cast(RunHandle, Looked(*LOOKS)), is_streamed=True)
    out, err = capsys.readouterr()
    told = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert [(line["run_id"], line["state"], len(line["progress"]["children"])) for line in told] == [
        ("run-1", "running", 1), ("run-1", "running", 1), ("run-1", "running", 2),
    ]  # fmt: skip
    assert told[0]["waiting"] == "no worker polls the task queue 'q'"
    assert told[2]["progress"]["children"][0]["spent"]["tokens"] == 1200


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_server_that_says_nothing_holds_up_no_result(
    monkeypatch: pytest.MonkeyPatch, is_streamed: bool
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.0)
    run = Silent((pipe("main", "running"), None), (pipe("main", "running"), None))
    async with asyncio.timeout(10):
        assert await progress.watch(cast(RunHandle, run), is_streamed=is_streamed) is None


@pytest.mark.parametrize(("term", "is_screen"), [("xterm", True), ("dumb", False), ("unknown", False)])
def test_a_terminal_that_cannot_draw_gets_lines(monkeypatch: pytest.MonkeyPatch, term: str, is_screen: bool) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", term)
    assert is_terminal() is is_screen


def test_the_picture_of_the_terminal_is_what_the_script_draws() -> None:
    committed = (ROOT / "docs" / "pictures" / "terminal_run.svg").read_text("utf-8")
    picture = runpy.run_path(str(ROOT / "scripts" / "terminal_picture.py"))["picture"]
    assert picture() == committed, "draw it again with scripts/terminal_picture.py"
    assert re.findall(r"https?://[^\"]+", committed) == ["http://www.w3.org/2000/svg"]
