"""Recovery: everything after a position, once and in order, or the word that it cannot be promised."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm import subscriptions
from apex_rtm.channels import Pattern
from apex_rtm.revocations import Revocation
from tests.support.core import Client, Core

Frame = dict[str, Any]


def position(frame: Frame) -> Frame:
    """The `since` that a client keeps of a frame: of a subscription's answer, or of a publication."""
    return {"epoch": frame["epoch"], "offset": frame["offset"]}


def place(frame: Frame) -> Frame:
    """The `since` of a wildcard after a publication."""
    return {**position(frame), "channel": frame["channel"]}


async def publish(core: Core, channels: str) -> list[Frame]:
    """Publish once for each letter, to the channel of that name; return the frames."""
    witness = core.open()
    witness.subscribe("*")
    for channel in channels:
        await core.publish(channel)
    frames = witness.peer.take()
    witness.session.on_closed()
    return frames


def places(text: str) -> list[tuple[str, int]]:
    """`a1 b2` as [("a", 1), ("b", 2)]."""
    return [(word[0], int(word[1:])) for word in text.split()]


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replays write each frame by itself, so that a test can stop a reader anywhere."""
    monkeypatch.setattr(subscriptions, "TOGETHER_BYTES", 1)


# ── one channel ──


async def test_what_was_missed_is_replayed_and_then_it_is_live() -> None:
    core = await Core().start()
    frames = await publish(core, "abaab")
    client = core.open()

    answer = client.subscribe("a", since=position(frames[0]), id=1)

    assert answer == {
        "type": "subscribed", "id": 1, "channel": "a", "epoch": frames[0]["epoch"], "offset": 1, "recovered": True,
    }  # fmt: skip
    assert client.peer.take() == [frames[2], frames[3]]
    await publish(core, "ba")
    assert client.peer.take_places() == places("a4")
    assert core.hub.counts.recovered == 1


async def test_with_nothing_missed_it_is_recovered_too() -> None:
    core = await Core().start()
    client = core.open()
    quiet = client.subscribe("quiet")
    frames = await publish(core, "a")
    client.session.on_closed()

    client = core.open()
    for channel, since in [("quiet", position(quiet)), ("a", position(frames[0]))]:
        answer = client.subscribe(channel, since=since)
        assert (answer["recovered"], position(answer)) == (True, since)
    assert client.peer.take() == []


@pytest.mark.parametrize(
    "since",
    [{"epoch": "other", "offset": 1}, {"epoch": "", "offset": 0}, {"offset": 3}, {"offset": -1}, {"offset": 2**70}],
)
async def test_a_position_that_is_not_known_is_answered_with_false_and_the_end(since: Frame) -> None:
    core = await Core().start()
    frames = await publish(core, "aa")
    client = core.open()

    answer = client.subscribe("a", since={"epoch": frames[0]["epoch"], **since})

    assert (answer["recovered"], position(answer)) == (False, position(frames[1]))
    assert client.peer.take() == []
    await publish(core, "a")
    assert client.peer.take_places() == places("a3")
    assert (core.hub.counts.recovered, core.hub.counts.not_recovered) == (0, 1)


async def test_what_the_log_no_longer_holds_is_not_promised() -> None:
    core = await Core(size=2).start()
    frames = await publish(core, "aaaa")

    assert core.open().subscribe("a", since=position(frames[0]))["recovered"] is False
    assert core.open().subscribe("a", since=position(frames[1]))["recovered"] is True


async def test_without_since_it_is_false_and_counts_for_nothing() -> None:
    core = await Core().start()

    assert core.open().subscribe("a")["recovered"] is False
    assert core.open().subscribe("a", since=None)["recovered"] is False
    assert (core.hub.counts.recovered, core.hub.counts.not_recovered) == (0, 0)


# ── wildcards ──


async def test_a_wildcard_recovers_from_its_own_answer() -> None:
    core = await Core().start()
    await publish(core, "a")
    before = core.open().subscribe("*")
    frames = await publish(core, "bca")
    client = core.open()

    answer = client.subscribe("*", since=position(before))

    assert (answer["recovered"], position(answer)) == (True, position(before))
    assert client.peer.take() == frames


async def test_a_wildcard_recovers_from_the_last_publication_it_received() -> None:
    core = await Core().start()
    frames = await publish(core, "abcab")
    client = core.open()

    answer = client.subscribe("*", since=place(frames[1]))

    assert (answer["recovered"], answer["epoch"], answer["offset"]) == (True, core.journal.epoch, 2)
    assert client.peer.take() == frames[2:]
    await publish(core, "c")
    assert client.peer.take_places() == places("c2")


@pytest.mark.parametrize(
    "since",
    [
        {"channel": "z"},
        {"channel": "a", "offset": 9},
        {"channel": "a", "epoch": "other"},
        {"offset": 99},
        {"epoch": "other"},
    ],
)
async def test_a_wildcard_whose_place_is_not_found_is_not_recovered(since: Frame) -> None:
    core = await Core().start()
    frames = await publish(core, "ab")
    known = position(frames[0]) if "channel" in since else {"epoch": core.journal.epoch, "offset": 1}
    client = core.open()

    answer = client.subscribe("*", since={**known, **since})

    assert (answer["recovered"], answer["epoch"], answer["offset"]) == (False, core.journal.epoch, 2)
    assert client.peer.take() == []


async def test_a_wildcard_replays_what_its_user_may_see() -> None:
    core = await Core(secured=True).start()
    before = core.connect("SCOTT", "*").subscribe("*")
    for channel in ("user:KING", "user:SCOTT", "app"):
        await core.publish(channel)
    client = core.connect("SCOTT", "*")

    client.subscribe("*", since=position(before))

    assert client.peer.take_places() == [("user:SCOTT", 1), ("app", 1)]


# ── at the pace of the reader ──


async def test_a_replay_is_written_in_few_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "TOGETHER_BYTES", 500)
    core = await Core().start()
    frames = await publish(core, "a" * 21)
    client = core.open()
    sizes: list[int] = []
    take = client.peer.send

    def note(data: bytes) -> None:
        sizes.append(len(data))
        take(data)

    monkeypatch.setattr(client.peer, "send", note)

    client.subscribe("a", since=position(frames[0]))

    assert client.peer.take_places() == [("a", number) for number in range(2, 22)]
    assert len(sizes) < 8
    assert all(size < 500 + 150 for size in sizes)
    assert core.hub.counts.replayed == 20


async def test_a_replay_goes_at_the_pace_of_its_reader() -> None:
    core = await Core().start()
    frames = await publish(core, "aaaaaaa")
    client = core.open()
    client.peer.room = 3

    client.subscribe("a", since=position(frames[0]))
    assert client.peer.take_places() == places("a2 a3")
    assert client.session.is_busy

    await publish(core, "a")  # not live yet: it comes in its turn
    assert client.peer.take() == []
    client.read_on(2)
    assert client.peer.take_places() == places("a4 a5")
    client.read_on()
    assert client.peer.take_places() == places("a6 a7 a8")
    assert not client.session.is_busy
    await publish(core, "a")
    assert client.peer.take_places() == places("a9")


async def test_a_wildcard_replay_goes_at_the_pace_of_its_reader() -> None:
    core = await Core().start()
    before = core.open().subscribe("*")
    await publish(core, "abcabc")
    client = core.open()
    client.peer.room = 3

    client.subscribe("*", since=position(before))
    assert client.peer.take_places() == places("a1 b1")
    client.read_on(1)
    await publish(core, "a")
    client.read_on(2)
    client.read_on()

    assert client.peer.take_places() == places("c1 a2 b2 c2 a3")
    assert not client.session.is_busy


async def test_a_replay_larger_than_its_parts_is_whole() -> None:
    core = await Core(size=5000).start()
    before = core.open().subscribe("a")
    for _ in range(1234):
        await core.publish("a")
    client = core.open()
    client.peer.room = 700

    client.subscribe("a", since=position(before))
    client.read_on()

    assert client.peer.take_places() == [("a", offset) for offset in range(1, 1235)]


async def test_a_reader_that_retention_overtakes_is_closed_and_told_the_truth_next_time() -> None:
    core = await Core(size=5).start()
    frames = await publish(core, "aaaa")
    client = core.open()
    client.peer.room = 2
    client.subscribe("a", since=position(frames[0]))
    (last,) = client.peer.take()

    await publish(core, "aaaaaaa")
    client.read_on()

    assert client.peer.close_code == 4002
    assert client.peer.take() == []
    assert core.hub.counts.closed_slow == 1
    again = core.open()
    assert again.subscribe("a", since=position(last))["recovered"] is False


async def test_a_wildcard_reader_that_retention_overtakes_is_closed() -> None:
    core = await Core(size=5).start()
    before = core.open().subscribe("*")
    await publish(core, "abab")
    client = core.open()
    client.peer.room = 2
    client.subscribe("*", since=position(before))

    await publish(core, "aaaaaaa")
    client.read_on()

    assert client.peer.close_code == 4002
    assert client.peer.take_places() == places("a1")


async def test_other_subscriptions_stay_live_while_one_catches_up() -> None:
    core = await Core().start()
    frames = await publish(core, "aaaa")
    client = core.open()
    client.subscribe("b")
    client.peer.room = 2
    client.subscribe("a", since=position(frames[0]))
    assert client.peer.take_places() == places("a2")

    await publish(core, "b")
    assert client.peer.take_places() == places("b1")
    client.read_on()

    assert client.peer.take_places() == places("a3 a4")


async def test_a_reader_that_overflows_during_its_replay_ends() -> None:
    core = await Core().start()
    frames = await publish(core, "aaaaaa")
    client = core.open()
    client.overflows_after(3)

    client.say(type="subscribe", channel="a", since=position(frames[0]))

    assert client.peer.close_code == 4002
    assert not client.session.is_busy
    assert list(core.hub.registry.channels()) == []
    client.read_on()
    assert list(core.hub.registry.channels()) == []


async def test_a_right_that_ends_during_the_replay_ends_the_replay() -> None:
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "a")
    before = client.subscribe("a")
    client.session.on_closed()
    for _ in range(5):
        await core.publish("a")
    client = core.connect("SCOTT", "a")
    client.peer.room = 2
    client.subscribe("a", since=position(before))
    assert client.peer.take_places() == places("a1")

    await core.hub.revoke(Revocation("SCOTT", None, "a", core.clock.now()))
    client.read_on()

    assert client.peer.take() == [{"type": "unsubscribed", "channel": "a", "code": "revoked"}]
    assert not client.session.is_busy
    assert client.ask(type="ping") == {"type": "pong"}


def test_a_peer_that_becomes_writable_while_nothing_waits_is_no_fault() -> None:
    client = Core().open()

    client.read_on()

    assert client.peer.take() == []


# ── subscriptions that overlap ──


async def recover(core: Core, *subscriptions: tuple[str, Frame | None]) -> tuple[Client, list[bool]]:
    client = core.open()
    answers = []
    for channel, since in subscriptions:
        client.say(type="subscribe", channel=channel, since=since)
        answers.append(
            next(frame for frame in client.peer.frames if frame.get("channel") == channel and "type" in frame)
        )
    client.peer.frames = [frame for frame in client.peer.frames if "type" not in frame]
    return client, [answer["recovered"] for answer in answers]


async def test_exact_names_before_their_wildcard_are_recovered_once() -> None:
    core = await Core().start()
    frames = await publish(core, "abab")

    client, recovered = await recover(core, ("a", position(frames[0])), ("*", place(frames[1])))

    assert recovered == [True, True]
    assert client.peer.take_places() == places("a2 b2")
    await publish(core, "ab")
    assert client.peer.take_places() == places("a3 b3")


async def test_a_wildcard_that_was_behind_its_exact_name_is_not_recovered() -> None:
    """a's second publication would come after its third."""
    core = await Core().start()
    frames = await publish(core, "aaaa")

    client, recovered = await recover(core, ("a", position(frames[2])), ("*", place(frames[0])))

    assert recovered == [True, False]
    assert client.peer.take_places() == places("a4")
    await publish(core, "a")
    assert client.peer.take_places() == places("a5")


