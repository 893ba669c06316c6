"""The closed sets: what clients may rely on."""

from __future__ import annotations

import pytest

from apex_rtm import codes
from apex_rtm.codes import Close

CLOSES = [value for value in vars(codes).values() if isinstance(value, Close)]


def test_every_error_code_is_a_stable_word_with_a_failure_status() -> None:
    assert all(word.isidentifier() and word.islower() for word in codes.HTTP_STATUS)
    assert all(400 <= status < 600 for status in codes.HTTP_STATUS.values())


def test_no_two_ways_to_close_share_a_code_and_an_unlike_meaning() -> None:
    by_code: dict[int, set[str]] = {}
    for close in CLOSES:
        by_code.setdefault(close.code, set()).add(close.reason)

    assert {code: reasons for code, reasons in by_code.items() if len(reasons) > 1} == {}


@pytest.mark.parametrize("close", CLOSES, ids=lambda close: str(close.code))
def test_a_close_may_be_sent_as_rfc_6455_wants(close: Close) -> None:
    assert close.code in {1000, 1003, 1007, 1009, 1012} or 4000 <= close.code <= 4999
    assert len(close.reason.encode()) <= 123  # a control frame has 125 bytes, two of them are the code


def test_the_range_says_whether_to_come_back() -> None:
    return_later = {codes.TOKEN_EXPIRED, codes.SLOW, codes.IDLE, codes.CONNECT_TIMEOUT, codes.RATE_LIMITED}
    return_later |= {codes.LIMIT_EXCEEDED, codes.RESYNC}

    assert {close for close in CLOSES if 4000 <= close.code <= 4499} == return_later
    assert {close for close in CLOSES if close.code >= 4500} == {codes.UNAUTHORIZED, codes.REVOKED}
