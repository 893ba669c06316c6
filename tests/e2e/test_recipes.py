"""docs/recipes: every page builds, and does what it says, with exactly the settings and the code that stand on it."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Page as Tab

from tests.e2e.conftest import run_recipe
from tests.e2e.parts import events_of, listening, remember
from tests.e2e.pictures import take
from tests.support.apex.door import Apex
from tests.support.chromium import open_tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SUCCESS = "#APEX_SUCCESS_MESSAGE p"


def members(apex: Apex, *pairs: tuple[str, str]) -> None:
    for room, user in pairs:
        apex.plsql(f"begin insert into room_member (room, user_name) values ('{room}', '{user}'); end;")


async def test_rooms(browser: Browser, tmp_path: Path) -> None:
    """A room is heard by its members, and by nobody else; a member who is taken out hears nothing more."""
    with run_recipe("rooms", tmp_path) as (apex, recipe):
        apex.plsql(recipe.block("Members"))
        members(apex, ("general", "JONES"))
        async with (
            open_tab(browser) as scott,
            open_tab(browser, may_complain="revoked") as king,
            open_tab(browser) as jones,
        ):
            await listening(apex, "room:general", (scott, "SCOTT"), (king, "KING"), (jones, "JONES"))
            await scott.fill("#P10_TEXT", "Coffee <b>now</b>?")
            await scott.click("#SEND")
            for tab in (scott, king, jones):
                await expect(tab.locator(SUCCESS)).to_contain_text("SCOTT: Coffee ")
                assert await tab.locator("#APEX_SUCCESS_MESSAGE b").count() == 0
            await expect(scott.locator("#P10_TEXT")).to_have_value("")
            await take(king, "recipe-rooms")

            for tab in (scott, king):
                await tab.select_option("#P10_ROOM", "ops")
            await apex.heard("room:ops", "SCOTT", "KING")
            await remember(king, "rtm-message", "rtm-error")
            await king.fill("#P10_TEXT", "The disk is full")
            await king.click("#SEND")
            await expect(scott.locator(SUCCESS)).to_have_text("KING: The disk is full")
            await expect(jones.locator(SUCCESS)).to_contain_text("SCOTT: Coffee")

            apex.plsql(recipe.block("Taking somebody out"))
            await king.wait_for_function("() => remembered.some((event) => event.name === 'rtm-error')")
            await scott.fill("#P10_TEXT", "without KING")
            await scott.click("#SEND")
            await expect(scott.locator(SUCCESS)).to_have_text("SCOTT: without KING")
            await apex.heard("room:ops", "KING", connections=0)
            await king.reload()
            await expect(king.locator("#error")).to_have_text("ORA-20001: You are not a member of this room.")


async def test_rooms_are_not_opened_by_a_link_or_a_request(browser: Browser, tmp_path: Path) -> None:
    with run_recipe("rooms", tmp_path) as (apex, _recipe):
        members(apex, ("general", "JONES"))
        async with open_tab(browser, may_complain="403") as jones:
            session = apex.login("JONES")
            for room in ("ops", "*", "general*", ""):
                await jones.goto(apex.link(10, session, P10_ROOM=room or "nowhere"))
                await expect(jones.locator("#error")).to_contain_text("ORA-20001")
            await jones.goto(apex.link(10, session, P10_CHANNEL="room:ops"))
            await expect(jones.locator("body")).to_contain_text("Session state protection violation: P10_CHANNEL")
            await jones.goto(apex.link(10, session, P10_ROOM="general"))
            await apex.heard("room:general", "JONES")
            refused = await ask_for_token(jones, apex, [{"n": "P10_CHANNEL", "v": "room:ops"}])
            assert refused["error"].startswith("Session state protection violation")
            granted = await ask_for_token(jones, apex, [{"n": "P10_ROOM", "v": "ops"}])
            assert claims_of(granted["token"])["channels"] == ["room:general"]


async def ask_for_token(tab: Tab, apex: Apex, items: list[dict[str, str]]) -> dict[str, Any]:
    """Call the Listener's own callback with whatever a browser may put into the form."""
    identifier = next(key for key, call in apex.instance.calls.items() if call.name == "Listen")
    form = {
        "p_request": f"PLUGIN={identifier}", "p_instance": await tab.evaluate("apex.env.APP_SESSION"), "x01": "token",
        "p_json": json.dumps({"pageItems": {"itemsToSubmit": items}}),
    }  # fmt: skip
    answer: dict[str, Any] = await tab.evaluate(
        """async (form) => {
            const body = new URLSearchParams(form);
            return (await fetch('/ords/wwv_flow.ajax', { method: 'POST', body })).json();
        }""",
        form,
    )
    return answer


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


