"""Names in Redis, and announcements."""

from __future__ import annotations

import pytest

from apex_rtm.engine.redis.layout import NO_LINK, Layout, Publication, read_announcement
from apex_rtm.message import Position

BODY = b'{"channel":"a\xc3\xa9","eventName":null,"payload":{"id":"no","offset":9},"id":"x","epoch":"E","offset":12}'


def test_everything_of_a_channel_lies_in_one_slot_of_a_cluster() -> None:
    layout = Layout("rtm", 8)
    for channel in ("a", "user:SCOTT", "{odd}", "ü" * 4000):
        tag = f"rtm:{{{layout.partition(channel)}}}"
        names = [
            layout.part_key(layout.partition(channel)), layout.meta_key(channel), layout.stream_key(channel),
            layout.sent_key(channel, "1"), layout.topic(channel), layout.all_topic(layout.partition(channel)),
        ]  # fmt: skip
        assert all(name == tag or name.startswith(f"{tag}:") for name in names)
        assert len(set(names)) == len(names)


def test_channels_are_spread() -> None:
    layout = Layout("rtm", 8)

    assert {layout.partition(f"channel:{n}") for n in range(200)} == set(range(8))


def test_ids_and_channels_are_not_mistaken_for_each_other() -> None:
    layout = Layout("rtm", 1)

    assert layout.sent_key("b:c", "a") != layout.sent_key("c", "a:b")
    assert layout.meta_key("s:x") != layout.stream_key("m:x")


def test_an_announcement_says_everything() -> None:
    assert read_announcement(b"77 1500 0 -\n" + BODY) == Publication(
        "aé", Position("E", 12), "x", 1.5, BODY, 77, NO_LINK
    )
    assert read_announcement(b"77 1500 8 node.1\n" + BODY).link == Position("node.1", 8)


@pytest.mark.parametrize("data", [b"", b"\n", b"77 1500 0\n" + BODY, b"x 1500 0 -\n" + BODY, b"77 1500 0 -\n{}", BODY])
def test_what_is_no_announcement_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_announcement(data)
