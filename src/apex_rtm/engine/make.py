"""The engine that the settings name, and how much it keeps of which channel."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from apex_rtm.clock import Clock
from apex_rtm.engine.base import Engine
from apex_rtm.engine.journal import Journal, Retention
from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.engine.sqlite import SqliteEngine
from apex_rtm.errors import ConfigurationError
from apex_rtm.extras import install_line
from apex_rtm.redis_url import is_redis, parse_target
from apex_rtm.settings import Namespace, Settings

_MAX_WAITING_MESSAGES: Final = 100_000


def make_engine(settings: Settings, clock: Clock) -> Engine:
    """Connects to nothing yet. Raises ConfigurationError where the client library of Redis is missing."""
    retention = retention_of(settings)
    journal = Journal(
        retention=retention,
        max_bytes=settings.log_max_bytes,
        channel_ttl_s=settings.channel_ttl_s,
        idempotency_window_s=settings.idempotency_window_s,
        max_channels=settings.max_channels,
        idempotency_max_ids=settings.idempotency_max_ids,
    )
    if settings.engine == "memory":
        return MemoryEngine(journal, clock)
    if is_redis(settings.engine):
        return _make_redis(settings, journal, retention, clock)
    return SqliteEngine(
        settings.data_dir,
        journal,
        retention,
        clock,
        idempotency_window_s=settings.idempotency_window_s,
        revocation_keep_s=settings.max_token_ttl_s + settings.clock_leeway_s,
        max_waiting=_MAX_WAITING_MESSAGES,
    )


def _make_redis(settings: Settings, journal: Journal, retention: Callable[[str], Retention], clock: Clock) -> Engine:
    if find_spec("redis") is None:
        raise ConfigurationError([f"engine: the client library of Redis is not installed: {install_line('redis')}"])
    from apex_rtm.engine.redis.engine import RedisEngine  # noqa: PLC0415 - needs the library, which is an extra
    from apex_rtm.engine.redis.layout import Layout  # noqa: PLC0415 - an extra, which may be absent

    password = settings.redis_password
    return RedisEngine(
        parse_target(settings.engine, None if password is None else password.get_secret_value()),
        Layout(settings.redis_prefix, settings.redis_partitions),
        journal,
        retention,
        clock,
        channel_ttl_s=settings.channel_ttl_s,
        idempotency_window_s=settings.idempotency_window_s,
        revocation_keep_s=settings.max_token_ttl_s + settings.clock_leeway_s,
        max_waiting=_MAX_WAITING_MESSAGES,
        timeout_s=settings.redis_timeout_s,
        durable=settings.redis_durable,
        has_presence=presence_of(settings),
    )


def namespace_of(settings: Settings) -> Callable[[str], Namespace | None]:
    """Find the options of a channel: those of the longest prefix that fits."""
    longest_first = sorted(settings.namespaces, key=lambda namespace: len(namespace.prefix), reverse=True)

    def find(channel: str) -> Namespace | None:
        return next((n for n in longest_first if channel.startswith(n.prefix)), None)

    return find


def presence_of(settings: Settings) -> Callable[[str], bool]:
    """Which channels have presence."""
    find_namespace = namespace_of(settings)

    def has_presence(channel: str) -> bool:
        namespace = find_namespace(channel)
        return namespace is not None and namespace.presence

    return has_presence


def retention_of(settings: Settings) -> Callable[[str], Retention]:
    """How much of a channel is kept."""
    find_namespace = namespace_of(settings)

    def retention(channel: str) -> Retention:
        size, ttl_s = settings.history_size, settings.history_ttl_s
        namespace = find_namespace(channel)
        if namespace is None:
            return Retention(size, ttl_s)
        size = size if namespace.history_size is None else namespace.history_size
        ttl_s = ttl_s if namespace.history_ttl_s is None else namespace.history_ttl_s
        return Retention(size, ttl_s, namespace.prefix)

    return retention
