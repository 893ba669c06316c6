"""The log in Redis, where `engine` names one: is it there, is it recent, does it keep what it was given."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from pydantic import SecretStr

from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.resp import Connection, RedisRefused, Server, connected, servers_of

_TIMEOUT_S: Final = 5.0
_OLDEST: Final = (6, 2)
_KEPT: Final = "appendonly yes"


def _server(patient: Patient) -> Server:
    """The first server that answers; of Sentinel, the one it names. Raises OSError, RedisRefused."""
    secret: SecretStr | None = getattr(patient.known, "redis_password", None)
    found = servers_of(patient.known.engine, None if secret is None else secret.get_secret_value())
    faults: list[OSError] = []
    for server in found:
        try:
            if server.service is None:
                with connected(server, _TIMEOUT_S):
                    return server
            with connected(replace(server, user=None, password=None), _TIMEOUT_S) as sentinel:
                named = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", server.service)
        except OSError as error:
            faults.append(error)
            continue
        if not isinstance(named, list):
            raise RedisRefused(f"Sentinel knows no service {server.service!r}")
        return replace(server, host=str(named[0]), port=int(str(named[1])), service=None)
    raise faults[0]


def _reachable(patient: Patient) -> Outcome:
    engine = patient.known.engine
    if not engine.startswith("redis"):
        return skipped(f"the engine is {engine}")
    shown = ", ".join(str(server) for server in servers_of(engine, None))
    try:
        server = _server(patient)
        with connected(server, _TIMEOUT_S) as connection:
            connection.ask("PING")
    except RedisRefused as error:
        if str(error).startswith(("NOAUTH", "WRONGPASS", "ERR AUTH", "ERR invalid password")):
            return failure(f"{shown} refuses the login: {error}", 'redis_password = "…"    # the one of Redis',
                           "redis-cli acl list    # on the machine of Redis: which users are there?")  # fmt: skip
        return failure(f"{shown} refuses: {error}", "redis-cli info    # on the machine of Redis")
    except OSError as error:
        return failure(
            f"{shown} cannot be reached: {error.strerror or error}", "systemctl status redis",
            "bind 127.0.0.1 10.0.0.5    # in redis.conf: the addresses that Redis listens on",
        )  # fmt: skip
    return ok(f"{server} answers")


def _info(patient: Patient) -> dict[str, str]:
    with connected(_server(patient), _TIMEOUT_S) as connection:
        text = str(connection.ask("INFO"))
        found = dict(re.findall(r"^(\w+):(.*?)\r?$", text, re.MULTILINE))
        return found | {"appendfsync": _configured(connection, "appendfsync")}


def _configured(connection: Connection, name: str) -> str:
    """A line of redis.conf; empty where a hosted Redis does not tell."""
    try:
        reply = connection.ask("CONFIG", "GET", name)
    except RedisRefused:
        return ""
    return str(reply[1]) if isinstance(reply, list) and len(reply) == 2 else ""


def _release(patient: Patient) -> Outcome:
    info = _info(patient)
    valkey = info.get("valkey_version")
    version = info.get("redis_version", "0")
    shown = f"Valkey {valkey}" if valkey else f"Redis {version}"
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST:
        return failure(f"{shown} is too old: 6.2 is needed", "dnf module install redis:7    # or: apt install redis")
    return ok(shown)


def _eviction(patient: Patient) -> Outcome:
    info = _info(patient)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        return warning(
            f"maxmemory-policy is {policy}: Redis may forget channels, and clients are told that messages are missing",
            "redis-cli config set maxmemory-policy noeviction    # and in redis.conf: maxmemory-policy noeviction",
        )
    return ok(f"maxmemory-policy {policy}")


def _durability(patient: Patient) -> Outcome:
    if not getattr(patient.known, "redis_durable", False):
        return ok("redis_durable is off: after a restart of Redis channels begin new epochs, and clients are told")
    info = _info(patient)
    if info.get("aof_enabled") == "0":
        return failure("redis_durable is on, and Redis writes no append-only file: positions would be given twice",
                       f"{_KEPT}    # in redis.conf, with: appendfsync always", "redis-cli config set appendonly yes",
                       "redis_durable = false    # or promise less")  # fmt: skip
    if info["appendfsync"] not in ("", "always"):
        return failure(
            f"redis_durable is on, and appendfsync is {info['appendfsync']}: a power cut takes back what was promised",
            "redis-cli config set appendfsync always    # and in redis.conf",
            "redis_durable = false    # or promise less",
        )
    return ok("appendonly yes, appendfsync always")


_REDIS: Final = "redis.reachable"
CHECKS: Final = (
    Check(_REDIS, "Redis answers and takes the login", _reachable, ("config.loads",), timeout_s=30),
    Check("redis.release", "Its release is recent enough", _release, only_if=_REDIS),
    Check("redis.eviction", "It forgets nothing by itself", _eviction, only_if=_REDIS),
    Check("redis.durability", "It is as durable as the configuration promises", _durability, only_if=_REDIS),
)
