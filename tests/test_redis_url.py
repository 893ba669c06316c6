"""What `engine = redis://…` may name."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm.redis_url import Address, Target, is_redis, parse_target, split_password


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", {"kind": "single", "hosts": (Address("cache", 6379),)}),
        (
            "redis://scott@cache:7000/3",
            {"kind": "single", "hosts": (Address("cache", 7000),), "user": "scott", "db": 3},
        ),
        ("rediss://[::1]:6380", {"kind": "single", "hosts": (Address("::1", 6380),), "tls": True}),
        (
            "redis+sentinel://a,b:5000/main/2",
            {"kind": "sentinel", "hosts": (Address("a", 26379), Address("b", 5000)), "service": "main", "db": 2},
        ),
        (
            "rediss+cluster://u%40x@a,b?ca=/etc/ca.pem",
            {"kind": "cluster", "hosts": (Address("a", 6379), Address("b", 6379)), "tls": True, "user": "u@x",
             "ca": "/etc/ca.pem"},
        ),
    ],
)  # fmt: skip
def test_a_url_is_read(url: str, expected: dict[str, Any]) -> None:
    assert is_redis(url)
    assert parse_target(url) == Target(**expected)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("postgres://x", "sqlite, memory or a URL"), ("redis://a,b", "names one host"),
        ("redis+sentinel://a", "name of the service"), ("redis://a/x", "database number"),
        ("redis+cluster://a/1", "nothing for a Cluster"), ("redis://a:b:c", "host:port"), ("redis://", "host:port"),
        ("redis://a?tls=1", "no option 'tls'"),
    ],
)  # fmt: skip
def test_a_wrong_url_is_named(url: str, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        parse_target(url)


@pytest.mark.parametrize(
    ("url", "without", "password"),
    [
        ("redis://:se%2Fcret@cache/1", "redis://cache/1", "se/cret"),
        ("rediss://u:p@ss:word@cache", "rediss://u@cache", "p@ss:word"),
        ("redis+sentinel://u:p@a,b/main", "redis+sentinel://u@a,b/main", "p"),
        ("redis://u@cache", "redis://u@cache", None),
        ("redis://u:@cache", "redis://u@cache", None),
        ("redis://cache:6379/0", "redis://cache:6379/0", None),
    ],
)
def test_a_password_is_taken_out(url: str, without: str, password: str | None) -> None:
    assert split_password(url) == (without, password)
    assert parse_target(url).password == password
    assert parse_target(without, "other").password == "other"


@pytest.mark.parametrize(
    "url", ["redis://u:SEC/RETPW@h", "redis://u@x:SECRETPW@h", "redis://u:SE?C/RETPW@h", "redis://:SEC/RETPW@h"]
)
def test_a_password_that_is_not_encoded_is_never_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="%2F or %40") as caught:
        parse_target(url)

    assert "SE" not in str(caught.value)
    assert "PW" not in str(caught.value)


def test_a_path_with_an_at_sign_is_written_encoded() -> None:
    assert parse_target("rediss://u@h?ca=/pki/a%40b.pem").ca == "/pki/a@b.pem"
