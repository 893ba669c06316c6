"""The listening socket: where it may be, what is said when it may not, and how many connections it may bring."""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import Any

import pytest

from apex_rtm.errors import ConfigurationError
from apex_rtm.listen import bind, share_descriptors
from apex_rtm.settings import Settings, load_settings
from tests.support.server import API_KEY, JWT_SECRET

SECURED = {"api_keys": [API_KEY], "jwt_secret": JWT_SECRET}


def make_settings(**values: Any) -> Settings:
    return load_settings({"engine": "memory", "port": 0, **values}, {})


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Descriptors that the system gives, as (soft, hard); what is set is appended."""
    given = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: given[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: given.append(limit))
    return given


@pytest.mark.parametrize(
    ("given", "wanted", "shared"),
    [
        # 128 are for the log and the rest of the process; publishers get half of what is left at most.
        ((1024, 4096), {}, (1984, 1984)),
        ((4096, 4096), {"max_http_connections": 100}, (3868, 100)),
        ((100_000, 100_000), {"max_connections": 5000}, (5000, 2000)),
        ((100_000, 100_000), {"max_connections": 500_000}, (97_872, 2000)),
        ((64, 64), {}, (24, 24)),
        ((1024, resource.RLIM_INFINITY), {}, (1_048_576 - 128 - 2000, 2000)),
    ],
)
def test_descriptors_are_shared_out(
    limits: list[tuple[int, int]], given: tuple[int, int], wanted: dict[str, int], shared: tuple[int, int]
) -> None:
    limits[:] = [given]

    assert share_descriptors(make_settings(**wanted)) == shared

    hard = 1_048_576 if given[1] == resource.RLIM_INFINITY else given[1]
    assert limits[-1] == (hard, hard)  # what is shared out is asked for


def test_a_free_port_is_taken_and_listened_on() -> None:
    with contextlib.closing(bind(make_settings())) as listener:
        assert listener.getsockname()[1] > 0
        assert not listener.getblocking()
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass


def test_ipv6_is_an_address_too() -> None:
    with contextlib.closing(bind(make_settings(host="::1"))) as listener:
        assert listener.family == socket.AF_INET6


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigurationError) as caught:
        bind(make_settings(port=other.getsockname()[1]))

    assert str(caught.value).startswith("port: ")
    assert "is in use already; stop that program or set another port" in str(caught.value)


def test_a_host_that_is_not_here_is_told() -> None:
    for host in ("nowhere.invalid", "192.0.2.1"):
        with pytest.raises(ConfigurationError, match=f"host: .*{host}"):
            bind(make_settings(host=host, **SECURED))


def test_a_port_that_this_user_may_not_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ConfigurationError, match="port: 80 may not be used by this user"):
        bind(make_settings(port=80))
