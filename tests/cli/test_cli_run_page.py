"""The page of a run, in a real browser: it shows what happened, runs nothing of what models wrote, asks nobody."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from browser import chromium, opened
from pipelex.cli import run_page_data
from pipelex.cli.graph_picture import page_colours
from pipelex.cli.run_files import PAGE, PICTURE, pictures
from pipelex.cli.run_page import MOST_BARS, method_page, run_page
from pipelex.cli.run_page_report import report
from pipelex.errors import PipelexError, RequestRefusedError
from pipelex.inprocess.host import InProcessHost
from pipelex.library.library import Library, library_from_texts
from pipelex.pipes import excerpts
from pipelex.pipes.models import model_asks
from pipelex.pipes.port import PipeCall, Plan, RunInfo
from pipelex.pipes.record import CallRecord, PipeRecord, RunRecord, Texts
from pipelex.pipes.requests import ModelSetting, TextReply, Usage
from pipelex.values.value import Absence, Memory, Outcome, Value

Cli = Callable[..., Any]

ATTACK = (
    "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'><svg onload=alert(1)>"
    "[go](javascript:alert(1)) ![see](https://example.com/x.png) <b>bold</b>"
)
METHOD = """
domain = "letters"
main_pipe = "answer_all"

[concept.Reply]
description = "A reply"
[concept.Reply.structure]
text = { type = "text", description = "The text", required = true }
tone = { type = "text", description = "The tone" }

[pipe.read]
type = "PipeLLM"
description = "Read a letter </title><script>window.hacked=1</script>"
inputs = { letter = "Text" }
output = "Text"
model = "small"
prompt = "Read $letter"

[pipe.answer]
type = "PipeLLM"
description = "Answer it"
inputs = { gist = "Text" }
output = "Text"
system_prompt = "Be kind"
prompt = "Answer $gist"

[pipe.handle]
type = "PipeSequence"
description = "Read, then answer"
inputs = { letter = "Text" }
output = "Text"
steps = [{ pipe = "read", result = "gist" }, { pipe = "answer", result = "reply" }]

