"""The settings of the server: flags, then `APEX_RTM_<NAME>` variables, then a TOML file, then defaults.

docs/settings.md is generated from the descriptions here.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from apex_rtm.errors import ConfigurationError
from apex_rtm.oracle_settings import OracleSettings, oracle_problems
from apex_rtm.redis_settings import RedisSettings, redis_problems

PREFIX: Final = "APEX_RTM_"
MIN_SECRET_BYTES: Final = 32
MIN_KEY_CHARACTERS: Final = 16  # of keys that people type: beyond any guessing at the rate that a login allows


def _split(value: object) -> object:
    """A variable holds a list as comma separated text."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _default_data_dir() -> Path:
    # systemd names the directory of a unit with StateDirectory= in this variable.
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "apex-rtm"


def _unless_empty(value: object) -> object:
    """A variable that is set to nothing is not set, as for api_keys: an empty secret would be everybody's."""
    return value or None


OptionalPath = Annotated[Path | None, BeforeValidator(_unless_empty)]

_NO_NUMBER: Final = ("int_parsing", "int_from_float", "int_type", "float_parsing", "float_type")
_UNITS: Final = {"_s": "seconds", "_bytes": "bytes"}


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_unless_empty)]
SecretList = Annotated[tuple[SecretStr, ...], BeforeValidator(_split)]


