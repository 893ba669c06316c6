"""rtm.debug(): the panel that shows a developer what happens on the page, under the strict policy of the pages."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, expect
from playwright.async_api import Page as Tab

from tests.e2e.parts import broadcast, events_of, listener, listening, on_click, remember
from tests.support.apex.door import Apex
from tests.support.apex.page import Button, Item, Page
from tests.support.chromium import open_tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
STATE = r"() => document.querySelector('aside').textContent.includes('live')"


@pytest.fixture(autouse=True)
def page(apex: Apex) -> None:
    """A page that listens to a whole family of channels."""
    buttons, items = [Button("SEND")], [Item("P40_TEXT")]
    actions = [listener("panel:*"), on_click("SEND", broadcast("panel:1", **{"Error Message": "Sorry, not sent."}))]
    apex.add(Page(40, buttons=buttons, items=items, dynamic_actions=actions))


async def opened(tab: Tab) -> Locator:
    """The panel, opened as from the console of the browser."""
    await tab.evaluate("rtm.debug()")
    panel = tab.get_by_role("dialog", name="Real-time messages of this page")
    await expect(panel).to_be_visible()
    return panel


async def test_the_panel_shows_state_subscriptions_and_messages_and_replays_one(browser: Browser, apex: Apex) -> None:
    async with open_tab(browser) as tab:
        await listening(apex, "panel:", (tab, "SCOTT"), page=40)
        await remember(tab, "rtm-message")
        apex.publish("panel:1", {"value": "before"}, eventName="ping")
        await tab.wait_for_function("() => remembered.length === 1")
        panel = await opened(tab)
        for text in ("connected", "leader", "user SCOTT", "panel:* · live", "panel:1 · ping"):
            await expect(panel).to_contain_text(text)
        apex.publish("panel:2", {"itemName": "P40_TEXT", "value": "after"})
        await expect(panel.locator("ol li")).to_have_count(2)
        await expect(panel.locator("ol li").first).to_contain_text("after")

        await tab.fill("#P40_TEXT", "changed by hand")
        await panel.get_by_role("button", name="Replay message 1 of panel:2 on this page").click()
        await expect(tab.locator("#P40_TEXT")).to_have_value("after")
        assert [event["data"]["channel"] for event in await events_of(tab)] == ["panel:1", "panel:2", "panel:2"]
        with apex.server.client() as http:  # on this page, and nowhere else
            assert len(http.get("/api/channels/panel:2/history").json()["publications"]) == 1


async def test_the_panel_is_used_with_the_keyboard_alone(browser: Browser, apex: Apex) -> None:
    async with open_tab(browser) as tab:
        await listening(apex, "panel:", (tab, "SCOTT"), page=40)
        apex.publish("panel:key", {"itemName": "P40_TEXT", "value": "by key"})
        await expect(tab.locator("#P40_TEXT")).to_have_value("by key")
        await tab.fill("#P40_TEXT", "")
        await tab.focus("#SEND")
        panel = await opened(tab)
        await expect(panel.get_by_role("button", name="Close the panel")).to_be_focused()
        await tab.keyboard.press("Tab")
        await expect(panel.get_by_role("button", name="Replay message 1 of panel:key on this page")).to_be_focused()
        for number in range(3):  # rows that come do not take the focus away
            apex.publish("panel:key2", number)
        await expect(panel.locator("ol li")).to_have_count(4)
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#P40_TEXT")).to_have_value("by key")
        await tab.keyboard.press("Escape")
        await expect(panel).to_have_count(0)
        await expect(tab.locator("#SEND")).to_be_focused()


async def test_the_panel_keeps_the_last_fifty(browser: Browser, apex: Apex) -> None:
    async with open_tab(browser) as tab:
        await listening(apex, "panel:", (tab, "SCOTT"), page=40)
        panel = await opened(tab)
        with apex.server.client() as http:
            http.post(
                "/api/broadcast/batch", json={"messages": [{"channel": "panel:n", "payload": n} for n in range(70)]}
            )
        await expect(panel.locator("ol li").first).to_contain_text("69")
        await expect(panel.locator("ol li")).to_have_count(50)


async def test_text_from_outside_is_text_in_the_panel(browser: Browser, apex: Apex) -> None:
    user = "<b>SCOTT</b><svg onload=alert(1)>"
    async with open_tab(browser) as tab:
        await tab.goto(apex.link(40, apex.login(user)))
        await tab.wait_for_function("() => rtm.connections.length && rtm.connections[0].state === 'connected'")
        panel = await opened(tab)
        await tab.wait_for_function(STATE)
        apex.publish(f"panel:{EVIL}", {"value": EVIL, EVIL: 1}, eventName="<svg onload=document.title='owned'>")
        row = panel.locator("ol li")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text(f"panel:{EVIL}")
        await expect(panel).to_contain_text(f"user {user}")
        assert await panel.locator("img, script, svg, b").count() == 0
        assert await tab.title() == ""


async def test_a_failure_of_the_network_shows_the_text_of_the_developer(browser: Browser, apex: Apex) -> None:
    async with open_tab(browser, may_complain="rtm: broadcast failed|net::ERR_FAILED") as tab:
        await listening(apex, "panel:", (tab, "SCOTT"), page=40)
        await tab.route("**/wwv_flow.ajax", lambda route: route.abort())
        await tab.click("#SEND")
        await expect(tab.locator("#APEX_ERROR_MESSAGE p")).to_have_text("Sorry, not sent.")
