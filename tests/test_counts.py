"""A histogram that is filled one duration at a time."""

from __future__ import annotations

import pytest

from apex_rtm.counts import BOUNDS_S, Tally


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(0.0, 0), (0.0001, 0), (0.000_100_1, 1), (0.01, 6), (5.0, 14), (5.1, 15), (3600.0, 15)],
)
def test_a_duration_is_counted_below_the_first_bound_that_it_does_not_exceed(seconds: float, place: int) -> None:
    tally = Tally()

    tally.observe(seconds)

    assert tally.counts.index(1) == place
    assert (tally.count, tally.sum_s) == (1, seconds)


def test_the_bounds_ascend_and_all_durations_are_summed() -> None:
    tally = Tally()

    for seconds in (0.5, 0.25, 1.0):
        tally.observe(seconds)

    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
    assert (tally.count, tally.sum_s) == (3, 1.75)
