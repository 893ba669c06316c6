"""Several tabs, one socket: who leads, what happens when the leader goes, and who never shares."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, expect
from playwright.async_api import Page as Tab

from tests.e2e.parts import events_of, listener, remember
from tests.support.apex.door import Apex
from tests.support.apex.page import Item, Page
from tests.support.chromium import SERVER_AWAY, open_tab
from tests.support.devtools import run_devtools

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NEWS, ORDERS, BOTH = 30, 31, 32
ROLE = "rtm.connections[0].role"
# When all tabs are closed, one after the other, some lead for a moment.
GOING = "WebSocket is closed before the connection is established"


@pytest.fixture(autouse=True)
def pages(apex: Apex) -> None:
    """Three pages of an application."""
    apex.add(
        Page(NEWS, items=[Item("P30_NEWS")], dynamic_actions=[listener("news")]),
        Page(ORDERS, dynamic_actions=[listener("orders:*")]),
        Page(BOTH, dynamic_actions=[listener("news"), listener("orders:*"), listener("user:&APP_USER.")]),
    )


async def show(apex: Apex, tab: Tab, page: int, session: int) -> Tab:
    """Open a page in a tab and wait until it listens; what comes from then on is remembered."""
    await tab.goto(apex.link(page, session))
    await settled(tab)
    await remember(tab, "rtm-message", "rtm-gap", "rtm-disconnected", "rtm-error")
    return tab


async def settled(tab: Tab) -> None:
    """Wait until all that the page wants is live."""
    await tab.wait_for_function(
        """() => rtm.connections.length && rtm.connections.every((one) =>
            one.state === 'connected' && one.feeds.length && one.feeds.every((feed) => feed.state === 'live'))""",
        timeout=20_000,
    )


async def role(tab: Tab) -> str:
    found: str = await tab.evaluate("rtm.connections.map((one) => one.role).join()")
    return found


async def becomes(tab: Tab, wanted: str) -> None:
    await tab.wait_for_function(f"() => rtm.connections[0].role === '{wanted}'", timeout=20_000)
    await settled(tab)


def connections(apex: Apex, user: str) -> list[dict[str, Any]]:
    """Live sockets of a user, as the server counts them."""
    with apex.server.client() as http:
        found: list[dict[str, Any]] = http.get("/api/connections", params={"user": user}).json()["connections"]
    return found


async def gone(apex: Apex, user: str) -> None:
    """Wait until the server has no socket of a user."""
    async with asyncio.timeout(10):
        while connections(apex, user):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # the server is another process: there is no event to wait for


async def values(tab: Tab, count: int) -> list[Any]:
    """Payloads of the messages, as soon as there are so many; nothing else may have happened."""
    await tab.wait_for_function(
        f"() => remembered.filter(({{ name }}) => name === 'rtm-message').length >= {count}", timeout=20_000
    )
    events = await events_of(tab)
    assert {event["name"] for event in events} <= {"rtm-message"}, events
    return [event["data"]["payload"] for event in events]


@contextlib.asynccontextmanager
async def publishing(apex: Apex, channel: str) -> AsyncIterator[list[int]]:
    """Publish 1, 2, 3 … while the block runs; gives what was sent."""
    sent: list[int] = []
    done = asyncio.Event()

    async def publish() -> None:
        while not done.is_set():
            sent.append(len(sent) + 1)
            await asyncio.to_thread(apex.publish, channel, sent[-1])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 0.02)

    task = asyncio.create_task(publish())
    try:
        yield sent
    finally:
        done.set()
        await task


async def cdp(tab: Tab) -> CDPSession:
    return await tab.context.new_cdp_session(tab)


async def test_tabs_of_one_session_share_a_socket(browser: Browser, apex: Apex) -> None:
    session = apex.login("SHARES")
    async with open_tab(browser, may_complain=GOING) as first:
        await show(apex, first, NEWS, session)
        second = await show(apex, await first.context.new_page(), NEWS, session)
        third = await show(apex, await first.context.new_page(), ORDERS, session)
        assert [await role(tab) for tab in (first, second, third)] == ["leader", "follower", "follower"]
        assert [one["user"] for one in connections(apex, "SHARES")] == ["SHARES"]

        apex.publish("news", 1)
        apex.publish("orders:17", 2)
        apex.publish("news", 3)
        for tab, wanted in ((first, [1, 3]), (second, [1, 3]), (third, [2])):
            assert await values(tab, len(wanted)) == wanted
        # What one tab may hear, another of the same session may not for that reason.
        await third.evaluate(
            """rtm.connections[0].subscribe('news', { onError: ({ code }) => { window.code = code; } })"""
        )
        await third.wait_for_function("() => window.code")
        assert await third.evaluate("code") == "forbidden"


async def test_listeners_of_a_page_with_different_tokens_share_a_socket(browser: Browser, apex: Apex) -> None:
    session = apex.login("SEVERAL")
    async with open_tab(browser, may_complain=GOING) as tab:
        await show(apex, tab, BOTH, session)
        assert len(connections(apex, "SEVERAL")) == 1
        assert await tab.evaluate("rtm.connections[0].feeds.map(({ name }) => name).sort()") == [
            "news", "orders:*", "user:SEVERAL",
        ]  # fmt: skip
        apex.publish("news", 1)
        apex.publish("orders:1", 2)
        apex.publish("user:SEVERAL", 3)
        assert await values(tab, 3) == [1, 2, 3]


async def test_when_the_leader_is_closed_another_tab_leads_and_nothing_is_lost(browser: Browser, apex: Apex) -> None:
    user, page = "CLOSES", BOTH
    session = apex.login(user)
    async with open_tab(browser, may_complain=GOING) as last:
        leader = await show(apex, await last.context.new_page(), page, session)
        heir = await show(apex, await last.context.new_page(), page, session)
        await show(apex, last, page, session)
        async with publishing(apex, "news") as sent:
            await values(heir, 5)
            await leader.close()
            await becomes(heir, "leader")
            await values(last, len(sent) + 5)
        assert await role(last) in {"follower", "alone"}
        for tab in (heir, last):
            assert await values(tab, len(sent)) == sent
        assert 1 <= len(connections(apex, user)) <= 2


async def test_when_the_leader_crashes_another_tab_leads_and_nothing_is_lost(browser: Browser, apex: Apex) -> None:
    session = apex.login("CRASHES")
    async with open_tab(browser, may_complain=GOING) as heir:
        leader = await show(apex, await heir.context.new_page(), NEWS, session)
        await show(apex, heir, NEWS, session)
        async with publishing(apex, "news") as sent:
            await values(heir, 5)
            crash = asyncio.ensure_future((await cdp(leader)).send("Page.crash"))
            await becomes(heir, "leader")
            await values(heir, len(sent) + 5)
            crash.cancel()
        assert await values(heir, len(sent)) == sent
        assert len(connections(apex, "CRASHES")) == 1


async def test_a_leader_that_is_frozen_hands_over_and_comes_back(apex: Apex, tmp_path: Path) -> None:
    session = apex.login("FREEZES")
    remembering = """window.heard = []; apex.jQuery(document).on('rtm-message', (event, data) => {
        window.heard.push(data.payload);
    })"""
    async with run_devtools(tmp_path) as devtools:
        tabs = []
        for wanted in ("leader", "follower"):
            tabs.append(await devtools.open(apex.link(NEWS, session)))
            await tabs[-1].until(f"rtm.connections[0].feeds[0].state === 'live' && {ROLE} === '{wanted}'")
            await tabs[-1].evaluate(remembering)
        leader, heir = tabs
        async with publishing(apex, "news") as sent:
            await heir.until("heard.length >= 5")
            await leader.freeze()
            await heir.until(f"{ROLE} === 'leader' && heard.length >= {len(sent) + 5}")
            assert len(connections(apex, "FREEZES")) == 1
            await leader.thaw()
            await leader.until(f"{ROLE} === 'follower' && heard.length >= {len(sent) + 5}")
        for tab in tabs:
            await tab.until(f"heard.length >= {len(sent)}")
            assert await tab.evaluate("heard") == sent
        assert len(connections(apex, "FREEZES")) == 1


async def test_a_page_that_slept_alone_gets_what_it_missed(apex: Apex, tmp_path: Path) -> None:
    session = apex.login("SLEEPS")
    async with run_devtools(tmp_path) as devtools:
        sleeper = await devtools.open(apex.link(NEWS, session))
        await sleeper.until("rtm.connections[0].feeds[0].state === 'live'")
        await sleeper.evaluate(
            "window.told = []; apex.jQuery(document).on('rtm-gap rtm-disconnected', (event) => told.push(1))"
        )
        await devtools.open("about:blank")
        await sleeper.freeze()
        await gone(apex, "SLEEPS")
        for value in ("one", "two"):
            apex.publish("news", {"itemName": "P30_NEWS", "value": value})
        await sleeper.thaw()
        await sleeper.until("document.getElementById('P30_NEWS').value === 'two'")
        assert await sleeper.evaluate("told.length") == 0
        assert len(connections(apex, "SLEEPS")) == 1


async def test_who_comes_back_to_a_page_gets_what_it_missed(apex: Apex, tmp_path: Path) -> None:
    """APEX pages may not be stored, and what has had a socket is no longer kept for the way back: it is a new page."""
    session = apex.login("RETURNS")
    async with run_devtools(tmp_path) as devtools:
        tab = await devtools.open(apex.link(NEWS, session))
        await tab.until("rtm.connections[0].feeds[0].state === 'live'")
        await tab.evaluate("location.href = '/i/page.css'")
        await gone(apex, "RETURNS")
        apex.publish("news", {"itemName": "P30_NEWS", "value": "missed"})
        await tab.evaluate("history.back()")
        await tab.until("document.getElementById('P30_NEWS').value === 'missed'")
        assert len(connections(apex, "RETURNS")) == 1


async def test_a_leader_that_hangs_is_replaced(browser: Browser, apex: Apex) -> None:
    """It gets no event that tells it to hand over, and holds its lock: the others must notice by themselves."""
    session = apex.login("HANGS")
    async with open_tab(browser, may_complain=GOING) as heir:
        leader = await show(apex, await heir.context.new_page(), NEWS, session)
        await show(apex, heir, NEWS, session)
        async with publishing(apex, "news") as sent:
            await values(heir, 5)
            hang = asyncio.ensure_future(
                leader.evaluate("() => { const end = Date.now() + 12_000; while (Date.now() < end); }")
            )
            await becomes(heir, "leader")
            await values(heir, len(sent) + 5)
            assert not hang.done(), "it was not replaced but came back"
            await hang
            await settled(leader)
            await leader.wait_for_function("() => rtm.connections[0].role === 'follower'")
        for tab in (heir, leader):
            assert await values(tab, len(sent)) == sent


async def test_a_follower_that_reloads_gets_what_it_missed(browser: Browser, apex: Apex) -> None:
    session = apex.login("RELOADS")
    async with open_tab(browser, may_complain=GOING) as tab:
        await show(apex, await tab.context.new_page(), NEWS, session)
        await show(apex, tab, NEWS, session)
        apex.publish("news", {"value": "seen"})
        await expect(tab.locator("#P30_NEWS")).to_have_value("")
        await values(tab, 1)

        async def publish_first(route: Any) -> None:
            apex.publish("news", {"itemName": "P30_NEWS", "value": "missed"})
            await route.continue_()

        await tab.route("**/ords/f?*", publish_first)
        await tab.reload()
        await expect(tab.locator("#P30_NEWS")).to_have_value("missed")
        assert await role(tab) == "follower"
        assert len(connections(apex, "RELOADS")) == 1


async def test_other_users_and_sessions_never_share(browser: Browser, apex: Apex) -> None:
    sessions = [apex.login(user) for user in ("APART", "APART", "OTHER")]
    async with open_tab(browser, may_complain=GOING) as tab:
        tabs = [tab, *[await tab.context.new_page() for _ in sessions[1:]]]
        for one, session in zip(tabs, sessions, strict=True):
            await show(apex, one, NEWS, session)
        assert [await role(one) for one in tabs] == ["leader"] * 3
        assert [len(connections(apex, user)) for user in ("APART", "OTHER")] == [2, 1]
        apex.publish("user:APART", 1)
        apex.publish("news", 2)
        for one in tabs:
            assert await values(one, 1) == [2]


async def test_sharing_can_be_turned_off(browser: Browser, apex: Apex) -> None:
    session = apex.login("ALONE")
    async with open_tab(browser, may_complain=GOING) as tab:
        await tab.context.add_init_script("window.rtm = { share: false }")
        for one in (tab, await tab.context.new_page()):
            await show(apex, one, NEWS, session)
            assert await role(one) == "alone"
        assert len(connections(apex, "ALONE")) == 2


async def test_a_server_that_restarts_is_found_again_by_all_tabs(browser: Browser, apex: Apex) -> None:
    session = apex.login("RESTARTS")
    async with open_tab(browser, may_complain=f"{SERVER_AWAY}|{GOING}") as first:
        second = await show(apex, await first.context.new_page(), NEWS, session)
        await show(apex, first, NEWS, session)
        for tab in (first, second):
            await tab.evaluate("remembered.length = 0")
        apex.server.kill()
        for tab in (first, second):
            await tab.wait_for_function("() => remembered.some(({ name }) => name === 'rtm-disconnected')")
            await tab.evaluate("remembered.length = 0")
        apex.server.start()
        apex.publish("news", "missed")
        for tab in (first, second):
            assert await values(tab, 1) == ["missed"]
            await settled(tab)
        assert len(connections(apex, "RESTARTS")) == 1
