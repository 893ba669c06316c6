"""Quotas and rates."""

from __future__ import annotations

import pytest

from apex_rtm.errors import Refused
from apex_rtm.limits import ConnectionQuota, TokenBucket


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2, burst=3, now=100)

    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(100.4)
    assert bucket.take(100.5)
    assert not bucket.take(100.9)
    assert bucket.take(101.0)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(rate=2, burst=3, now=0)

    assert [bucket.take(1_000_000) for _ in range(4)] == [True, True, True, False]


def test_a_bucket_gives_all_permits_or_none() -> None:
    bucket = TokenBucket(rate=1, burst=10, now=0)

    assert bucket.take(0, 6)
    assert not bucket.take(0, 5)
    assert bucket.take(0, 4)
    assert bucket.take(0, 0)


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = TokenBucket(rate=0, burst=1, now=0)

    assert all(bucket.take(0, 1000) for _ in range(10))


def test_connections_are_counted_in_total() -> None:
    quota = ConnectionQuota(total=2, per_ip=0, per_user=0)
    quota.enter("a")
    quota.enter("b")

    with pytest.raises(Refused, match="max_connections") as caught:
        quota.enter("c")
    assert caught.value.http_status == 503

    quota.leave("a")
    quota.enter("c")
    assert quota.count == 2


def test_connections_are_counted_by_address() -> None:
    quota = ConnectionQuota(total=0, per_ip=2, per_user=0)
    quota.enter("a")
    quota.enter("a")
    quota.enter("b")

    with pytest.raises(Refused, match="max_connections_per_ip") as caught:
        quota.enter("a")
    assert caught.value.http_status == 429
    assert quota.count == 3  # who was refused is not counted, or leaving would never match entering

    quota.leave("a")
    quota.enter("a")
    with pytest.raises(Refused):  # the one that stayed still counts
        quota.enter("a")


def test_connections_are_counted_by_user() -> None:
    quota = ConnectionQuota(total=0, per_ip=0, per_user=1)
    quota.enter_user("SCOTT")
    quota.enter_user("KING")

    with pytest.raises(Refused, match="max_connections_per_user") as caught:
        quota.enter_user("SCOTT")
    assert caught.value.code == "limit_exceeded"

    quota.leave_user("SCOTT")
    quota.enter_user("SCOTT")


def test_zero_is_no_limit_of_any_kind() -> None:
    quota = ConnectionQuota(total=0, per_ip=0, per_user=0)

    for _ in range(1000):
        quota.enter("a")
        quota.enter_user("SCOTT")
    assert quota.count == 1000


def test_whoever_has_left_takes_no_memory() -> None:
    """Addresses come and go for months; a counter of zero for each of them would be a leak."""
    quota = ConnectionQuota(total=0, per_ip=5, per_user=5)
    for number in range(100):
        quota.enter(str(number))
        quota.enter_user(str(number))
        quota.leave(str(number))
        quota.leave_user(str(number))

    assert quota.count == 0
    assert quota._by_ip == {}
    assert quota._by_user == {}
