"""RTM_PLUGIN, run from its source: what it gives the page, and what becomes of messages, against the real server."""

from __future__ import annotations

import json
import re
from typing import Any

import jwt
import pytest

from tests.db.sandbox.session import Session
from tests.db.sandbox.values import Lob, OracleError, Record, Value
from tests.plugins.conftest import Component
from tests.support.server import API_KEY, JWT_SECRET, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire

CALL = re.compile(r"function\(\)\{return (rtm\.\w+)\(this,(\{.*\})\);\}")


def rendered(session: Session, component: Component, function: str, plugin: Record | None = None, **a: Value) -> Any:
    """The function that the page calls and its settings."""
    result = session.call(
        f"rtm_plugin.{function}",
        p_dynamic_action=component("t_dynamic_action", **a),
        p_plugin=plugin or component("t_plugin"),
    )
    assert result.fields["ajax_identifier"] == "ajax-identifier"
    found = CALL.fullmatch(result.fields["javascript_function"])
    assert found is not None, result.fields["javascript_function"]
    return found[1], json.loads(found[2])


def listens(session: Session, component: Component, plugin: Record | None = None, **a: Value) -> dict[str, Any]:
    """The settings of a rendered Listener."""
    function, settings = rendered(session, component, "render_listener", plugin, **a)
    assert function == "rtm.listener"
    return dict(settings)


def ajax(session: Session, component: Component, function: str, **a: Value) -> dict[str, Value]:
    """What an AJAX function answers."""
    session.call(
        f"rtm_plugin.{function}",
        p_dynamic_action=component("t_dynamic_action", **a),
        p_plugin=component("t_plugin"),
    )
    return session.apex.answer


def executed(session: Session, component: Component, **a: Value) -> dict[str, Value]:
    """The result of the process."""
    result: Record = session.call(
        "rtm_plugin.execute_broadcast",
        p_process=component("t_process", success_message="Saved.", **a),
        p_plugin=component("t_plugin"),
    )
    return result.fields


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, JWT_SECRET, algorithms=["HS256"])


# --- Listener: the token


async def test_the_page_may_hear_its_channel_and_no_other(
    session: Session, component: Component, server: ServerProcess
) -> None:
    settings = listens(session, component, component("t_plugin", a2="news:*\r\n\n everybody "), a2="room:7")

    async with wire(server.ws_url, token=settings["token"]) as page:
        for granted in ("room:7", "news:sports", "everybody", "user:SCOTT"):
            await page.subscribe(granted)
        for refused in ("room:8", "room:*", "user:KING", "*"):
            assert (await page.ask(type="subscribe", channel=refused))["code"] == "forbidden"
    assert settings["channel"] == "room:7"


def test_the_token_is_for_user_and_session_of_the_page(session: Session, component: Component) -> None:
    token = claims(listens(session, component, a2="test")["token"])

    assert (token["sub"], token["sid"], token["channels"]) == ("SCOTT", "4711", ["test"])
    assert token["exp"] - token["iat"] == 3600


def test_without_a_channel_the_token_grants_what_is_everybodys(session: Session, component: Component) -> None:
    settings = listens(session, component, component("t_plugin", a2="news"))

    assert "channel" not in settings
    assert claims(settings["token"])["channels"] == ["news"]


def test_ajax_gives_a_new_token_for_the_same_channel(session: Session, component: Component) -> None:
    first = listens(session, component, a2="test")["token"]

    answer = ajax(session, component, "ajax_listener", a2="test")

    assert list(answer) == ["token"]
    assert claims(answer["token"])["channels"] == ["test"]
    assert claims(answer["token"])["jti"] != claims(first)["jti"]


def test_what_the_browser_posts_does_not_change_the_token(session: Session, component: Component) -> None:
    session.apex.g_x01 = "*"
    session.apex.g_clob_01 = Lob("*")

    assert claims(ajax(session, component, "ajax_listener", a2="test")["token"])["channels"] == ["test"]


def test_without_a_secret_the_page_gets_no_token_and_goes_on(session: Session, component: Component) -> None:
    session.configure(token_secret=None)

    settings = listens(session, component, a2="test")

    assert "token" not in settings
    assert [line.split(":")[0] for line in session.apex.debug] == ["warn"]
    assert session.log() == []


