"""Reading what Redis says, and the addresses of it."""

from __future__ import annotations

import socket
import threading

import pytest

from apex_rtm.doctor.resp import Connection, RedisRefused, servers_of


@pytest.mark.parametrize(
    ("url", "shown", "user", "password"),
    [
        ("redis://cache.example.com", ["cache.example.com:6379"], None, None),
        ("rediss://rtm@[::1]:6380/2", ["::1:6380"], "rtm", None),
        ("redis+sentinel://a,b:26380/main/0", ["a:26379", "b:26380"], None, None),
        ("redis+cluster://u:p%40ss@a:1,b:2", ["a:1", "b:2"], "u", "p@ss"),
    ],
)
def test_addresses(url: str, shown: list[str], user: str | None, password: str | None) -> None:
    found = servers_of(url, None)
    assert [str(server) for server in found] == shown
    assert {(server.user, server.password) for server in found} == {(user, password)}
    assert found[0].is_tls == url.startswith("rediss")
    assert found[0].service == ("main" if "sentinel" in url else None)
    assert servers_of(url, "given")[0].password == "given"


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"+PONG\r\n", "PONG"), (b":7\r\n", 7), (b"$-1\r\n", None), (b"*-1\r\n", None),
        (b"$5\r\na\r\nbc\r\n", "a\r\nbc"),
        (b"*2\r\n$1\r\nx\r\n*1\r\n:1\r\n", ["x", [1]]),
    ],
)  # fmt: skip
def test_replies_arrive_whole_in_any_pieces(data: bytes, reply: object) -> None:
    ours, theirs = socket.socketpair()

    def answer() -> None:
        theirs.recv(100)
        for byte in data:
            theirs.sendall(bytes([byte]))

    with ours, theirs:
        thread = threading.Thread(target=answer)
        thread.start()
        assert Connection(ours).ask("PING") == reply
        thread.join()


def test_errors_and_strangers_are_told_apart() -> None:
    for data, fault in ((b"-NOAUTH first log in\r\n", RedisRefused), (b"HTTP/1.1 400\r\n", OSError), (b"", OSError)):
        ours, theirs = socket.socketpair()
        with ours:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            with pytest.raises(fault):
                Connection(ours).ask("PING")
            theirs.close()
