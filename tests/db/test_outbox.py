"""RTM_OUTBOX and its job: what is committed goes out once and in order, whatever server, network or message do."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.db.conftest import MAX_MESSAGE_BYTES, refused
from tests.db.sandbox import http
from tests.db.sandbox.session import Session, open_session
from tests.db.sandbox.values import Lob, OracleError, Value
from tests.support.server import API_KEY, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

pytestmark = pytest.mark.slow


def store(session: Session, channel: str, *payloads: Value) -> None:
    """Store messages and commit."""
    for payload in payloads:
        session.call("websocket_api.broadcast_item", p_channel=channel, p_payload=payload)
    session.commit()


def drain(session: Session) -> None:
    """One run of the job that does not stay."""
    session.call("rtm_job.drain", p_run_s=0)


def outbox(session: Session) -> list[dict[str, Value]]:
    return session.rows("select * from rtm_outbox order by id")


def resume_now(session: Session) -> None:
    """Let the time pass that a sender waits after a failure."""
    session.machine.database.change("update rtm_outbox_drain set resume_at = '2000-01-01T00:00:00.000000+00:00'")
    session.machine.database.change("update rtm_outbox set next_attempt_at = '2000-01-01T00:00:00.000000+00:00'")
    session.commit()


async def test_committed_messages_go_out_once_and_in_order(session: Session, server: ServerProcess) -> None:
    session.configure(batch_size=2)
    async with wire(server.ws_url, token=make_token("KING", "box:*")) as page:
        await page.subscribe("box:1")
        store(session, "box:1", "1", "2", "3", "4", "5")

        drain(session)
        drain(session)

        publications = await page.publications(5)
        await page.nothing_waits()
    assert [item["payload"] for item in publications] == [1, 2, 3, 4, 5]
    assert [request.url.rpartition("/api")[2] for request in session.http.sent] == ["/broadcast/batch"] * 3
    rows = outbox(session)
    assert {row["status"] for row in rows} == {"SENT"}
    assert [row["publication_offset"] for row in rows] == [item["offset"] for item in publications]
    assert {row["publication_epoch"] for row in rows} == {publications[0]["epoch"]}
    assert {row["sent_by"] for row in rows} == {session.constant("rtm_job.c_source")}
    assert [(row["status"], row["http_status"]) for row in session.log()] == [("SENT", 200)] * 5


async def test_what_is_not_committed_does_not_go_out(session: Session, server: ServerProcess) -> None:
    async with wire(server.ws_url, token=make_token("KING", "box:*")) as page:
        await page.subscribe("box:2")
        session.call("websocket_api.broadcast_item", p_channel="box:2", p_payload="1")
        session.rollback()

        drain(session)

        await page.nothing_waits()
    assert session.http.sent == []


async def test_request_whose_answer_was_lost_is_repeated_without_a_double(
    session: Session, server: ServerProcess
) -> None:
    """The server took the batch, and the database went down before it could note that."""
    async with wire(server.ws_url, token=make_token("KING", "box:*")) as page:
        await page.subscribe("box:3")
        store(session, "box:3", "1", "2")
        messages = session.collection(
            *(
                session.record(
                    "rtm_message.t_publication", channel=row["channel"], payload=row["payload"], id=row["message_id"]
                )
                for row in outbox(session)
            )
        )
        body = session.call("rtm_message.batch_body", p_publications=messages, p_first=1, p_last=2)
        with server.client() as client:
            assert client.post("/api/broadcast/batch", content=body.text.encode()).status_code == 200

        drain(session)

        publications = await page.publications(2)
        await page.nothing_waits()
    assert [item["payload"] for item in publications] == [1, 2]
    assert [row["publication_offset"] for row in outbox(session)] == [1, 2]


def test_server_that_is_down_delays_everything_and_loses_nothing(session: Session, server: ServerProcess) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        session.configure(base_url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        store(session, "box:4", "1", "2")

        for _ in range(3):
            drain(session)
            drain(session)
            resume_now(session)

    (state,) = session.rows("select * from rtm_outbox_drain")
    assert state["failures"] == 3, "a run before its time is no try"
    assert state["last_error"].startswith(f"ORA{session.constant('rtm_error.c_unreachable')}")
    assert {(row["status"], row["attempts"]) for row in outbox(session)} == {("PENDING", 0)}
    session.configure(base_url=server.url)
    resume_now(session)
    drain(session)
    assert {row["status"] for row in outbox(session)} == {"SENT"}
    (state,) = session.rows("select * from rtm_outbox_drain")
    assert (state["failures"], state["drained_by"]) == (0, session.constant("rtm_job.c_source"))


def test_waiting_grows_and_is_bounded(session: Session) -> None:
    session.http.allowed_hosts = set()
    store(session, "box:5", "1")
    waits = []
    for _ in range(9):
        drain(session)
        (row,) = session.rows(
            "select (julianday(resume_at) - julianday(last_error_at)) * 86400 as wait_s from rtm_outbox_drain"
        )
        waits.append(round(row["wait_s"]))
        resume_now(session)

    assert waits == [2, 4, 8, 16, 32, 64, 64, 64, 64]


async def test_one_bad_message_does_not_hold_up_the_others(session: Session, server: ServerProcess) -> None:
    session.configure(max_attempts=2)
    too_large = Lob('"' + "x" * MAX_MESSAGE_BYTES + '"')
    async with wire(server.ws_url, token=make_token("KING", "box:*")) as page:
        await page.subscribe("box:6")
        store(session, "box:6", "1", too_large, "3")

        drain(session)
        publications = await page.publications(2)
        first = outbox(session)[1]
        resume_now(session)
        drain(session)

    second = outbox(session)[1]
    assert [item["payload"] for item in publications] == [1, 3]
    assert (first["status"], first["attempts"]) == ("PENDING", 1)
    assert (second["status"], second["attempts"]) == ("PARKED", 2)
    assert "too_large" in second["error"]
    assert [row["status"] for row in session.log()] == ["SENT", "REFUSED", "SENT", "PARKED"]


async def test_request_that_is_refused_as_a_whole_is_halved(session: Session, server: ServerProcess) -> None:
    """One payload that only the server can see through (1e999 is JSON for the database) spoils the whole batch."""
    session.configure(max_attempts=1)
    async with wire(server.ws_url, token=make_token("KING", "box:*")) as page:
        await page.subscribe("box:7")
        store(session, "box:7", "1", "2", "1e999", "4", "5")

        drain(session)

        publications = await page.publications(4)
    assert [item["payload"] for item in publications] == [1, 2, 4, 5]
    assert [row["status"] for row in outbox(session)] == ["SENT", "SENT", "PARKED", "SENT", "SENT"]


def test_parked_messages_can_be_tried_again(session: Session) -> None:
    session.configure(max_attempts=1)
    store(session, "box:8", "1e999")
    drain(session)
    (parked,) = outbox(session)

    session.call("rtm_outbox_api.retry", p_id=parked["id"])
    (again,) = outbox(session)
    assert (parked["status"], again["status"], again["attempts"]) == ("PARKED", "PENDING", 0)
    with refused(session, "outbox_row_unknown"):
        session.call("rtm_outbox_api.retry", p_id=parked["id"])
    assert session.call("rtm_outbox_api.retry_all") == 0


@pytest.mark.parametrize("code", ["unavailable", "rate_limited", "internal"])
def test_refusal_that_is_not_the_messages_fault_counts_against_nothing(session: Session, code: str) -> None:
    store(session, "box:9", "1", "2")
    results = [{"ok": True, "id": "x", "epoch": "e", "offset": 1}, {"ok": False, "code": code, "message": "later"}]
    session.http.answer_with = (200, json.dumps({"ok": True, "results": results}).encode())

    drain(session)

    first, second = outbox(session)
    assert (first["status"], second["status"], second["attempts"]) == ("SENT", "PENDING", 0)
    (state,) = session.rows("select * from rtm_outbox_drain")
    assert state["failures"] == 1
    assert code in state["last_error"]


@pytest.mark.parametrize(
    "answer", [(200, b"<html>login</html>"), (200, b'{"ok":true,"results":[]}'), (502, b"bad gateway")]
)
def test_answer_of_something_else_marks_nothing_as_sent(session: Session, answer: tuple[int, bytes]) -> None:
    store(session, "box:10", "1")
    session.http.answer_with = answer

    drain(session)

    (row,) = outbox(session)
    assert (row["status"], row["attempts"]) == ("PENDING", 0)


def test_wrong_configuration_is_a_failure_and_not_a_crash(session: Session) -> None:
    session.configure(api_key="wrong")
    store(session, "box:11", "1")

    drain(session)

    (state,) = session.rows("select * from rtm_outbox_drain")
    assert state["last_error"].startswith(f"ORA{session.constant('rtm_error.c_key_refused')}")
    assert outbox(session)[0]["status"] == "PENDING"


def test_fault_of_our_own_ends_the_run_and_is_seen(session: Session) -> None:
    """Anything that is not the network's or the server's doing must not be tried for ever in silence."""
    store(session, "box:12", "1")
    session.machine.database.change("alter table rtm_outbox rename column sent_by to forgotten")
    session.commit()

    with pytest.raises(OracleError, match="ORA-00942"):
        drain(session)

    assert session.log()[-1]["status"] == "FAILED"
    assert outbox(session)[0]["status"] == "PENDING"


def test_batch_stays_below_what_the_server_takes(session: Session) -> None:
    """Long payloads are not put together: every request has to stay under max_body_bytes."""
    store(session, "box:13", *(Lob(json.dumps("x" * 200_000)) for _ in range(5)))

    drain(session)

    sizes = [len(request.body) for request in session.http.sent]
    assert sum(len(json.loads(request.body)["messages"]) for request in session.http.sent) == 5
    assert max(sizes) < 2_500_000
    assert len(sizes) > 1


def test_job_leaves_the_outbox_to_a_relay_where_it_should(session: Session) -> None:
    session.configure(drain_by="RELAY")
    store(session, "box:14", "1")

    session.call("rtm_job.run_drain")

    assert outbox(session)[0]["status"] == "PENDING"


def test_relay_is_woken_once_for_each_transaction_where_one_waits(session: Session) -> None:
    session.configure(wake="QUEUE")
    session.apex.context["CURRENT_USER"] = "RTM"
    store(session, "box:15", "1", "2", "3")

    assert len(session.machine.database.scripts) == 1
    assert "dbms_aq.enqueue" in session.machine.database.scripts[0]


def test_relay_that_cannot_be_woken_costs_no_message(session: Session) -> None:
    session.configure(wake="QUEUE")
    session.apex.context["CURRENT_USER"] = "RTM"

    def broken(**_values: Value) -> None:
        raise OracleError(-24010, "QUEUE RTM.RTM_WAKE_QUEUE does not exist")

    session.machine.supplied["dbms_aq.enqueue"] = broken
    store(session, "box:16", "1")

    assert len(outbox(session)) == 1
    assert [(row["status"], "ORA-24010" in row["error"]) for row in session.log()] == [("INFO", True)]


def test_purge_deletes_what_is_old_and_sent(session: Session) -> None:
    database = session.machine.database
    old, recent = "2000-01-01T00:00:00.000000+00:00", "2999-01-01T00:00:00.000000+00:00"
    for message, status, sent_at in (("a", "SENT", old), ("b", "SENT", recent), ("c", "PARKED", None)):
        database.change(
            "insert into rtm_outbox (message_id, channel, status, sent_at) values (?, 'c', ?, ?)",
            message,
            status,
            sent_at,
        )
    database.change(
        "insert into rtm_log (created_at, source, status) values (?, 's', 'SENT'), (?, 's', 'SENT')", old, recent
    )
    session.commit()

    session.call("rtm_job.run_purge")

    assert [row["message_id"] for row in outbox(session)] == ["b", "c"]
    assert len(session.log()) == 1


def test_server_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    """The whole story: down at the commit, up later, nothing lost, nothing twice."""
    with (
        run_server(tmp_path / "data", api_keys=API_KEY, jwt_secret="s" * 32) as server,
        open_session(tmp_path) as session,
    ):
        session.configure(base_url=server.url, api_key=API_KEY)
        server.kill()
        store(session, "c", *(str(number) for number in range(4)))
        drain(session)
        assert {row["status"] for row in outbox(session)} == {"PENDING"}
        server.start()
        resume_now(session)

        drain(session)

        with server.client() as client:
            history = client.get("/api/channels/c/history").json()["publications"]
    assert [item["payload"] for item in history] == [0, 1, 2, 3]


def test_network_cause_is_kept_for_the_view(session: Session) -> None:
    session.http.break_with = http.failed("ORA-12541: TNS:no listener")
    store(session, "box:17", "1")

    drain(session)

    (state,) = session.rows("select * from rtm_outbox_drain")
    assert "cannot be reached" in state["last_error"]
    assert API_KEY not in state["last_error"]
