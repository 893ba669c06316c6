"""The SQLite engine: what was answered survives, what failed leaves no trace, and the disk is used sparingly."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from apex_rtm.channels import parse_pattern
from apex_rtm.engine.sqlite import FILE_NAME, SqliteEngine
from apex_rtm.errors import ConfigurationError, Unavailable
from apex_rtm.message import Position, Published
from apex_rtm.revocations import Revocation
from tests.support.core import make_message, size_of
from tests.support.engines import REVOCATION_KEEP_S, Engines, Listener, at, kept, places, publish, tidy
from tests.support.fault import Disk

A, ALL = parse_pattern("a"), parse_pattern("*")
STATEMENTS = ["begin immediate", "insert into publication", "insert into channel", "insert or replace into sent_id",
              "update journal", "commit"]  # fmt: skip


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[Engines]:
    made = Engines("sqlite", tmp_path / "state" / "data")
    yield made
    await made.stop()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    made.install(monkeypatch)
    return made


def read_file(engines: Engines, sql: str) -> list[tuple[object, ...]]:
    """Look into the file while no engine has it."""
    with sqlite3.connect(engines.directory / FILE_NAME) as db:
        rows = db.execute(sql).fetchall()
    db.close()
    return rows


def change_file(engines: Engines, sql: str) -> None:
    with sqlite3.connect(engines.directory / FILE_NAME) as db:
        db.execute(sql)
    db.close()


# ── what survives ──


@pytest.mark.parametrize("end", ["stop", "crash"])
async def test_what_was_answered_is_there_after_a_restart(engines: Engines, end: str) -> None:
    engine = await engines.start()
    await publish(engine, "a", make_message("b", {"value": "ü"}, message_id="x", event_name="ping"), "a")
    before = [(entry.seq, entry.channel, entry.position, entry.frame) for entry in engines.listener.entries]
    await getattr(engines, end)()

    engine = await engines.start()

    found = engine.journal.missed(ALL, at(engine.journal, 0)) or []
    assert [(entry.seq, entry.channel, entry.position, entry.frame) for entry in found] == before
    assert engine.journal.size_bytes == size_of(found)
    assert engines.listener.entries == []  # what was delivered before is not delivered again
    (next_one,) = await publish(engine, "a")
    assert next_one.position == Position(before[0][2].epoch, 3)


async def test_the_position_of_a_quiet_channel_survives(engines: Engines) -> None:
    engine = await engines.start()
    quiet = engine.journal.top("quiet")
    await publish(engine, "a")
    await engines.crash()

    engine = await engines.start()

    assert engine.journal.missed(parse_pattern("quiet"), quiet) == []
    (first,) = await publish(engine, "quiet")
    assert first.position == Position(quiet.epoch, 1)


async def test_the_idempotency_window_survives(engines: Engines) -> None:
    engine = await engines.start(idempotency_window_s=300)
    message = make_message("a", message_id="x")
    (first,) = await publish(engine, message)
    engines.clock.advance(299)
    await engines.crash()

    engine = await engines.start(idempotency_window_s=300)
    assert await publish(engine, message) == [Published("x", first.position, repeated=True)]
    engines.clock.advance(1)
    await engines.crash()

    engine = await engines.start(idempotency_window_s=300)
    assert [(p.position.offset, p.repeated) for p in await publish(engine, message)] == [(2, False)]


async def test_revocations_survive(engines: Engines) -> None:
    engine = await engines.start()
    revocations = [
        Revocation("SCOTT", None, None, 1.5),
        Revocation(None, "7", "a", 2.0),
        Revocation(None, None, "ü", 3.0),
    ]
    for revocation in revocations:
        await engine.revoke(revocation)
    await engines.crash()

    assert list((await engines.start()).revocations()) == revocations


async def test_lower_limits_after_a_restart_are_kept(engines: Engines) -> None:
    engine = await engines.start()
    await publish(engine, *"aaaabbc")
    await engines.stop()

    engine = await engines.start(size=2, max_channels=2)
    assert [kept(engine.journal, channel) for channel in "abc"] == [[], [1, 2], [1]]
    await tidy(engine)
    await engines.stop()

    assert read_file(engines, "select channel, offset from publication order by seq") == [("b", 1), ("b", 2), ("c", 1)]
    assert read_file(engines, "select name from channel order by name") == [("b",), ("c",)]
    assert (await engines.start()).journal.missed(ALL, at(engine.journal, 3)) is None


async def test_a_loss_is_remembered_over_a_restart(engines: Engines) -> None:
    engine = await engines.start(size=2)
    results = await publish(engine, *"aaaa")
    await tidy(engine)
    await engines.stop()

    journal = (await engines.start(size=100)).journal

    assert kept(journal, "a") == [3, 4]
    assert journal.missed(ALL, at(journal, 1)) is None
    assert places(journal.missed(ALL, at(journal, 2))) == [("a", 3), ("a", 4)]
    assert journal.missed(A, results[0].position) is None


async def test_a_loss_is_remembered_where_other_channels_still_have_something(engines: Engines) -> None:
    """After a restart, too, the channels are in the order of their last publication, kept or not."""
    engine = await engines.start(sizes={"a": 0})
    await publish(engine, "b", "a")
    await tidy(engine)
    await engines.crash()

    journal = (await engines.start(sizes={"a": 0})).journal

    assert list(journal.channels) == ["b", "a"]
    assert journal.missed(ALL, at(journal, 1)) is None
    assert journal.missed(ALL, at(journal, 2)) == []


async def test_a_forgotten_channel_is_remembered_as_a_loss_over_a_restart(engines: Engines) -> None:
    """Its rows are gone; a wildcard must still not be told that it has missed nothing."""
    engine = await engines.start(ttl_s=1, channel_ttl_s=1)
    (first, _, _) = await publish(engine, "a", "a", "b")
    engines.clock.advance(5)
    await tidy(engine)
    assert engine.journal.channels == {}
    await engines.crash()

    journal = (await engines.start()).journal

    assert journal.missed(ALL, at(journal, 2)) is None
    assert journal.missed(ALL, at(journal, 3)) == []
    assert journal.missed(A, first.position) is None
    assert journal.top("a").epoch != first.position.epoch


# ── a disk that fails ──


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_failing_disk_leaves_no_trace(engines: Engines, disk: Disk, statement: str) -> None:
    engine = await engines.start()
    await publish(engine, "a")

    with disk.failing(statement):
        results = await engine.publish([make_message("a", message_id="x"), make_message("b")])

    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert engine.trouble == (
        "the log cannot be written: database or disk is full (free some room; publishing goes on by itself)"
    )
    assert str(results[0]) == engine.trouble
    assert engines.listener.places == [("a", 1)]
    assert (engine.journal.seq, engine.journal.top("a").offset, engine.journal.top("b").offset) == (1, 1, 0)

    retried = await publish(engine, make_message("a", message_id="x"), "b")
    assert [(result.position.offset, result.repeated) for result in retried] == [(2, False), (1, False)]
    assert engine.trouble is None
    await engines.crash()
    journal = (await engines.start()).journal
    assert places(journal.missed(ALL, at(journal, 0))) == [("a", 1), ("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            sqlite3.OperationalError("database is locked"),
            "another apex-rtm server uses this data_dir; give each its own",
        ),
        (sqlite3.OperationalError("attempt to write a readonly database"), "the server's user needs write access"),
        (sqlite3.DatabaseError("database disk image is malformed"), "move the file away, or restore a backup"),
    ],
)
async def test_a_failure_is_told_with_what_to_do(
    engines: Engines, disk: Disk, error: sqlite3.Error, hint: str
) -> None:  # fmt: skip
    engine = await engines.start()

    with disk.failing("insert into publication", error):
        await engine.publish([make_message("a")])

    assert engine.trouble == f"the log cannot be written: {error} ({hint})"


async def test_an_error_without_a_hint_is_told_as_it_is(engines: Engines, disk: Disk) -> None:
    engine = await engines.start()

    with disk.failing("begin", OSError("disk I/O error")):
        await engine.publish([make_message("a")])

    assert engine.trouble == "the log cannot be written: disk I/O error"


async def test_a_revocation_that_cannot_be_written_is_unavailable(engines: Engines, disk: Disk) -> None:
    engine = await engines.start()

    with disk.failing("insert into revocation"), pytest.raises(Unavailable, match="the revocation cannot be written"):
        await engine.revoke(Revocation("SCOTT", None, None, 1.0))

    await engines.crash()
    assert list((await engines.start()).revocations()) == []


async def test_before_the_file_is_open_nothing_is_published(engines: Engines) -> None:
    engine = engines.make()

    (result,) = await engine.publish([make_message("a")])

    assert str(result) == "the log cannot be written: the file is closed"
    await engine.stop()


async def test_after_stop_nothing_is_published(engines: Engines) -> None:
    engine = await engines.start()
    await engines.stop()
    assert isinstance(engine, SqliteEngine)

    with pytest.raises(RuntimeError, match="shutdown"):
        await engine.revoke(Revocation(None, None, "a", 1.0))


# ── group commit ──


async def test_nothing_is_delivered_before_it_is_durable(engines: Engines, disk: Disk) -> None:
    engine = await engines.start()

    with disk.stuck():
        waiting = asyncio.create_task(publish(engine, "a"))
        await disk.reached("commit", 2)  # the first one created the file
        assert (engines.listener.entries, engine.journal.seq) == ([], 0)

    await waiting
    assert engines.listener.places == [("a", 1)]


async def test_who_comes_while_the_disk_is_busy_shares_the_next_transaction(engines: Engines, disk: Disk) -> None:
    engine = await engines.start()
    before = disk.count("commit")

    with disk.stuck():
        publishing = [asyncio.create_task(publish(engine, "a"))]
        await disk.reached("commit", before + 1)
        publishing += [asyncio.create_task(publish(engine, "a")) for _ in range(49)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*publishing)

    assert disk.count("commit") == before + 2
    assert [result.position.offset for (result,) in results] == list(range(1, 51))


async def test_a_fault_in_delivery_leaves_no_publisher_without_an_answer(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await engines.start()

    def fail(_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
        patch.setattr(engines.listener, "on_published", fail)
        async with asyncio.timeout(5):
            first, second = await asyncio.gather(publish(engine, "a"), publish(engine, "a"))
    (third,) = await publish(engine, "a")

    assert [result.position.offset for result in (*first, *second, third)] == [1, 2, 3]
    assert {entry["event"] for entry in logs} == {"delivery.failed"}
    assert places(engine.journal.missed(A, Position(third.position.epoch, 0))) == [("a", 1), ("a", 2), ("a", 3)]


async def test_too_many_that_wait_are_refused(engines: Engines, disk: Disk) -> None:
    engine = await engines.start(max_waiting=3)

    with disk.stuck():
        accepted = asyncio.create_task(publish(engine, "a", "a"))
        await asyncio.sleep(0)
        refused = await engine.publish([make_message("a"), make_message("a")])
        fits = asyncio.create_task(publish(engine, "a"))
        await asyncio.sleep(0)

    assert [str(result) for result in refused] == ["2 messages wait for the disk already; try again"] * 2
    assert [result.position.offset for result in await accepted + await fits] == [1, 2, 3]
    await publish(engine, "a", "a", "a")  # whoever was served waits no longer


async def test_a_publisher_that_goes_away_takes_nobody_with_it(engines: Engines, disk: Disk) -> None:
    """Its message may be published or not; the others in its transaction must get their answers."""
    engine = await engines.start()

    with disk.stuck():
        leaving = asyncio.create_task(publish(engine, "a"))
        staying = asyncio.create_task(publish(engine, "a"))
        await disk.reached("commit", 2)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving

    assert [result.position.offset for result in await staying] == [2]
    assert engines.listener.places == [("a", 1), ("a", 2)]
    (later,) = await publish(engine, "a")
    assert later.position.offset == 3


async def test_stopping_waits_for_the_disk(engines: Engines, disk: Disk) -> None:
    engine = await engines.start()
    with disk.stuck():
        publishing = [asyncio.create_task(publish(engine, "a"))]
        await disk.reached("commit", 2)
        publishing += [asyncio.create_task(publish(engine, "b")) for _ in range(5)]
        stopping = asyncio.create_task(engines.stop())
        await asyncio.sleep(0.01)
        assert not stopping.done()
    await asyncio.gather(stopping, *publishing)

    journal = (await engines.start()).journal
    assert places(journal.missed(ALL, at(journal, 0))) == [("a", 1), *[("b", n) for n in range(1, 6)]]


# ── tidying ──


async def test_the_file_shrinks_with_the_journal(engines: Engines) -> None:
    engine = await engines.start(ttl_s=10, channel_ttl_s=50, idempotency_window_s=20)
    await publish(engine, make_message("a", message_id="x"), "a", "b")
    await engine.revoke(Revocation("OLD", None, None, engines.clock.now() - REVOCATION_KEEP_S - 1))
    await engine.revoke(Revocation("NEW", None, None, engines.clock.now()))
    engines.clock.advance(60)
    await publish(engine, "b")

    await tidy(engine)
    await engines.stop()

    assert read_file(engines, "select channel, offset from publication") == [("b", 2)]
    assert read_file(engines, "select name from channel") == [("b",)]
    assert read_file(engines, "select count(*) from sent_id") == [(0,)]
    assert read_file(engines, "select user from revocation") == [("NEW",)]


async def test_where_nothing_was_dropped_the_disk_is_left_alone(engines: Engines, disk: Disk) -> None:
    engine = await engines.start()
    await publish(engine, "a")
    before = disk.count("commit")

    await tidy(engine)

    assert disk.count("commit") == before


async def test_tidying_that_fails_is_done_by_the_next_that_can(engines: Engines, disk: Disk) -> None:
    engine = await engines.start(ttl_s=1, channel_ttl_s=1)
    await publish(engine, "a", "b")
    engines.clock.advance(5)

    with disk.failing("delete from publication"):
        await tidy(engine)
    assert engine.trouble is not None
    assert engine.journal.channels == {}
    await publish(engine, "b")  # b lives again before it could be deleted
    await tidy(engine)

    assert engine.trouble is None
    await engines.stop()
    assert read_file(engines, "select channel, offset from publication") == [("b", 1)]
    assert read_file(engines, "select name, top from channel") == [("b", 1)]


async def test_trouble_ends_with_the_first_tidying_that_works(engines: Engines, disk: Disk) -> None:
    """Otherwise a server that nobody publishes to, because it is not ready, would never be ready again."""
    engine = await engines.start()
    with disk.failing("begin"):
        await engine.publish([make_message("a")])
    assert engine.trouble is not None

    await tidy(engine)

    assert engine.trouble is None


async def test_under_constant_load_it_is_tidied_all_the_same(engines: Engines, disk: Disk) -> None:
    """There is always a batch on its way then; waiting for a pause would be waiting for ever."""
    engine = await engines.start(size=1)
    ended = asyncio.Event()

    async def publisher() -> None:
        while not ended.is_set():
            await publish(engine, "a")

    # Two that take turns: when one gets its answer, the other one waits already.
    publishers = [asyncio.create_task(publisher()) for _ in range(2)]
    await disk.reached("commit", 5)
    async with asyncio.timeout(5):
        while not disk.count("delete from publication"):
            await engine.tidy()
            await asyncio.sleep(0)
    ended.set()
    await asyncio.gather(*publishers)


async def test_an_old_life_that_could_not_be_deleted_stays_dead(engines: Engines, disk: Disk) -> None:
    """The file has rows of two lives of one channel when the server is killed before it could tidy."""
    engine = await engines.start(ttl_s=1, channel_ttl_s=1)
    old = await publish(engine, "a", "b", "a")
    engines.clock.advance(5)
    with disk.failing("delete from publication"):
        await tidy(engine)
    (new,) = await publish(engine, "a")
    await engines.crash()

    engine = await engines.start()

    assert kept(engine.journal, "a") == [1]
    assert engine.journal.missed(A, old[0].position) is None
    assert engine.journal.missed(A, new.position) == []
    assert engine.journal.missed(ALL, at(engine.journal, 0)) is None  # a's old life is lost to everybody
    assert engine.journal.missed(ALL, at(engine.journal, 2)) is None
    assert places(engine.journal.missed(ALL, at(engine.journal, 3))) == [("a", 1)]
    await tidy(engine)
    await engines.stop()
    assert read_file(engines, "select channel, offset from publication order by seq") == [("b", 1), ("a", 1)]


async def test_a_channel_that_is_published_to_while_it_is_forgotten_lives(engines: Engines, disk: Disk) -> None:
    engine = await engines.start(ttl_s=1, channel_ttl_s=1)
    (old,) = await publish(engine, "a")
    engines.clock.advance(5)
    await engine.tidy()  # the first one only lists the channels

    with disk.stuck():
        tidying = asyncio.create_task(engine.tidy())
        await disk.reached("commit", 3)
        publishing = asyncio.create_task(publish(engine, "a"))
        await asyncio.sleep(0)
    await tidying
    (new,) = await publishing

    assert new.position.epoch != old.position.epoch
    await engines.crash()
    journal = (await engines.start()).journal
    assert journal.missed(A, new.position) == []
    assert kept(journal, "a") == [1]


# ── files that cannot be used ──


async def refusal(engines: Engines) -> str:
    engine = engines.make()
    with pytest.raises(ConfigurationError) as caught:
        await engine.start(Listener(engine.journal))
    await engine.stop()
    (problem,) = caught.value.problems
    assert problem.startswith("data_dir: ")
    assert FILE_NAME in problem
    return problem


async def test_the_directory_is_made_for_its_user_alone(engines: Engines) -> None:
    await engines.start()

    assert stat.S_IMODE(engines.directory.stat().st_mode) == 0o700


async def test_two_servers_do_not_share_a_directory(engines: Engines, disk: Disk) -> None:
    """They would give the same offsets twice."""
    first = await engines.start()
    await publish(first, "a")

    assert "another apex-rtm server uses this data_dir" in await refusal(engines)

    (still,) = await publish(first, "a")
    assert still.position.offset == 2
    await engines.stop()
    assert kept((await engines.start()).journal, "a") == [1, 2]


async def test_a_file_that_is_no_database_is_not_overwritten(engines: Engines) -> None:
    path = engines.directory / FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"my thesis, chapter 1\n" * 1000)

    assert "move the file away, or restore a backup" in await refusal(engines)

    assert path.read_bytes().startswith(b"my thesis")


async def test_a_damaged_file_is_refused(engines: Engines) -> None:
    engine = await engines.start()
    await publish(engine, *[make_message("a", "x" * 1000)] * 100)
    await engines.stop()
    path = engines.directory / FILE_NAME
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\xa5" * (len(content) - 4096 - 8192)
    path.write_bytes(content)

    assert "malformed (move the file away, or restore a backup)" in await refusal(engines)


async def test_the_file_of_another_release_is_refused(engines: Engines) -> None:
    await engines.start()
    await engines.stop()
    change_file(engines, "pragma user_version = 99")

    assert "was written by another release (format 99, not 1)" in await refusal(engines)


async def test_a_file_in_place_of_the_directory_is_told(engines: Engines) -> None:
    engines.directory.parent.mkdir()
    engines.directory.write_text("not a directory")

    assert "cannot be used: " in await refusal(engines)


async def test_a_start_that_is_cut_off_leaves_a_file_that_starts(engines: Engines, disk: Disk) -> None:
    with disk.failing("pragma user_version = "):
        await refusal(engines)

    (first,) = await publish(await engines.start(), "a")
    assert first.position.offset == 1
