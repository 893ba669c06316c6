"""Who logs in to the database, and with what. Nothing here needs the driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from apex_rtm.errors import ConfigurationError
from apex_rtm.oracle_settings import OracleSettings, oracle_problems


@dataclass(frozen=True, slots=True)
class Login:
    """Everything a connection needs. `schema` is where the objects are, when that is not the user's own."""

    dsn: str
    user: str
    password: SecretStr | None
    password_file: Path | None
    wallet_dir: Path | None
    wallet_password: SecretStr | None
    schema: str | None
    connect_timeout_s: float
    call_timeout_s: float

    def read_password(self) -> str:
        """Read the password; a file is read anew each time, so that it can be changed. Raises ConfigurationError."""
        if self.password_file is None:
            return self.password.get_secret_value() if self.password is not None else ""
        try:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError([f"oracle_password_file: {self.password_file} cannot be read: {error}"]) from error


def make_login(settings: OracleSettings) -> Login:
    """Take the settings together. Raises ConfigurationError with every problem."""
    problems = oracle_problems(settings)
    if problems or settings.oracle_dsn is None or settings.oracle_user is None:
        raise ConfigurationError(problems or ["oracle_dsn: is needed, as in dbhost:1521/service"])
    login = Login(
        dsn=settings.oracle_dsn,
        user=settings.oracle_user,
        password=settings.oracle_password,
        password_file=settings.oracle_password_file,
        wallet_dir=settings.oracle_wallet_dir,
        wallet_password=settings.oracle_wallet_password,
        schema=settings.oracle_schema,
        connect_timeout_s=settings.oracle_connect_timeout_s,
        call_timeout_s=settings.oracle_call_timeout_s,
    )
    login.read_password()
    return login