[pipe.answer_all]
type = "PipeSequence"
description = "Every letter"
inputs = { letters = "Text[]" }
output = "Text[]"
steps = [{ pipe = "handle", batch_over = "letters", batch_as = "letter", result = "replies" }]
"""
LETTERS = ["the first letter", ATTACK, "the third letter"]


class Model:
    """Repeats every prompt, for a fixed price; refuses those that hold a word."""

    def __init__(self, refused: str | None) -> None:
        self.refused = refused

    async def perform(self, request: Any, *, key: str | None = None, checkpoint: Any = None) -> Any:
        if self.refused is not None and self.refused in request.prompt:
            raise RequestRefusedError("refused <i>this</i>", hint="write another letter")
        usage = Usage(calls=1, input_tokens=1200, output_tokens=34, cost_usd=0.25)
        return TextReply(text=f"I was told: {request.prompt}", usage=usage)


def library() -> Library:
    return library_from_texts({"letters.mthds": METHOD})[0]


async def ran(letters: list[str] = LETTERS, refused: str | None = None) -> tuple[RunRecord, Library, Outcome | None]:
    method = library()
    models = {ask.key: ModelSetting(handle="small") for ask in model_asks(method.crate).values()}
    host = InProcessHost(method, Plan(models=models), Model(refused))
    values = Value(concept="native.Text", data=[{"text": letter} for letter in letters])
    outcome: Outcome | None = None
    try:
        call = PipeCall(pipe="letters.answer_all", run=RunInfo(run_id="r1"), memory=Memory(root={"letters": values}))
        outcome = (await host.run_pipe(call)).outcome
    except PipelexError:
        assert refused is not None
    return host.record(), method, outcome


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("run") / PAGE
    file.write_text(run_page(*await ran()), encoding="utf-8")
    return file


# In the browser.


async def test_it_opens_without_an_error_and_asks_nothing_of_the_network(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file) as seen:
        facts = await seen.text("header")
        for told in ("answer_all", "✓ done", "Every letter", "7,200 → 204", "1.5000 USD", "in process", "r1"):
            assert told in facts
        assert await seen.page.title() == "answer_all"
        assert "I was told: Answer I was told: Read the first letter" in await seen.text("#result")
        assert (await seen.text("#costs tr:last-child")).split()[-1] == "1.500000"
        assert (seen.said, seen.asked) == ([], [])


async def test_a_click_on_a_pipe_tells_what_went_in_and_what_came_out(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file) as seen:
        assert await seen.page.is_hidden("#sheet")
        await seen.page.click("#canvas [aria-label^='read,'] rect.card")
        told = await seen.text("#sheet")
        for part in ("read", "LLM · small · ✓ 3 done", "item 1/3", "the first letter", "Read the first letter"):
            assert part in told
        for part in ("I was told: Read the first letter", "Model", "small", "Attempts", "0.2500 USD", "1,200 → 34"):
            assert part in told
        assert "Read $letter" in told
        await seen.page.click("#sheet [aria-label='Next']")
        await seen.page.click("#sheet [aria-label='Next']")
        assert "I was told: Read the third letter" in await seen.text("#sheet")
        await seen.page.click("#sheet [aria-label='Close']")
        assert await seen.page.is_hidden("#sheet")


async def test_the_timeline_has_a_bar_for_each_call(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file) as seen:
        assert await seen.page.locator(".gantt .bar.done").count() == 6
        bar = seen.page.locator(".gantt button", has_text="answer").filter(has_text="3/3")
        await bar.click()
        told = await seen.text("#sheet")
        assert "answer" in told
        assert "Be kind" in told
        assert await seen.page.input_value("#sheet select") == await bar.get_attribute("data-run")
        assert "chosen" in (await bar.get_attribute("class") or "")


async def test_inputs_that_nobody_wrote_down_are_said_to_be_missing(browser: Browser, tmp_path: Path) -> None:
    read = PipeRecord(pipe="letters.read", kind="PipeLLM", state="done", texts=Texts(unknown=("letter",)))
    root = PipeRecord(pipe="letters.handle", kind="PipeSequence", state="done", children=(read,))
    file = tmp_path / PAGE
    note = "The result is not on this page: <i>gone</i>"
    file.write_text(run_page(RunRecord(run_id="r", host="temporal", root=root), library(), note=note), encoding="utf-8")
    async with opened(browser, file) as seen:
        assert note in await seen.text("header")
        await seen.page.click("#canvas [aria-label^='read,'] rect.card")
        told = await seen.text("#sheet")
    assert "The input letter is not shown: this pipe ran inside the workflow of the pipe that called it" in told


async def test_it_is_light_or_dark_as_the_system_is_and_as_people_like(browser: Browser, page_file: Path) -> None:
    async def colours(page: Any) -> list[str]:
        read = "([name, what]) => getComputedStyle(document.querySelector(name))[what]"
        return [await page.evaluate(read, pair) for pair in (["body", "backgroundColor"], ["#canvas .name", "fill"])]

    async with opened(browser, page_file, color_scheme="light") as seen:
        light = await colours(seen.page)
        await seen.page.click("#theme")
        dark = await colours(seen.page)
        assert not set(light) & set(dark)
        await seen.page.click("#theme")
        assert await colours(seen.page) == light
    async with opened(browser, page_file, color_scheme="dark") as seen:
        assert await colours(seen.page) == dark


async def test_nothing_that_was_written_by_others_is_run(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file) as seen:
        assert ATTACK[:40] in await seen.text("#result")
        for place in range(await seen.page.locator("#pipes [data-place]").count()):
            await seen.page.locator("#pipes [data-place]").nth(place).click()
        await seen.page.locator(".gantt button", has_text="read").filter(has_text="2/3").click()
        assert ATTACK in await seen.text("#sheet")
        assert await seen.page.evaluate("window.hacked") is None
        assert await seen.page.locator("a[href^='javascript']").count() == 0
        assert await seen.page.locator("[onerror], [onload]").count() == 0
        assert (seen.said, seen.asked) == ([], [])


async def test_a_page_that_a_model_made_runs_nothing_and_reaches_nothing(browser: Browser, tmp_path: Path) -> None:
    record, method, _ = await ran()
    reached: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
        image = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x.png"
        made = f"<h1>Hello</h1><script>parent.hacked=1</script><img src={image} onerror='parent.hacked=1'>"
        file = tmp_path / PAGE
        file.write_text(run_page(record, method, Value(concept="native.Html", data={"inner_html": made})))
        async with opened(browser, file) as seen:
            assert await seen.page.frame_locator("iframe").locator("h1").inner_text() == "Hello"
            await seen.page.wait_for_load_state("networkidle")
            assert await seen.page.evaluate("window.hacked") is None
            # The browser may announce the image before the policy of the page forbids it: what arrives counts.
            assert {asked for asked in seen.asked if not asked.startswith("about:")} <= {image}
    assert reached == []


async def test_the_graph_can_be_zoomed_and_moved(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file, viewport={"width": 700, "height": 900}) as seen:

        async def width() -> float:
            return float(await seen.page.get_attribute("#canvas > svg", "width") or 0)

        first = await width()
        await seen.page.click("#larger")
        assert await width() == pytest.approx(first * 1.25)
        await seen.page.focus("#canvas")
        await seen.page.keyboard.press("+")
        assert await width() == pytest.approx(first * 1.25**2)
        await seen.page.keyboard.press("-")
        await seen.page.click("#smaller")
        assert await width() == pytest.approx(first)
        for _ in range(6):
            await seen.page.keyboard.press("+")
        await seen.page.locator("#canvas").scroll_into_view_if_needed()
        box = await seen.page.locator("#canvas").bounding_box()
        assert box is not None
        await seen.page.mouse.move(box["x"] + 300, box["y"] + 200)
        before = await seen.page.evaluate("[canvas.scrollLeft, canvas.scrollTop]")
        await seen.page.mouse.down()
        await seen.page.mouse.move(box["x"] + 250, box["y"] + 160, steps=4)
        await seen.page.mouse.up()
        assert await seen.page.evaluate("[canvas.scrollLeft, canvas.scrollTop]") == [before[0] + 50, before[1] + 40]
        assert await seen.page.is_hidden("#sheet")
        large = await width()
        await seen.page.keyboard.down("Control")
        await seen.page.mouse.wheel(0, 240)
        await seen.page.keyboard.up("Control")
        await seen.page.wait_for_function(f"Number(canvas.firstElementChild.getAttribute('width')) < {large}")
        await seen.page.click("#whole")
        assert await width() <= first


async def test_all_of_it_can_be_reached_with_the_keyboard(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file) as seen:
        await seen.page.focus("#canvas")
        for name in ("answer_all", "handle", "read"):
            await seen.page.keyboard.press("Tab")
            focused = await seen.page.evaluate("document.activeElement.getAttribute('aria-label')")
            assert focused.startswith(f"{name}, ✓")
        await seen.page.keyboard.press("Enter")
        assert "Read a letter" in await seen.text("#sheet")
        await seen.page.keyboard.press("Escape")
        assert await seen.page.is_hidden("#sheet")
        assert await seen.page.evaluate("document.activeElement.getAttribute('aria-label')") == focused
        await seen.page.locator(".gantt button").first.focus()
        await seen.page.keyboard.press("ArrowDown")
        await seen.page.keyboard.press("End")
        is_last = "document.activeElement === [...document.querySelectorAll('.gantt button')].at(-1)"
        assert await seen.page.evaluate(is_last)
        await seen.page.keyboard.press(" ")
        assert await seen.page.is_visible("#sheet")


async def test_without_scripts_result_graph_timeline_and_tables_are_there(browser: Browser, page_file: Path) -> None:
    async with opened(browser, page_file, java_script_enabled=False) as seen:
        assert "the first letter" in await seen.text("#result")
        assert "✓ 3 done" in await seen.text("#pipes")
        assert "With JavaScript" in await seen.text("#pipes")
        assert await seen.page.locator(".gantt .bar").count() == 6
        assert await seen.page.is_visible("#canvas svg")
        assert await seen.page.is_hidden("#theme")


async def test_a_failed_run_says_where_and_why(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / PAGE
    file.write_text(run_page(*await ran(refused="the third letter")))
    async with opened(browser, file) as seen:
        head = await seen.text("header")
        assert "✗ failed" in head
        assert head.index("refused") < head.index("Took")
        assert "refused <i>this</i>\nat: answer_all > handle > read\nhint: write another letter" in head
        await seen.page.locator("#pipes [data-place]", has_text="read").click()
        told = await seen.text("#sheet")
        assert "item 3/3 · failed" in told
        assert "refused <i>this</i> [request-refused]\nhint: write another letter" in told
        assert await seen.page.locator(".gantt .bar.failed").count() == 1
        assert "✗ failed" in await seen.text(".gantt")
        assert await seen.page.locator("#result").count() == 0


async def test_the_page_of_a_method_tells_what_its_pipes_declare(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "method.html"
    file.write_text(method_page(library(), "letters.answer_all", source="letters.mthds"))
    async with opened(browser, file) as seen:
        assert "letters.mthds" in await seen.text("header")
        await seen.page.click("#canvas [aria-label='read'] rect.card")
        told = await seen.text("#sheet")
        for part in ("read", "LLM · small", "letter: Text", "Read $letter"):
            assert part in told
        assert await seen.page.evaluate("window.hacked") is None
        assert (seen.said, seen.asked) == ([], [])


async def test_a_thousand_pipes_make_a_page_that_still_opens(browser: Browser, tmp_path: Path) -> None:
    record, method, outcome = await ran([f"letter {number} " + "word " * 1500 for number in range(500)])
    file = tmp_path / PAGE
    file.write_text(run_page(record, method, outcome), encoding="utf-8")
    assert file.stat().st_size < 5_000_000
    async with opened(browser, file) as seen:
        assert await seen.page.locator(".gantt .bar").count() == 1000
        assert "texts are cut at" in await seen.text("footer")
        await seen.page.locator(".gantt button").last.click()
        assert "more characters)" in await seen.text("#sheet")


async def test_a_long_result_is_folded_until_somebody_wants_all_of_it(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / PAGE
    file.write_text(run_page(*await ran([f"{number}" + " word" * 300 for number in range(9)])), encoding="utf-8")
    async with opened(browser, file) as seen:
        height = "document.getElementById('made').clientHeight"
        folded = await seen.page.evaluate(height)
        assert folded < 700
        await seen.page.click("text=Show all of it")
        assert await seen.page.evaluate(height) > 1000
        await seen.page.click("text=Show less")
        assert await seen.page.evaluate(height) == folded
        await seen.page.emulate_media(media="print")
        assert await seen.page.evaluate(height) > 1000
    async with opened(browser, file, java_script_enabled=False) as seen:
        assert await seen.page.locator("#made.folded").count() == 0
        assert await seen.page.is_hidden("#unfold")


async def test_a_long_timeline_is_filtered(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / PAGE
    letters = [f"letter {number}" for number in range(20)]
    file.write_text(run_page(*await ran(letters, refused="letter 7")), encoding="utf-8")
    async with opened(browser, file) as seen:
        bars = seen.page.locator(".gantt li:visible")
        total = await bars.count()
        await seen.page.fill("#filter", "read FAILED")
        assert await bars.count() == 1
        assert f"1 of {total} calls" in await seen.text("#timeline")
        await seen.page.keyboard.press("Tab")
        await seen.page.keyboard.press("ArrowDown")
        await seen.page.keyboard.press("Enter")
        assert "item 8/20 · failed" in await seen.text("#sheet")
        await seen.page.fill("#filter", "nothing of the kind")
        assert await bars.count() == 0
        await seen.page.fill("#filter", "")
        assert await bars.count() == total
        assert await seen.page.is_hidden("#found")
        assert seen.said == []


async def test_it_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / PAGE
    letters = ["x" * 3000, "https://example.com/" + "a" * 400, "the third letter"]
    file.write_text(run_page(*await ran(letters, refused="the third letter")), encoding="utf-8")
    async with opened(browser, file, viewport={"width": 360, "height": 800}) as seen:
        assert await seen.page.evaluate("document.documentElement.scrollWidth") == 360
        edges = "found => [...new Set(found.map(it => Math.round(it.getBoundingClientRect().left)))].length"
        assert await seen.page.locator(".track").evaluate_all(edges) == 1
        sizes = "found => Math.min(...found.map(it => it.getBoundingClientRect().height))"
        assert await seen.page.locator("#canvas text").evaluate_all(sizes) > 8


def test_every_text_of_a_drawing_has_contrast_enough() -> None:
    def light_of(colour: str) -> float:
        parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    colours = re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\);", page_colours())
    for side in (1, 2):
        light = {name: light_of((name, *pair)[side]) for name, *pair in colours}
        for paper in ("paper", "group", "inner", "card", "pill"):
            for ink in set(light) - {"paper", "group", "inner", "card", "pill", "line", "wire"}:
                low, high = sorted((light[paper], light[ink]))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper, side)


# What it is made of.


async def test_the_picture_beside_it_has_nothing_of_what_flowed() -> None:
    record, method, outcome = await ran()
    files = pictures(record, method, outcome)
    assert b"the first letter" in files[PAGE]
    assert b"the first letter" not in files[PICTURE]
    assert b"3 done" in files[PICTURE]


async def test_only_its_own_script_may_run() -> None:
    html = run_page(*await ran())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert policy is not None
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1].replace("&#39;", "'").replace("&#43;", "+")
    assert policy[1].startswith("default-src 'none';")


def test_a_long_timeline_says_what_it_leaves_out() -> None:
    call = CallRecord(activity="act_llm_gen_text", state="running", scheduled=1.0)
    children = tuple(PipeRecord(pipe="letters.read", kind="PipeLLM", calls=(call,)) for _ in range(MOST_BARS + 7))
    record = RunRecord(run_id="r", host="temporal", root=PipeRecord(pipe="letters.answer_all", children=children))
    assert "7 later calls are not drawn" in run_page(record, library())


def test_texts_are_cut_and_the_same_text_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = excerpts.Excerpts(room=10)
    inputs = {"a": "12345678", "b": "12345678", "c": "987"}
    assert kept.inputs(inputs) == {"a": "12345678", "b": "12345678", "c": excerpts.LEFT_OUT}
    late = excerpts.Excerpts(room=6000)
    given = late.asked({"prompt": "p" * 5000, "system": {"s": 1}, "attachments": [], "html": "h" * 5000})
    assert [len(text) < 450 for text in given.values()] == [True, False, True]
    assert excerpts.excerpt({"text": "x" * 4100}) == "x" * 4000 + "\n… (100 more characters)"
    assert (
        excerpts.excerpt([{"a": 1, "b": ["x", {"c": "y\nz"}]}, {}])
        == "- a: 1\n  b:\n    - x\n    - c:\n        y\n        z\n- {}"
    )
    assert len(excerpts.excerpt(["x" * 100] * 1000)) < 4020
    monkeypatch.setattr(run_page_data, "MOST_OF_PAGE", 300)
    runs = (PipeRecord(pipe="letters.read", texts=Texts(given={"a": "a" * 3000}, made="b" * 3000)),)
    record = PipeRecord(pipe="letters.answer_all", children=runs)
    data = run_page_data.PageData(library(), record)
    data.run(record.children[0])
    told, length = data.document()
    assert length == 150
    assert told["texts"] == ["a" * 150 + "\n… (2,850 more characters)", "b" * 150 + "\n… (2,850 more characters)"]


PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
STORED = f"pipelex-storage://{hashlib.sha256(PIXEL).hexdigest()}.gif"


@pytest.mark.parametrize(
    ("concept", "data", "told"),
    [
        ("native.Text", {"text": "# Title\n\n<b>"}, ["<h1>Title</h1>", "&lt;b&gt;"]),
        ("native.Number", {"number": 4.0}, ["4"]),
        ("native.YesNo", {"yes_no": True}, ["yes"]),
        ("native.JSON", {"json_obj": {"a": "<"}}, ["<pre>", "&#34;a&#34;: &#34;&lt;&#34;"]),
        ("native.Html", {"inner_html": "<p>x"}, ['<iframe sandbox title="HTML" srcdoc="&lt;p&gt;x">']),
        ("native.Image", {"url": STORED}, ['src="data:image/gif;base64,R0lGOD', "a pixel.gif"]),
        ("native.Image", {"url": "https://example.com/a.png"}, ['<a href="https://example.com/a.png">image</a>']),
        ("native.Image", {"url": "javascript:alert(1)"}, ["image"]),
        ("native.Document", {"url": STORED, "filename": "x"}, ['<a href="a%20pixel.gif">x</a>']),
        ("native.Dynamic", {"some_name": {"a": [1, None]}}, ["<dt>Some name</dt>", "<li>1</li>"]),
        ("letters.Reply", [{"text": "<a>", "tone": "dry"}], ["<th>Tone</th>", "<td>&lt;a&gt;</td>"]),
        ("letters.Reply", [{"text": "a", "tone": ["x"]}], ["<h3>Reply 1</h3>", "<li>x</li>"]),
        ("native.Text", [], ["none"]),
        (
            "native.SearchResult",
            {"answer": "*so*", "sources": [{"url": "https://e.com", "title": "E"}]},
            ["<em>so", ">E<"],
        ),
    ],
)
def test_a_result_is_shown_as_its_concept_asks(concept: str, data: Any, told: list[str]) -> None:
    made = report(Value(concept=concept, data=data), library().concepts, {"a pixel.gif": PIXEL})
    for part in told:
        assert part in made
    assert "javascript:" not in made


def test_an_absent_result_says_why() -> None:
    absent = Absence(variable="x", absent="skipped", reason="nothing <matched>")
    assert "nothing &lt;matched&gt;" in report(absent, library().concepts, {})


def test_a_run_leaves_its_page(cli: Cli, work: Path, greet: Path) -> None:
    done = cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    assert done.code == 0, done.err
    folder = work / "results" / "greet_output_01"
    assert "Say hello to Ada" in (folder / PAGE).read_text()
    picture = (folder / PICTURE).read_text()
    assert "Say hello to Ada" not in picture
    assert "Say hello to $name" in picture
    assert "Say hello to Ada" not in done.err


def test_a_page_that_cannot_be_made_does_not_cost_the_result(
    cli: Cli, work: Path, greet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> str:
        raise IndexError("a bug")

    monkeypatch.setattr("pipelex.cli.run_page.run_page", fails)
    done = cli("run", "bundle", str(greet), "--simulate", "-i", '{"name": "Ada"}')
    assert done.code == 0, done.err
    assert "warning: no picture of this run: IndexError" in done.err.splitlines()
    made = {file.name for file in (work / "results" / "greet_output_01").iterdir()}
    assert {"main_stuff.json", "cost_report.json"} <= made
    assert PAGE not in made
