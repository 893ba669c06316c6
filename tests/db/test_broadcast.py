"""WEBSOCKET_API and WEBSOCKET_PKG, from the call to the page: delivery, refusals, logs, and what stays inside."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.db.conftest import MAX_MESSAGE_BYTES, refused
from tests.db.sandbox import http
from tests.db.sandbox.session import Session, open_session
from tests.db.sandbox.values import Lob, OracleError, Value
from tests.support.server import API_KEY, JWT_SECRET, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire

pytestmark = pytest.mark.slow


def send(session: Session, **arguments: Value) -> None:
    """BROADCAST_ITEM at once, unless said otherwise."""
    session.call("websocket_api.broadcast_item", **{"p_delivery": "NOW", **arguments})


async def test_message_goes_from_the_call_to_the_page(session: Session, server: ServerProcess) -> None:
    session.apex.context.update(APP_USER="SCOTT", APP_ID="100", APP_PAGE_ID="10")
    payload = '{"itemName":"P10_X","value":"Grüße 𝄞"}'
    async with wire(server.ws_url, token=make_token("KING", "shop:*")) as page:
        await page.subscribe("shop:1")

        send(session, p_channel="shop:1", p_event_name="ping", p_payload=payload)

        (publication,) = await page.publications(1)
    assert publication["eventName"] == "ping"
    assert publication["payload"] == {"itemName": "P10_X", "value": "Grüße 𝄞"}
    assert publication["meta"] == {"user": "SCOTT", "appId": 100, "pageId": 10}
    (row,) = session.log()
    assert (row["source"], row["channel"], row["event_name"], row["status"], row["http_status"]) == (
        "WEBSOCKET_API",
        "shop:1",
        "ping",
        "SENT",
        200,
    )
    assert row["message_id"] == publication["id"]
    assert row["payload_characters"] == len(payload)
    assert row["payload"] is None, "payloads are kept only where log_payload says so"
    assert row["duration_ms"] is not None


def test_request_is_what_the_protocol_asks_for(session: Session, server: ServerProcess) -> None:
    send(session, p_channel="ü")

    (request,) = session.http.sent
    headers = {name.lower(): value for name, value in request.headers}
    assert (request.method, request.url) == ("POST", f"{server.url}/api/broadcast")
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["x-api-key"] == API_KEY
    assert headers["content-length"] == str(len(request.body)), "in bytes: in characters the body is cut"
    assert json.loads(request.body)["channel"] == "ü"


async def test_long_payload_goes_out_in_pieces_and_arrives_whole(session: Session, server: ServerProcess) -> None:
    text = "ü€𝄞" * 20_000
    async with wire(server.ws_url, token=make_token("KING", "shop:*")) as page:
        await page.subscribe("shop:2")

        send(session, p_channel="shop:2", p_payload=Lob(json.dumps(text, ensure_ascii=False)))

        (publication,) = await page.publications(1)
    assert publication["payload"] == text


def test_session_gets_its_own_settings_back(session: Session) -> None:
    before = {"timeout": 42, "max_redirects": 7, "enable": True, "proxy": "old", "no_proxy_domains": "x"}
    session.http.settings.update(before)

    send(session, p_channel="c")
    session.configure(api_key="wrong")
    with refused(session, "key_refused"):
        send(session, p_channel="c")

    used = [request.settings for request in session.http.sent]
    assert [(item["timeout"], item["max_redirects"], item["enable"]) for item in used] == [(5, 0, False)] * 2
    assert {name: session.http.settings[name] for name in before} == before


@pytest.mark.parametrize(
    ("change", "arguments", "error", "status"),
    [
        ({"api_key": "wrong"}, {}, "key_refused", 401),
        ({"api_key": None}, {}, "key_refused", 401),
        ({}, {"p_payload": Lob('"' + "x" * (MAX_MESSAGE_BYTES + 1) + '"')}, "too_large", 413),
        ({}, {"p_payload": "1e999"}, "request_refused", 400),
    ],
)
def test_refusal_of_the_server_has_a_name_and_a_row(
    session: Session, change: dict[str, Value], arguments: dict[str, Value], error: str, status: int
) -> None:
    session.configure(**change)

    with refused(session, error):
        send(session, p_channel="c", **arguments)

    (row,) = session.log()
    assert (row["status"], row["http_status"]) == ("FAILED", status)
    assert row["error"].startswith(f"ORA{session.constant(f'rtm_error.c_{error}')}")


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        ("ORA-24247: network access denied by access control list (ACL)", "acl_missing"),
        ("ORA-29024: Certificate validation failure", "certificate_refused"),
        ("ORA-28759: failure to open file", "wallet_unusable"),
        ("ORA-12535: TNS:operation timed out", "timed_out"),
        ("ORA-29276: transfer timeout", "timed_out"),
        ("ORA-12545: Connect failed because target host or object does not exist", "unreachable"),
        ("ORA-29263: HTTP protocol error", "transport_failed"),
    ],
)
def test_failure_on_the_way_is_named_by_its_cause(session: Session, cause: str, error: str) -> None:
    session.http.break_with = http.failed(cause)

    with pytest.raises(OracleError) as raised:
        send(session, p_channel="c")

    assert raised.value.code == session.constant(f"rtm_error.c_{error}")
    assert cause[:9] in "\n".join(raised.value.stack), "the old error stays below the new one"
    (row,) = session.log()
    assert row["status"] == "FAILED"
    assert row["http_status"] is None


def test_host_that_the_acl_does_not_name_is_not_called(session: Session) -> None:
    session.http.allowed_hosts = {"elsewhere.example.com"}

    with refused(session, "acl_missing"):
        send(session, p_channel="c")


def test_server_that_is_not_there_is_named_with_its_address(session: Session) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        session.configure(base_url=url)

        with pytest.raises(OracleError, match=url.replace(".", r"\.")) as raised:
            send(session, p_channel="c")

    assert raised.value.code == session.constant("rtm_error.c_unreachable")


def test_server_that_does_not_answer_is_not_waited_for(session: Session) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        session.configure(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=1)

        with refused(session, "timed_out"):
            send(session, p_channel="c")


def test_no_secret_reaches_a_log_or_an_error(session: Session, server: ServerProcess) -> None:
    session.configure(log_payload="Y", wallet_password="wallet-password-1")
    texts = []
    for key, cause in ((API_KEY, None), ("wrong-key-1", None), (API_KEY, "ORA-29263: HTTP protocol error")):
        session.configure(api_key=key)
        session.http.break_with = http.failed(cause) if cause else None
        try:
            send(session, p_channel="c", p_payload='"p"')
        except OracleError as error:
            texts.extend(error.stack)
    with pytest.raises(OracleError) as unreadable:
        session.call("rtm_config_api.get_value", p_name="api_key")
    texts.extend([*unreadable.value.stack, json.dumps(session.log()), *server.log])

    everything = "\n".join(texts)
    assert len(session.log()) == 3
    for secret in (API_KEY, "wrong-key-1", JWT_SECRET, "wallet-password-1"):
        assert secret not in everything


def test_key_goes_to_the_stored_server_only(session: Session, server: ServerProcess) -> None:
    """Whoever may call the API must not be able to have the stored key sent to a machine of theirs."""
    other = server.url.replace("127.0.0.1", "localhost")

    with refused(session, "url_not_allowed"):
        send(session, p_channel="c", p_base_url=other)
    session.configure(allowed_base_urls=other)
    with refused(session, "key_refused"):
        send(session, p_channel="c", p_base_url=other)
    send(session, p_channel="c", p_base_url=other, p_api_key=API_KEY)

    keys = [dict(request.headers).get("X-API-Key") for request in session.http.sent]
    assert keys == [None, API_KEY]


@pytest.mark.parametrize("key", ["a b", "a\r\nX-Evil: 1", "ü", "a\u0000"])
def test_key_that_could_become_a_header_is_refused(session: Session, key: str) -> None:
    with refused(session, "invalid_api_key"):
        send(session, p_channel="c", p_api_key=key)

    assert session.http.sent == []


@pytest.mark.parametrize(
    "url",
    [
        "http://user:password@rtm.example.com",
        "https://rtm.example.com?x=1",
        "https://rtm.example.com/#",
        "ftp://rtm.example.com",
        "rtm.example.com",
        "http://rtm.example.com",
        "https://rtm.example.com/a b",
        "https://rtm.exämple.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "https://rtm.example.com/\r\nX: 1",
    ],
)
def test_url_that_could_leak_is_not_stored(session: Session, url: str) -> None:
    with refused(session, "url_not_allowed") as _:
        session.configure(base_url=url)


def test_password_in_a_url_is_not_repeated(session: Session) -> None:
    with pytest.raises(OracleError) as raised:
        session.configure(base_url="http://user:topsecret@rtm.example.com")

    assert "topsecret" not in "\n".join(raised.value.stack)


def test_messages_wait_for_the_commit(session: Session) -> None:
    send(session, p_channel="c", p_event_name="e", p_payload="1", p_id="one", p_delivery="ON_COMMIT")
    session.rollback()
    send(session, p_channel="c", p_payload="2", p_delivery=None)
    session.commit()

    (row,) = session.rows("select * from rtm_outbox")
    assert (row["channel"], row["payload"], row["status"], row["source"]) == ("c", "2", "PENDING", "WEBSOCKET_API")
    assert session.http.sent == []


def test_own_key_or_server_cannot_wait(session: Session, server: ServerProcess) -> None:
    """A stored message has no place for them."""
    with refused(session, "override_needs_now"):
        send(session, p_channel="c", p_api_key="other", p_delivery="ON_COMMIT")
    with refused(session, "invalid_delivery"):
        send(session, p_channel="c", p_delivery="LATER")
    send(session, p_channel="c", p_api_key=API_KEY, p_base_url=server.url + "/", p_delivery="ON_COMMIT")

    assert len(session.rows("select * from rtm_outbox")) == 1


def test_failed_call_keeps_the_transaction_as_it_was(session: Session) -> None:
    """Neither the log nor the handler of an error may end what the page has begun."""
    database = session.machine.database
    database.change("insert into rtm_outbox (message_id, channel) values ('mine', 'c')")
    session.http.break_with = http.failed("ORA-29263: HTTP protocol error")

    with refused(session, "transport_failed"):
        send(session, p_channel="c")

    assert [row["message_id"] for row in session.rows("select message_id from rtm_outbox")] == ["mine"]
    session.rollback()
    assert session.rows("select message_id from rtm_outbox") == []
    assert [row["status"] for row in session.log()] == ["FAILED"], "the log survives the rollback"


def test_log_that_cannot_be_written_does_not_lose_the_message(session: Session, server: ServerProcess) -> None:
    session.machine.database.change("drop table log.rtm_log")
    session.commit()

    with server.client() as client:
        before = client.get("/api/channels/broken-log/history").json()
        send(session, p_channel="broken-log")
        after = client.get("/api/channels/broken-log/history").json()

    assert (len(before["publications"]), len(after["publications"])) == (0, 1)
    assert session.call("rtm_log_api.failure_count") == 1
    assert "rtm_log" in session.call("rtm_log_api.last_failure")


@pytest.mark.parametrize(("level", "statuses"), [("ALL", ["SENT", "FAILED"]), ("ERRORS", ["FAILED"]), ("OFF", [])])
def test_log_keeps_what_the_level_says(session: Session, level: str, statuses: list[str]) -> None:
    session.configure(log_level=level)

    send(session, p_channel="c")
    with refused(session, "request_refused"):
        send(session, p_channel="c", p_payload="1e999")

    assert [row["status"] for row in session.log()] == statuses


def test_log_keeps_payloads_only_where_it_shall(session: Session) -> None:
    """Payloads can hold personal data."""
    session.configure(log_payload="Y")
    send(session, p_channel="c", p_payload='"kept"')
    session.configure(log_payload="N")
    send(session, p_channel="c", p_payload='"not kept"')

    assert [row["payload"] for row in session.log()] == ['"kept"', None]


async def test_batch_reports_what_became_of_each_message(session: Session, server: ServerProcess) -> None:
    messages = session.collection(
        session.record("websocket_api.t_message", channel="shop:3", payload="1"),
        session.record("websocket_api.t_message", channel="shop:3", payload='"' + "x" * MAX_MESSAGE_BYTES + '"'),
        session.record("websocket_api.t_message", channel="shop:3", event_name="e", payload="3", id="mine"),
    )
    messages.items = {5: messages.items[1], 7: messages.items[2], 9: messages.items[3]}
    async with wire(server.ws_url, token=make_token("KING", "shop:*")) as page:
        await page.subscribe("shop:3")

        outs = session.call(
            "websocket_api.broadcast_batch", p_messages=messages, p_delivery="NOW", p_api_key=None, p_base_url=None,
            p_source="TEST", po_outcomes=None,
        )  # fmt: skip

        publications = await page.publications(2)
    outcomes = {key: item.fields for key, item in outs["po_outcomes"].items.items()}
    assert [publication["payload"] for publication in publications] == [1, 3]
    assert {key: item["status"] for key, item in outcomes.items()} == {5: "SENT", 7: "REFUSED", 9: "SENT"}
    assert outcomes[9]["id"] == "mine"
    assert outcomes[9]["publication_offset"] == publications[1]["offset"]
    assert "too_large" in outcomes[7]["error"]
    assert [row["status"] for row in session.log()] == ["SENT", "REFUSED", "SENT"]


# --- WEBSOCKET_PKG


def test_constants_are_the_published_names(session: Session) -> None:
    assert session.constant("websocket_pkg.c_message") == "websocket:message"
    assert session.constant("websocket_pkg.c_refresh") == "websocket:refresh"


async def test_registered_page_hears_its_room_until_it_is_unregistered(session: Session, server: ServerProcess) -> None:
    outs = session.call(
        "websocket_pkg.register", p_room="hr:emp:1234", p_user_name="DEMO", p_session_id="42", p_token=None
    )
    async with wire(server.ws_url) as page:
        await page.ask(type="connect", token=outs["p_token"])
        await page.subscribe("hr:emp:1234")
        await page.subscribe("user:DEMO")

        session.call("websocket_pkg.emit_to_room", p_room="hr:emp:1234", p_event="RefreshEmployees", p_delivery="NOW")
        session.call(
            "websocket_pkg.emit_to_user", p_user_name="DEMO", p_event="websocket:message",
            p_data='{"message": "Hello World!"}', p_delivery="NOW",
        )  # fmt: skip
        publications = await page.publications(2)
        session.call("websocket_pkg.unregister", p_room="hr:emp:1234", p_user_name="DEMO", p_session_id="42")
        ended = await page.receive()

    assert [(item["channel"], item["eventName"], item["payload"]) for item in publications] == [
        ("hr:emp:1234", "RefreshEmployees", None),
        ("user:DEMO", "websocket:message", {"message": "Hello World!"}),
    ]
    assert (ended["type"], ended["channel"], ended["code"]) == ("unsubscribed", "hr:emp:1234", "revoked")


def test_invalid_json_of_an_emit_is_refused_and_nothing_is_sent(session: Session) -> None:
    with refused(session, "invalid_json"):
        session.call("websocket_pkg.emit_to_room", p_room="global", p_event="e", p_data='{"message": ')

    assert session.http.sent == []
    assert session.rows("select * from rtm_outbox") == []


def test_forgotten_names_do_not_widen_a_call(session: Session) -> None:
    """Without a room every room would be taken away, without a user everybody's right."""
    with refused(session, "channel_required"):
        session.call("websocket_pkg.unregister", p_room=None, p_user_name="DEMO", p_session_id="1")
    with refused(session, "user_required"):
        session.call("websocket_pkg.unregister", p_room="r", p_user_name=None, p_session_id="1")
    with refused(session, "user_required"):
        session.call("websocket_pkg.emit_to_user", p_user_name=None, p_event="e")
    with refused(session, "channel_required"):
        session.call("websocket_pkg.register", p_room=None, p_user_name="A", p_session_id="1", p_token=None)


def test_database_without_settings_says_what_is_missing(tmp_path: Path) -> None:
    with open_session(tmp_path) as fresh, refused(fresh, "not_configured"):
        send(fresh, p_channel="c")
