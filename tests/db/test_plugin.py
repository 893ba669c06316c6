"""RTM_PLUGIN, which the three plug-ins call: what it renders for the page, what its callbacks send and answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.db.sandbox import http
from tests.db.sandbox.session import Session
from tests.db.sandbox.values import Lob, OracleError, Record, Value
from tests.support.server import ServerProcess
from tests.support.wire import wire

pytestmark = pytest.mark.slow

_CALL = re.compile(r"function\(\)\{return (rtm\.\w+)\(this,(\{.*\})\);\}", re.DOTALL)


@pytest.fixture(autouse=True)
def apex_session(session: Session) -> None:
    """The session of a user in an application."""
    session.apex.context.update(APP_USER="SCOTT", APP_SESSION="4711", APP_ID="100", APP_PAGE_ID="10")


def component(kind: str, session: Session, **attributes: Value) -> Record:
    """A dynamic action, a plug-in or a process with these attributes; the others are null."""
    shape = session.machine.world.catalogue.packages["apex_plugin"].records[kind]
    record = Record(dict.fromkeys(shape))
    for name, value in attributes.items():
        key = name.replace("a", "attribute_") if re.fullmatch(r"a\d\d", name) else name
        assert key in record.fields, key
        record.fields[key] = value
    return record


def call(session: Session, name: str, action: dict[str, Value], plugin: dict[str, Value] | None = None) -> Record:
    """Call a function of RTM_PLUGIN as APEX does."""
    is_process = name.startswith("execute")
    kind, parameter = ("t_process", "p_process") if is_process else ("t_dynamic_action", "p_dynamic_action")
    arguments = {
        parameter: component(kind, session, **action),
        "p_plugin": component("t_plugin", session, **(plugin or {})),
    }
    result: Record = session.call(f"rtm_plugin.{name}", **arguments)
    return result


def rendered(result: Record) -> tuple[str, dict[str, Any]]:
    """The function of the page that is called, and its settings."""
    found = _CALL.fullmatch(result.fields["javascript_function"])
    assert found is not None, result.fields["javascript_function"]
    return found.group(1), json.loads(found.group(2))


LISTENER = {
    "a02": "app:100", "a03": "ping", "a04": "rtm-message", "a05": "SEVERAL", "a06": "item:refresh", "a07": "P10_X",
    "a08": "emp, dept", "a09": "Saved by &name.", "a10": "500", "a11": "2000", "a12": "N",
}  # fmt: skip


def test_listener_is_given_what_it_needs_and_no_secret(session: Session, server: ServerProcess) -> None:
    result = call(session, "render_listener", LISTENER)

    function, config = rendered(result)
    token = config.pop("token")
    assert function == "rtm.listener"
    assert config == {
        "url": server.url,
        "channel": "app:100",
        "eventName": "ping",
        "apexEvent": "rtm-message",
        "actions": ["item", "refresh"],
        "itemName": "P10_X",
        "regions": ["emp", "dept"],
        "template": "Saved by &name.",
        "refreshIntervalMs": 500,
        "refreshSpreadMs": 2000,
        "waitWhileHidden": False,
    }
    assert result.fields["ajax_identifier"] == "ajax-identifier"
    assert token.count(".") == 2


@pytest.mark.parametrize(("stored", "asks"), [(None, False), ("N", False), ("Y", True)])
def test_who_is_here_is_asked_for_where_it_is_set(session: Session, stored: str | None, asks: bool) -> None:
    assert rendered(call(session, "render_listener", {**LISTENER, "a13": stored}))[1].get("presence", False) is asks


async def test_token_of_the_page_opens_its_channel(session: Session, server: ServerProcess) -> None:
    """The plug-in's own channels, one in a line, and that of the action."""
    _, config = rendered(call(session, "render_listener", LISTENER, {"a02": "common\r\n news:* \n\n"}))

    async with wire(server.ws_url) as page:
        connected = await page.ask(type="connect", token=config["token"])
        await page.subscribe("app:100")

    assert connected["user"] == "SCOTT"
    assert sorted(connected["channels"]) == ["app:100", "common", "news:*", "user:SCOTT"]


def test_names_cannot_leave_the_script_element(session: Session) -> None:
    name = "</script><!--<script>alert('1')\"\\"

    result = call(session, "render_listener", {**LISTENER, "a02": name})

    assert "<" not in result.fields["javascript_function"]
    assert rendered(result)[1]["channel"] == name


def test_page_works_without_news_when_the_listener_cannot_be_made(session: Session) -> None:
    session.configure(base_url=None)

    result = call(session, "render_listener", LISTENER)

    assert "apex.debug.error" in result.fields["javascript_function"]
    (row,) = session.log()
    assert (row["source"], row["channel"]) == ("RTM_LISTENER_DA", "app:100")


