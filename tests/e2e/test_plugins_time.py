"""What time does to a page with the imported plug-ins: a server that restarts, tokens that end, sessions that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from playwright.async_api import Browser, expect

from tests.e2e.parts import broadcast, events_of, listener, listening, on_click, on_message, remember
from tests.support.apex.door import Apex, run_apex
from tests.support.apex.page import Button, Item, Page
from tests.support.chromium import SERVER_AWAY, open_tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

LIFETIME_S = 8


@pytest.fixture
def own_apex(tmp_path: Path) -> Iterator[Apex]:
    """An instance of which a test may kill the server or change the settings."""
    with run_apex(tmp_path, token_warning_s=5, clock_leeway_s=0) as instance:
        yield instance


def page() -> Page:
    """An item that listens, a button that sends, and a note of every message."""
    return Page(
        10,
        items=[Item("P10_TEXT"), Item("P10_LOG", "Display Only")],
        buttons=[Button("SEND")],
        dynamic_actions=[
            on_message("Note", "document.getElementById('P10_LOG').append(this.data.payload.value, ' ');"),
            listener("news"),
            on_click("SEND", broadcast("news", **{"Payload Item": "P10_TEXT"})),
        ],
    )


def shorten_tokens(apex: Apex) -> None:
    """Store a lifetime below the least that may be set, a minute: no test can wait so long."""

    def work() -> None:
        apex.database.session.configure(token_lifetime_s=60)
        apex.database.session.machine.database.change(
            "update rtm_config set value = ? where name = 'token_lifetime_s'", str(LIFETIME_S)
        )
        apex.database.session.commit()

    apex.database.run(work)


async def test_a_restarted_server_loses_and_repeats_nothing(browser: Browser, own_apex: Apex) -> None:
    own_apex.add(page())
    async with open_tab(browser, may_complain=SERVER_AWAY) as tab:
        await listening(own_apex, "news", (tab, "SCOTT"))
        await remember(tab, "rtm-disconnected", "rtm-connected", "rtm-gap")
        for number in range(2):
            own_apex.publish("news", {"value": f"{number}.live"})
            await expect(tab.locator("#P10_LOG")).to_contain_text(f"{number}.live")
            own_apex.server.kill()
            await tab.wait_for_function("(count) => remembered.length === count", arg=2 * number + 1)
            own_apex.server.start()
            own_apex.publish("news", {"value": f"{number}.missed"})
            await expect(tab.locator("#P10_LOG")).to_contain_text(f"{number}.missed", timeout=25_000)
            await tab.wait_for_function("(count) => remembered.length === count", arg=2 * number + 2)
        wanted = "".join(f"{number}.live {number}.missed " for number in range(2))
        assert await tab.locator("#P10_LOG").text_content() == wanted
        names = [event["name"] for event in await events_of(tab)]
        assert names == ["rtm-disconnected", "rtm-connected"] * 2


async def test_what_was_sent_while_the_server_was_away_is_told(browser: Browser, own_apex: Apex) -> None:
    """The Broadcast action says so, the Listener comes back, and the page is as before."""
    own_apex.add(page())
    async with open_tab(browser, may_complain=f"{SERVER_AWAY}|broadcast failed") as tab:
        await listening(own_apex, "news", (tab, "SCOTT"))
        own_apex.server.kill()
        await tab.fill("#P10_TEXT", "lost")
        await tab.click("#SEND")
        await expect(tab.locator("#APEX_ERROR_MESSAGE p")).to_have_text("The message could not be sent.")
        assert "12541" in own_apex.log()[-1]["error"]
        own_apex.server.start()
        await own_apex.heard("news", "SCOTT")
        await tab.fill("#P10_TEXT", "sent")
        await tab.click("#SEND")
        await expect(tab.locator("#P10_LOG")).to_have_text("sent ")


async def test_a_token_is_renewed_by_ajax_before_it_ends_unless_the_session_has(
    browser: Browser, own_apex: Apex
) -> None:
    """SCOTT goes on. KING has been logged out: APEX refuses the renewal, and the server closes at the token's end."""
    own_apex.add(page())
    shorten_tokens(own_apex)
    async with open_tab(browser) as scott, open_tab(browser, may_complain="rtm|session has ended") as king:
        await listening(own_apex, "news", (scott, "SCOTT"), (king, "KING"))
        own_apex.instance.logout(max(own_apex.instance.sessions))
        for tab in (scott, king):
            await remember(tab, "rtm-disconnected", "rtm-error")
        await king.wait_for_function("() => remembered.length === 1", timeout=20_000)
        await own_apex.heard("news", "KING", connections=0)
        own_apex.publish("news", {"value": "after the end of the first token"})
        await expect(scott.locator("#P10_LOG")).to_have_text("after the end of the first token ")

        (event,) = await events_of(king)
        assert (event["name"], event["data"]["code"]) == ("rtm-disconnected", 4001)
        assert await king.locator("#P10_LOG").text_content() == ""
        assert await events_of(scott) == []
    answers = own_apex.instance.answers
    assert {answer["error"] for answer in answers if "error" in answer} == {"Your session has ended."}
    renewed = [answer["token"] for answer in answers if "token" in answer]
    assert {jwt.decode(token, options={"verify_signature": False})["sub"] for token in renewed} == {"SCOTT"}


async def test_a_right_that_is_taken_away_ends_at_once(browser: Browser, apex: Apex) -> None:
    apex.add(page())
    async with open_tab(browser, may_complain="refused|revoked") as tab:
        await listening(apex, "news", (tab, "ADAMS"))
        await remember(tab, "rtm-error", "rtm-disconnected")
        with apex.server.client() as http:
            assert http.post("/api/revoke", json={"user": "ADAMS", "channel": "news"}).json()["subscriptions"] == 1
        await tab.wait_for_function("() => remembered.length === 1")
        apex.publish("news", {"value": "secret"})
        await apex.heard("news", "ADAMS", connections=0)
        (event,) = await events_of(tab)
        assert (event["name"], event["data"]["channel"], event["data"]["code"]) == ("rtm-error", "news", "revoked")
        assert await tab.locator("#P10_LOG").text_content() == ""


async def test_a_reloaded_page_gets_what_came_meanwhile(browser: Browser, apex: Apex) -> None:
    apex.add(page())
    async with open_tab(browser) as tab:
        await listening(apex, "news", (tab, "ADAMS"))
        apex.publish("news", {"value": "seen"})
        await expect(tab.locator("#P10_LOG")).to_have_text("seen ")
        address = tab.url
        await tab.goto("about:blank")
        apex.publish("news", {"value": "missed 1"})
        apex.publish("news", {"value": "missed 2"})
        await tab.goto(address)
        await expect(tab.locator("#P10_LOG")).to_have_text("missed 1 missed 2 ")
