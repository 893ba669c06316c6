"""What a server must be and have before a node works with it."""

from __future__ import annotations

import re
from typing import Any, Final

from apex_rtm.engine.redis.commands import Commands
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.redis.wire import Lost
from apex_rtm.errors import ConfigurationError
from apex_rtm.log import get_logger

_log = get_logger(__name__)
_OLDEST: Final = (6, 2)
_OLDEST_CLUSTER: Final = 7
_FORMAT: Final = 1


async def check_server(commands: Commands, *, durable: bool, is_sharded: bool) -> None:
    """Look at version and settings. Raises ConfigurationError, Lost."""
    server, memory, persistence = await commands.call([("INFO", s) for s in ("server", "memory", "persistence")])
    if isinstance(server, Exception):
        raise ConfigurationError([f"engine: this Redis user may not use INFO: {server}"])
    version = _field(server, "redis_version")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise ConfigurationError([f"engine: Redis {version} is too old; Redis 6.2, Valkey 7.2 or later is needed"])
    if is_sharded and int(version.split(".")[0]) < _OLDEST_CLUSTER:
        raise ConfigurationError([f"engine: a Cluster of Redis {version} has no sharded pub/sub; it needs Redis 7"])
    policy = _field(memory, "maxmemory_policy")
    if policy.startswith("allkeys"):
        _log.warning("redis.may_evict", policy=policy, advice="set maxmemory-policy to noeviction or volatile-ttl")
    if durable and _field(persistence, "aof_enabled") == "0":
        _log.warning("redis.not_durable", advice="redis_durable promises appendonly yes and appendfsync always")


async def check_layout(commands: Commands, layout: Layout) -> None:
    """Agree with the nodes that came before. Raises ConfigurationError, Lost."""
    wanted = f"{_FORMAT} {layout.partitions}"
    _, found = await commands.call([("SET", layout.layout_key, wanted, "NX"), ("GET", layout.layout_key)])
    if isinstance(found, Exception):
        raise ConfigurationError([f"engine: this Redis user may not use keys of {layout.prefix!r}: {found}"])
    if found.decode() != wanted:
        there = found.decode().split(" ")
        raise ConfigurationError(
            [f"redis_partitions: the nodes of this log use {there[-1]}, not {layout.partitions} (or another release)"]
        )


def _field(info: Any, name: str) -> str:
    if isinstance(info, Exception):
        return ""
    if info is None:
        raise Lost("INFO is empty")
    found = re.search(rf"^{name}:(.*?)\r?$", info.decode(), re.MULTILINE)
    return found[1] if found else ""
