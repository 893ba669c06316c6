"""The settings of the database and of the relay: the same for `serve --oracle-dsn`, `relay` and `db`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_$#]{0,127}")


class OracleSettings(BaseModel):
    """A part of `Settings`, which docs/settings.md shows in a table of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    oracle_dsn: str | None = Field(
        None, description="Database whose outbox is relayed: dbhost:1521/service, or a name of tnsnames.ora in "
        "oracle_wallet_dir. Without it there is no relay.")  # fmt: skip
    oracle_user: str | None = Field(None, description="Database user, who reads and marks RTM_OUTBOX.")
    oracle_password: SecretStr | None = Field(None, description="Password of that user; better in a file.")
    oracle_password_file: Path | None = Field(
        None, description="File with the password; read anew at each connection, so that it can be changed."
    )
    oracle_wallet_dir: Path | None = Field(
        None, description="Directory with tnsnames.ora and ewallet.pem, as Autonomous Database hands them out."
    )
    oracle_wallet_password: SecretStr | None = Field(None, description="Password of ewallet.pem, where it has one.")
    oracle_schema: str | None = Field(
        None, description="Schema that owns RTM_OUTBOX, where oracle_user is another one with rights on it."
    )
    oracle_connect_timeout_s: float = Field(20, gt=0, description="Time for a login: a firewall may swallow packets.")
    oracle_call_timeout_s: float = Field(
        30, ge=1, description="Time for one call of the database; a lost one would keep the turn to send from others."
    )
    relay_name: str | None = Field(
        None, max_length=64, description="Name in RTM_OUTBOX.SENT_BY. Default: the name of the machine."
    )
    relay_batch_size: int = Field(
        100, ge=1, le=1000, description="Rows of one transaction: bounds locks, memory and what a crash repeats."
    )
    relay_max_attempts: int = Field(
        5, ge=1, le=99_999, description="Tries after which a row that the server refuses is parked."
    )
    relay_max_request_bytes: int = Field(
        524_288,
        ge=1024,
        description="Messages of one request together: half of what nginx takes unless told otherwise.",
    )
    relay_max_payload_characters: int = Field(
        1_048_576, ge=1024, description="Longest payload that is fetched: one row cannot fill the relay's memory."
    )
    relay_publish_timeout_s: float = Field(
        10, gt=0, description="Time for the server's answer; the turn to send is held meanwhile."
    )
    relay_poll_least_s: float = Field(
        0.1, ge=0.01, description="Wait between two looks while messages come: most of the latency without wake queue."
    )
    relay_poll_most_s: float = Field(
        2, ge=0.01, description="Wait between two looks after a quiet time: 30 cheap queries a minute."
    )
    relay_wake: Literal["auto", "poll"] = Field(
        "auto", description="auto: wait on RTM_WAKE_QUEUE where the database offers it (one more session); poll: never."
    )
    relay_woken_poll_s: float = Field(
        30, ge=0.01, description="Wait between two looks while the wake queue works: for what it does not tell."
    )
    relay_reconnect_most_s: float = Field(
        30, gt=0, description="Longest wait before the next connection; each is a random part of a bound that doubles."
    )


def oracle_problems(settings: OracleSettings) -> list[str]:
    """Say what is wrong with these settings together, one sentence each."""
    problems = []
    if settings.relay_poll_least_s > settings.relay_poll_most_s:
        problems.append("relay_poll_least_s: must not be above relay_poll_most_s")
    if settings.oracle_schema is not None and not _IDENTIFIER.fullmatch(settings.oracle_schema):
        problems.append(f"oracle_schema: {settings.oracle_schema[:130]!r} is not the name of a schema")
    if settings.oracle_wallet_dir is not None and not settings.oracle_wallet_dir.is_dir():
        problems.append(f"oracle_wallet_dir: {settings.oracle_wallet_dir} is not a directory")
    if settings.oracle_dsn is None:
        return problems
    if "@" in settings.oracle_dsn:
        problems.append("oracle_dsn: must hold neither user nor password: every user of the machine can read it")
    if settings.oracle_user is None:
        problems.append("oracle_user: oracle_dsn is set, so a user is needed too")
    if settings.oracle_password is None and settings.oracle_password_file is None:
        problems.append("oracle_password_file: oracle_dsn is set, so a file with the password is needed too")
    return problems
