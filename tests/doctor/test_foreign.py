"""What strangers say stays text."""

from __future__ import annotations

import shlex

import pytest

from apex_rtm.doctor.foreign import visible, word


@pytest.mark.parametrize("text", ["https://rtm.example.com/", "http://ca.example/issuer.der", "a-b_c:1@x"])
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert word(text) == visible(text) == text


@pytest.mark.parametrize("text", ["$(id)", "a;b", "a|b", "`id`", "a b", "it's", "", "${IFS}", "#"])
def test_a_word_stays_one_word(text: str) -> None:
    assert shlex.split(word(text), comments=True) == [text]


def test_nothing_invisible_is_left() -> None:
    assert visible("a\nb\r\tc") == "a b  c"
    assert visible("\x1b[2J\x9b\u2028\u2066") == r"\u001b[2J\u009b\u2028\u2066"
    assert visible("Zürich → 東京") == "Zürich → 東京"