def test_without_a_secret_the_page_gets_no_token(session: Session) -> None:
    session.configure(token_secret=None)

    assert "token" not in rendered(call(session, "render_listener", LISTENER))[1]
    assert session.apex.debug


async def test_page_can_renew_its_token(session: Session, server: ServerProcess) -> None:
    call(session, "ajax_listener", LISTENER)

    async with wire(server.ws_url) as page:
        assert (await page.ask(type="connect", token=session.apex.answer["token"]))["type"] == "connected"


def test_failed_renewal_is_an_error_in_words_without_its_cause(session: Session) -> None:
    session.configure(token_secret=None)

    call(session, "ajax_listener", LISTENER)

    assert list(session.apex.answer) == ["error"]
    assert "ORA-" not in session.apex.answer["error"]
    assert session.log()[0]["error"].startswith("ORA-20730")


BROADCAST = {"a03": "app:101", "a04": "ping", "a05": "P10_X"}


def test_broadcast_action_tells_the_page_nothing_of_server_and_key(session: Session) -> None:
    action = {
        **BROADCAST,
        "a01": "my-key",
        "a02": "https://rtm.example.com",
        "a06": "SHOW",
        "a08": "Sorry",
        "a09": "P1,P2",
    }

    function, config = rendered(call(session, "render_broadcast", action))

    assert function == "rtm.broadcast"
    assert config == {"itemName": "P10_X", "onError": "show", "errorText": "Sorry", "pageItems": ["P1", "P2"]}


async def broadcast_and_receive(session: Session, server: ServerProcess, run: Value, channel: str) -> dict[str, Any]:
    """What a page of SCOTT hears while ``run`` is called."""
    listener = rendered(call(session, "render_listener", {**LISTENER, "a02": channel}))[1]
    async with wire(server.ws_url, token=listener["token"]) as page:
        await page.subscribe(channel)
        run()
        (publication,) = await page.publications(1)
    return publication


@pytest.mark.parametrize("value", ["Grüße", "x" * 40_000, None])
async def test_value_of_the_browser_goes_out_with_its_item(
    session: Session, server: ServerProcess, value: str | None
) -> None:
    if value is not None and len(value) > 32_767:
        session.apex.g_clob_01 = Lob(value)
    else:
        session.apex.g_x01 = value

    publication = await broadcast_and_receive(
        session, server, lambda: call(session, "ajax_broadcast", BROADCAST), "app:101"
    )

    assert publication["eventName"] == "ping"
    assert publication["payload"] == {"itemName": "P10_X", "value": value}
    assert publication["meta"] == {"user": "SCOTT", "appId": 100, "pageId": 10}
    assert "error" not in session.apex.answer
    assert session.log()[0]["source"] == "RTM_BROADCAST_DA"


def test_failed_callback_answers_in_the_developers_words(session: Session) -> None:
    session.http.break_with = http.failed("ORA-24247: network access denied by access control list (ACL)")

    call(session, "ajax_broadcast", {**BROADCAST, "a08": "Not now."})

    assert session.apex.answer == {"error": "Not now."}
    assert [row["status"] for row in session.log()] == ["FAILED"], "one row for one failure"


async def test_process_sends_the_item_of_the_session(session: Session, server: ServerProcess) -> None:
    session.apex.items["P10_X"] = "from the page"
    process = {**BROADCAST, "a07": "NOW", "success_message": "Done"}
    results: list[Record] = []

    publication = await broadcast_and_receive(
        session, server, lambda: results.append(call(session, "execute_broadcast", process)), "app:101"
    )

    assert publication["eventName"] == "ping"
    assert publication["payload"] == {"itemName": "P10_X", "value": "from the page"}
    assert results[0].fields["success_message"] == "Done"


def test_process_waits_for_the_commit_unless_told_otherwise(session: Session) -> None:
    call(session, "execute_broadcast", BROADCAST)
    session.rollback()
    assert session.rows("select * from rtm_outbox") == []

    call(session, "execute_broadcast", BROADCAST)
    session.commit()
    assert len(session.rows("select * from rtm_outbox")) == 1


@pytest.mark.parametrize(("on_error", "is_raised"), [(None, True), ("RAISE", True), ("LOG", False), ("IGNORE", False)])
def test_process_does_on_error_what_it_was_told(session: Session, on_error: str | None, is_raised: bool) -> None:
    session.http.break_with = http.failed("ORA-29263: HTTP protocol error")
    process = {**BROADCAST, "a06": on_error, "a07": "NOW"}

    if is_raised:
        with pytest.raises(OracleError):
            call(session, "execute_broadcast", process)
    else:
        assert call(session, "execute_broadcast", process).fields["execution_skipped"] is True
    assert [row["status"] for row in session.log()] == ["FAILED"]
