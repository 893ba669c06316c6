"""The console in a real browser: each page, live, by keyboard, on a phone, and with names that want to be markup."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.support.chromium import SERVER_AWAY, open_tab
from tests.support.exposition import scrape
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import Wire, wire

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

KEY = "a-key-for-the-console"
PICTURES = Path(__file__).parent.parent.parent / "docs" / "images"
MARKUP = "<img src=x onerror='window.hacked=1'><b>\u202egnp.exe"
PAGES = ("overview", "channels", "channel?name=orders:1", "connections", "users", "tail?channel=orders:*", "publish",
         "delivery?channel=orders:1")  # fmt: skip
# A browser prints every answer of 400 and above.
REFUSED = "Failed to load resource"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server in secured mode with a console."""
    with run_server(tmp_path_factory.mktemp("console"), **SECURED, console_key=KEY) as running:
        yield running


def publish(server: ServerProcess, channel: str = "orders:1", **members: Any) -> int:
    """Do what the database does; return the offset."""
    message = {"channel": channel, "eventName": "changed", "payload": {"id": 17}, **members}
    with server.client() as http:
        answer = http.post("/api/broadcast", json=message)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["offset"])


@contextlib.asynccontextmanager
async def person(server: ServerProcess, user: str, *channels: str, sid: str = "4711") -> AsyncIterator[Wire]:
    """Somebody's page, which reads what it gets."""
    async with wire(server.ws_url, token=make_token(user, *channels, sid=sid)) as connection:
        for channel in channels:
            await connection.subscribe(channel)
        reading = asyncio.create_task(_read(connection))
        try:
            yield connection
        finally:
            reading.cancel()


async def _read(connection: Wire) -> None:
    async for _frame in connection.socket:
        pass


@contextlib.asynccontextmanager
async def signed_in(
    browser: Browser, server: ServerProcess, page: str = "overview", **options: Any
) -> AsyncIterator[Page]:
    """A tab in which the console is open and live."""
    async with open_tab(browser, **options) as tab:
        await tab.goto(f"{server.url}/console#/{page}")
        await tab.fill("#KEY", KEY)
        await tab.press("#KEY", "Enter")
        await expect(tab.locator("#STATE")).to_have_text("live")
        yield tab


async def go(tab: Page, page: str) -> None:
    await tab.evaluate("(page) => { location.hash = '#/' + page; }", page)
    await expect(tab.locator("main h1")).to_be_visible()


def row(tab: Page, text: str) -> Locator:
    return tab.locator("tbody tr", has_text=text)


def revocations(server: ServerProcess) -> float:
    """How often rights were taken away."""
    with server.client() as http:
        return scrape(http)["apex_rtm_revocations_total"]


# ── coming in ──


async def test_a_wrong_key_stays_outside_and_the_right_one_comes_in(browser: Browser, server: ServerProcess) -> None:
    async with open_tab(browser, may_complain=REFUSED) as tab:
        await tab.goto(f"{server.url}/console")
        await expect(tab.locator("#KEY")).to_be_focused()
        await tab.fill("#KEY", "not-the-key-of-this-console")
        await tab.press("#KEY", "Enter")
        await expect(tab.locator("#LOGIN_ERROR")).to_have_text("that is not the console's key")
        await expect(tab.locator("#SHELL")).to_be_hidden()

        await tab.fill("#KEY", KEY)
        await tab.click("text=Open the console")
        await expect(tab.locator("main h1")).to_have_text("Overview")
        await expect(tab.locator("#LOGIN")).to_be_hidden()
        assert await tab.input_value("#KEY") == ""
        assert await tab.evaluate("document.cookie") == ""

        await tab.reload()
        await expect(tab.locator("#STATE")).to_have_text("live")
        await tab.click("#LOGOUT")
        await expect(tab.locator("#KEY")).to_be_visible()
        await tab.reload()
        await expect(tab.locator("#KEY")).to_be_visible()