async def test_channels(browser: Browser, tmp_path: Path) -> None:
    """Application, page and tenant: each hears its own, and a tenant nothing of another, however it asks."""
    with run_recipe("channels", tmp_path) as (apex, recipe):
        tenants = {"SCOTT": "ACME", "KING": "ACMECORP"}
        async with (
            open_tab(browser, may_complain="403") as scott,
            open_tab(browser, may_complain="403|refused") as king,
        ):
            sessions = {}
            for tab, user in ((scott, "SCOTT"), (king, "KING")):
                sessions[user] = apex.login(user, TENANT_ID=tenants[user])
                await tab.goto(apex.link(10, sessions[user]))
                for channel in ("app_100:news", "app_100:page_10", f"tenant:{tenants[user]}:orders"):
                    await apex.heard(channel, user)
            for tab in (scott, king):
                await remember(tab, "rtm-message", "rtm-error")
            apex.plsql(recipe.block("From PL/SQL"))
            for tab in (scott, king):
                await expect(tab.locator("#P10_NEWS")).to_have_text("Closed on Friday")
                await expect(tab.locator("#P10_PAGE")).to_have_text("Prices are being updated")
            await expect(scott.locator("#P10_ORDER")).to_have_text("Order 17")
            await take(scott, "recipe-channels")

            # KING's own order comes after that of the other tenant, and is the first one that KING hears.
            apex.publish("tenant:ACME:orders", {"value": "Order 18"}, eventName="order-created")
            apex.publish("tenant:ACMECORP:orders", {"value": "Order 1"}, eventName="order-created")
            await expect(king.locator("#P10_ORDER")).to_have_text("Order 1")
            apex.publish("tenant:ACME:orders", {"value": "Order 19"}, eventName="order-created")
            await expect(scott.locator("#P10_ORDER")).to_have_text("Order 19")
            for tab, user in ((scott, "SCOTT"), (king, "KING")):
                heard = {event["data"]["channel"] for event in await events_of(tab)}
                assert heard == {"app_100:news", "app_100:page_10", f"tenant:{tenants[user]}:orders"}

            await king.goto(apex.link(10, sessions["KING"], TENANT_ID="ACME"))
            await expect(king.locator("body")).to_contain_text("Session state protection violation: TENANT_ID")


async def cheat(tab: Tab, apex: Apex, token: str, channel: str) -> str:
    """Ask the server for a channel with a token, past the plug-in; gives what it says."""
    said: str = await tab.evaluate(
        """({ url, token, channel }) => new Promise((resolve) => {
            const socket = new WebSocket(url, 'rtm.v1');
            socket.onopen = () => socket.send(JSON.stringify({ type: 'connect', token }));
            socket.onmessage = ({ data }) => {
                const frame = JSON.parse(data);
                if (frame.type === 'connected') socket.send(JSON.stringify({ type: 'subscribe', channel, id: 1 }));
                else resolve(frame.code || frame.type);
            };
        })""",
        {"url": apex.server.ws_url, "token": token, "channel": channel},
    )
    return said