@pytest.mark.parametrize(
    ("settings", "user", "reason"),
    [({"base_url": None}, "SCOTT", "base_url"), ({}, 'X","channels":["*', "quotation mark"), ({}, None, "user name")],
)
def test_a_fault_does_not_break_the_page_and_is_in_the_log(
    session: Session, component: Component, settings: dict[str, str | None], user: str | None, reason: str
) -> None:
    session.configure(**settings)
    session.apex.context.pop("APP_USER")
    session.apex.context.update({"APP_USER": user} if user else {})

    result = session.call(
        "rtm_plugin.render_listener",
        p_dynamic_action=component("t_dynamic_action", a2="test", a3="ping"),
        p_plugin=component("t_plugin"),
    )

    script = result.fields["javascript_function"]
    assert script == 'function(){apex.debug.error("rtm: this page does not listen, the reason is in RTM_LOG");}'
    (row,) = session.log()
    assert (row["source"], row["channel"], row["event_name"], row["status"]) == (
        "RTM_LISTENER_DA",
        "test",
        "ping",
        "FAILED",
    )
    assert reason in row["error"]


def test_a_token_that_cannot_be_renewed_is_an_error_without_details(session: Session, component: Component) -> None:
    session.configure(token_secret=None)

    answer = ajax(session, component, "ajax_listener", a2="test")

    assert answer == {"error": "The right to listen could not be renewed."}
    (row,) = session.log()
    assert "token_secret" in row["error"]


# --- Listener: the settings


def test_address_is_that_of_the_action_else_of_the_application_else_of_the_database(
    session: Session, component: Component, server: ServerProcess
) -> None:
    application = component("t_plugin", a1="wss://application")

    assert listens(session, component, application, a1="wss://action")["url"] == "wss://action"
    assert listens(session, component, application)["url"] == "wss://application"
    assert listens(session, component)["url"] == server.url


@pytest.mark.parametrize(
    ("action", "several", "actions"),
    [
        (None, None, ["item"]),
        ("EVENT", "ITEM:REFRESH", []),
        ("ITEM", "ITEM:REFRESH", ["item"]),
        ("REFRESH", None, ["refresh"]),
        ("NOTIFY", None, ["notify"]),
        ("SEVERAL", "ITEM:REFRESH:NOTIFY", ["item", "refresh", "notify"]),
        ("SEVERAL", None, []),
    ],
)
def test_actions(
    session: Session, component: Component, action: str | None, several: str | None, actions: list[str]
) -> None:
    assert listens(session, component, a5=action, a6=several)["actions"] == actions


def test_every_setting_has_its_type(session: Session, component: Component) -> None:
    settings = listens(
        session, component,
        a1="wss://rtm.example.com", a2="orders", a3="changed", a4="orders-changed", a5="SEVERAL", a6="REFRESH:NOTIFY",
        a7="P10_ORDER", a8=" orders , totals, ,", a9='#payload.value# "now"', a10="5000", a11="0", a12="N",
    )  # fmt: skip

    assert settings.pop("token")
    assert settings == {
        "url": "wss://rtm.example.com",
        "channel": "orders",
        "eventName": "changed",
        "apexEvent": "orders-changed",
        "actions": ["refresh", "notify"],
        "itemName": "P10_ORDER",
        "regions": ["orders", "totals"],
        "template": '#payload.value# "now"',
        "refreshIntervalMs": 5000,
        "refreshSpreadMs": 0,
        "waitWhileHidden": False,
    }


def test_a_component_from_before_an_attribute_existed_gets_the_defaults(session: Session, component: Component) -> None:
    settings = listens(session, component, a2="test", a3="ping", a4="rtm-message")

    assert settings["actions"] == ["item"]
    assert settings["regions"] == []
    assert settings["waitWhileHidden"] is True
    assert "refreshIntervalMs" not in settings


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<!--<script>", "a\"b'c\\d", "ü𝄞\u2028x", "a\nb"]
)
def test_no_channel_name_ends_the_script_of_the_page(session: Session, component: Component, name: str) -> None:
    result = session.call(
        "rtm_plugin.render_listener",
        p_dynamic_action=component("t_dynamic_action", a2=name),
        p_plugin=component("t_plugin"),
    )
    script = result.fields["javascript_function"]

    assert "<" not in script
    found = CALL.fullmatch(script)
    assert found is not None
    assert json.loads(found[2])["channel"] == name


