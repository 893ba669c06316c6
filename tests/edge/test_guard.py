"""Decisions before anything else looks at a request: open mode's walls, origins, the client's address."""

from __future__ import annotations

import pytest

from apex_rtm.edge.guard import Proxies, check_open_mode, check_origin
from apex_rtm.errors import Refused

LOCAL = ("host", "127.0.0.1:3000")


def refusal(*headers: tuple[str, str]) -> str:
    with pytest.raises(Refused) as caught:
        check_open_mode(headers)
    assert caught.value.code == "open_mode"
    assert caught.value.message.endswith("set api_keys and jwt_secret to run in secured mode")
    assert len(caught.value.message) < 300
    return caught.value.message


# ── open mode ──


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:3000",
        "localhost",
        "localhost:3000",
        "LocalHost",
        "localhost.",
        "[::1]",
        "[::1]:3000",
        "127.8.8.8",
    ],
)
def test_this_machine_by_any_of_its_names_is_answered(host: str) -> None:
    check_open_mode([("host", host)])
    check_open_mode([("host", host), ("origin", f"http://{host}"), ("accept", "*/*")])


@pytest.mark.parametrize(
    "host",
    [
        "", "apex.example.com", "localhost.example.com", "example.com:3000", "192.168.1.5", "0.0.0.0", "[::]",
        "127.0.0.1.example.com", "localhost@example.com", "example.com@localhost", "localhost:x", "localhost:99999",
        "[::1", "2130706433", "0x7f.1", "x" * 10_000,
    ],
)  # fmt: skip
def test_a_host_that_is_not_this_machine_is_refused(host: str) -> None:
    """DNS rebinding: a hostile name that points to 127.0.0.1 makes the browser send its own name as Host."""
    assert "open mode answers loopback names only, Host is " in refusal(("host", host))


def test_one_host_is_needed() -> None:
    """Two of them, and a proxy in front may look at the other one."""
    assert "Host is 0 times" in refusal()
    assert "Host is 2 times" in refusal(LOCAL, LOCAL)


@pytest.mark.parametrize(
    "name",
    [
        "forwarded",
        "via",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-anything",
    ],
)
def test_a_request_that_came_through_a_proxy_is_refused(name: str) -> None:
    """The bridge of a developer must not reach the internet by accident."""
    assert f"does not answer through a proxy ({name})" in refusal(LOCAL, (name, "127.0.0.1"))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com", "http://localhost.evil.example.com", "null", "", "file://", "http://", "http://[",
        "http://localhost@evil.example.com", "chrome-extension://abc", "http://192.168.1.5", "localhost",
    ],
)  # fmt: skip
def test_a_page_that_is_not_of_this_machine_is_refused(origin: str) -> None:
    """Any page in the developer's own browser can send requests to 127.0.0.1."""
    assert "answers pages of this machine only" in refusal(LOCAL, ("origin", origin))


def test_every_origin_counts() -> None:
    refusal(LOCAL, ("origin", "http://localhost"), ("origin", "https://evil.example.com"))


# ── origins in secured mode ──

HOST = ("host", "rtm.example.com")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, []), (None, ["https://apex.example.com"]),  # a program: it has its token to show
        ("https://rtm.example.com", []), ("HTTPS://RTM.example.com", []),  # a page of the same host
        ("https://apex.example.com", ["https://apex.example.com"]),
        ("https://Apex.Example.com", ["https://other.example.com", "https://APEX.example.com"]),
        ("https://anything.example", ["*"]), ("null", ["*"]),
    ],
)  # fmt: skip
def test_an_origin_that_is_welcome(origin: str | None, allowed: list[str]) -> None:
    check_origin([HOST] if origin is None else [HOST, ("origin", origin)], allowed)


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [
        (["https://evil.example.com"], []), (["https://evil.example.com"], ["https://apex.example.com"]),
        (["https://rtm.example.com"], ["https://apex.example.com"]),  # a list is the whole list
        (["http://apex.example.com"], ["https://apex.example.com"]), (["null"], []), ([""], []),
        (["https://apex.example.com:8443"], ["https://apex.example.com"]),
        (["https://apex.example.com.evil.example"], ["https://apex.example.com"]), (["http://["], []),
        (["https://apex.example.com", "https://evil.example.com"], ["https://apex.example.com"]),
        (["https://rtm.example.com", "https://rtm.example.com"], []),
    ],
)  # fmt: skip
def test_an_origin_that_is_not(origins: list[str], allowed: list[str]) -> None:
    with pytest.raises(Refused, match="is not in allowed_origins") as caught:
        check_origin([HOST, *[("origin", origin) for origin in origins]], allowed)

    assert caught.value.code == "forbidden_origin"


@pytest.mark.parametrize("hosts", [[], [HOST, HOST], [("host", "")]])
def test_without_one_host_no_page_is_of_the_same(hosts: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused):
        check_origin([*hosts, ("origin", "https://rtm.example.com")], [])


# ── the client's address ──


def client_ip(trusted: list[str], peer: str, *forwarded: str) -> str:
    headers = [("x-forwarded-for", value) for value in forwarded]
    return Proxies(trusted).client_ip(peer, [("x-real-ip", "198.51.100.9"), *headers])


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert client_ip([], "192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert client_ip(["10.0.0.0/8"], "192.0.2.1", "198.51.100.7") == "192.0.2.1"
    assert client_ip(["10.0.0.0/8"], "", "198.51.100.7") == ""  # a UNIX socket has no address
    assert client_ip(["10.0.0.0/8"], "10.0.0.1") == "10.0.0.1"


def test_a_trusted_proxy_names_the_client() -> None:
    assert client_ip(["10.0.0.1"], "10.0.0.1", "198.51.100.7") == "198.51.100.7"
    assert client_ip(["10.0.0.0/8"], "10.9.9.9", "2001:db8::1") == "2001:db8::1"
    assert client_ip(["::1"], "::1", "2001:DB8:0::1") == "2001:db8::1"


def test_what_the_client_wrote_itself_is_not_believed() -> None:
    """Each proxy appends the address that it saw; what is further left came from outside."""
    assert client_ip(["10.0.0.0/8"], "10.0.0.1", "203.0.113.5, 198.51.100.7") == "198.51.100.7"
    assert client_ip(["10.0.0.0/8"], "10.0.0.1", "203.0.113.5, 198.51.100.7, 10.0.0.2") == "198.51.100.7"
    assert client_ip(["10.0.0.0/8"], "10.0.0.1", "203.0.113.5", "198.51.100.7,10.0.0.2") == "198.51.100.7"


def test_a_chain_of_trusted_proxies_only_gives_the_outermost() -> None:
    assert client_ip(["10.0.0.0/8"], "10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("hop", ["", "unknown", "198.51.100.7:1234", "_hidden", "1.2.3", "<script>"])
def test_what_is_no_address_ends_the_chain(hop: str) -> None:
    assert client_ip(["10.0.0.0/8"], "10.0.0.1", f"203.0.113.5, {hop}") == "10.0.0.1"
    assert client_ip(["10.0.0.0/8"], "10.0.0.1", f"203.0.113.5, {hop}, 10.0.0.2") == "10.0.0.2"


def test_an_ipv4_address_on_an_ipv6_socket_is_an_ipv4_address() -> None:
    """A server on `::` hears of 10.0.0.1 as ::ffff:10.0.0.1; its proxy must be recognized all the same."""
    assert client_ip(["10.0.0.0/8"], "::ffff:10.0.0.1", "::ffff:198.51.100.7") == "198.51.100.7"
    assert client_ip([], "::ffff:192.0.2.1") == "192.0.2.1"