async def test_a_login_that_ends_elsewhere_ends_here(browser: Browser, server: ServerProcess) -> None:
    async with signed_in(browser, server, may_complain=REFUSED) as tab:
        await tab.evaluate("fetch('/console/api/logout', { method: 'POST' })")

        await expect(tab.locator("#KEY")).to_be_visible()
        await expect(tab.locator("#SHELL")).to_be_hidden()


async def test_another_site_can_neither_frame_nor_post(browser: Browser, server: ServerProcess) -> None:
    """A page that is not the console's, in the browser of somebody who is signed in."""
    async with signed_in(browser, server, may_complain=r"frame|CORS|ERR_|policy|Refused|" + REFUSED) as tab:
        other, before = await tab.context.new_page(), revocations(server)

        async def evil(route: Route) -> None:
            await route.fulfill(content_type="text/html", body=f"<iframe src='{server.url}/console'></iframe>")

        await other.route("https://evil.example.com/", evil)
        await other.goto("https://evil.example.com/")
        text = "({ method: 'POST', mode: 'no-cors', credentials: 'include', body: JSON.stringify({ user: 'SCOTT' }) })"
        await other.evaluate(f"fetch('{server.url}/console/api/revoke', {text}).catch(() => 0)")

        assert len(other.frames) == 2
        assert await other.frames[1].locator("#KEY, #SHELL").count() == 0
        assert revocations(server) == before


# ── pages ──


async def test_the_overview_is_drawn_and_lives(browser: Browser, server: ServerProcess) -> None:
    async with signed_in(browser, server) as tab:
        await expect(tab.locator(".chart .uplot canvas")).to_have_count(9)
        connections = tab.locator(".tile", has_text="Connections").locator("dd")
        # The figures are a second old, and may still tell of those who read in the test before.
        await expect(connections).to_have_text("0")
        async with person(server, "SCOTT", "orders:1"), person(server, "KING", "orders:1"):
            await expect(connections).to_have_text("2")
            await expect(tab.locator(".chart", has_text="Connections").locator(".reading b")).to_have_text("2")
        await expect(connections).to_have_text("0")

        await tab.click("text=Show tables")
        await expect(tab.locator(".chart table")).to_have_count(9)
        await tab.click("text=Show tables")
        await tab.click("text=24 hours")
        await expect(tab.locator(".chart .uplot")).to_have_count(9)


async def test_without_the_chart_library_there_are_tables(browser: Browser, server: ServerProcess) -> None:
    async def without(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json={**(await answer.json()), "hasCharts": False})

    async with open_tab(browser) as tab:
        await tab.route("**/console/api/about", without)
        await tab.goto(f"{server.url}/console")
        await tab.fill("#KEY", KEY)
        await tab.press("#KEY", "Enter")

        await expect(tab.locator(".warning", has_text="chart library is not installed")).to_be_visible()
        await expect(tab.locator(".chart table")).to_have_count(9)
        assert await tab.locator("canvas").count() == 0


async def test_from_a_channel_to_who_got_a_message(browser: Browser, server: ServerProcess) -> None:
    offset = publish(server, "invoices:7", payload={"text": "paid"}, meta={"user": "SCOTT"})
    async with person(server, "SCOTT", "invoices:7", "invoices:*"), signed_in(browser, server, "channels") as tab:
        await tab.fill("#PREFIX", "invo")
        await expect(tab.locator("tbody tr")).to_have_count(1)
        await tab.click("text=invoices:7")
        await expect(tab.locator("main h1")).to_have_text("invoices:7")
        await expect(tab.locator(".chips")).to_contain_text("SCOTT")
        await expect(tab.locator(".publication")).to_contain_text("paid")
        latest = publish(server, "invoices:7", payload={"text": "cancelled"})
        await tab.click("text=Reload")
        await tab.locator(".publication", has_text="cancelled").get_by_text("Who got it?").click()

        await expect(tab.locator("section h2").first).to_have_text(f"invoices:7 #{latest}")
        await expect(row(tab, "SCOTT").first).to_contain_text("Handed over")
        await tab.click("text=Ask them now")
        await expect(row(tab, "SCOTT").first).to_contain_text("Arrived")
        await tab.fill("#OFFSET", str(offset))
        await tab.click("text=Look")
        await expect(row(tab, "SCOTT").first).to_contain_text("Came later")


