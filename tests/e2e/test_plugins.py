"""The plug-ins as imported, on pages of an APEX instance, in a real browser against the real server."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.support.apex.door import Apex
from tests.support.apex.page import BROADCAST, JAVASCRIPT, LISTENER, Action, Button, DynamicAction, Item, Page
from tests.support.chromium import open_tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

RECEIVED = (
    "const message = this.data;\n"
    "apex.message.showPageSuccess('Received: ' + apex.util.escapeHTML(String(message.payload.value)));"
)


def hello_page() -> Page:
    """Page 10 of docs/apex.md."""
    return Page(
        10,
        "Hello",
        items=[Item("P10_MESSAGE")],
        buttons=[Button("SEND_HELLO")],
        dynamic_actions=[
            DynamicAction("RTM Listener", "Page Load", [Action(LISTENER, {"Channel": "test", "Event Name": "ping"})]),
            DynamicAction(
                "Broadcast Hello",
                "Click",
                [Action(BROADCAST, {"Channel": "test", "Event Name": "ping", "Payload Item": "P10_MESSAGE"})],
                button="SEND_HELLO",
            ),
            DynamicAction(
                "React",
                "Custom",
                [Action(JAVASCRIPT, code=RECEIVED)],
                custom_event="rtm-message",
                javascript_expression="document",
            ),
        ],
    )


async def test_hello(browser: Browser, apex: Apex) -> None:
    apex.add(hello_page())
    async with open_tab(browser) as scott, open_tab(browser) as king:
        for tab, user in ((scott, "SCOTT"), (king, "KING")):
            await tab.goto(apex.link(10, apex.login(user)))
        await apex.heard("test", "SCOTT", "KING")
        await scott.fill("#P10_MESSAGE", "Grüße")
        await scott.click("#SEND_HELLO")
        await expect(king.locator("#P10_MESSAGE")).to_have_value("Grüße")
        await expect(king.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("Received: Grüße")