class Namespace(BaseModel):
    """Options for all channels whose name starts with `prefix`; the longest prefix that fits wins."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    prefix: str
    history_size: int | None = Field(default=None, ge=0)
    history_ttl_s: float | None = Field(default=None, ge=0)
    presence: bool = False


class Settings(RedisSettings, OracleSettings):
    """All settings, checked. Make one with `load_settings`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    host: str = Field("127.0.0.1", description="Address to listen on. Open mode allows loopback only.")
    port: int = Field(
        3000,
        ge=0,
        le=65535,
        description="TCP port for HTTP and WebSocket; 0 takes a free one. PORT is read too.",
    )
    api_keys: SecretList = Field(
        (), description="Keys that may publish. More than one lets you change keys without a break."
    )
    jwt_secret: OptionalSecret = Field(
        None, description="Shared secret that signs the tokens of browsers, at least 32 bytes."
    )
    allowed_origins: CommaList = Field(
        (), description="Origins of the pages that may connect, as in https://apex.example.com; * allows any. "
        "Empty: only pages of the same host.")  # fmt: skip
    tls_cert: OptionalPath = Field(
        None, description="Certificate with its chain (PEM): TLS without a proxy. SIGHUP reads both files again."
    )
    tls_key: OptionalPath = Field(None, description="Private key of tls_cert (PEM, without a password).")
    trusted_proxies: CommaList = Field(
        (), description="Addresses or networks of reverse proxies whose X-Forwarded-For names the client."
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Directory of the log (engine sqlite): $STATE_DIRECTORY, "
        "$XDG_STATE_HOME/apex-rtm or ~/.local/state/apex-rtm.")  # fmt: skip
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important level that is logged."
    )
    log_format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, JSON otherwise.")

    history_size: int = Field(1000, ge=0, description="Publications kept per channel for recovery and history.")
    history_ttl_s: float = Field(3600, ge=0, description="Seconds that a publication is kept: a laptop's lunch break.")
    log_max_bytes: int = Field(
        268_435_456,
        ge=1_048_576,
        description="Bytes of all logs together in memory; the oldest publications go first.",
    )
    channel_ttl_s: float = Field(
        86_400,
        ge=0,
        description="Seconds without a publication after which an empty channel is forgotten (new epoch).",
    )
    max_channels: int = Field(
        200_000, ge=1, description="Channels with a log; above it the longest unpublished one is forgotten (new epoch)."
    )
    idempotency_max_ids: int = Field(
        1_000_000, ge=0, description="Ids remembered within the window; above it the oldest are forgotten."
    )
    idempotency_window_s: float = Field(300, ge=0, description="Seconds in which a repeated message id is recognized.")
    namespaces: tuple[Namespace, ...] = Field(
        (), description="Options by channel prefix: history_size, history_ttl_s, presence. TOML only."
    )
    presence_interval_s: float = Field(1, gt=0, description="Least time between two presence frames of a channel.")
    presence_max_names: int = Field(50, ge=0, description="Names in a presence frame, above which it has numbers only.")

    max_body_bytes: int = Field(8_388_608, ge=1024, description="Largest HTTP body: a full batch.")
    max_message_bytes: int = Field(
        1_048_576, ge=1024, description="Largest message: what a page should ever be sent at once."
    )
    max_batch_messages: int = Field(1000, ge=1, description="Messages in a batch: bounds the work of one request.")
    max_json_depth: int = Field(128, ge=1, le=512, description="Nesting of JSON: deeper documents exhaust parsers.")
    max_header_bytes: int = Field(32_768, ge=1024, description="All headers of a request together.")
    max_headers: int = Field(100, ge=10, description="Number of headers of a request.")
    max_frame_bytes: int = Field(
        65_536, ge=1024, description="Largest message of a client: commands and tokens are small."
    )
    max_connections: int = Field(
        0, ge=0, description="WebSocket connections in total; 0 takes what the file descriptors allow."
    )
    max_connections_per_ip: int = Field(
        10_000, ge=0, description="From one address (an office behind NAT is one); 0: no limit."
    )
    max_connections_per_user: int = Field(200, ge=0, description="Of one user, all tabs and devices; 0: no limit.")
    max_http_connections: int = Field(
        2000, ge=10, description="TCP connections that are not WebSockets: publishers, slow senders."
    )
    max_channels_per_connection: int = Field(1000, ge=1, description="Subscriptions of one connection.")
    command_rate: float = Field(50, ge=0, description="Frames per second from one client; 0: no limit.")
    command_burst: float = Field(2000, ge=1, description="Frames at once from one client: a page that resubscribes.")
    publish_rate: float = Field(0, ge=0, description="Messages per second from all publishers together; 0: no limit.")
    outbox_max_bytes: int = Field(
        4_194_304,
        ge=65_536,
        description="Bytes that may wait for one slow reader; then it is closed with 4002 and recovers.",
    )

    header_timeout_s: float = Field(
        10, gt=0, description="Time for a request's headers: slow handshakes hold a socket."
    )
    body_timeout_s: float = Field(30, gt=0, description="Time for a request's body.")
    connect_timeout_s: float = Field(10, gt=0, description="Time for the connect frame in secured mode.")
    ping_interval_s: float = Field(25, gt=0, description="WebSocket ping; below the 60 s after which many proxies cut.")
    write_timeout_s: float = Field(30, gt=0, description="Time a reader may stand still before it is closed with 4002.")
    close_timeout_s: float = Field(5, gt=0, description="Time for a peer's part of the closing handshake.")
    drain_timeout_s: float = Field(15, gt=0, description="Longest graceful stop.")
    drain_delay_s: float = Field(
        0, ge=0, description="Time between ready turning 503 and the first close, for load balancers."
    )
    compression: bool = Field(
        False, description="Offer permessage-deflate (RFC 7692): less traffic for clients far away, more work for each "
        "publication of 256 bytes and more, once for all of its subscribers.")  # fmt: skip
    io_uring: bool = Field(
        True, description="Write to 16 subscribers and more in one system call by io_uring, where Linux 5.18 or "
        "newer allows it and the server does not speak TLS itself. Otherwise each write is a call of its own, for "
        "about a third more processor time.")  # fmt: skip
    reconnect_spread_s: float = Field(5, ge=0, description="Clients come back spread over this time after a drain.")

    max_token_ttl_s: float = Field(86_400, gt=0, description="Longest life of a token; revocations are kept as long.")
    token_warning_s: float = Field(60, ge=0, description="A client is told this long before its token ends.")
    clock_leeway_s: float = Field(5, ge=0, description="How far the database's clock may be off.")

    console_key: OptionalSecret = Field(
        None, description="Key of the console at /console, at least 16 characters and none of api_keys. "
        "Without it there is no console, but in open mode.")  # fmt: skip
    metrics_key: OptionalSecret = Field(
        None, description="Key that may read /metrics and nothing else, at least 16 characters; api_keys may as well."
    )
    tracing: bool = Field(False, description="Trace publishing with OpenTelemetry; see docs/metrics.md.")
    demo: bool = Field(False, description="Serve the demo at /demo (open mode only).")

    @property
    def is_open(self) -> bool:
        """Tell whether this is open mode: neither keys nor a secret."""
        return not self.api_keys and self.jwt_secret is None

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        problems = _mode_problems(self) + _key_problems(self) + oracle_problems(self) + redis_problems(self)
        if self.outbox_max_bytes < self.max_message_bytes:
            problems.append("outbox_max_bytes: must not be below max_message_bytes, or one message closes every reader")
        if self.max_body_bytes < self.max_message_bytes:
            problems.append("max_body_bytes: must not be below max_message_bytes")
        problems += [
            f"trusted_proxies: {text!r} is neither an address nor a network"
            for text in self.trusted_proxies
            if not _is_network(text)
        ]
        problems += [
            f"allowed_origins: {origin!r} must look like https://apex.example.com"
            + (", without the / and path at the end" if origin.count("/") > 2 else "")
            for origin in self.allowed_origins
            if origin != "*" and (not origin.startswith(("http://", "https://")) or origin.count("/") != 2)
        ]
        if problems:
            raise ConfigurationError(problems)
        return self