async def test_revoking_ends_the_connection(browser: Browser, server: ServerProcess) -> None:
    async with (
        person(server, "BLAKE", "orders:1") as blake,
        person(server, "CLARK", "orders:1") as clark,
        signed_in(browser, server, "connections?user=BLAKE") as tab,
    ):
        button = row(tab, "BLAKE").get_by_text("Revoke session")
        await button.click()
        await expect(tab.locator("#DIALOG_TITLE")).to_have_text("Revoke session 4711 of BLAKE?")
        await tab.keyboard.press("Escape")
        await expect(tab.locator("#DIALOG")).to_be_hidden()
        await expect(row(tab, "BLAKE")).to_have_count(1)

        await button.click()
        await tab.click("#DIALOG_OK")
        await expect(tab.locator("#TOAST")).to_have_text("Revoked: 1 connections ended.")
        assert await blake.close_code() == 4503
        await expect(tab.locator(".empty")).to_have_text("No connection fits.")

        await go(tab, "users")
        await tab.fill("#SEARCH", "clark")
        await row(tab, "CLARK").get_by_text("Revoke user").click()
        await tab.click("#DIALOG_OK")
        assert await clark.close_code() == 4503
        await expect(tab.locator(".empty")).to_be_visible()


async def test_the_tail_is_live_filtered_and_paused(browser: Browser, server: ServerProcess) -> None:
    async with signed_in(browser, server, "tail") as tab:
        await tab.fill("#CHANNEL", "tail:*")
        await tab.press("#CHANNEL", "Enter")
        status, items = tab.locator("main [role=status]"), tab.locator(".publication")
        await expect(status).to_have_text("live")
        publish(server, "tail:1", payload="one", eventName="created")
        publish(server, "tail:2", payload="two", eventName="changed")
        await expect(items).to_have_count(2)
        await expect(items.first).to_contain_text("two")

        await tab.fill("#EVENT", "created")
        await expect(items).to_have_count(1)
        await expect(status).to_have_text("live · 1 do not fit the filter")
        await tab.fill("#EVENT", "")
        await tab.fill("#TEXT", "TWO")
        await expect(items).to_have_count(1)
        await tab.fill("#TEXT", "")
        await tab.click("text=Pause")
        publish(server, "tail:1", payload="three")
        await expect(status).to_have_text("paused · 1 came since")
        await expect(items).to_have_count(2)
        await tab.click("text=Go on")
        await expect(items).to_have_count(3)
        await expect(items.first).to_contain_text("three")


async def test_a_restart_of_the_server_loses_nothing_of_a_tail(browser: Browser, tmp_path: Path) -> None:
    with run_server(tmp_path / "data", **SECURED, console_key=KEY) as server:
        complaints = f"{SERVER_AWAY}|ERR_CONNECTION_REFUSED|{REFUSED}"
        async with signed_in(browser, server, "tail?channel=tail:1", may_complain=complaints) as tab:
            await expect(tab.locator("main [role=status]")).to_have_text("live")
            server.kill()
            await expect(tab.locator("#STATE")).to_have_text("reconnecting")
            server.start()
            publish(server, "tail:1", payload="while it was away")

            await expect(tab.locator("#STATE")).to_have_text("live")
            await expect(tab.locator(".publication")).to_contain_text("while it was away")


async def test_a_test_message_is_published(browser: Browser, server: ServerProcess) -> None:
    async with wire(server.ws_url, token=make_token("SCOTT", "test")) as scott:
        await scott.subscribe("test")
        async with signed_in(browser, server, "publish?channel=test") as tab:
            await tab.fill("#EVENT", "ping")
            await tab.fill("#PAYLOAD", "{ not json")
            await tab.click("main button.primary")
            await expect(tab.locator("#PAYLOAD_ERROR")).to_contain_text("The payload is not JSON")
            await tab.fill("#PAYLOAD", '{"value": "Grüße"}')
            await tab.click("main button.primary")

            await expect(tab.locator("p.ok")).to_contain_text("Published at offset 1")
            (publication,) = await scott.publications(1)
            assert (publication["eventName"], publication["payload"]) == ("ping", {"value": "Grüße"})
            assert publication["meta"] == {"source": "console"}