# --- Broadcast, dynamic action


def test_the_page_gets_nothing_but_what_it_needs(session: Session, component: Component) -> None:
    function, settings = rendered(
        session, component, "render_broadcast",
        a1="the-key", a2="https://rtm.example.com", a3="secret-channel", a4="ping", a5="P10_X", a6="STOP",
        a7="NOW", a8="Not sent", a9="P10_A,P10_B",
    )  # fmt: skip

    assert function == "rtm.broadcast"
    assert settings == {
        "itemName": "P10_X",
        "onError": "stop",
        "errorText": "Not sent",
        "pageItems": ["P10_A", "P10_B"],
    }


def test_a_dynamic_action_from_before_an_attribute_existed_shows_its_errors(
    session: Session, component: Component
) -> None:
    _, settings = rendered(session, component, "render_broadcast", a3="test")

    assert settings == {"onError": "show", "errorText": "The message could not be sent.", "pageItems": []}


@pytest.mark.parametrize(
    ("x01", "clob", "value"),
    [("Hello", None, "Hello"), (None, Lob("ü" * 9000), "ü" * 9000), ("short", Lob(""), "short"), (None, None, None)],
)
async def test_the_value_of_the_browser_goes_to_the_channel_of_the_attribute(
    session: Session, component: Component, server: ServerProcess, x01: str | None, clob: Lob | None, value: str | None
) -> None:
    session.apex.g_x01, session.apex.g_clob_01 = x01, clob
    async with wire(server.ws_url, token=make_token("KING", "test")) as page:
        await page.subscribe("test")

        answer = ajax(session, component, "ajax_broadcast", a3="test", a4="ping", a5="P10_MESSAGE")

        (publication,) = await page.publications(1)
    assert answer == {"sent": "NOW"}
    assert publication["eventName"] == "ping"
    assert publication["payload"] == {"itemName": "P10_MESSAGE", "value": value}
    assert publication["meta"] == {"user": "SCOTT", "appId": 100, "pageId": 10}
    (row,) = session.log()
    assert (row["source"], row["status"]) == ("RTM_BROADCAST_DA", "SENT")


async def test_without_an_item_there_is_no_payload(
    session: Session, component: Component, server: ServerProcess
) -> None:
    session.apex.g_x01 = "not asked for"
    async with wire(server.ws_url, token=make_token("KING", "test")) as page:
        await page.subscribe("test")
        ajax(session, component, "ajax_broadcast", a3="test")
        (publication,) = await page.publications(1)

    assert publication["payload"] is None


def test_a_refusal_is_the_text_of_the_attribute_and_one_row_in_the_log(session: Session, component: Component) -> None:
    session.configure(api_key="wrong")

    answer = ajax(session, component, "ajax_broadcast", a3="test", a6="SHOW", a8="Please try again")

    assert answer == {"error": "Please try again"}
    (row,) = session.log()
    assert (row["status"], row["http_status"]) == ("FAILED", 401)


@pytest.mark.parametrize(("on_error", "rows"), [(None, 1), ("SHOW", 1), ("LOG", 1), ("STOP", 1), ("IGNORE", 0)])
def test_what_never_got_to_the_server_is_logged_here(
    session: Session, component: Component, on_error: str | None, rows: int
) -> None:
    answer = ajax(session, component, "ajax_broadcast", a3=None, a4="ping", a6=on_error)

    assert answer == {"error": "The message could not be sent."}
    assert [(row["source"], row["event_name"]) for row in session.log()] == [("RTM_BROADCAST_DA", "ping")] * rows


def test_the_key_of_the_attribute_is_used_and_stays_here(session: Session, component: Component) -> None:
    session.configure(api_key="wrong")

    assert ajax(session, component, "ajax_broadcast", a1=API_KEY, a3="test") == {"sent": "NOW"}

    shown = json.dumps(session.log(), default=str) + "".join(session.apex.debug)
    assert API_KEY not in shown


