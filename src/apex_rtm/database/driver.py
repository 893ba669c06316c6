"""Connections with python-oracledb in thin mode. The only module beside relay/oracle.py that needs the driver."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import oracledb

from apex_rtm.database.login import Login

_LOGIN_CODES: Final = re.compile(r"ORA-(01005|01017|28000|28001)\b")
_KEEPALIVE_MINUTES: Final = 1


class ConnectFault(Exception):
    """There is no connection. `is_login` says that the database refused the user, not that it could not be reached."""

    def __init__(self, text: str, *, is_login: bool = False) -> None:
        super().__init__(text)
        self.is_login = is_login


async def connect_async(login: Login, program: str) -> oracledb.AsyncConnection:
    """Log in for asyncio. Raises ConnectFault, ConfigurationError.

    The driver bounds neither the TCP connection nor the login under asyncio.
    """
    try:
        async with asyncio.timeout(login.connect_timeout_s):
            connection: oracledb.AsyncConnection = await oracledb.connect_async(**_parameters(login, program))
    except TimeoutError as error:
        raise ConnectFault(f"{login.user} at {login.dsn}: no answer within {login.connect_timeout_s:g} s") from error
    except (oracledb.Error, OSError, ValueError) as error:
        raise _fault(login, error) from error
    _prepare(connection, login)
    return connection


def connect(login: Login, program: str) -> oracledb.Connection:
    """Log in. Raises ConnectFault, ConfigurationError."""
    try:
        connection = oracledb.connect(tcp_connect_timeout=login.connect_timeout_s, **_parameters(login, program))
    except (oracledb.Error, OSError, ValueError) as error:
        raise _fault(login, error) from error
    if login.schema is not None:
        connection.current_schema = login.schema.upper()
    return connection


def _parameters(login: Login, program: str) -> dict[str, Any]:
    wallet = str(login.wallet_dir) if login.wallet_dir is not None else None
    return {
        "dsn": login.dsn,
        "user": login.user,
        "password": login.read_password(),
        "config_dir": wallet,
        "wallet_location": wallet,
        "wallet_password": login.wallet_password.get_secret_value() if login.wallet_password is not None else None,
        # Between batches nothing is sent: a firewall would forget the connection, and the database the session.
        "expire_time": _KEEPALIVE_MINUTES,
        "program": program,
    }


def _prepare(connection: oracledb.AsyncConnection, login: Login) -> None:
    connection.call_timeout = int(login.call_timeout_s * 1000)
    if login.schema is not None:
        connection.current_schema = login.schema.upper()


def _fault(login: Login, error: Exception) -> ConnectFault:
    text = describe(error)
    return ConnectFault(f"{login.user} at {login.dsn}: {text}", is_login=bool(_LOGIN_CODES.search(text)))


def describe(error: BaseException) -> str:
    """The driver's words in one line, without the address of its help pages."""
    return " ".join(str(error).split("Help: ")[0].split()) or type(error).__name__