# ── whoever sends, whoever looks ──


async def test_markup_in_names_and_payloads_stays_text(browser: Browser, server: ServerProcess) -> None:
    publish(server, MARKUP, eventName=MARKUP[:60], payload={MARKUP: [MARKUP]}, id=MARKUP, meta={"user": MARKUP})
    name = quote(MARKUP)
    async with person(server, MARKUP, MARKUP, sid=MARKUP), signed_in(browser, server) as tab:
        for page in ("channels", f"channel?name={name}", "connections", "users", f"tail?channel={name}",
                     f"publish?channel={name}", f"delivery?channel={name}"):  # fmt: skip
            await go(tab, page)
            if page.startswith("tail"):
                publish(server, MARKUP, payload=MARKUP)
            if not page.startswith("publish"):
                await expect(tab.locator("main", has_text="onerror")).to_be_visible()
                await expect(tab.locator("main")).to_contain_text("\\u202e")
            assert await tab.locator("main img, main b:has-text('gnp')").count() == 0, page
            assert await tab.evaluate("window.hacked") is None, page
        await go(tab, "connections")
        await row(tab, "onerror").get_by_role("button").click()
        await expect(tab.locator("#DIALOG_TITLE")).to_contain_text("onerror")
        assert await tab.locator("#DIALOG img").count() == 0


async def test_every_page_fits_a_phone(browser: Browser, server: ServerProcess) -> None:
    for number in range(12):
        publish(server, f"orders:{number}", payload={"text": "long " * 60})
    name = "A_RATHER_LONG_NAME_OF_A_USER@A-LONG-DOMAIN.EXAMPLE.COM"
    async with person(server, name, "orders:1", "orders:*"), signed_in(browser, server) as tab:
        await tab.set_viewport_size({"width": 360, "height": 740})
        for page in PAGES:
            await go(tab, page)
            await expect(tab.locator("main > *").nth(1)).to_be_visible()
            await tab.wait_for_load_state("networkidle")
            wide = await tab.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, page


async def test_everything_is_reached_by_keyboard(browser: Browser, server: ServerProcess) -> None:
    async with open_tab(browser) as tab:
        await tab.goto(f"{server.url}/console")
        await expect(tab.locator("#KEY")).to_be_focused()
        await tab.keyboard.type(KEY)
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#STATE")).to_have_text("live")
        await tab.reload()
        await expect(tab.locator("#STATE")).to_have_text("live")

        seen = []
        for _ in range(16):
            await tab.keyboard.press("Tab")
            focused = (
                "document.activeElement.textContent.trim() + '|' + document.activeElement.matches(':focus-visible')"
            )
            seen.append(await tab.evaluate(focused))
        words = [text.split("|")[0] for text in seen]
        assert words[:4] == ["Skip to the page", "apex-rtm", "Sign out", "Overview"]
        assert {"Channels", "Connections", "Users", "Live tail", "Publish", "Who got it?", "15 minutes"} <= set(words)
        assert all(text.endswith("|true") for text in seen), seen

        await tab.evaluate("document.querySelector('#NAV a[href=\"#/tail\"]').focus()")
        await tab.keyboard.press("Enter")
        await expect(tab.locator("main h1")).to_have_text("Live tail")
        await expect(tab.locator("main h1")).to_be_focused()
        await expect(tab.locator("#NAV a[aria-current=page]")).to_have_text("Live tail")
        await tab.keyboard.press("/")
        await expect(tab.locator("#CHANNEL")).to_be_focused()
        await tab.keyboard.type("orders/1")
        await expect(tab.locator("#CHANNEL")).to_have_value("orders/1")


