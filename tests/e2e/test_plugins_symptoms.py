"""What docs/apex.md, section 8, says that is seen when something is set up wrong, is what is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage

from tests.e2e.parts import events_of, listener, remember
from tests.support.apex.door import Apex, run_apex
from tests.support.apex.page import Item, Page
from tests.support.chromium import open_tab
from tests.support.server import JWT_SECRET

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


def page() -> Page:
    """A page that remembers from its first moment on what happens to its connection."""
    return Page(30, items=[Item("P30_TEXT")], dynamic_actions=[listener("news")])


async def outcome(browser: Browser, apex: Apex, may_complain: str) -> tuple[dict[str, object], list[str]]:
    """The first rtm-disconnected of a page, and what its console says."""
    apex.add(page())
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said.append(message.text)

    async with open_tab(browser, may_complain=may_complain) as tab:
        tab.on("console", hear)
        await tab.add_init_script(
            """document.addEventListener('DOMContentLoaded', () => {
                window.lost = [];
                apex.jQuery(document).on('rtm-disconnected', (event, data) => window.lost.push(data));
            })"""
        )
        await tab.goto(apex.link(30, apex.login("SCOTT")))
        await tab.wait_for_function("() => lost.length")
        (event, *_) = await tab.evaluate("lost")
    return event, said


async def test_secrets_that_differ_are_4501_for_good(browser: Browser, apex: Apex) -> None:
    apex.configure(token_secret="another-secret-of-at-least-32-bytes-1234")
    try:
        event, _ = await outcome(browser, apex, "4501|unauthorized|rtm")
    finally:
        apex.configure(token_secret=JWT_SECRET)
    assert (event["code"], event["isFinal"]) == (4501, True)


async def test_a_database_without_a_secret_gives_pages_no_token(browser: Browser, apex: Apex) -> None:
    apex.configure(token_secret=None)
    try:
        event, _ = await outcome(browser, apex, "4501|unauthorized|rtm|not connected")
    finally:
        apex.configure(token_secret=JWT_SECRET)
    assert (event["code"], event["isFinal"]) == (4501, True)


async def test_an_origin_that_is_not_allowed_is_403(browser: Browser, tmp_path: Path) -> None:
    with run_apex(tmp_path, allowed_origins="https://apex.example.com") as apex:
        event, said = await outcome(browser, apex, "WebSocket connection to .* failed")
    assert event["isFinal"] is False
    assert any("Unexpected response code: 403" in text for text in said), said


async def test_a_listener_that_cannot_be_rendered_leaves_the_page_alone(browser: Browser, apex: Apex) -> None:
    apex.add(page())
    apex.configure(base_url=None)
    try:
        async with open_tab(browser, may_complain="this page does not listen") as tab:
            said: list[str] = []
            tab.on("console", lambda message: said.append(message.text))
            await tab.goto(apex.link(30, apex.login("SCOTT")))
            await remember(tab, "rtm-message")
            await tab.fill("#P30_TEXT", "works")
            assert await events_of(tab) == []
            assert any("this page does not listen" in text for text in said), said
    finally:
        apex.configure(base_url=apex.server.url)
    row = apex.log()[-1]
    assert row["source"] == "RTM_LISTENER_DA"
    assert "base_url" in row["error"]
