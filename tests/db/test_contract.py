"""What the PL/SQL builds and signs is what the server takes: messages, batches, revocations, tokens.

Nothing is typed twice: the sandbox runs the source of db/, and its bytes go to the real server.
"""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.db.conftest import refused
from tests.db.sandbox.session import Session
from tests.db.sandbox.values import Value
from tests.support.server import JWT_SECRET, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire

HARD = 'Grüße, 𝄞 \u2028 " \\ \n\t\u0001 </script> 日本語'


def publication(session: Session, **fields: Value) -> Value:
    return session.record("rtm_message.t_publication", **fields)


def body_of(session: Session, **fields: Value) -> str:
    """The body that RTM_MESSAGE writes for one message."""
    message = publication(session, **fields)
    session.call("rtm_message.check_publication", p_publication=message)
    text: str = session.call("rtm_message.publication_body", p_publication=message).text
    return text


def post(session: Session, server: ServerProcess, path: str, body: str) -> httpx.Response:
    """Send a body to the path that the specification of RTM_MESSAGE names."""
    with server.client() as http:
        return http.post(
            session.constant(f"rtm_message.c_path_{path}"),
            content=body.encode(),
            headers={"Content-Type": "application/json; charset=utf-8"},
        )


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "null",
        "true",
        "12345678901234567890.10",
        '"text"',
        "[]",
        '{"a": [1, {"b": null}], "z": 1.10}',
        json.dumps(HARD, ensure_ascii=False),
        json.dumps(HARD),
        ' {"with": "space around"} ',
    ],
)
async def test_message_arrives_as_the_source_wrote_it(
    session: Session, server: ServerProcess, payload: str | None
) -> None:
    body = body_of(session, channel="contract:1", event_name='grüß"\\', payload=payload, meta='{"user":"SCOTT"}')
    async with wire(server.ws_url, token=make_token("SCOTT", "contract:*")) as listener:
        await listener.subscribe("contract:1")

        answer = post(session, server, "broadcast", body)

        frame = str(await listener.socket.recv())
    assert answer.status_code == 200, answer.text
    received = json.loads(frame)
    assert received["channel"] == "contract:1"
    assert received["eventName"] == 'grüß"\\'
    assert received["meta"] == {"user": "SCOTT"}
    assert received["payload"] == (None if payload is None else json.loads(payload))
    assert (payload or "null").strip() in frame, "the payload travels as it was written"


def test_members_of_a_message_are_those_of_the_protocol(session: Session) -> None:
    whole = json.loads(body_of(session, channel="c", event_name="e", payload="1", meta="{}", id="i"))
    least = json.loads(body_of(session, channel="c"))

    assert list(whole) == ["channel", "eventName", "payload", "meta", "id"]
    assert least == {"channel": "c", "eventName": None, "payload": None}


@pytest.mark.parametrize("name", ["a", HARD, "x" * 4000, "ends in *", "user:SCOTT"])
def test_channel_of_any_characters_is_taken(session: Session, server: ServerProcess, name: str) -> None:
    body = body_of(session, channel=name)

    assert json.loads(body)["channel"] == name
    assert post(session, server, "broadcast", body).status_code == 200


def test_id_makes_a_repeat_harmless(session: Session, server: ServerProcess) -> None:
    body = body_of(session, channel="contract:2", id=session.call("rtm_message.new_id"))

    first, second = (post(session, server, "broadcast", body).json() for _ in range(2))

    assert first["ok"] is True
    assert first == second


def test_ids_are_new_each_time_and_short_enough(session: Session) -> None:
    ids = {session.call("rtm_message.new_id") for _ in range(20)}

    assert len(ids) == 20
    assert all(len(value) <= session.constant("rtm_message.c_id_max_characters") for value in ids)


def test_limits_of_the_database_are_those_of_the_server(session: Session, server: ServerProcess) -> None:
    """What the database lets pass the server takes, and one more is refused on both sides."""
    event, message_id = (
        session.constant(f"rtm_message.c_{name}_max_characters") for name in ("event_name", "id")
    )  # fmt: skip
    good = body_of(session, channel="c", event_name="ü" * event, id="ü" * message_id)
    assert post(session, server, "broadcast", good).status_code == 200

    for member, length, error in (("event_name", event, "event_name_too_long"), ("id", message_id, "invalid_id")):
        with refused(session, error):
            body_of(session, **{"channel": "c", member: "x" * (length + 1)})
        wire_name = {"event_name": "eventName", "id": "id"}[member]
        raw = json.dumps({"channel": "c", wire_name: "x" * (length + 1)})
        assert post(session, server, "broadcast", raw).status_code == 400