async def test_the_focus_stays_where_lists_and_figures_are_renewed(browser: Browser, server: ServerProcess) -> None:
    publish(server)
    async with person(server, "SCOTT", "orders:1"), signed_in(browser, server) as tab:
        for page, place in (
            ("overview", ".tile a"), ("channels", "tbody a"), ("connections", "tbody button"), ("users", "tbody a"),
        ):  # fmt: skip
            await go(tab, page)
            first = tab.locator(place).first
            await expect(first).to_be_visible()
            await first.focus()
            watch = """() => new Promise((resolve) => {
                const watcher = new MutationObserver(() => { watcher.disconnect(); requestAnimationFrame(resolve); });
                const everything = { childList: true, subtree: true, characterData: true };
                watcher.observe(document.querySelector('main'), everything);
            })"""
            await tab.evaluate(watch)
            await expect(first).to_be_focused()


async def test_what_a_screen_reader_needs_is_there(browser: Browser, server: ServerProcess) -> None:
    publish(server)
    async with person(server, "SCOTT", "orders:1"), signed_in(browser, server) as tab:
        for page in PAGES:
            await go(tab, page)
            await tab.wait_for_load_state("networkidle")
            nameless = await tab.evaluate(
                """() => Array.from(document.querySelectorAll('button, a, input, textarea'))
                    .filter((one) => one.checkVisibility() && !one.closest('[aria-hidden]')
                        && !(one.textContent.trim() || one.getAttribute('aria-label') || (one.labels || []).length))
                    .map((one) => one.outerHTML)"""
            )
            assert nameless == [], page
            assert await tab.locator("main h1").count() == 1, page
            assert (await tab.title()).endswith("apex-rtm console")


async def test_it_follows_the_colours_of_the_system(browser: Browser, server: ServerProcess) -> None:
    grounds = []
    for dark in (False, True):
        async with signed_in(browser, server, dark=dark) as tab:
            grounds.append(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(244, 246, 250)", "rgb(14, 18, 25)"]


async def test_open_mode_needs_no_login(browser: Browser, open_server: ServerProcess) -> None:
    async with open_tab(browser) as tab:
        await tab.goto(f"{open_server.url}/console")

        await expect(tab.locator("#STATE")).to_have_text("live")
        await expect(tab.locator("#LOGOUT")).to_be_hidden()
        await expect(tab.locator("#ABOUT")).to_contain_text("open mode")


# ── pictures ──


@pytest.mark.skipif("APEX_RTM_PICTURES" not in os.environ, reason="draws docs/images, with APEX_RTM_PICTURES=1")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_picture(browser: Browser, tmp_path: Path, scheme: str) -> None:
    with run_server(tmp_path / "data", **SECURED, console_key=KEY) as server:
        async with contextlib.AsyncExitStack() as people:
            for user, sid in (("SCOTT", "1"), ("SCOTT", "2"), ("KING", "3"), ("ADAMS", "4"), ("BLAKE", "5")):
                await people.enter_async_context(person(server, user, "orders:*", "chat:general", sid=sid))
            async with signed_in(browser, server, dark=scheme == "dark") as tab:
                await _busy(server, 12)
                suffix = "" if scheme == "light" else "-dark"
                await tab.screenshot(path=PICTURES / f"console{suffix}.png")
                offset = publish(server, "orders:1", payload={"status": "SHIPPED"})
                await go(tab, f"delivery?channel=orders:1&offset={offset}")
                await tab.click("text=Ask them now")
                await expect(row(tab, "KING").first).to_contain_text("Arrived")
                await tab.screenshot(path=PICTURES / f"console-delivery{suffix}.png")
                if scheme == "dark":
                    await tab.set_viewport_size({"width": 390, "height": 844})
                    await go(tab, "connections")
                    await expect(row(tab, "KING")).to_be_visible()
                    await tab.screenshot(path=PICTURES / "console-phone.png")


async def _busy(server: ServerProcess, seconds: float) -> None:
    """Some traffic for the charts."""
    async with httpx.AsyncClient(base_url=server.url, headers={"X-API-Key": SECURED["api_keys"]}) as http:
        async with asyncio.timeout(seconds + 5):
            for number in range(int(seconds * 10)):
                for copy in range(1 + (number // 20) % 3):
                    message = {"channel": f"orders:{number % 5}", "eventName": "changed", "payload": {"id": copy}}
                    await http.post("/api/broadcast", json=message)
                await asyncio.sleep(0.07)
