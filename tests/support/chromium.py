"""Debian's Chromium, headless, and pages that remember every complaint the browser made about them."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, ConsoleMessage, Frame, Page, async_playwright, expect

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A policy that refuses something is also printed to the console, but not for every directive.
_TELL_VIOLATIONS = """addEventListener('securitypolicyviolation',
    (violation) => console.error('policy ' + violation.violatedDirective + ' ' + violation.blockedURI))"""
# What a browser prints when the server is away, whatever the page does about it.
SERVER_AWAY = r"WebSocket connection to .* failed"

expect.set_options(timeout=10_000)


def find_chromium() -> str:
    """Return the path of the browser. Fails the test where there is none: a skipped proof proves nothing."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.fail("Chromium is needed: apt install chromium / dnf install chromium")


@contextlib.asynccontextmanager
async def run_chromium() -> AsyncIterator[Browser]:
    """A browser for the time of an `async with` block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def open_tab(browser: Browser, *, may_complain: str = "", dark: bool = False) -> AsyncIterator[Page]:
    """An empty tab in a profile of its own. When the block ends, whatever the browser complained about fails the test.

    `may_complain` is a regular expression for what belongs to the test, as a server that is away.
    """
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    context = await browser.new_context(
        viewport={"width": 1280, "height": 820}, color_scheme="dark" if dark else "light"
    )
    await context.add_init_script(_TELL_VIOLATIONS)
    tab = await context.new_page()
    tab.on("console", on_console)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield tab
    finally:
        await context.close()
    unexpected = [text for text in complaints if not (may_complain and re.search(may_complain, text))]
    assert not unexpected, unexpected


async def frames_of(demo: Page) -> tuple[Frame, Frame]:
    """The two pages inside /demo, both connected and subscribed."""
    first, second = demo.frame(name="first"), demo.frame(name="second")
    assert first is not None
    assert second is not None
    for page in (first, second):
        await subscribed(page)
    return first, second


async def subscribed(page: Page | Frame, times: int = 1) -> None:
    """Wait until the page has been told for the `times`th time that its subscription runs."""
    await expect(page.locator("#FRAME_LOG li.in", has_text='"type":"subscribed"')).to_have_count(times)