async def test_an_exact_name_after_its_wildcard_leaves_the_delivery_to_it() -> None:
    core = await Core().start()
    frames = await publish(core, "aabaa")

    client, recovered = await recover(core, ("*", place(frames[0])), ("a", position(frames[1])))

    assert recovered == [True, True]
    assert client.peer.take_places() == places("a2 b1 a3 a4")


async def test_an_exact_name_that_was_behind_its_wildcard_is_not_recovered() -> None:
    core = await Core().start()
    frames = await publish(core, "aaaa")

    client, recovered = await recover(core, ("*", place(frames[2])), ("a", position(frames[0])))

    assert recovered == [True, False]
    assert client.peer.take_places() == places("a4")


async def test_two_wildcards_share_what_both_bring() -> None:
    core = await Core().start()
    before = position(core.open().subscribe("*"))
    for channel in ("x:1", "y:1", "x:2"):
        await core.publish(channel)

    client, recovered = await recover(core, ("x:*", before), ("*", before))

    assert recovered == [True, True]
    assert client.peer.take_places() == [("x:1", 1), ("x:2", 1), ("y:1", 1)]


async def test_a_fresh_subscription_in_front_of_a_recovering_one() -> None:
    """It delivers from now on; what was missed before it may not come after it."""
    core = await Core().start()
    frames = await publish(core, "aa")

    client, recovered = await recover(core, ("a*", None), ("a", position(frames[0])))

    assert recovered == [False, False]
    assert client.peer.take() == []
    await publish(core, "a")
    assert client.peer.take_places() == places("a3")


