"""The Hello example played for real: two APEX-like pages, a button, and the whole way of the message between them."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from playwright.async_api import Browser, Frame, Page, Request, Route, expect

from tests.support.chromium import SERVER_AWAY, frames_of, open_tab, subscribed
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PICTURES = Path(__file__).parent.parent.parent / "docs" / "images"


def publish(server: ServerProcess, value: Any, **members: Any) -> None:
    """Do what the database does."""
    message = {"channel": "test", "eventName": "ping", "payload": {"itemName": "P10_MESSAGE", "value": value}}
    with server.client() as http:
        assert http.post("/api/broadcast", json={**message, **members}).status_code == 200


def history(server: ServerProcess) -> list[Any]:
    """Values published to the channel of the example."""
    with server.client() as http:
        publications = http.get("/api/channels/test/history").json()["publications"]
    return [publication["payload"]["value"] for publication in publications]


async def received(page: Page | Frame) -> list[Any]:
    """Values of the publications in the page's frame log, in the order of their coming."""
    texts = await page.locator("#FRAME_LOG li.in").all_text_contents()
    frames = [json.loads(text) for text in texts]
    return [frame["payload"]["value"] for frame in frames if "type" not in frame]


async def count_events(page: Page | Frame, *names: str) -> None:
    """Count events where dynamic actions hear them: jQuery's own events pass the browser's listeners by."""
    await page.evaluate(
        """(names) => {
            window.counted = Object.fromEntries(names.map((name) => [name, 0]));
            for (const name of names) apex.jQuery(document).on(name, () => (window.counted[name] += 1));
        }""",
        list(names),
    )


def page_url(server: ServerProcess, session: int = 1) -> str:
    return f"{server.url}/demo/page?session={session}&user=SCOTT"


