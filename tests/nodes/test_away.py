"""Rights and presence of a node that was cut off, and of one that is gone for good."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apex_rtm.engine.redis import nodes as nodes_module
from apex_rtm.engine.redis.engine import RedisEngine
from apex_rtm.revocations import Revocation
from tests.nodes.test_cores import Servers, meet, subscribe, until
from tests.support.core import Core
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.slow


@pytest.fixture
async def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    monkeypatch.setattr(nodes_module, "BEAT_S", 0.1)
    monkeypatch.setattr(nodes_module, "_LEASE_MS", 1000)
    made = Servers(RedisProcess(tmp_path / "redis").start())
    yield made
    await made.close()


async def behind(proxy: TcpProxy, servers: Servers) -> Core:
    """Start a server that can be cut off."""
    direct, servers.redis.port = servers.redis.port, proxy.port
    try:
        return await servers.start()
    finally:
        servers.redis.port = direct


async def test_a_node_that_was_cut_off_delivers_nothing_that_was_revoked_meanwhile(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await TcpProxy(servers.redis.port).start()
    one, two = await servers.start(), await behind(proxy, servers)
    scott = two.connect("SCOTT", "a")
    king = two.connect("KING", "a")
    await subscribe(scott, "a")
    await subscribe(king, "a")
    monkeypatch.setattr(nodes_module, "BEAT_S", 5.0)  # what is missed is read long before the next beat
    proxy.cut()
    await until(lambda: two.engine.trouble is not None)
    assert isinstance(two.engine, RedisEngine)
    nodes = two.engine._nodes
    await until(lambda: nodes._unsure_until > 0)

    await one.hub.revoke(Revocation("SCOTT", None, "a", one.clock.now()))
    await one.publish("a", "secret")
    proxy.mend()

    await until(lambda: bool(king.peer.frames))
    assert [frame["type"] for frame in scott.peer.take()] == ["unsubscribed"]
    await proxy.close()


async def test_whoever_left_elsewhere_while_a_node_was_cut_off_is_counted_out(servers: Servers) -> None:
    proxy = await TcpProxy(servers.redis.port).start()
    one, two = await servers.start(), await behind(proxy, servers)
    assert isinstance(one.engine, RedisEngine)
    who_key = one.engine._layout.who_key("chat:a")
    await subscribe(two.connect("SCOTT", "chat:*"), "chat:a", presence=True)
    king = one.connect("KING", "chat:*")
    await subscribe(king, "chat:a", presence=True)
    one.hub.presence.flush()
    attendance = two.hub.presence._channels["chat:a"]
    await until(lambda: attendance.connections == 2)

    proxy.cut()
    await until(lambda: two.engine.trouble is not None)
    king.session.on_closed()
    one.hub.presence.flush()
    await until(lambda: servers.redis.ask("HLEN", who_key) == b":0\r\n")
    proxy.mend()

    await until(lambda: attendance.connections == 1)
    assert attendance.users == {"SCOTT": 1}
    await proxy.close()


async def test_a_node_that_is_gone_for_good_is_counted_by_nobody_who_comes_later(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    await meet(one, two)
    await subscribe(one.connect("SCOTT", "chat:*"), "chat:a", presence=True)
    await subscribe(two.connect("KING", "chat:*"), "chat:a", presence=True)
    one.hub.presence.flush()
    two.hub.presence.flush()
    await until(lambda: one.hub.presence._channels["chat:a"].connections == 2)
    assert isinstance(two.engine, RedisEngine)
    for task in two.engine._tasks:  # as kill -9: the lease ends, and what it wrote stays
        task.cancel()
    await until(lambda: one.hub.presence._channels["chat:a"].connections == 1)

    three = await servers.start()
    await subscribe(three.connect("ADAMS", "chat:*"), "chat:a", presence=True)

    await until(lambda: three.hub.presence._channels["chat:a"].users == {"SCOTT": 1, "ADAMS": 1})
