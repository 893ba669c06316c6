"""Waits grow, stay within their bounds and are spread."""

from __future__ import annotations

from apex_rtm.relay.pace import LONGEST_WAIT_S, Polling, Reconnecting, back_off_s


def test_back_off_doubles_to_its_bound() -> None:
    assert [back_off_s(n, 8.0) for n in (1, 2, 3, 4)] == [2, 4, 8, 8]
    assert [back_off_s(n) for n in (1, 2, 3, 6, 7, 100_000)] == [
        2,
        4,
        8,
        LONGEST_WAIT_S,
        LONGEST_WAIT_S,
        LONGEST_WAIT_S,
    ]


def test_polling_slows_down_while_nothing_comes_and_is_quick_again_after_rows() -> None:
    polling = Polling(0.1, 1.0)

    assert [polling.wait_s() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    polling.on_rows()
    assert polling.wait_s() == 0.1


def test_polling_is_a_precaution_only_where_the_database_wakes() -> None:
    assert Polling(0.1, 1.0).wait_s(30.0) == 30.0


def test_reconnecting_takes_any_part_of_a_bound_that_doubles() -> None:
    most = Reconnecting(30.0, chance=lambda: 1.0)
    assert [most.wait_s() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    most.on_success()
    assert most.wait_s() == 1

    least = Reconnecting(30.0, chance=lambda: 0.0)
    assert [least.wait_s() for _ in range(3)] == [0, 0, 0]


def test_many_failures_do_not_overflow() -> None:
    reconnecting = Reconnecting(30.0, chance=lambda: 1.0)
    for _ in range(5000):
        reconnecting.wait_s()
    assert reconnecting.wait_s() == 30
