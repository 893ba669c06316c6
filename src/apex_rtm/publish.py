"""The one door for publications: decode, limit, hand to the engine, answer."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import msgspec

from apex_rtm.clock import Clock
from apex_rtm.counts import Counts
from apex_rtm.engine.base import Engine
from apex_rtm.errors import Refused, RtmError, Unavailable
from apex_rtm.limits import TokenBucket
from apex_rtm.message import (
    Message,
    Published,
    check_json,
    check_message,
    decode_batch,
    decode_good_batch,
    decode_message,
)
from apex_rtm.tracing import Mark


class Publisher:
    """Checks at the door, cheapest first, and publishes."""

    def __init__(
        self, engine: Engine, clock: Clock, *, max_message_bytes: int, max_batch_messages: int, max_json_depth: int,
        publish_rate: float, counts: Counts | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._clock = clock
        self._counts = counts or Counts()
        self._max_message_bytes = max_message_bytes
        self._max_batch_messages = max_batch_messages
        self._max_json_depth = max_json_depth
        self._bucket = TokenBucket(publish_rate, max(publish_rate, max_batch_messages), clock.monotonic())

    async def publish(self, body: bytes, mark: Mark | None = None) -> Published:
        """Publish the one message that `body` is, marked where it is traced. Raises Refused, Unavailable."""
        self._check_size(len(body))
        check_json(body, max_depth=self._max_json_depth)
        message = decode_message(body)
        self._check_rate(1)
        (result,) = await self._append([message if mark is None else mark(message)])
        if isinstance(result, Unavailable):
            raise Unavailable(result.message)  # raising `result` would tie it to this frame, and the message with it
        return result

    async def publish_batch(self, body: bytes, mark: Mark | None = None) -> list[Published | RtmError]:
        """Publish many messages; one result each, in order. Raises Refused when the batch itself is wrong."""
        check_json(body, max_depth=self._max_json_depth)
        parts = self._split(body)
        self._check_rate(len(parts))
        decoded = [self._decode(part) for part in parts]
        good: Sequence[Message] = [message for message in decoded if isinstance(message, Message)]
        if mark is not None:
            good = [mark(message) for message in good]
        published = iter(await self._append(good) if good else ())
        return [next(published) if isinstance(message, Message) else message for message in decoded]

    async def _append(self, messages: Sequence[Message]) -> list[Published | Unavailable]:
        began = perf_counter()
        results = await self._engine.publish(messages)
        self._counts.appends.observe(perf_counter() - began)
        self._counts.unavailable += len([result for result in results if isinstance(result, Unavailable)])
        return results

    def _split(self, body: bytes) -> Sequence[Message | msgspec.Raw]:
        if len(body) <= self._max_message_bytes:  # and so is each of its messages
            messages = decode_good_batch(body, self._max_batch_messages)
            if messages is not None and len(messages) <= self._max_batch_messages:
                return messages
        return decode_batch(body, self._max_batch_messages)

    def _decode(self, part: Message | msgspec.Raw) -> Message | Refused:
        try:
            if isinstance(part, Message):
                return check_message(part)
            self._check_size(len(memoryview(part)))
            return decode_message(part)
        except Refused as refused:
            return refused.with_traceback(None)  # that would tie it to the whole batch

    def _check_size(self, size: int) -> None:
        if size > self._max_message_bytes:
            limit = self._max_message_bytes
            raise Refused("too_large", f"the message has {size} bytes, at most {limit} are allowed (max_message_bytes)")

    def _check_rate(self, count: int) -> None:
        if not self._bucket.take(self._clock.monotonic(), count):
            raise Refused("rate_limited", "more messages per second than publish_rate allows; try again")
