"""One connection to one server, over redis-py: it brings TCP, TLS, logging in and the encoding of RESP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from apex_rtm.redis_url import Address, Target

Command = Sequence[str | bytes | int | float]
# Replies that say: not here, or not yet. What was asked has not happened.
ELSEWHERE: Final = (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    TryAgainError,
)


class Lost(Exception):
    """The connection is gone, or has not answered in time; whether what was asked has happened is not known."""


class Wire:
    """Commands go out in one write and are answered in order; or it is subscribed, and `receive` gives what comes."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._connection = connection

    @classmethod
    async def connect(cls, address: Address, target: Target, timeout_s: float, *, data: bool = True) -> Wire:
        """Connect and log in. `data` is False for a Sentinel, which has neither databases nor our user. Raises Lost."""
        options: dict[str, Any] = {
            "host": address.host, "port": address.port, "socket_timeout": None, "socket_connect_timeout": timeout_s,
            "socket_keepalive": True, "protocol": 2, "client_name": "apex-rtm" if data else None, "driver_info": None,
        }  # fmt: skip
        if data:
            options |= {"username": target.user, "password": target.password, "db": target.db}
        if target.tls:
            options |= {"ssl_ca_certs": target.ca, "ssl_certfile": target.cert, "ssl_keyfile": target.key}
        connection = SSLConnection(**options) if target.tls else Connection(**options)
        wire = cls(connection, address)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(wire.close)
            try:
                async with asyncio.timeout(timeout_s):
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
            except AuthenticationError as error:
                raise Lost(f"{address} refuses the user or the password") from error
            except TimeoutError as error:
                raise Lost(f"{address} does not answer within {timeout_s:g} s") from error
            except (RedisError, OSError) as error:
                raise Lost(f"{address} cannot be reached: {error}") from error
            on_failure.pop_all()
        return wire

    async def call(self, commands: Sequence[Command], timeout_s: float) -> list[Any]:
        """Send commands together; return their replies, an error as the exception that it is. Raises Lost."""
        connection = self._connection
        replies: list[Any] = []
        try:
            async with asyncio.timeout(timeout_s):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                for _ in commands:
                    try:
                        replies.append(await connection.read_response(disable_decoding=True))
                    except ResponseError as error:
                        replies.append(error)
        except TimeoutError as error:
            self.close()
            raise Lost(f"{self.address} does not answer within {timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            self.close()
            raise Lost(f"{self.address}: {error}") from error
        return replies

    async def send(self, *command: str | bytes | int) -> None:
        """Write one command without waiting for its reply. Raises Lost."""
        try:
            packed = self._connection.pack_command(*command)
            await self._connection.send_packed_command(packed, check_health=False)
        except (RedisError, OSError) as error:
            raise Lost(f"{self.address}: {error}") from error

    async def receive(self) -> Any:
        """Wait for the next thing that comes, however long. Raises Lost."""
        try:
            return await self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error
        except (RedisError, OSError) as error:
            raise Lost(f"{self.address}: {error}") from error

    def close(self) -> None:
        """Drop the connection at once; a `receive` under way raises Lost."""
        writer = self._connection._writer
        if writer is not None:
            writer.transport.abort()
            self._connection._close()  # type: ignore[no-untyped-call]  # the public one waits