def forged(token: str, **claims: Any) -> list[str]:
    """The token with other claims: under its old signature, without one, and with alg none."""
    head, _, signature = token.split(".")

    def part(document: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()

    body = part(claims_of(token) | claims)
    unsigned = part({"alg": "none", "typ": "JWT"})
    return [f"{head}.{body}.{signature}", f"{head}.{body}.", f"{unsigned}.{body}.", f"{unsigned}.{body}.{signature}"]


async def test_user_messages(browser: Browser, tmp_path: Path) -> None:
    """SCOTT gets it on every device, nobody else does, and KING fails at every way to it."""
    with run_recipe("user-messages", tmp_path) as (apex, recipe):
        async with (
            open_tab(browser) as desk,
            open_tab(browser) as phone,
            open_tab(browser, may_complain="refused|4501|WebSocket|403") as king,
            open_tab(browser) as admin,
        ):
            await listening(apex, "user:SCOTT", (desk, "SCOTT"), (phone, "SCOTT"))
            await apex.heard("user:SCOTT", "SCOTT", connections=2)
            await listening(apex, "user:KING", (king, "KING"))
            await remember(king, "rtm-message")
            await admin.goto(apex.link(20, apex.login("ADMIN")))
            await admin.fill("#P20_USER", "scott")
            await admin.fill("#P20_TEXT", "You are promoted")
            await admin.click("#SEND")
            for tab in (desk, phone):
                await expect(tab.locator(SUCCESS)).to_have_text("ADMIN: You are promoted")
            await take(desk, "recipe-user-messages")

            token = (await ask_for_token_of(king, apex))["token"]
            assert claims_of(token)["sub"] == "KING"
            for channel in ("user:SCOTT", "user:*", "*", "user:S*"):
                assert await cheat(king, apex, token, channel) == "forbidden", channel
            for fake in (
                *forged(token, sub="SCOTT"),
                *forged(token, channels=["user:SCOTT", "*"]),
                *forged(token, exp=9_999_999_999),
                "", "null", token[:-2],
            ):  # fmt: skip
                assert await cheat(king, apex, fake, "user:SCOTT") in ("unauthorized", "bad_request"), fake

            apex.plsql(recipe.block("From a job"))
            await expect(phone.locator(SUCCESS)).to_have_text("Payroll: Ready")
            apex.publish("user:KING", {"from": "x", "text": "y"}, eventName="note")
            await expect(king.locator(SUCCESS)).to_have_text("x: y")
            assert [event["data"]["channel"] for event in await events_of(king)] == ["user:KING"]


async def ask_for_token_of(tab: Tab, apex: Apex) -> dict[str, Any]:
    """The page's own token, renewed."""
    identifier = next(key for key, call in apex.instance.calls.items() if call.name == "Listen for me")
    answer: dict[str, Any] = await tab.evaluate(
        "(identifier) => apex.server.plugin(identifier, { x01: 'token' }, {})", identifier
    )
    return answer


_TIMES = """() => {
    window.times = [];
    apex.jQuery('#customers').on('apexbeforerefresh', () => times.push(performance.timeOrigin + performance.now()));
}"""


async def test_region_refresh(browser: Browser, tmp_path: Path) -> None:
    """A committed change refreshes every dashboard once, a rolled-back one none, a storm few, and not all at once."""
    with run_recipe("region-refresh", tmp_path) as (apex, recipe):
        apex.plsql(recipe.block("Two customers"))
        apex.plsql("begin insert into customer (name, city) values ('Aaron <Ltd>', 'Rome'); end;")
        async with open_tab(browser) as editor, open_tab(browser) as first:
            others = [await first.context.new_page() for _ in range(3)]
            dashboards = [first, *others]
            await listening(apex, "app_100:entity:CUSTOMER", *((tab, f"USER{n}") for n, tab in enumerate(dashboards)))
            await editor.goto(apex.link(20, apex.login("SCOTT"), P20_ID="1"))
            await expect(editor.locator("#P20_NAME")).to_have_value("Miller")
            await expect(editor.locator("#P20_CITY")).to_have_value("Bonn")
            await editor.fill("#P20_CITY", "Kiel")
            await editor.click("#SAVE")
            await expect(editor.locator(SUCCESS)).to_have_text("Customer saved.")
            for tab in dashboards:
                await expect(tab.locator("#customers")).to_contain_text("Kiel")
                await expect(tab.locator("#customers")).to_have_attribute("data-refreshes", "1")
            await expect(first.locator("#customers tbody tr").first).to_contain_text("Aaron <Ltd>")
            await take(first, "recipe-region-refresh")
            await storm(apex, dashboards)

            apex.plsql(recipe.block("From PL/SQL"))
            await editor.fill("#P20_NAME", "")  # null, which the table refuses
            await editor.click("#SAVE")
            await expect(editor.locator("#error")).to_contain_text("ORA-01400")
        sent = [row["channel"] for row in apex.log() if row["status"] == "SENT"]
        assert sent == ["app_100:entity:CUSTOMER"] * 2, "one of the page, one of the script, none of what failed"


async def storm(apex: Apex, dashboards: list[Tab]) -> None:
    """300 messages in a good second: each page refreshes once in a second, the first ones spread over half of one."""
    for tab in dashboards:
        await tab.wait_for_timeout(1000 if tab is dashboards[0] else 0)  # the interval of the refresh before
        await tab.evaluate(_TIMES)
        await remember(tab, "rtm-message")
    with apex.server.client() as http:
        one = {"channel": "app_100:entity:CUSTOMER", "eventName": "customer-updated"}
        for _ in range(12):
            assert http.post("/api/broadcast/batch", json={"messages": [one] * 25}).status_code == 200
            await dashboards[0].wait_for_timeout(100)
    firsts = []
    for tab in dashboards:
        await tab.wait_for_function("() => remembered.length === 300")
        await tab.wait_for_function(
            "() => times.length && performance.timeOrigin + performance.now() > times.at(-1) + 1600"
        )
        times = await tab.evaluate("times")
        assert len(times) >= 2
        assert min(later - sooner for sooner, later in pairwise(times)) > 990, times
        firsts.append(times[0])
    assert max(firsts) - min(firsts) > 20, "the pages asked at the same moment"