def _mode_problems(settings: Settings) -> list[str]:
    problems = []
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    if settings.api_keys and secret is None:
        problems.append("jwt_secret: api_keys are set, so a token secret is needed too (secured mode needs both)")
    if secret is not None and not settings.api_keys:
        problems.append("api_keys: jwt_secret is set, so at least one API key is needed too (secured mode needs both)")
    if secret is not None and len(secret.encode()) < MIN_SECRET_BYTES:
        size = len(secret.encode())
        problems.append(f"jwt_secret: has {size} bytes, at least {MIN_SECRET_BYTES} are needed: openssl rand -hex 32")
    if settings.is_open and not is_loopback(settings.host):
        problems.append(
            f"host: {settings.host} is not loopback, and open mode (no api_keys, no jwt_secret) listens on loopback "
            "only; set api_keys and jwt_secret, or host = 127.0.0.1"
        )
    if (settings.tls_cert is None) != (settings.tls_key is None):
        absent, given = ("tls_key", "tls_cert") if settings.tls_key is None else ("tls_cert", "tls_key")
        problems.append(f"{absent}: {given} is set, and one is of no use without the other")
    if settings.demo and not settings.is_open:
        problems.append("demo: the demo needs open mode, remove api_keys and jwt_secret")
    return problems


def _key_problems(settings: Settings) -> list[str]:
    problems = []
    for name in ("console_key", "metrics_key"):
        secret: SecretStr | None = getattr(settings, name)
        if secret is None:
            continue
        if len(secret.get_secret_value()) < MIN_KEY_CHARACTERS:
            problems.append(f"{name}: needs at least {MIN_KEY_CHARACTERS} characters: openssl rand -hex 16")
        if secret in settings.api_keys:
            problems.append(f"{name}: must not be one of api_keys, which every publisher has")
        if secret == settings.jwt_secret:
            problems.append(f"{name}: must not be the jwt_secret, which the database has")
    if settings.console_key is not None and settings.console_key == settings.metrics_key:
        problems.append("metrics_key: must not be the console_key, which may do more")
    return problems


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Source(NamedTuple):
    values: dict[str, Any]
    label: str
    has_plain_port: bool = False

    def name(self, setting: str) -> str:
        """Say where a person finds the setting."""
        if self.label == "env":
            return "PORT" if setting == "port" and self.has_plain_port else f"{PREFIX}{setting.upper()}"
        return f"--{setting.replace('_', '-')}" if self.label == "flag" else f"{self.label}: {setting}"