def test_another_server_than_the_stored_ones_is_refused(session: Session, component: Component) -> None:
    answer = ajax(session, component, "ajax_broadcast", a2="https://elsewhere.example.com", a3="test")

    assert list(answer) == ["error"]
    assert session.http.sent == []


def test_on_commit_the_dynamic_action_only_stores(session: Session, component: Component) -> None:
    assert ajax(session, component, "ajax_broadcast", a3="test", a7="ON_COMMIT") == {"sent": "ON_COMMIT"}

    assert session.http.sent == []
    assert len(session.rows("select * from rtm_outbox")) == 1


# --- Broadcast, process


def test_the_process_belongs_to_the_transaction_of_the_page(session: Session, component: Component) -> None:
    session.apex.items["P20_ID"] = "17"

    result = executed(session, component, a3="orders", a4="changed", a5="P20_ID", a7="ON_COMMIT")

    (row,) = session.rows("select * from rtm_outbox")
    assert (row["channel"], row["event_name"], row["source"]) == ("orders", "changed", "RTM_BROADCAST_PROCESS")
    assert json.loads(row["payload"]) == {"itemName": "P20_ID", "value": "17"}
    assert result["success_message"] == "Saved."
    assert session.http.sent == []
    session.rollback()
    assert session.rows("select * from rtm_outbox") == []


async def test_now_goes_out_before_the_page_commits(
    session: Session, component: Component, server: ServerProcess
) -> None:
    session.apex.items["P20_ID"] = "17"
    async with wire(server.ws_url, token=make_token("KING", "orders")) as page:
        await page.subscribe("orders")

        executed(session, component, a3="orders", a5="P20_ID", a7="NOW")
        session.rollback()

        (publication,) = await page.publications(1)
    assert publication["payload"] == {"itemName": "P20_ID", "value": "17"}


def test_a_process_without_delivery_does_what_the_database_is_set_to(session: Session, component: Component) -> None:
    executed(session, component, a3="orders")
    assert len(session.rows("select * from rtm_outbox")) == 1

    executed(session, component, a1=API_KEY, a3="orders")  # a key of its own cannot wait in the outbox
    assert len(session.http.sent) == 1


@pytest.mark.parametrize("on_error", [None, "RAISE"])
def test_raise_lets_apex_undo_the_page(session: Session, component: Component, on_error: str | None) -> None:
    with pytest.raises(OracleError) as error:
        executed(session, component, a3=None, a6=on_error)

    assert error.value.code == session.constant("rtm_error.c_channel_required")


@pytest.mark.parametrize(("on_error", "rows"), [("LOG", 1), ("IGNORE", 0)])
def test_log_and_ignore_go_on_without_a_success_message(
    session: Session, component: Component, on_error: str, rows: int
) -> None:
    result = executed(session, component, a3=None, a6=on_error)

    assert result["execution_skipped"] is True
    assert result["success_message"] is None
    assert [row["source"] for row in session.log()] == ["RTM_BROADCAST_PROCESS"] * rows


def test_a_failed_send_is_logged_once(session: Session, component: Component) -> None:
    session.configure(api_key="wrong")

    executed(session, component, a3="orders", a6="LOG", a7="NOW")

    (row,) = session.log()
    assert (row["source"], row["http_status"]) == ("RTM_BROADCAST_PROCESS", 401)


def test_a_failure_leaves_the_work_of_the_page_alone(session: Session, component: Component) -> None:
    session.machine.database.change("insert into rtm_outbox (message_id, channel) values ('mine', 'c')")

    executed(session, component, a3=None, a6="LOG")

    assert [row["message_id"] for row in session.rows("select message_id from rtm_outbox")] == ["mine"]
    session.rollback()
    assert session.rows("select message_id from rtm_outbox") == []


def test_key_and_address_cannot_wait_for_a_commit(session: Session, component: Component) -> None:
    with pytest.raises(OracleError) as error:
        executed(session, component, a1="another-key", a3="orders", a7="ON_COMMIT")

    assert error.value.code == session.constant("rtm_error.c_override_needs_now")