@pytest.mark.parametrize(
    "payload",
    [
        "{",
        "1 2",
        "1,2",
        "1],[2",
        '"a"}, "x": {"b": 1',
        "NaN",
        "undefined",
        "'a'",
        '{"a": }',
        '1, "meta": {"user": "KING"}',
    ],
)
def test_payload_that_could_break_out_of_the_message_is_refused(session: Session, payload: str) -> None:
    with refused(session, "invalid_json"):
        body_of(session, channel="c", payload=payload)


def test_channel_is_required_and_bounded(session: Session) -> None:
    with refused(session, "channel_required"):
        body_of(session, channel=None)
    with refused(session, "channel_too_long"):
        body_of(session, channel="ü" * 2001)


def test_batch_is_one_result_for_each_message(session: Session, server: ServerProcess) -> None:
    messages = session.collection(
        publication(session, channel="contract:3", payload="1", id="batch-1"),
        publication(session, channel="contract:3", event_name="x" * 131, payload="2"),
        publication(session, channel="contract:4", payload=json.dumps(HARD), meta='{"appId":100}'),
    )
    body = session.call("rtm_message.batch_body", p_publications=messages, p_first=1, p_last=3).text

    answer = post(session, server, "batch", body)
    results = session.call("rtm_message.batch_results", p_answer=answer.text, p_count=3)

    assert answer.status_code == 200
    read = [results.items[number].fields for number in (1, 2, 3)]
    assert [item["is_ok"] for item in read] == [True, False, True]
    assert (read[0]["id"], read[0]["publication_offset"]) == ("batch-1", 1)
    assert read[0]["epoch"] == answer.json()["results"][0]["epoch"]
    assert read[1]["code"] == "bad_request"
    assert "130" in read[1]["message"]


def test_batch_can_begin_in_the_middle(session: Session) -> None:
    messages = session.collection(*(publication(session, channel=str(number)) for number in range(5)))

    body = session.call("rtm_message.batch_body", p_publications=messages, p_first=2, p_last=3).text

    assert [item["channel"] for item in json.loads(body)["messages"]] == ["1", "2"]


@pytest.mark.parametrize("answer", ["<html>login</html>", '{"ok": true}', '{"results": [{"ok": true}]}', "[]", ""])
def test_answer_that_is_not_the_servers_is_an_error(session: Session, answer: str) -> None:
    """A proxy's page must not count as 'delivered'."""
    with refused(session, "answer_unreadable"):
        session.call("rtm_message.batch_results", p_answer=answer, p_count=2)


def test_failure_text_is_the_servers_message_or_the_beginning_of_whatever_answered(
    session: Session, server: ServerProcess
) -> None:
    answer = post(session, server, "broadcast", "{}")

    assert answer.status_code == 400
    assert session.call("rtm_message.failure_text", p_answer=answer.text) == "channel is required"
    assert session.call("rtm_message.failure_text", p_answer="<html>" + "x" * 900) == "<html>" + "x" * 494
    assert session.call("rtm_message.failure_text", p_answer=None) is None


async def test_revocation_takes_the_right_that_it_names(session: Session, server: ServerProcess) -> None:
    body = session.call(
        "rtm_message.revocation_body", p_user_name='TÖM"', p_session_id="77", p_channel="contract:5"
    ).text
    assert json.loads(body) == {"user": 'TÖM"', "sessionId": "77", "channel": "contract:5"}
    async with (
        wire(server.ws_url, token=make_token('TÖM"', "contract:*", sid="77")) as gone,
        wire(server.ws_url, token=make_token('TÖM"', "contract:*", sid="78")) as other,
    ):
        await gone.subscribe("contract:5")
        await other.subscribe("contract:5")

        answer = post(session, server, "revoke", body)

        assert answer.json() == {"ok": True, "connections": 0, "subscriptions": 1}
        assert (await gone.receive())["code"] == "revoked"
        await other.nothing_waits()


def test_revocation_leaves_out_what_is_not_given(session: Session) -> None:
    body = session.call("rtm_message.revocation_body", p_user_name="SCOTT", p_session_id=None, p_channel=None).text

    assert json.loads(body) == {"user": "SCOTT"}