def load_settings(flags: Mapping[str, Any], environ: Mapping[str, str], config_file: Path | None = None) -> Settings:
    """Merge the sources and check everything. Raises ConfigurationError with every problem, not only the first."""
    problems: list[str] = []
    sources = [
        _Source({name: value for name, value in flags.items() if value is not None}, "flag"),
        _Source(_from_environ(environ, problems), "env", f"{PREFIX}PORT" not in environ),
        _Source(_from_file(config_file, problems), str(config_file)),
    ]
    merged: dict[str, Any] = {}
    origin: dict[str, _Source] = {}
    for source in reversed(sources):
        for name, value in source.values.items():
            merged[name], origin[name] = value, source
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        for fault in faults:
            path = [str(part) for part in fault["loc"]]
            where = origin[path[0]].name(path[0]) if path[0] in origin else path[0]
            text = fault["msg"].removeprefix("Value error, ")
            if fault["type"] == "extra_forbidden":
                text = no_such_setting(path[-1], "") if len(path) == 1 else "there is no such setting"
            elif fault["type"] == "bool_parsing" and len(path) == 1:
                text = f"{str(merged[path[0]])[:100]!r} is neither true nor false"
            elif fault["type"] in _NO_NUMBER and len(path) == 1:
                text = _no_number(path[0], merged[path[0]])
            problems.append(f"{'.'.join([where, *path[1:]])}: {text}")
        problems += _remaining_problems(merged, {str(fault["loc"][0]) for fault in faults})
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return settings


def no_such_setting(name: str, prefix: str) -> str:
    """Say so, with the setting that a mistyped name may mean; `prefix` stands before the names of variables."""
    like = difflib.get_close_matches(name.lower(), Settings.model_fields, 1, 0.8)
    shown = prefix + like[0].upper() if like and prefix else "".join(like)
    return "there is no such setting" + (f"; you may mean {shown}" if shown else "")


def _no_number(name: str, value: object) -> str:
    """Say what a number was expected to be. No secret is a number, so the value may be shown."""
    unit = next((text for end, text in _UNITS.items() if name.endswith(end)), None)
    kind = "number" if Settings.model_fields[name].annotation is float else "whole number"
    return f"{str(value)[:100]!r} is no " + (f"number of {unit}" if unit else kind)


def _remaining_problems(merged: Mapping[str, Any], faulty: set[str]) -> list[str]:
    """Check the rest together as well, so that a mistyped port does not hide a missing key."""
    try:
        Settings.model_validate({name: value for name, value in merged.items() if name not in faulty})
    except ConfigurationError as error:
        return [problem for problem in error.problems if problem.split(":")[0] not in faulty]
    return []


def _from_environ(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if environ.get("PORT"):
        values["port"] = environ["PORT"]
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key == f"{PREFIX}CONFIG":
            continue
        name = key[len(PREFIX) :].lower()
        if name not in Settings.model_fields:
            problems.append(f"{key}: {no_such_setting(name, PREFIX)}")
        elif name == "namespaces":
            problems.append(f"{key}: namespaces can only be set in the TOML file")
        else:
            values[name] = value
    return values


def _from_file(config_file: Path | None, problems: list[str]) -> dict[str, Any]:
    if config_file is None:
        return {}
    try:
        return tomllib.loads(config_file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        problems.append(f"--config: {config_file} cannot be read: {error}")
    except UnicodeDecodeError:
        problems.append(f"--config: {config_file} cannot be read: save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{config_file}: not TOML: {error}")
    return {}
