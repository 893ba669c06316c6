"""Nodes on a real Redis that is cut off, stopped, emptied, full and rolled back under them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from apex_rtm.channels import parse_pattern
from apex_rtm.engine.redis import engine as engine_module
from apex_rtm.errors import ConfigurationError, Unavailable
from apex_rtm.message import Position, Published
from apex_rtm.protocol import complete, publication_head
from apex_rtm.redis_url import Address, Target
from apex_rtm.revocations import Revocation
from tests.support.certificate import make_certificate
from tests.support.core import make_message
from tests.support.engines import follow, kept, publish
from tests.support.redis import free_port
from tests.support.shared_log import SharedLog

pytestmark = pytest.mark.slow
A = parse_pattern("a")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SharedLog]:
    made = SharedLog(tmp_path / "redis")
    made.redis.start()
    yield made
    await made.close()


async def test_what_one_node_publishes_arrives_at_the_others_that_follow_it(log: SharedLog) -> None:
    one, two, three = [await log.node() for _ in range(3)]
    await follow(two.engine, "a")
    await follow(three.engine, "*")

    (result,) = await publish(one.engine, make_message("a", {"n": 1}))
    await publish(one.engine, "b")

    await two.delivers(("a", 1))
    await three.delivers(("a", 1), ("b", 1))
    assert two.listener.entries[0].frame == three.listener.entries[0].frame
    assert two.engine.journal.top("a") == result.position
    assert one.places == []
    assert list(one.engine.journal.channels) == [], "a node keeps what somebody on it follows, and nothing else"


async def test_what_was_published_before_is_there_for_who_missed_it(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    results = await publish(one.engine, *["a"] * 450)

    await follow(two.engine, "a", results[399].position)
    assert kept(two.engine.journal, "a") == list(range(401, 451))
    await follow(two.engine, "a", results[9].position)  # somebody who was away for longer
    assert kept(two.engine.journal, "a") == list(range(11, 451))

    await publish(one.engine, "a")
    await two.delivers(("a", 451))
    assert two.engine.follow(A, results[9].position, lambda _: None), "now it is here"


async def test_everything_that_is_kept_can_be_asked_for(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await publish(one.engine, *["a"] * 5)

    await follow(two.engine, "a", Position("*", 0))

    assert kept(two.engine.journal, "a") == [1, 2, 3, 4, 5]


async def test_a_message_that_is_repeated_through_another_node_is_published_once(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await follow(two.engine, "a")
    message = make_message("a", message_id="x")

    (first,), (second,) = await publish(one.engine, message), await publish(two.engine, message)

    assert second == Published("x", first.position, repeated=True)
    await publish(one.engine, "a")
    await two.delivers(("a", 1), ("a", 2))


async def test_an_answer_that_gets_lost_is_asked_for_again_and_nothing_is_published_twice(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await follow(two.engine, "a")
    one.proxy.swallows_answers = True
    publishing = asyncio.create_task(publish(one.engine, "a"))
    await two.delivers(("a", 1))

    one.proxy.swallows_answers = False
    (result,) = await publishing

    assert result.position.offset == 1
    await publish(one.engine, "a")
    await two.delivers(("a", 1), ("a", 2))


async def test_a_node_that_was_cut_off_gets_what_it_missed(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await follow(two.engine, "a")
    await follow(two.engine, "quiet")
    await publish(one.engine, "a")
    await two.delivers(("a", 1))

    two.proxy.cut()
    await two.until(lambda: two.engine.trouble is not None)
    await publish(one.engine, *["a"] * 450)
    two.proxy.mend()

    await two.delivers(*[("a", offset) for offset in range(1, 452)])
    assert two.listener.lost == []
    await two.until(lambda: two.engine.trouble is None)


async def test_a_node_that_hears_nothing_any_more_notices(log: SharedLog) -> None:
    """Nothing is closed when a network swallows packets, and a server that was stopped closes nothing either."""
    one, two = await log.node(), await log.node()
    await follow(two.engine, "a")

    two.proxy.hush()
    await publish(one.engine, "a")
    await two.until(lambda: two.engine.trouble is not None)
    two.proxy.cut()
    two.proxy.mend()

    await two.delivers(("a", 1))


async def test_what_is_no_longer_kept_sends_subscribers_away(log: SharedLog) -> None:
    one, two = await log.node(size=3), await log.node(size=3)
    await follow(two.engine, "a")
    await publish(one.engine, "a")
    await two.delivers(("a", 1))

    two.proxy.cut()
    await publish(one.engine, *["a"] * 5)
    two.proxy.mend()
    await two.until(lambda: bool(two.listener.lost))

    assert two.listener.lost == ["a"]
    await publish(one.engine, "a")
    await two.delivers(("a", 1), ("a", 7))


async def test_wildcards_of_a_node_that_was_cut_off_are_sent_away(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await follow(two.engine, "*")

    two.proxy.cut()
    await publish(one.engine, "a")
    two.proxy.mend()
    await two.until(lambda: bool(two.listener.lost))

    assert two.listener.lost == [None]
    await follow(two.engine, "*")
    await publish(one.engine, "a")
    await two.delivers(("a", 2))


async def test_an_announcement_that_nobody_heard_is_found_by_the_audit(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await follow(two.engine, "a")
    (result,) = await publish(one.engine, "a")
    await two.delivers(("a", 1))
    layout = one.engine._layout
    body = complete(publication_head(make_message("a"), "i"), Position(result.position.epoch, 2)).decode()

    log.redis.ask("XADD", layout.stream_key("a"), "2-0", "b", body, "a", "1", "i", "i")
    log.redis.ask("HSET", layout.meta_key("a"), "top", "2", "id", "i")

    await two.delivers(("a", 1), ("a", 2))
    assert two.listener.lost == []


async def test_an_emptied_redis_is_another_life(log: SharedLog) -> None:
    one, two = await log.node(), await log.node()
    await follow(two.engine, "a")
    (before,) = await publish(one.engine, "a")

    log.redis.kill()
    log.redis.start()
    await two.until(lambda: "a" in two.listener.lost)
    (after,) = await publish(one.engine, "a")

    assert after.position.offset == 1
    assert after.position.epoch != before.position.epoch
    await two.until(lambda: two.engine.journal.top("a") == after.position)
    assert two.engine.journal.missed(A, before.position) is None


@pytest.mark.parametrize("durable", [True, False])
async def test_a_redis_that_kept_everything_keeps_epochs_only_where_it_promised_to(
    tmp_path: Path, durable: bool
) -> None:
    log = SharedLog(tmp_path / "redis", appendonly="yes", appendfsync="always")
    log.redis.start()
    one, two = await log.node(durable=durable), await log.node(durable=durable)
    await follow(two.engine, "a")
    (before,) = await publish(one.engine, "a")

    log.redis.kill()
    log.redis.start()
    (after,) = await publish(one.engine, "a")

    await two.until(lambda: two.engine.journal.top("a") == after.position)
    await two.until(lambda: two.engine.trouble is None)
    if durable:
        assert after.position == (before.position.epoch, 2)
        assert (two.places, two.listener.lost) == ([("a", 1), ("a", 2)], [])
    else:
        assert after.position.epoch != before.position.epoch
        assert two.listener.lost == ["a"]
    await log.close()


async def test_a_redis_that_was_rolled_back_does_not_give_an_offset_twice(log: SharedLog) -> None:
    one, two = await log.node(durable=True), await log.node(durable=True)
    await follow(two.engine, "a")
    before = await publish(one.engine, "a", "a", "a")
    await two.delivers(("a", 1), ("a", 2), ("a", 3))

    log.redis.ask("XDEL", one.engine._layout.stream_key("a"), "3-0")
    log.redis.ask("HSET", one.engine._layout.meta_key("a"), "top", "2")
    await two.until(lambda: two.listener.lost == ["a"])

    (after,) = await publish(one.engine, "a")
    assert after.position.epoch != before[2].position.epoch


async def test_a_rolled_back_redis_that_went_on_is_noticed_by_the_id(log: SharedLog) -> None:
    one, two = await log.node(durable=True), await log.node(durable=True)
    await follow(two.engine, "a")
    (before,) = await publish(one.engine, "a")
    await two.delivers(("a", 1))

    two.proxy.cut()
    log.redis.ask("DEL", one.engine._layout.stream_key("a"))
    log.redis.ask("HSET", one.engine._layout.meta_key("a"), "top", "0")
    others = await publish(one.engine, "a", "a")
    two.proxy.mend()
    await two.until(lambda: two.listener.lost == ["a"])

    assert others[0].position == before.position, "an offset was given twice"
    assert two.engine.journal.top("a").epoch != before.position.epoch


async def test_while_redis_stands_still_everything_is_answered_in_time(log: SharedLog) -> None:
    one = await log.node(timeout_s=1.0)
    await follow(one.engine, "a")
    log.redis.pause()
    loop = asyncio.get_running_loop()
    began = loop.time()

    (refused,) = await one.engine.publish([make_message("a", message_id="x")])
    with pytest.raises(Unavailable):
        await follow(one.engine, "b")
    with pytest.raises(Unavailable):
        await follow(one.engine, "*")

    assert isinstance(refused, Unavailable)
    assert "repeat it with the same id" in str(refused)
    assert loop.time() - began < 8
    assert one.engine.trouble is not None
    assert one.engine.follow(A, None, lambda _: None), "what is followed already can be read"
    log.redis.go_on()
    await one.until(lambda: one.engine.trouble is None)
    (result,) = await publish(one.engine, make_message("a", message_id="x"))
    assert result.position.offset == 1
    await one.delivers(("a", 1))


async def test_a_full_redis_refuses_and_goes_on_when_there_is_room(log: SharedLog) -> None:
    one = await log.node()
    await follow(one.engine, "a")
    log.redis.ask("CONFIG", "SET", "maxmemory", "1")

    (refused,) = await one.engine.publish([make_message("a")])

    assert isinstance(refused, Unavailable)
    assert one.engine.trouble is not None
    assert "OOM" in one.engine.trouble or "memory" in one.engine.trouble
    assert one.places == []
    log.redis.ask("CONFIG", "SET", "maxmemory", "0")
    await publish(one.engine, "a")
    assert one.engine.trouble is None


async def test_too_much_that_waits_is_refused(log: SharedLog) -> None:
    one = await log.node(max_waiting=3)

    results = await one.engine.publish([make_message("a")] * 4)

    assert all(isinstance(result, Unavailable) for result in results)
    await publish(one.engine, "a", "a", "a")


async def test_a_channel_that_nobody_follows_is_let_go(log: SharedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await log.node()
    topic = one.engine._layout.topic("a")
    all_topic = one.engine._layout.all_topic(0)
    for name in ("a", "*"):
        await follow(one.engine, name)
    assert log.redis.ask("PUBSUB", "NUMSUB", topic, all_topic).count(b":1\r\n") == 2

    monkeypatch.setattr(engine_module, "_LINGER_S", -1.0)
    one.engine.unfollow(A)
    one.engine.unfollow(parse_pattern("*"))
    await one.engine.tidy()

    await one.until(lambda: log.redis.ask("PUBSUB", "NUMSUB", topic, all_topic).count(b":0\r\n") == 2)
    assert list(one.engine.journal.channels) == []
    assert one.listener.unfollowed == ["a"]
    await follow(one.engine, "a")
    await publish(one.engine, "a")
    assert one.places == [("a", 1)]


async def test_scripts_that_were_flushed_are_loaded_again(log: SharedLog) -> None:
    one = await log.node()
    log.redis.ask("SCRIPT", "FLUSH")

    (result,) = await publish(one.engine, "a")

    assert result.position.offset == 1


async def test_nodes_must_agree_on_the_partitions(log: SharedLog) -> None:
    await log.node(partitions=4)

    with pytest.raises(ConfigurationError, match="redis_partitions: the nodes of this log use 4, not 8"):
        await log.node(partitions=8)


async def test_a_redis_that_cannot_be_used_is_named_at_the_start(log: SharedLog) -> None:
    log.redis.ask("CONFIG", "SET", "requirepass", "the-password")
    with pytest.raises(ConfigurationError, match="refuses the user or the password"):
        await log.node()
    with pytest.raises(ConfigurationError) as caught:
        await log.node(password="wrong-password")
    assert "wrong-password" not in str(caught.value)
    one = await log.node(password="the-password")
    await publish(one.engine, "a")

    log.redis.kill()
    with pytest.raises(ConfigurationError, match=r"engine: Redis cannot be used: 127\.0\.0\.1"):
        await log.node()


async def test_a_fault_in_one_subscription_does_not_keep_the_others_waiting(log: SharedLog) -> None:
    one = await log.node()

    def fail(_trouble: Unavailable | None) -> None:
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as logs:
        assert not one.engine.follow(A, None, fail)
        await one.until(lambda: bool(logs))
        await follow(one.engine, "b")
    await publish(one.engine, "b", "a")

    assert [entry["event"] for entry in logs] == ["redis.reading_failed"]
    assert sorted(one.places) == [("a", 1), ("b", 1)]


async def test_a_fault_in_delivery_does_not_keep_senders_waiting(
    log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await log.node()
    await follow(one.engine, "a")

    def fail(_entries: object) -> None:
        raise ZeroDivisionError

    with structlog.testing.capture_logs() as logs, monkeypatch.context() as broken:
        broken.setattr(one.listener, "on_published", fail)
        (result,) = await publish(one.engine, "a")

    assert result.position.offset == 1
    # Whichever comes first, the answer of Redis or the announcement.
    assert {entry["event"] for entry in logs} & {"delivery.failed", "announcement.failed"}
    await publish(one.engine, "a")
    await one.delivers(("a", 2))


async def test_a_log_that_keeps_nothing_is_delivered_and_gaps_are_told(log: SharedLog) -> None:
    one, two = await log.node(size=0), await log.node(size=0)
    await follow(two.engine, "a")

    await publish(one.engine, "a", "a")
    await two.delivers(("a", 1), ("a", 2))
    two.proxy.cut()
    await publish(one.engine, "a")
    two.proxy.mend()

    await two.until(lambda: two.listener.lost == ["a"])
    await publish(one.engine, "a")
    await two.delivers(("a", 1), ("a", 2), ("a", 4))


async def test_a_user_of_an_acl_needs_no_more_than_the_documentation_says(log: SharedLog) -> None:
    rights = (
        "+@stream", "+@hash", "+@string", "+@sortedset", "+@scripting", "+@pubsub", "+@connection", "+del", "+pexpire",
        "+info", "+time",
    )  # fmt: skip
    log.redis.ask("ACL", "SETUSER", "apexrtm", "on", ">the-password", "~rtm:*", "&rtm:*", "-@all", *rights)
    log.redis.ask("ACL", "SETUSER", "default", "off")
    address = Address("127.0.0.1", log.redis.port)
    one = await log.node(target=Target("single", (address,), user="apexrtm", password="the-password"))

    for name in ("a", "*"):
        await follow(one.engine, name)
    await publish(one.engine, "a")
    await one.engine.revoke(Revocation("SCOTT", None, None, 1.0))

    assert one.places == [("a", 1)]
    assert one.engine.trouble is None


async def test_tls_is_spoken_and_a_strange_certificate_refused(tmp_path: Path) -> None:
    pair, other = make_certificate(tmp_path, "localhost"), make_certificate(tmp_path / "other", "localhost")
    port = free_port()
    log = SharedLog(
        tmp_path / "redis", tls_port=port, tls_cert_file=pair.cert, tls_key_file=pair.key, tls_ca_cert_file=pair.cert,
        tls_auth_clients="no",
    )  # fmt: skip
    log.redis.start()
    address = Address("localhost", port)

    one = await log.node(target=Target("single", (address,), tls=True, ca=str(pair.cert)))
    await follow(one.engine, "a")
    await publish(one.engine, "a")
    assert one.places == [("a", 1)]
    with pytest.raises(ConfigurationError, match="certificate"):
        await log.node(target=Target("single", (address,), tls=True, ca=str(other.cert)))
    await log.close()