# --- tokens


def token_of(session: Session, user: str | None, channels: list[str], **options: Value) -> str:
    """A token as RTM_TOKEN signs it."""
    given = {"p_session_id": "1234", **options}
    token: str = session.call("rtm_token.issue", p_user_name=user, p_channels=session.collection(*channels), **given)
    return token


async def test_token_of_the_database_opens_what_it_names(session: Session, server: ServerProcess) -> None:
    token = token_of(session, "SCOTT", ["contract:6", 'hard:"\\ü*'], p_lifetime_s=600)

    async with wire(server.ws_url) as page:
        connected = await page.ask(type="connect", token=token)
        forbidden = await page.ask(type="subscribe", channel="contract:7")
        for channel in ("contract:6", 'hard:"\\ü1', "user:SCOTT"):
            await page.subscribe(channel)

    assert connected["user"] == "SCOTT"
    assert sorted(connected["channels"]) == ["contract:6", 'hard:"\\ü*', "user:SCOTT"]
    assert abs(connected["expiresAt"] - time.time() - 600) < 30
    assert forbidden["code"] == "forbidden"


async def test_token_carries_the_session_so_that_it_can_be_revoked_alone(
    session: Session, server: ServerProcess
) -> None:
    async with wire(server.ws_url) as page:
        await page.ask(type="connect", token=token_of(session, "ALLEN", [], p_session_id="987"))
        with server.client() as http:
            answer = http.post("/api/revoke", json={"user": "ALLEN", "sessionId": "987"})

        assert answer.json()["connections"] == 1
        assert await page.close_code() == 4503


async def test_token_without_channels_and_session_opens_the_users_own(session: Session, server: ServerProcess) -> None:
    token = session.call("rtm_token.issue", p_user_name="WARD", p_session_id=None, p_channel=None)

    async with wire(server.ws_url) as page:
        connected = await page.ask(type="connect", token=token)

    assert connected["channels"] == ["user:WARD"]


async def test_token_of_another_secret_is_refused(session: Session, server: ServerProcess) -> None:
    session.configure(token_secret=JWT_SECRET[::-1])

    async with wire(server.ws_url) as page:
        answer = await page.ask(type="connect", token=token_of(session, "SCOTT", ["*"]))

    assert (answer["type"], answer["code"]) == ("error", "unauthorized")


def test_secret_is_taken_as_utf_8(session: Session) -> None:
    """The server's secret is bytes; the database must not sign with those of its own character set."""
    jwt = pytest.importorskip("jwt")
    secret = "geheimniß-" * 4
    session.configure(token_secret=secret)

    claims = jwt.decode(token_of(session, "SCOTT", ["a"]), secret.encode(), algorithms=["HS256"])

    assert claims["sub"] == "SCOTT"
    assert claims["exp"] - claims["iat"] == 3600
    assert len(claims["jti"]) == 32


@pytest.mark.parametrize("user", ['X","channels":["*', "a\\", "line\nbreak", "nul\u0000"])
def test_user_name_that_could_become_a_claim_is_refused(session: Session, user: str) -> None:
    with refused(session, "unsafe_name"):
        token_of(session, user, ["a"])


def test_session_id_and_channels_cannot_become_claims(session: Session) -> None:
    jwt = pytest.importorskip("jwt")
    evil = 'x"],"sub":"ADMIN","channels":["*'

    claims = jwt.decode(token_of(session, "SCOTT", [evil], p_session_id=evil), JWT_SECRET, algorithms=["HS256"])

    assert (claims["sub"], claims["channels"], claims["sid"]) == ("SCOTT", [evil], evil)


def test_token_needs_a_user_a_secret_and_a_sound_lifetime(session: Session) -> None:
    with refused(session, "user_required"):
        token_of(session, None, ["a"])
    for lifetime_s in (0, -1, session.constant("rtm_token.c_max_lifetime_s") + 1):
        with refused(session, "invalid_lifetime"):
            token_of(session, "SCOTT", ["a"], p_lifetime_s=lifetime_s)
    with refused(session, "token_too_long"):
        token_of(session, "SCOTT", ["x" * 1000] * 4)
    session.configure(token_secret=None)
    with refused(session, "secret_missing"):
        token_of(session, "SCOTT", ["a"])
