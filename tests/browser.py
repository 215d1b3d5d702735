"""A real browser without a window, for the pages that users open."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The Chromium of this machine. Its absence fails a test: nobody would see that pages are never opened."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no chromium here: apt install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program)
        yield browser
        await browser.close()


class Opened:
    """A page that somebody opened, and what it did: messages on the console, errors, dialogs, requests."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.asked.append(request.url) if request.url != address else None)

    async def _dialog(self, dialog: Any) -> None:
        self.said.append(dialog.message)
        await dialog.dismiss()

    async def text(self, selector: str) -> str:
        """What a part of the page says to a person."""
        return await self.page.inner_text(selector)


@contextlib.asynccontextmanager
async def opened(browser: Browser, file: Path, **options: Any) -> AsyncIterator[Opened]:
    """The page of a file, opened by a click on it."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.set_default_timeout(10_000)
    found = Opened(page, file.as_uri())
    await page.goto(file.as_uri())
    yield found
    await context.close()