async def test_many_subscriptions_and_a_long_log_are_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with a thousand names and a wildcard returns: each of them tried on each publication takes seconds."""
    core = await Core(channels_per_connection=1000).start()
    client = core.open()
    quiet = {f"a{number}": position(client.subscribe(f"a{number}")) for number in range(300)}
    before = position(client.subscribe("a*"))
    client.session.on_closed()
    for number in range(2000):
        await core.publish(f"a{number % 600}")
    calls, matches = [0], Pattern.matches

    def counting(pattern: Pattern, channel: str) -> bool:
        calls[0] += 1
        return matches(pattern, channel)

    client = core.open()
    for name, since in quiet.items():
        client.say(type="subscribe", channel=name, since=since)
    client.peer.take()
    monkeypatch.setattr(Pattern, "matches", counting)
    client.say(type="subscribe", channel="a*", since=before)

    answer, *rest = client.peer.take()
    assert answer["recovered"] is True
    assert len(rest) == 900  # the others came by name
    assert calls[0] < 4 * 2000 + 4 * 300


async def test_subscriptions_that_do_not_overlap_do_not_matter_to_each_other() -> None:
    core = await Core().start()
    frames = await publish(core, "abab")

    client, recovered = await recover(core, ("b", position(frames[3])), ("a", position(frames[0])), ("c*", None))

    assert recovered == [True, True, False]
    assert client.peer.take_places() == places("a2")


async def test_what_was_subscribed_and_left_again_does_not_matter() -> None:
    core = await Core().start()
    frames = await publish(core, "aa")
    client = core.open()
    client.subscribe("a*")
    client.ask(type="unsubscribe", channel="a*")

    assert client.subscribe("a", since=position(frames[0]))["recovered"] is True
    assert client.peer.take_places() == places("a2")


async def test_while_a_wildcard_catches_up_everything_comes_in_the_order_of_the_journal() -> None:
    """A client takes what it received last for the place of its wildcard, whoever brought it. Were a2 delivered live
    before b3, a cut just then would make it ask for what came after a2, and b3 would be lost without a word.
    """
    core = await Core().start()
    frames = await publish(core, "abbb")
    client = core.open()
    client.subscribe("a", since=position(frames[0]))
    client.peer.room = 2
    client.subscribe("*", since=place(frames[1]))
    assert client.peer.take_places() == places("b2")

    await publish(core, "ab")
    assert client.peer.take() == []
    client.read_on(2)
    assert client.peer.take_places() == places("b3 a2")
    await publish(core, "a")
    client.read_on()
    assert client.peer.take_places() == places("b4 a3")

    await publish(core, "ab")
    assert client.peer.take_places() == places("a4 b5")
    client.ask(type="unsubscribe", channel="*")
    await publish(core, "ab")
    assert client.peer.take_places() == places("a5")


async def test_narrower_wildcards_are_held_back_too_and_others_are_not() -> None:
    core = await Core().start()
    before = position(core.open().subscribe("*"))
    for channel in ("x:1", "y:1", "x:2"):
        await core.publish(channel)
    client = core.open()
    for name in ("x:1*", "y:*"):
        client.say(type="subscribe", channel=name, since=before)
    client.peer.take()
    client.peer.room = 2
    client.subscribe("x:*", since=before)
    assert client.peer.take_places() == [("x:2", 1)]
    client.peer.room = 0

    for channel in ("x:1", "y:1", "x:2"):
        await core.publish(channel)
    assert client.peer.take_places() == [("y:1", 2)]
    client.read_on()
    assert client.peer.take_places() == [("x:1", 2), ("x:2", 2)]


async def test_a_foreign_channel_that_was_granted_by_name_is_not_held_back_for_a_wildcard_that_does_not_show_it() -> (
    None
):
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "*", "user:KING")
    before = position(client.subscribe("*"))
    await core.publish("a")
    await core.publish("a")
    client = core.connect("SCOTT", "*", "user:KING")
    client.subscribe("user:KING")
    client.peer.room = 2
    client.subscribe("*", since=before)
    assert client.peer.take_places() == [("a", 1)]

    await core.publish("user:KING")

    assert client.peer.take_places() == [("user:KING", 1)]
    client.read_on()
    await core.publish("user:KING")
    assert client.peer.take_places() == [("a", 2), ("user:KING", 2)]


async def test_a_replay_that_is_revoked_while_it_held_others_back_ends_the_connection() -> None:
    """Only the replay knew how far the others had come; the client returns and recovers them."""
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "*")
    before = position(client.subscribe("*"))
    for channel in "abb":
        await core.publish(channel)
    client = core.connect("SCOTT", "*")
    client.subscribe("a")
    client.subscribe("c")
    client.peer.room = 1
    client.subscribe("*", since={**before, "offset": 1})
    assert client.session.is_busy

    await core.hub.revoke(Revocation("SCOTT", None, "c", core.clock.now()))

    assert client.peer.close_code == 4002
    assert list(core.hub.registry.channels()) == []
    assert not client.session.is_busy
