"""Make the pictures of the documentation from real things: `python scripts/pictures.py`. Needs Chromium, and a minute.

`pipelex dev` serves examples/contract_review, simulated and durable: its Web UI and the page of the run are kept, then
the home of the documentation. The drawings of the terminal and of the method come from the code that draws them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
EXAMPLE = "examples/contract_review"
PROGRAM = str(Path(sys.executable).parent / "pipelex")
SETTINGS = """
[temporal.search_attributes]
enabled = true
attributes = ["PipeCode", "DomainCode", "PipelineRunId", "PipelexStatus", "PipelexTokens", "PipelexModels"]
"""
PROFILE = """
seed = "day"
latency = { p50 = "300ms", p99 = "1500ms" }
error_rate = 0.06
input_usd_per_million_tokens = 2.5
output_usd_per_million_tokens = 10.0
"""
SIZE = {"width": 1400, "height": 900}
PORT, UI_PORT = 17233, 18233
"""Not those of a server that may run here already; the next free ones if they are taken."""
HIDDEN, SHOWN = ("Run ID", "Type", "Start", "End", "Workflow ID"), ("PipeCode", "PipelexTokens", "PipelexModels")
"""The columns that somebody takes out of the list of workflows and puts in; the id comes last, for it is long."""
LAST = ("Execution Duration", "Workflow ID")
IS_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The id of a run itself; those of its children go on behind."""
MOST_BYTES = 300_000
WAIT_SECONDS = 60


def environment(folder: Path) -> dict[str, str]:
    """Nothing of who makes the pictures: no key, no settings."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "TZ": "UTC"}


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve runs from that folder, until the end of the block; the address of the Web UI."""
    log = folder / "dev.log"
    command = [PROGRAM, "dev", "--port", str(PORT), "--ui-port", str(UI_PORT)]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while "ready" not in log.read_text("utf-8"):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: pipelex dev did not start\n{log.read_text('utf-8')}")
            time.sleep(0.2)
        yield next(line.partition(":")[2].strip() for line in log.read_text("utf-8").splitlines() if "web ui:" in line)
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def run(folder: Path) -> Path:
    """Run the example in that folder; the page that it leaves."""
    (folder / "day.toml").write_text(PROFILE)
    command = [
        PROGRAM,
        "run",
        "bundle",
        str(ROOT / EXAMPLE),
        "--simulate",
        "day.toml",
        "--temporal",
        "--no-pretty-print",
    ]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, capture_output=True)
    return next((folder / "results").glob("*/index.html"))


async def keep(page: Page, name: str) -> None:
    """Keep what is seen of a page, and close it."""
    file = PICTURES / name
    await page.screenshot(path=file)
    await page.close()
    told(file)


def told(file: Path) -> None:
    """Say which picture was made; a repository is no place for a large one."""
    print(file.relative_to(ROOT), file.stat().st_size)
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"error: {file.name} has more than {MOST_BYTES:,} bytes")


async def opened(browser: Browser, address: str, scheme: str = "light") -> Page:
    """A page of the usual size, in English and in UTC."""
    page = await browser.new_page(viewport=SIZE, color_scheme=scheme, timezone_id="UTC", locale="en-US")  # type: ignore[arg-type]
    await page.goto(address)
    return page


async def web_ui(browser: Browser, address: str) -> None:
    """The list of workflows with the attributes that were searched for, and the timeline of the run."""
    page = await opened(
        browser, f"{address}/namespaces/default/workflows?query=" + quote("DomainCode='contract_review'")
    )
    await page.click("[data-testid=workflows-summary-table-configuration-button]")
    for name in HIDDEN:
        await page.click(f"[data-testid='orderable-list-item-{name}-remove-button']")
    for name in (*SHOWN, *LAST):
        await page.click(f"[data-testid='orderable-list-item-{name}-add-button']")
    await page.click("[data-testid=drawer-close-button]")
    await page.get_by_role("cell", name="compose_report", exact=True).wait_for()
    await page.mouse.move(0, 0)
    await page.wait_for_load_state("networkidle")
    links = await page.locator("td a").evaluate_all("found => found.map(a => [a.innerText.trim(), a.href])")
    first = next(link for name, link in links if IS_RUN.fullmatch(name))
    await keep(page, "web_ui_runs.png")

    page = await opened(browser, first)
    timeline = page.get_by_role("heading", name="Timeline")
    await timeline.evaluate("it => it.scrollIntoView()")
    await page.get_by_text("review_each — ").click()
    await page.get_by_text("Start Child Workflow Execution Initiated").wait_for()
    await page.wait_for_load_state("networkidle")
    await page.mouse.move(0, 0)
    await timeline.evaluate("it => it.scrollIntoView()")
    await keep(page, "web_ui_run.png")


async def run_page(browser: Browser, file: Path, scheme: str, section: str, pick: str | None) -> None:
    """The page of the run, at one of its sections, perhaps with a pipe that somebody picked."""
    page = await opened(browser, file.as_uri(), scheme)
    if pick is not None:
        await page.click(pick)
        await page.click("#smaller")
        await page.mouse.move(0, 0)
    await page.evaluate(f"document.querySelector('{section}').scrollIntoView()")
    await keep(page, f"run_page_{scheme}.png")


def draw() -> None:
    """The terminal while a run is under way, and the pipes of the method."""
    subprocess.run([sys.executable, ROOT / "scripts" / "terminal_picture.py"], check=True)
    drawing = PICTURES / "contract_review.svg"
    subprocess.run([PROGRAM, "graph", EXAMPLE, "-o", drawing], cwd=ROOT, check=True, capture_output=True)
    told(drawing)


def site(folder: Path) -> Path:
    """Build the documentation in that folder; its home."""
    places = ["-c", "docs", "-d", str(folder / "trees"), ".", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "sphinx", "-q", *places], cwd=ROOT, check=True)
    return folder / "site" / "docs" / "index.html"


async def main() -> None:
    """Make all of them."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("error: no chromium here\nhint: apt install chromium")
    draw()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / ".pipelex").mkdir()
        (folder / ".pipelex" / "pipelex.toml").write_text(SETTINGS)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=program)
            with served(folder) as address:
                page_file = run(folder)
                await web_ui(browser, address)
            await run_page(browser, page_file, "light", "#graph", "#canvas [aria-label^='find_risks'] rect.card")
            await run_page(browser, page_file, "dark", "#timeline", None)
            await keep(await opened(browser, site(folder).as_uri()), "docs_site.png")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
