"""What operators may see."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from apex_rtm.overview import connections_of, describe_channels, history_of, presence_of
from tests.support.core import Core


def as_json(body: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(body))
    return decoded


async def test_channels_have_history_or_subscribers() -> None:
    core = await Core(size=2).start()
    for _ in range(3):
        await core.publish("a:1")
    core.open().subscribe("a:1")
    core.open().subscribe("a:2")
    core.open().subscribe("a:*")

    body = as_json(describe_channels(core.hub, "", 10))

    assert body == {
        "ok": True, "more": False, "channels": [
            {"channel": "a:1", "subscribers": 2, "epoch": core.journal.top("a:1").epoch, "offset": 3, "kept": 2},
            {"channel": "a:2", "subscribers": 2, "epoch": core.journal.top("a:2").epoch, "offset": 0, "kept": 0},
        ],
    }  # fmt: skip


async def test_channels_are_found_by_prefix_and_up_to_a_limit() -> None:
    core = await Core().start()
    for channel in ("a:1", "b:1", "a:2", "a:3"):
        await core.publish(channel)

    def names(prefix: str, limit: int) -> tuple[list[str], bool]:
        body = describe_channels(core.hub, prefix, limit)
        return [one["channel"] for one in body["channels"]], body["more"]

    assert names("a:", 3) == (["a:1", "a:2", "a:3"], False)
    assert names("a:", 2) == (["a:1", "a:2"], True)
    assert names("z", 2) == ([], False)
    assert names("", 0) == ([], True)


async def test_history_is_oldest_first() -> None:
    core = await Core(size=4).start()
    for number in range(6):
        await core.publish("a", {"number": number}, event_name="ping")
    epoch = core.journal.top("a").epoch

    def history(epoch: str | None = None, offset: int = 0, limit: int = 10) -> tuple[list[int], bool]:
        body = as_json(history_of(core.hub, "a", epoch, offset, limit))
        assert (body["channel"], body["offset"]) == ("a", 6)
        return [one["offset"] for one in body["publications"]], body["complete"]

    assert history() == ([3, 4, 5, 6], True)
    assert history(limit=2) == ([5, 6], True)
    assert history(limit=0) == ([], True)
    assert history(epoch, 3) == ([4, 5, 6], True)
    assert history(epoch, 3, limit=2) == ([4, 5], True)
    assert history(epoch, 6) == ([], True)
    assert history(epoch, 1) == ([3, 4, 5, 6], False)
    assert history("other", 5, limit=1) == ([3], False)
    (last,) = as_json(history_of(core.hub, "a", None, 0, 1))["publications"]
    assert (last["payload"], last["eventName"], last["epoch"]) == ({"number": 5}, "ping", epoch)


async def test_the_history_of_a_channel_without_one_is_empty() -> None:
    core = await Core().start()
    top = core.journal.top("a")

    assert as_json(history_of(core.hub, "a", None, 0, 10)) == {
        "ok": True, "channel": "a", "epoch": top.epoch, "offset": 0, "complete": True, "publications": [],
    }  # fmt: skip
    assert history_of(core.hub, "a", top.epoch, 0, 10)["complete"] is True
    assert history_of(core.hub, "a", "other", 0, 10)["complete"] is False
    assert history_of(core.hub, "a*", None, 0, 10)["publications"] == []  # a name here is a name, not a pattern


async def test_presence_counts_who_named_the_channel() -> None:
    core = await Core(secured=True).start()
    for user in ("SCOTT", "SCOTT", "KING"):
        core.connect(user, "*").subscribe("a")
    core.connect("ADAMS", "*").subscribe("*")

    assert presence_of(core.hub, "a") == {
        "ok": True, "channel": "a", "connections": 3, "users": {"SCOTT": 2, "KING": 1},
    }  # fmt: skip
    assert presence_of(core.hub, "b") == {"ok": True, "channel": "b", "connections": 0, "users": {}}


async def test_presence_in_open_mode_has_no_names() -> None:
    core = await Core().start()
    core.open().subscribe("a")

    assert presence_of(core.hub, "a") == {"ok": True, "channel": "a", "connections": 1, "users": {}}


async def test_connections_are_filtered_by_user_and_channel() -> None:
    core = await Core(secured=True).start()
    scott = core.connect("SCOTT", "*", session_id="4711")
    scott.subscribe("a:1")
    scott.subscribe("b:*")
    king = core.connect("KING", "*")
    king.subscribe("a:*")
    nobody = core.open()

    def ids(user: str | None = None, channel: str | None = None, limit: int = 10) -> tuple[list[str], bool]:
        body = connections_of(core.hub, user, channel, limit)
        assert body["total"] == 3
        return [one["id"] for one in body["connections"]], body["more"]

    everybody = [client.session.id for client in (scott, king, nobody)]
    assert ids() == (everybody, False)
    assert ids("SCOTT") == (everybody[:1], False)
    assert ids(channel="a:1") == (everybody[:2], False)
    assert ids(channel="b:1") == (everybody[:1], False)
    assert ids("KING", "b:1") == ([], False)
    assert ids(limit=2) == (everybody[:2], True)
    described = as_json(connections_of(core.hub, None, None, 10))["connections"]
    assert described[0] == {
        "id": scott.session.id, "user": "SCOTT", "sessionId": "4711", "ip": "192.0.2.1",
        "connectedAt": int(core.clock.now()), "channels": ["a:1", "b:*"], "waitingBytes": 0,
    }  # fmt: skip
    assert (described[2]["user"], described[2]["sessionId"], described[2]["channels"]) == (None, None, [])
