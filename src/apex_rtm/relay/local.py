"""The door into the server that the relay runs in, beside it in a thread of its own (`thread.py`)."""

from __future__ import annotations

import asyncio
from typing import Final

from apex_rtm.errors import RtmError
from apex_rtm.message import Published
from apex_rtm.publish import Publisher
from apex_rtm.relay.door import BatchRejected, NotNow, Rejected, Taken, Verdict
from apex_rtm.relay.row import encode_batch

REJECTED: Final = (400, 413)


class LocalDoor:
    """Publishes through the server's own publisher, on the server's own loop: the same checks, limits and log."""

    def __init__(self, publisher: Publisher, server_loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._publisher = publisher
        self._server_loop = server_loop
        self._timeout_s = timeout_s

    async def publish(self, messages: list[bytes]) -> list[Verdict]:
        """See `Door`. Raises NotNow when the log has not answered in time; the batch may be in it all the same."""
        publishing = self._publisher.publish_batch(encode_batch(messages))
        future = asyncio.run_coroutine_threadsafe(publishing, self._server_loop)
        try:
            async with asyncio.timeout(self._timeout_s):
                results = await asyncio.wrap_future(future)
        except RtmError as error:
            kind = BatchRejected if error.http_status in REJECTED else NotNow
            raise kind(f"{error.code}: {error.message}") from error
        except TimeoutError as error:
            raise NotNow(f"the log did not answer within {self._timeout_s:g} s") from error
        return [_verdict(result) for result in results]

    async def close(self) -> None:
        """There is nothing to let go of."""


def _verdict(result: Published | RtmError) -> Verdict:
    if isinstance(result, RtmError):
        return Rejected(result.code, result.message)
    return Taken(result.position.epoch, result.position.offset)