async def test_hello_in_one_page_changes_the_other(browser: Browser, demo_server: ServerProcess) -> None:
    async with open_tab(browser) as demo:
        await demo.goto(f"{demo_server.url}/demo")
        first, second = await frames_of(demo)
        await count_events(second, "change")

        await first.fill("#P10_MESSAGE", "Grüße 👋")
        await first.click("#SEND_HELLO")

        await expect(second.locator("#P10_MESSAGE")).to_have_value("Grüße 👋")
        for page in (first, second):
            await expect(page.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("Received: Grüße 👋")
            assert await received(page) == ["Grüße 👋"]
        # A remote update fires no change event: a broadcast on Change would go round for ever.
        assert await second.evaluate("window.counted") == {"change": 0}
        assert history(demo_server) == ["Grüße 👋"]


async def test_the_first_click_shows_something(browser: Browser, demo_server: ServerProcess) -> None:
    """Whoever opens the demo and presses the button sees the other page change, without typing anything."""
    async with open_tab(browser) as demo:
        await demo.goto(f"{demo_server.url}/demo")
        first, second = await frames_of(demo)
        await expect(second.locator("#P10_MESSAGE")).to_have_value("Hello from KING")

        await first.click("#SEND_HELLO")

        await expect(second.locator("#P10_MESSAGE")).to_have_value("Hello from SCOTT")
        (frame,) = [json.loads(text) for text in await second.locator("#FRAME_LOG li.in").all_text_contents()][-1:]
        assert frame["meta"]["user"] == "SCOTT"


async def test_the_browser_sends_the_value_and_names_no_receiver(browser: Browser, demo_server: ServerProcess) -> None:
    async with open_tab(browser) as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        await tab.fill("#P10_MESSAGE", "Hello")
        async with tab.expect_request("**/demo/ajax") as asked:
            await tab.click("#SEND_HELLO")
        form = parse_qs((await request_of(asked.value)).post_data or "", keep_blank_values=True)

        assert form["p_request"] == ["PLUGIN=BROADCAST_HELLO"]
        assert (form["p_flow_id"], form["p_flow_step_id"], form["p_instance"]) == (["100"], ["10"], ["1"])
        assert form["x01"] == ["Hello"]
        assert not {"test", "ping", demo_server.url} & {value for values in form.values() for value in values}


async def request_of(waiting: Any) -> Request:
    request = await waiting
    assert isinstance(request, Request)
    return request


async def test_an_error_of_the_plug_in_is_shown_as_text(browser: Browser, demo_server: ServerProcess) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(json={"error": "ORA-24247: <b>denied</b>"})

    async with open_tab(browser, may_complain="ORA-24247") as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        await tab.route("**/demo/ajax", refuse)
        await tab.click("#SEND_HELLO")

        await expect(tab.locator("#APEX_ERROR_MESSAGE p")).to_have_text("ORA-24247: <b>denied</b>")
        assert await received(tab) == []


async def test_the_curl_line_of_the_page_is_a_message(browser: Browser, demo_server: ServerProcess) -> None:
    async with open_tab(browser) as demo:
        await demo.goto(f"{demo_server.url}/demo")
        first, second = await frames_of(demo)
        words = shlex.split(await demo.locator("#CURL").inner_text())
        assert words[:3] == ["curl", "-X", "POST"]
        name, _, value = words[words.index("-H") + 1].partition(": ")
        async with httpx.AsyncClient(headers={name: value}) as http:
            answer = await http.post(words[3], content=words[words.index("-d") + 1].encode())

        assert answer.json()["ok"] is True
        for page in (first, second):
            await expect(page.locator("#P10_MESSAGE")).to_have_value("Hello from a shell")


async def test_markup_in_a_message_stays_text(browser: Browser, demo_server: ServerProcess) -> None:
    markup = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>"
    async with open_tab(browser) as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        publish(demo_server, markup, meta={"user": markup})

        await expect(tab.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text(f"Received: {markup}")
        await expect(tab.locator("#P10_MESSAGE")).to_have_value(markup)
        assert await tab.locator("img, main script").count() == 0
        assert await tab.evaluate("window.hacked") is None


async def test_messages_for_other_events_and_channels_leave_the_page_alone(
    browser: Browser, demo_server: ServerProcess
) -> None:
    async with open_tab(browser) as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        await count_events(tab, "rtm-message")
        publish(demo_server, "other event", eventName="pong")
        publish(demo_server, "other channel", channel="elsewhere")
        publish(demo_server, "mine")

        await expect(tab.locator("#P10_MESSAGE")).to_have_value("mine")
        assert await received(tab) == ["other event", "mine"]
        assert await tab.evaluate("window.counted") == {"rtm-message": 1}


async def test_a_killed_server_comes_back_and_nothing_is_lost(browser: Browser, demo_server: ServerProcess) -> None:
    async with open_tab(browser, may_complain=SERVER_AWAY) as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        publish(demo_server, "before")
        await expect(tab.locator("#P10_MESSAGE")).to_have_value("before")
        demo_server.kill()
        await expect(tab.locator("#STATE")).to_have_text("reconnecting")
        demo_server.start()
        publish(demo_server, "while it was away")
        await subscribed(tab, 2)
        publish(demo_server, "after")

        await expect(tab.locator("#P10_MESSAGE")).to_have_value("after")
        await expect(tab.locator("#STATE")).to_have_text("connected")
        assert await received(tab) == ["before", "while it was away", "after"]
        await expect(tab.locator("#FRAME_LOG li.in", has_text='"recovered":true')).to_have_count(1)


async def test_a_server_that_drains_is_left_and_found_again(browser: Browser, demo_server: ServerProcess) -> None:
    demo_server.settings["reconnect_spread_s"] = 1
    demo_server.restart()
    async with open_tab(browser, may_complain=SERVER_AWAY) as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        assert demo_server.stop() == 0
        await expect(tab.locator("#FRAME_LOG li.in", has_text='"type":"draining"')).to_have_count(1)
        demo_server.start()
        publish(demo_server, "missed")

        await expect(tab.locator("#P10_MESSAGE")).to_have_value("missed")
        assert await received(tab) == ["missed"]


async def test_a_page_that_reloads_gets_what_was_sent_meanwhile(browser: Browser, demo_server: ServerProcess) -> None:
    async def publish_first(route: Route) -> None:
        publish(demo_server, "missed 1")
        publish(demo_server, "missed 2")
        await route.continue_()

    async with open_tab(browser) as tab:
        await tab.goto(page_url(demo_server))
        await subscribed(tab)
        publish(demo_server, "seen")
        await expect(tab.locator("#P10_MESSAGE")).to_have_value("seen")
        await tab.route("**/demo/page?*", publish_first)
        await tab.reload()

        await expect(tab.locator("#P10_MESSAGE")).to_have_value("missed 2")
        assert await received(tab) == ["missed 1", "missed 2"]


async def test_the_pages_of_a_tab_keep_their_positions_apart(browser: Browser, demo_server: ServerProcess) -> None:
    async with open_tab(browser) as tab:
        await tab.goto(page_url(demo_server, session=1))
        await subscribed(tab)
        await tab.goto(page_url(demo_server, session=2))
        publish(demo_server, "for whoever was here")
        await subscribed(tab)
        assert await tab.locator("#FRAME_LOG li.out", has_text='"since"').count() == 0
        await tab.goto(page_url(demo_server, session=1))

        await expect(tab.locator("#P10_MESSAGE")).to_have_value("for whoever was here")


@pytest.mark.skipif("APEX_RTM_PICTURES" not in os.environ, reason="draws docs/images, with APEX_RTM_PICTURES=1")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_picture(browser: Browser, demo_server: ServerProcess, scheme: str) -> None:
    async with open_tab(browser, dark=scheme == "dark") as demo:
        await demo.set_viewport_size({"width": 1280, "height": 860})
        await demo.goto(f"{demo_server.url}/demo")
        first, second = await frames_of(demo)
        await first.fill("#P10_MESSAGE", "Sales were updated")
        await first.click("#SEND_HELLO")
        await expect(second.locator("#P10_MESSAGE")).to_have_value("Sales were updated")
        await second.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
        PICTURES.mkdir(exist_ok=True)
        name = "demo.png" if scheme == "light" else "demo-dark.png"
        await demo.screenshot(path=PICTURES / name)
