"""The plug-ins as imported, on pages of an APEX instance, in a real browser against the real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Page as Tab

from tests.e2e.parts import broadcast, events_of, listener, listening, on_click, on_message, remember
from tests.e2e.pictures import take
from tests.support.apex.door import Apex
from tests.support.apex.page import (
    BROADCAST_PROCESS,
    EXECUTE_CODE,
    JAVASCRIPT,
    LISTENER,
    REFRESH,
    Action,
    Button,
    DynamicAction,
    Item,
    Page,
    Process,
    Region,
)
from tests.support.apex.recipe import read_sections
from tests.support.chromium import open_tab
from tests.support.server import API_KEY

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

DOCUMENT = Path(__file__).parents[2] / "docs" / "apex.md"
CHAPTERS = {section.title: section for section in read_sections(DOCUMENT.read_text(encoding="utf-8"))}


def hello_page() -> Page:
    """Page 10, from the table and the code of docs/apex.md."""
    listens, sends = (
        {row[0]: row[column] for row in CHAPTERS["Minute 4: a page"].rows if row[column]} for column in (1, 2)
    )
    assert (listens.pop("Event"), sends.pop("Event"), sends.pop("Selection Type")) == ("Page Load", "Click", "Button")
    (reaction,) = CHAPTERS["Minute 9: react"].code("js")
    button = sends.pop("Button")
    return Page(
        10,
        "Hello",
        items=[Item("P10_MESSAGE", label="Message")],
        buttons=[Button(button, "Send Hello")],
        dynamic_actions=[
            on_message("React", reaction),
            DynamicAction("RTM Listener", "Page Load", [Action(listens.pop("True Action"), listens)]),
            on_click(button, Action(sends.pop("True Action"), sends)),
        ],
    )


async def test_hello_goes_from_one_browser_to_the_other(browser: Browser, apex: Apex) -> None:
    apex.add(hello_page())
    async with open_tab(browser) as scott, open_tab(browser) as king:
        await listening(apex, "test", (scott, "SCOTT"), (king, "KING"))
        await remember(king, "change")
        await scott.fill("#P10_MESSAGE", "Grüße 👋")
        await scott.click("#SEND_HELLO")

        await expect(king.locator("#P10_MESSAGE")).to_have_value("Grüße 👋")
        for tab in (scott, king):
            await expect(tab.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("Received: Grüße 👋")
        assert await events_of(king) == [], "a remote update must fire no change event"
        row = apex.log()[-1]
        assert (row["source"], row["status"], row["channel"]) == ("RTM_BROADCAST_DA", "SENT", "test")
        await scott.fill("#P10_MESSAGE", "Sales were updated")
        await scott.click("#SEND_HELLO")
        await expect(king.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("Received: Sales were updated")
        await take(king, "hello", height=250)

        (first,) = CHAPTERS["Minute 0: does the database reach the server?"].code("sql")
        (second,) = CHAPTERS["Minute 10: from the database"].code("sql")
        for block in (first, f"begin {second} end;"):
            apex.plsql(block)
        await expect(king.locator("#P10_MESSAGE")).to_have_value("Hello from PL/SQL")


async def test_the_browser_names_no_channel_and_cannot(browser: Browser, apex: Apex) -> None:
    """Whatever a form adds, the message goes where the attributes say."""
    apex.add(hello_page())
    logged = len(apex.log())
    async with open_tab(browser) as tab:
        await listening(apex, "test", (tab, "SCOTT"))
        await tab.fill("#P10_MESSAGE", "honest")
        await tab.click("#SEND_HELLO")
        await expect(tab.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("Received: honest")
        form = apex.instance.requests[-1]
        assert not {"test", "ping", apex.server.url} & set(form.values())

        answer = await tab.evaluate(
            """(identifier) => apex.server.plugin(identifier, { x01: 'forged', x02: 'secret', p_channel: 'secret',
                p_arg_names: ['attribute_03'], p_arg_values: ['secret'], f01: ['secret'] }, {})""",
            form["p_request"].removeprefix("PLUGIN="),
        )
        assert answer == {"sent": "NOW"}
        await expect(tab.locator("#P10_MESSAGE")).to_have_value("forged")
    assert [row["channel"] for row in apex.log()[logged:]] == ["test", "test"]


async def test_a_remote_update_is_not_broadcast_again(browser: Browser, apex: Apex) -> None:
    """Two pages whose item broadcasts on Change would play ping-pong for ever."""
    on_change = DynamicAction("Send", "Change", [broadcast("echo", **{"Payload Item": "P11_TEXT"})], items="P11_TEXT")
    apex.add(Page(11, items=[Item("P11_TEXT")], dynamic_actions=[listener("echo"), on_change]))
    async with open_tab(browser) as scott, open_tab(browser) as king:
        await listening(apex, "echo", (scott, "SCOTT"), (king, "KING"), page=11)
        for sender, receiver, text in ((scott, king, "one"), (king, scott, "two")):
            await sender.fill("#P11_TEXT", text)
            await sender.locator("#P11_TEXT").blur()
            await expect(receiver.locator("#P11_TEXT")).to_have_value(text)
        # A message behind the two: had one been sent again, it would lie before this one.
        apex.publish("echo", {"itemName": "P11_TEXT", "value": "end"})
        await expect(scott.locator("#P11_TEXT")).to_have_value("end")
    with apex.server.client() as http:
        publications = http.get("/api/channels/echo/history").json()["publications"]
    assert [publication["payload"]["value"] for publication in publications] == ["one", "two", "end"]


async def test_a_dynamic_action_that_fires_again_listens_once(browser: Browser, apex: Apex) -> None:
    """On every refresh of a region, on elements that are there three times, and on page load as well."""
    again = DynamicAction("Again", "Custom", [Action(LISTENER, {"Channel": "often"})], custom_event="click",
                          items="P12_A,P12_B,P12_C")  # fmt: skip
    apex.add(Page(12, items=[Item(f"P12_{name}") for name in "ABC"], dynamic_actions=[again]))
    async with open_tab(browser) as tab:
        await listening(apex, "often", (tab, "SCOTT"), page=12)
        await remember(tab, "rtm-message")
        await tab.evaluate("for (let round = 0; round < 20; round += 1) apex.jQuery('#P12_A,#P12_B').trigger('click')")
        apex.publish("often", {"value": 1})
        apex.publish("often", {"value": 2})
        await tab.wait_for_function("() => remembered.some((event) => event.data.payload.value === 2)")
        assert [event["data"]["payload"]["value"] for event in await events_of(tab)] == [1, 2]
        await apex.heard("often", "SCOTT", connections=1)


async def test_what_is_not_on_the_page_breaks_nothing(browser: Browser, apex: Apex) -> None:
    """An item, a region, a payload of every shape: the event is fired, the page lives."""
    settings = {"Action": "Several of these", "Several Actions": "Set item, Refresh regions, Notify",
                "Regions": "nowhere, neither", "Notification": "#payload.value# #payload.missing.deep# #meta.x#",
                "Refresh Spread": "0"}  # fmt: skip
    apex.add(Page(13, items=[Item("P13_TEXT")], dynamic_actions=[listener("odd", **settings)]))
    payloads: list[Any] = [
        None, 0, "text", [], {}, [1, 2], {"itemName": "P99_X", "value": 1}, {"itemName": 7, "value": 1},
        {"itemName": "P13_TEXT", "value": {"a": 1}}, {"itemName": "P13_TEXT"}, {"itemName": "__proto__", "value": 1},
        {"itemName": "P13_TEXT", "value": None}, {"itemName": "P13_TEXT", "value": "end"},
    ]  # fmt: skip
    async with open_tab(browser) as tab:
        await listening(apex, "odd", (tab, "SCOTT"), page=13)
        await remember(tab, "rtm-message")
        for payload in payloads:
            apex.publish("odd", payload)
        await expect(tab.locator("#P13_TEXT")).to_have_value("end")
        assert [event["data"]["payload"] for event in await events_of(tab)] == payloads
        await expect(tab.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("end")


EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>'\"&amp;"


async def test_text_from_outside_is_text(browser: Browser, apex: Apex) -> None:
    """Payload, names in it, channel, event name, user name: shown as they are, never as markup."""
    settings = {"Action": "Several of these", "Several Actions": "Set item, Notify", "Item": "P14_SHOWN",
                "Notification": "#payload.value#|#meta.user#|#channel#|#eventName#"}  # fmt: skip
    apex.add(
        Page(14, items=[Item("P14_SHOWN", "Display Only")], dynamic_actions=[listener("xss:*", **settings)]),
    )
    async with open_tab(browser) as tab:
        await listening(apex, "xss:", (tab, "<b>SCOTT</b>"), page=14)
        channel, event = f"xss:{EVIL}", "<svg onload=alert(1)>"
        apex.publish(channel, {"value": EVIL}, eventName=event, meta={"user": f"KING{EVIL}"})

        await expect(tab.locator("#P14_SHOWN")).to_have_text(EVIL)
        shown = await tab.locator("#APEX_SUCCESS_MESSAGE p").text_content()
        assert shown is not None
        assert shown.count("onerror=") == 3
        # What could open a tag is not even in the text that APEX is given: a release may take it for HTML.
        assert "<img" not in shown
        assert "<svg" not in shown
        assert await tab.locator("#P14_SHOWN *, #APEX_SUCCESS_MESSAGE img, #APEX_SUCCESS_MESSAGE script").count() == 0
        assert "owned" not in await tab.title()


async def test_settings_cannot_leave_the_script_that_apex_writes(browser: Browser, apex: Apex) -> None:
    """A channel, made of an item that a user fills, lands inside a script element of the page."""
    evil = "</script><script>document.title='owned'</script><!--<script>"
    apex.add(Page(15, items=[Item("P15_ROOM")], dynamic_actions=[listener("room:&P15_ROOM!RAW.")]))
    async with open_tab(browser) as tab:
        session = apex.login("SCOTT")
        await tab.goto(apex.link(15, session, P15_ROOM=evil.replace(",", "")))
        await apex.heard(f"room:{evil}", "SCOTT")
        apex.publish(f"room:{evil}", {"itemName": "P15_ROOM", "value": "heard"})
        await expect(tab.locator("#P15_ROOM")).to_have_value("heard")
        assert await tab.title() == ""


async def test_the_policy_of_the_pages_is_as_strict_as_it_says(browser: Browser, apex: Apex) -> None:
    """The control of all tests here: code without the nonce, eval and a foreign socket are refused by this page."""
    apex.add(hello_page())
    async with open_tab(browser, may_complain="policy|Content Security Policy|unsafe-eval") as tab:
        await listening(apex, "test", (tab, "SCOTT"))
        outcome = await tab.evaluate(
            """async () => {
                const violations = [];
                addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
                const script = document.createElement('script');
                script.textContent = 'window.ran = true';
                document.body.append(script);
                const socket = new WebSocket('ws://127.0.0.1:9/');
                await new Promise((resolve) => { socket.onerror = resolve; });
                await new Promise((resolve) => setTimeout(resolve));
                return { ran: window.ran === true, violations };
            }"""
        )
    assert outcome == {"ran": False, "violations": ["script-src-elem", "connect-src"]}


async def test_a_modal_dialog_listens_for_itself(browser: Browser, apex: Apex) -> None:
    """It is a page in a frame, of the same session; when it closes, the page below goes on."""
    apex.add(hello_page(), Page(16, items=[Item("P16_NOTE")], dynamic_actions=[listener("test")]))
    async with open_tab(browser) as tab:
        session = apex.login("SCOTT")
        await tab.goto(apex.link(10, session))
        await tab.evaluate(
            "(src) => document.body.append(Object.assign(document.createElement('iframe'), { src, name: 'dialog' }))",
            apex.link(16, session),
        )
        await apex.heard("test", "SCOTT")
        dialog = tab.frame_locator("iframe[name=dialog]").locator("#P16_NOTE")
        await expect(dialog).to_be_visible()
        # Two pages of one session may share a connection: that the second one listens can only be heard.
        for number in range(100):
            apex.publish("test", {"itemName": "P16_NOTE", "value": f"in the dialog {number}"}, eventName="ping")
            await tab.wait_for_timeout(50)
            if await dialog.input_value():
                break
        assert await dialog.input_value() == f"in the dialog {number}"
        await tab.evaluate("document.querySelector('iframe').remove()")
        apex.publish("test", {"itemName": "P10_MESSAGE", "value": "below"}, eventName="ping")
        await expect(tab.locator("#P10_MESSAGE")).to_have_value("below")


# Button, On Error, Wait for Result, the message that the user sees, whether the next action runs.
ON_ERROR = [
    ("SHOW", "Show", True, "Sorry: SHOW.", True),
    ("LOG", "Log", True, None, True),
    ("IGNORE", "Ignore", True, None, True),
    ("STOP", "Stop", True, "Sorry: STOP.", False),
    ("SHOW_AT_ONCE", "Show", False, "Sorry: SHOW_AT_ONCE.", True),
]


def error_action(button: str, on_error: str, *, waits: bool, shown: str | None) -> DynamicAction:
    """A button that broadcasts, and an action after it that says that it ran."""
    settings = {"On Error": on_error} | ({"Error Message": shown} if shown else {})
    send = broadcast("test", **settings)
    send.waits_for_result = waits
    return on_click(button, send, Action(JAVASCRIPT, code=f"window.wentOn = '{button}';"))


async def test_on_error_does_what_was_set(browser: Browser, apex: Apex) -> None:
    actions = [error_action(name, on_error, waits=waits, shown=shown) for name, on_error, waits, shown, _ in ON_ERROR]
    apex.add(Page(17, buttons=[Button(row[0]) for row in ON_ERROR], dynamic_actions=actions))
    apex.configure(api_key="another-key")
    try:
        async with open_tab(browser, may_complain="rtm: broadcast failed") as tab:
            await tab.goto(apex.link(17, apex.login("SCOTT")))
            for button, _, _, shown, goes_on in ON_ERROR:
                await tab.evaluate("apex.message.clearErrors(); window.wentOn = '';")
                async with tab.expect_response("**/wwv_flow.ajax") as answered:
                    await tab.click(f"#{button}")
                assert "error" in await (await answered.value).json()
                if shown is not None:
                    await expect(tab.locator("#APEX_ERROR_MESSAGE p")).to_have_text(shown)
                if goes_on:
                    await tab.wait_for_function("(button) => window.wentOn === button", arg=button)
                assert await tab.evaluate("window.wentOn") == (button if goes_on else "")
                assert await tab.locator("#APEX_ERROR_MESSAGE p").count() == (shown is not None)
    finally:
        apex.configure(api_key=API_KEY)


def order_page(delivery: str, fault: str = "") -> Page:
    """A page whose submit sends a message and then, perhaps, fails."""
    settings = {"Channel": "orders", "Event Name": "saved", "Payload Item": "P18_ID", "Delivery": delivery}
    return Page(
        18,
        "Order",
        items=[Item("P18_ID")],
        buttons=[Button("SAVE", action="Submit Page")],
        processes=[
            Process("Tell", BROADCAST_PROCESS, settings, success_message="Saved."),
            *([Process("Fail", EXECUTE_CODE, code=fault)] if fault else []),
        ],
    )


async def save(tab: Tab, apex: Apex, value: str) -> None:
    await tab.goto(apex.link(18, apex.login("SCOTT")))
    await tab.fill("#P18_ID", value)
    await tab.click("#SAVE")


async def test_a_process_tells_what_was_committed_and_nothing_else(browser: Browser, apex: Apex) -> None:
    apex.add(Page(19, items=[Item("P18_ID")], dynamic_actions=[listener("orders", **{"Event Name": "saved"})]))
    async with open_tab(browser) as king, open_tab(browser) as scott:
        await listening(apex, "orders", (king, "KING"), page=19)
        await remember(king, "rtm-message")
        apex.add(order_page("On commit", fault="raise_application_error(-20001, 'No stock');"))
        await save(scott, apex, "rolled back")
        await expect(scott.locator("#error")).to_have_text("ORA-20001: No stock")
        apex.add(order_page("On commit"))
        await save(scott, apex, "committed")
        await expect(scott.locator("#APEX_SUCCESS_MESSAGE p")).to_have_text("Saved.")

        await expect(king.locator("#P18_ID")).to_have_value("committed")
        (event,) = await events_of(king)
        assert event["data"]["payload"] == {"itemName": "P18_ID", "value": "committed"}
        assert event["data"]["meta"] == {"user": "SCOTT", "appId": 100, "pageId": 18}


async def test_regions_are_refreshed_and_other_actions_can_follow(browser: Browser, apex: Apex) -> None:
    """By the Listener's own action, and by a dynamic action on the plug-in's event as Page Designer lists it."""
    log = Region("log", type="Classic Report", source="select channel, status from rtm_log order by id")
    second = Region("second", type="Classic Report", source="select count(*) as messages from rtm_log")
    follow = DynamicAction(
        "Follow", f"Message Received [{LISTENER}]", [Action(REFRESH, {"Region": "second"})],
        javascript_expression="document",
    )  # fmt: skip
    settings = {"Action": "Refresh regions", "Regions": "log", "Refresh Spread": "0"}
    apex.add(Page(20, regions=[log, second], dynamic_actions=[listener("audit", **settings), follow]))
    async with open_tab(browser) as tab:
        await listening(apex, "audit", (tab, "SCOTT"), page=20)
        before = await tab.locator("#log tbody tr").count()
        apex.call("websocket_api.broadcast_item", p_channel="audit", p_payload=json.dumps({"value": 1}))
        await expect(tab.locator("#log tbody tr")).to_have_count(before + 1)
        await expect(tab.locator("#log tbody tr").last).to_have_text("auditSENT")
        await expect(tab.locator("#second")).to_have_attribute("data-refreshes", "1")


async def test_200_listeners_are_one_connection(browser: Browser, apex: Apex) -> None:
    names = [f"many:{number}" for number in range(200)]
    apex.instance.component_settings["RTM_LISTENER_DA"] = {"Channels of Every Page": "many:*"}
    apex.add(Page(21, dynamic_actions=[listener(name, Action="Fire event only") for name in names]))
    try:
        async with open_tab(browser) as tab:
            await listening(apex, names[-1], (tab, "SCOTT"), page=21)
            await remember(tab, "rtm-message")
            messages = [{"channel": name, "payload": name} for name in names]
            with apex.server.client() as http:
                for start in (0, 100):
                    http.post(
                        "/api/broadcast/batch", json={"messages": messages[start : start + 100]}
                    ).raise_for_status()
            await tab.wait_for_function("() => remembered.length >= 200", timeout=15_000)
            assert sorted(event["data"]["payload"] for event in await events_of(tab)) == sorted(names)
            with apex.server.client() as http:
                connections = http.get("/api/connections", params={"user": "SCOTT"}).json()["connections"]
        assert len([one for one in connections if names[0] in one["channels"]]) == 1
    finally:
        apex.instance.component_settings.clear()
