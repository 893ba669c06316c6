"""What the relay says to python-oracledb, and what it makes of the answers. Against Oracle itself: not run here."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import oracledb
import pytest
from pydantic import SecretStr

from apex_rtm.database.driver import ConnectFault, connect_async
from apex_rtm.database.login import Login
from apex_rtm.relay import bell as bell_module
from apex_rtm.relay import oracle, statements
from apex_rtm.relay.bell import Bell
from apex_rtm.relay.oracle import OracleStore
from apex_rtm.relay.row import Row
from apex_rtm.relay.store import Refusal, Sent, StoreFault, Turn
from tests.relay.fake_oracle import Connector, FakeConnection
from tests.support.clock import FakeClock

NOW = datetime(2026, 1, 1, 12, 0, 0)  # without a zone, as sys_extract_utc comes out of the driver
CLOSED = oracledb.DatabaseError("DPY-4011: the database or network closed the connection")


def login(**values: Any) -> Login:
    given = {
        "dsn": "db/orcl", "user": "rtm", "password": SecretStr("tiger"), "password_file": None, "wallet_dir": None,
        "wallet_password": None, "schema": None, "connect_timeout_s": 0.2, "call_timeout_s": 30.0, **values,
    }  # fmt: skip
    return Login(**given)


async def opened(monkeypatch: pytest.MonkeyPatch, connection: FakeConnection, **options: Any) -> OracleStore:
    monkeypatch.setattr(oracle, "connect_async", Connector(connection))
    store = OracleStore(login(**options), "relay7", 1000, FakeClock(), wakes=False)
    await store.open()
    return store


async def test_the_turn_is_a_difference_of_two_moments_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(rtm_outbox_drain=(3, NOW + timedelta(seconds=8), NOW))
    store = await opened(monkeypatch, connection)

    assert await store.take_turn() == Turn(3, 8.0)
    connection.answers["rtm_outbox_drain"] = None
    assert await store.take_turn() is None


async def test_no_row_is_locked_that_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (7, "m7", "a", None, '{"n":1}', '{"user":"SCOTT"}', 2, NOW - timedelta(seconds=5), NOW, 7)
    too_long = (8, "m8", "a", "ping", None, None, 0, NOW, NOW, 5000)
    empty = (9, "m9", "a", None, None, None, 0, NOW, NOW, None)
    connection = FakeConnection(fetchmany=[values, too_long, empty])
    store = await opened(monkeypatch, connection)

    assert await store.fetch(50) == [
        Row(7, "m7", "a", None, '{"n":1}', '{"user":"SCOTT"}', 2, 5.0, 7),
        Row(8, "m8", "a", "ping", payload_characters=5000),
        Row(9, "m9", "a"),
    ]
    assert connection.fetch_sizes == [(50, 50), (50, 50)]
    assert connection.statements == [(statements.FETCH_DUE, {"most_characters": 1000})]
    assert connection.cursors_closed == 1

    clob = type("Column", (), {"type_code": oracledb.DB_TYPE_CLOB})()
    text = type("Column", (), {"type_code": oracledb.DB_TYPE_VARCHAR})()
    assert connection.handler(connection.cursor(), clob) == (oracledb.DB_TYPE_LONG, 100)
    assert connection.handler(connection.cursor(), text) is None


async def test_marks_carry_every_variable_of_their_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection()
    store = await opened(monkeypatch, connection)
    await store.mark_sent([Sent(7, "e.1", 12), Sent(8, "e.1", 13)])
    await store.mark_refused([Refusal(9, 1, False, 2.0, "why"), Refusal(10, 5, True, 32.0, "why")])
    await store.mark_sent([])
    await store.mark_refused([])
    await store.note_success()
    await store.note_failure(2, 4.0, "HTTP 503")
    await store.commit()

    assert connection.statements == [
        (statements.MARK_SENT, [
            {"row_id": 7, "epoch": "e.1", "place": 12, "sender": "relay7"},
            {"row_id": 8, "epoch": "e.1", "place": 13, "sender": "relay7"},
        ]),
        (statements.MARK_REFUSED, [
            {"row_id": 9, "status": "PENDING", "attempts": 1, "error": "why", "wait_s": 2.0},
            {"row_id": 10, "status": "PARKED", "attempts": 5, "error": "why", "wait_s": 32.0},
        ]),
        (statements.NOTE_SUCCESS, {"sender": "relay7"}),
        (statements.NOTE_FAILURE, {"failures": 2, "wait_s": 4.0, "error": "HTTP 503", "sender": "relay7"}),
    ]  # fmt: skip
    assert connection.commits == 1


@pytest.mark.parametrize(
    "error", [CLOSED, oracledb.InterfaceError("DPY-1001: not connected"), OSError("reset"), TimeoutError()]
)
@pytest.mark.parametrize("call", ["has_due", "take_turn", "fetch", "mark_sent", "note_success", "commit"])
async def test_whatever_the_driver_raises_is_a_fault_of_the_store(
    monkeypatch: pytest.MonkeyPatch, call: str, error: Exception
) -> None:
    connection = FakeConnection(
        dual=error, rtm_outbox_drain=error, fetchmany=error, execute=error, executemany=error, commit=error
    )
    store = await opened(monkeypatch, connection)
    arguments: dict[str, list[Any]] = {"fetch": [10], "mark_sent": [[Sent(1, "e", 1)]]}

    with pytest.raises(StoreFault):
        await getattr(store, call)(*arguments.get(call, []))


async def test_leaving_is_bounded_and_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = FakeConnection(close=CLOSED)
    store = await opened(monkeypatch, connection)
    await store.close()
    await store.close()

    assert connection.is_closed
    assert 0 < connection.call_timeout <= 5000
    with pytest.raises(StoreFault, match="no connection"):
        await store.has_due()


# ── logging in ──


async def test_a_refused_password_is_not_tried_until_the_account_is_locked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock, file = FakeClock(), tmp_path / "password"
    file.write_text("old\n")
    refused = ConnectFault("rtm at db/orcl: ORA-01017: invalid credential", is_login=True)
    connector = Connector(refused, refused, refused, FakeConnection(), FakeConnection(), FakeConnection())
    monkeypatch.setattr(oracle, "connect_async", connector)
    store = OracleStore(login(password=None, password_file=file), "relay", 1000, clock, wakes=False)

    for _ in range(20):
        with pytest.raises(StoreFault) as fault:
            await store.open()
        assert fault.value.is_login
        clock.advance(30)
    assert connector.passwords == ["old"]

    clock.advance(600)  # once in a while, for a password that the DBA sets to what the file says
    with pytest.raises(StoreFault):
        await store.open()
    assert connector.passwords == ["old"] * 2

    file.write_text("typo\n")
    with pytest.raises(StoreFault):
        await store.open()
    file.write_text("new\n")
    await store.open()
    await store.open()
    file.write_text("typo\n")  # which the DBA has made the password by now
    await store.open()
    assert connector.passwords == ["old", "old", "typo", "new", "new", "typo"]


async def test_a_password_file_that_is_gone_is_a_fault_and_no_end(tmp_path: Path) -> None:
    store = OracleStore(login(password=None, password_file=tmp_path / "none"), "relay", 1000, FakeClock(), wakes=False)
    with pytest.raises(StoreFault, match="oracle_password_file"):
        await store.open()


@pytest.mark.parametrize("dsn", ["127.0.0.1:1/orcl", "no-such-name.invalid/orcl", "not_in_tnsnames", "(description="])
async def test_the_real_driver_says_why_there_is_no_connection(dsn: str) -> None:
    with pytest.raises(ConnectFault) as fault:
        await connect_async(login(dsn=dsn, connect_timeout_s=10), "test")
    assert not fault.value.is_login
    assert str(fault.value).startswith(f"rtm at {dsn}: ")
    assert "tiger" not in str(fault.value)


async def test_the_real_driver_does_not_wait_for_a_listener_that_says_nothing() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectFault, match="no answer within"):
        await connect_async(login(dsn=f"127.0.0.1:{port}/orcl"), "test")
    server.close()
    for writer in held:
        writer.transport.abort()
    await asyncio.sleep(0)


# ── the bell ──


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in turns of this very loop
            await asyncio.sleep(0)


def bell_of(*outcomes: FakeConnection | Exception, schema: str | None = None) -> Bell:
    connector = Connector(*outcomes)
    return Bell(lambda: connector(login(), "test"), schema)  # type: ignore[arg-type, return-value]


async def test_many_rings_are_one_wake() -> None:
    connection = FakeConnection(rtm_settings=(1,))
    bell = bell_of(connection, schema="rtm")
    bell.start()
    connection.rings.put_nowait(None)  # a wait without a ring shows that the queue works
    await until(lambda: bell.is_working)
    assert not bell.rang.is_set()
    for _ in range(5):
        connection.rings.put_nowait(b"\x01")
    await until(bell.rang.is_set)
    await until(lambda: len(connection.queues[0].waits) == 3)

    assert connection.rings.empty()
    queue = connection.queues[0]
    assert queue.name == "RTM.RTM_WAKE_QUEUE"
    assert queue.waits == [30, 30, 30]
    assert queue.deqoptions.visibility == oracledb.DEQ_IMMEDIATE
    assert connection.call_timeout > 30_000, "a dequeue must be able to wait"
    await bell.stop()
    assert connection.is_closed
    assert not bell.is_working


async def test_where_rings_are_not_offered_nobody_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell_module, "_ABSENT_S", 0.0)
    first, second = FakeConnection(rtm_settings=(0,)), FakeConnection(rtm_settings=(1,))
    bell = bell_of(first, second)
    bell.start()
    await until(lambda: second.queues)
    assert first.is_closed
    assert not bell.is_working
    await bell.stop()


async def test_a_bell_that_breaks_gives_way_to_polling_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell_module, "_BROKEN_S", 0.0)
    monkeypatch.setattr(bell_module, "_ABSENT_S", 0.0)
    first, second = FakeConnection(rtm_settings=(1,)), FakeConnection(rtm_settings=(1,))
    absent = FakeConnection(rtm_settings=oracledb.DatabaseError("ORA-00942: table or view does not exist"))
    bell = bell_of(first, absent, ConnectFault("gone"), second)
    bell.start()
    first.rings.put_nowait(None)
    await until(lambda: bell.is_working)
    first.rings.put_nowait(CLOSED)
    await until(bell.rang.is_set)
    await until(lambda: second.queues)
    assert not bell.is_working
    second.rings.put_nowait(None)
    await until(lambda: bell.is_working)
    await bell.stop()


async def test_the_store_waits_for_the_bell_and_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    ringing = FakeConnection(rtm_settings=(1,))
    monkeypatch.setattr(oracle, "connect_async", Connector(FakeConnection(), ringing))
    store = OracleStore(login(), "relay", 1000, FakeClock(), wakes=True)
    await store.open()
    assert not store.is_woken
    await store.wait_for_wake(0.01)
    ringing.rings.put_nowait(b"\x01")
    async with asyncio.timeout(5):
        await store.wait_for_wake(3600)
    assert store.is_woken
    await store.close()
    assert ringing.is_closed
    assert not store.is_woken
