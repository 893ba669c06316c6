"""The settings of the engine that several nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from apex_rtm.redis_url import is_redis, parse_target, split_password


class RedisSettings(BaseModel):
    """A part of `Settings`. A password in the URL of `engine` is moved to `redis_password`, which is never shown."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    engine: str = Field(
        "sqlite",
        description="Where the log is kept: sqlite survives restarts and power loss, memory does not; with "
        "redis://user@host:6379/0 any number of nodes share one log (scale.md). rediss for TLS, "
        "redis+sentinel://host,host/service, redis+cluster://host,host.",
    )
    redis_password: SecretStr | None = Field(None, description="Password of the user in the URL of engine.")
    redis_prefix: str = Field(
        "rtm", min_length=1, max_length=100, pattern=r"^[^{}\s]+$",
        description="What the names of all keys and topics in Redis begin with: one for each system.",
    )  # fmt: skip
    redis_partitions: int = Field(
        64, ge=1, le=4096, description="Parts that the log is divided into, which a Cluster spreads over its servers. "
        "The same on all nodes, for ever: the positions of channels depend on it.")  # fmt: skip
    redis_timeout_s: float = Field(
        5, gt=0, le=60, description="Longest wait for Redis; then publishing and subscribing are answered unavailable."
    )
    redis_durable: bool = Field(
        False, description="Redis loses nothing that it acknowledged (appendonly yes, appendfsync always): positions "
        "stay valid when it restarts. Otherwise a restart or failover begins new epochs.")  # fmt: skip

    workers: int = Field(
        1, ge=1, le=256, description="Processes on this machine, one for each core. More than one needs Redis."
    )

    @model_validator(mode="before")
    @classmethod
    def _hide_password(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("engine"), str):
            return values
        engine, password = split_password(values["engine"])
        if password is None:
            return values
        return {"redis_password": password, **values, "engine": engine}

    @field_validator("engine")
    @classmethod
    def _check_engine(cls, engine: str) -> str:
        if engine not in ("sqlite", "memory"):
            parse_target(engine)
        return engine

    @property
    def is_shared(self) -> bool:
        """Whether several nodes may use the log at the same time."""
        return is_redis(self.engine)


def redis_problems(settings: RedisSettings) -> list[str]:
    """What does not go together."""
    if settings.workers > 1 and not settings.is_shared:
        return [
            f"workers: {settings.workers} processes cannot share engine = {settings.engine}, whose log lives in one; "
            "set engine = redis://host:6379/0 (docs/scale.md), or workers = 1"
        ]
    return []
