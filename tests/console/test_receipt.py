"""Who got it: each answer is one that can be stood by."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm.console import receipt
from apex_rtm.console.receipt import ask_arrival, find_entry, receipt_of
from apex_rtm.departures import Departures
from tests.support.core import Client, Core


@pytest.fixture
async def core() -> Core:
    core = Core(secured=True)
    core.hub.departures = Departures(100, core.clock)
    return await core.start()


def follow(core: Core, user: str, channel: str = "a") -> Client:
    client = core.connect(user, "a*")
    client.subscribe(channel)
    return client


def ask(core: Core, *, offset: int | None = None, user: str | None = None, limit: int = 100) -> dict[str, Any]:
    entry = find_entry(core.hub, "a", None, offset, None)
    assert entry is not None
    return receipt_of(core.hub, entry, user, limit)


def states(core: Core, offset: int | None = None) -> dict[str, str]:
    """State by user, where every user has one connection."""
    return {row["user"]: row["state"] for row in ask(core, offset=offset)["connections"]}


def answer(client: Client) -> None:
    client.session.on_pong(client.peer.ping_payload)


# ── which message ──


async def test_a_message_is_found_by_its_id_its_offset_or_as_the_newest(core: Core) -> None:
    for number in range(3):
        await core.publish("a", message_id=f"id-{number}")
    hub = core.hub
    epoch = hub.journal.top("a").epoch

    def offset_of(*arguments: Any) -> int | None:
        entry = find_entry(hub, "a", *arguments)
        return None if entry is None else entry.position.offset

    assert offset_of(None, None, None) == 3
    assert offset_of(epoch, 1, None) == 1
    assert offset_of(None, None, "id-1") == 2
    assert [offset_of(None, offset, None) for offset in (0, 4)] == [None, None]
    assert offset_of("another life", 1, None) is None
    assert offset_of(None, None, "id-9") is None
    assert find_entry(hub, "nothing", None, None, None) is None


async def test_what_the_log_has_dropped_is_not_guessed_at() -> None:
    core = await Core(size=2).start()
    for _ in range(4):
        await core.publish("a")

    found = [find_entry(core.hub, "a", None, offset, None) for offset in (1, 2, 3, 4)]

    assert [entry and entry.position.offset for entry in found] == [None, None, 3, 4]


# ── what is known of a connection ──


async def test_from_handed_to_arrived(core: Core) -> None:
    scott = follow(core, "SCOTT")
    await core.publish("a")
    assert states(core) == {"SCOTT": "handed"}
    scott.session.ask_arrival()
    assert states(core) == {"SCOTT": "handed"}
    answer(scott)
    assert states(core) == {"SCOTT": "arrived"}

    await core.publish("a")

    assert states(core) == {"SCOTT": "handed"}
    assert states(core, 1) == {"SCOTT": "arrived"}


async def test_who_reads_slowly_may_not_have_it_yet(core: Core) -> None:
    scott = follow(core, "SCOTT")
    await core.publish("a")
    scott.peer.waiting = 10
    assert states(core) == {"SCOTT": "waiting"}

    scott.session.ask_arrival()
    answer(scott)

    assert states(core) == {"SCOTT": "arrived"}


async def test_who_came_later_did_not_get_it_but_who_asked_for_it_did(core: Core) -> None:
    since = follow(core, "SCOTT").subscribe("ab")
    position = core.hub.journal.top("a")
    await core.publish("a")
    follow(core, "KING")
    back = core.connect("ADAMS", "a*")
    back.say(type="subscribe", channel="a", since={"epoch": position.epoch, "offset": 0})
    assert since["offset"] == 0

    assert states(core) == {"SCOTT": "handed", "KING": "later", "ADAMS": "handed"}


async def test_a_wildcard_brings_it_too_and_another_channel_does_not(core: Core) -> None:
    follow(core, "SCOTT", "a*")
    follow(core, "KING", "ab")
    await core.publish("a")

    assert states(core) == {"SCOTT": "handed"}


async def test_who_is_catching_up_has_not_come_to_it_yet(core: Core) -> None:
    position = core.hub.journal.top("a")
    for _ in range(3):
        await core.publish("a", "x" * 70_000)  # more than a replay writes at once
    scott = core.connect("SCOTT", "a*")
    scott.peer.room = 2
    scott.say(type="subscribe", channel="a", since={"epoch": position.epoch, "offset": 0})

    assert [states(core, offset)["SCOTT"] for offset in (1, 3)] == ["handed", "replaying"]


async def test_who_has_gone_is_remembered_with_what_was_proved(core: Core) -> None:
    scott, king = follow(core, "SCOTT"), follow(core, "KING")
    await core.publish("a")
    scott.session.ask_arrival()
    answer(scott)
    for client in (scott, king):
        client.session.on_closed()

    rows = {row["user"]: row for row in ask(core)["connections"]}
    assert (rows["SCOTT"]["state"], rows["KING"]["state"]) == ("arrived", "ended")
    assert rows["KING"]["endedAt"] == core.clock.now()
    assert ask(core)["endedKnownSince"] is None


# ── of all together ──


async def test_a_user_has_it_when_one_of_their_tabs_has(core: Core) -> None:
    first = follow(core, "SCOTT")
    follow(core, "SCOTT")
    follow(core, "KING")
    await core.publish("a")
    first.session.ask_arrival()
    answer(first)

    known = ask(core)

    assert {user["user"]: (user["state"], user["connections"]) for user in known["users"]} == {
        "SCOTT": ("arrived", 2), "KING": ("handed", 1)
    }  # fmt: skip
    assert known["counts"] == {"arrived": 1, "handed": 2, "waiting": 0, "replaying": 0, "ended": 0, "later": 0}
    assert [row["user"] for row in ask(core, user="KING")["connections"]] == ["KING"]
    assert ask(core, user="NOBODY")["counts"]["arrived"] == 0


async def test_a_list_has_an_end_and_says_so(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        follow(core, f"U{number}")
    await core.publish("a")

    known = ask(core, limit=2)
    assert (len(known["connections"]), known["more"], known["counts"]["handed"]) == (2, True, 5)
    assert ask(core)["more"] is False
    monkeypatch.setattr(receipt, "MAX_SCANNED", 3)
    known = ask(core)
    assert (known["counts"]["handed"], known["more"]) == (3, True)


async def test_asking_pings_those_who_have_not_proved_it(core: Core) -> None:
    scott, king, late = follow(core, "SCOTT"), follow(core, "KING"), core.connect("ADAMS", "a*")
    await core.publish("a")
    late.subscribe("a")
    scott.session.ask_arrival()
    answer(scott)
    entry = find_entry(core.hub, "a", None, None, None)
    assert entry is not None

    assert ask_arrival(core.hub, entry, "SCOTT") == 0
    assert ask_arrival(core.hub, entry, None) == 1
    assert (king.peer.pings, late.peer.pings) == (1, 0)
    answer(king)
    assert states(core)["KING"] == "arrived"


async def test_who_looks_on_is_not_among_them(core: Core) -> None:
    scott = follow(core, "SCOTT")
    core.hub.operators[scott.session] = None
    await core.publish("a")

    assert ask(core)["connections"] == []
