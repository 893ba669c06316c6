"""Names of keys and topics in Redis, and what an announcement looks like. Pure."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import msgspec

from apex_rtm.message import Position

NO_LINK: Final = Position("-", 0)


class Publication(NamedTuple):
    """One publication as it comes from Redis. `body` is its JSON, complete; `seq` counts in its partition.

    `link`: where the log before this one ended, where this is the first of a new epoch and nothing is between.
    """

    channel: str
    position: Position
    id: str
    at: float
    body: bytes
    seq: int = 0
    link: Position = NO_LINK


class _Head(msgspec.Struct):
    channel: str
    id: str
    epoch: str
    offset: int


_decode_head = msgspec.json.Decoder(_Head).decode


class Layout:
    """Where things are. All nodes must agree on `prefix` and `partitions`."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions

    def partition(self, channel: str) -> int:
        """Which partition a channel belongs to."""
        return zlib.crc32(channel.encode()) % self.partitions

    def tag(self, partition: int) -> str:
        """What all names of a partition begin with: the part in braces decides where a Cluster keeps them."""
        return f"{self.prefix}:{{{partition}}}"

    def part_key(self, partition: int) -> str:
        """Hash: `life`, `replid` and `seq` of a partition."""
        return self.tag(partition)

    def meta_key(self, channel: str) -> str:
        """Hash: `epoch`, `top`, `at`, `id` of the last publication, and what was before."""
        return f"{self.tag(self.partition(channel))}:m:{channel}"

    def stream_key(self, channel: str) -> str:
        """Stream: the publications, whose ids are `<offset>-0`."""
        return f"{self.tag(self.partition(channel))}:s:{channel}"

    def sent_key(self, channel: str, message_id: str) -> str:
        """String: when and where an id was published."""
        # The length in front: "a:b" with "c" must not be "a" with "b:c".
        return f"{self.tag(self.partition(channel))}:i:{len(message_id)}:{message_id}:{channel}"

    def topic(self, channel: str) -> str:
        """Announcements of one channel."""
        return f"{self.tag(self.partition(channel))}:c:{channel}"

    def all_topic(self, partition: int) -> str:
        """Announcements of all channels of a partition."""
        return f"{self.tag(partition)}:all"

    def who_key(self, channel: str) -> str:
        """Hash: who is on a channel, by node."""
        return f"{self.tag(self.partition(channel))}:w:{channel}"

    @property
    def nodes_key(self) -> str:
        """Sorted set: the nodes, by when they were heard of."""
        return f"{self.tag(0)}:nodes"

    @property
    def revoked_key(self) -> str:
        """Hash: rights that were taken away, and since when; `#` counts them."""
        return f"{self.tag(0)}:revoked"

    @property
    def call_topic(self) -> str:
        """Questions to all nodes."""
        return f"{self.tag(0)}:call"

    def answer_topic(self, node: str) -> str:
        """Answers to one node."""
        return f"{self.tag(0)}:answer:{node}"

    @property
    def layout_key(self) -> str:
        """String: what the first node decided."""
        return f"{self.tag(0)}:layout"


def read_announcement(data: bytes) -> Publication:
    """Decode a line `seq at link_top link_epoch` and the body. Raises ValueError for what no node sent."""
    line, newline, body = data.partition(b"\n")
    fields = line.split(b" ")
    if not newline or len(fields) != 4:
        raise ValueError("not an announcement")
    seq, at, link_top, link_epoch = fields
    link = Position(link_epoch.decode(), int(link_top))
    return read_body(body, int(at) / 1000, int(seq), link)


def read_body(body: bytes, at: float, seq: int = 0, link: Position = NO_LINK) -> Publication:
    """Find in the JSON of a publication what it says of itself."""
    head = _decode_head(body)
    return Publication(head.channel, Position(head.epoch, head.offset), head.id, at, body, seq, link)
