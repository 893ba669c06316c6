"""Names of channels, and what a pattern takes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_rtm.channels import MAX_CHANNEL_CHARACTERS, Pattern, check_channel, parse_pattern, user_channel
from apex_rtm.errors import Refused
from tests.support.property import PROPERTY

names = st.text(st.sampled_from("aAb:*ü"), min_size=1, max_size=6)


@pytest.mark.parametrize("name", ["a", "*", "user:SCOTT", "ü" * MAX_CHANNEL_CHARACTERS, " ", "a b", "a/b?c#d", "\x00"])
def test_a_channel_is_any_text_up_to_its_length(name: str) -> None:
    check_channel(name)


def test_no_channel_is_answered_with_the_words_of_the_contract() -> None:
    with pytest.raises(Refused) as caught:
        check_channel("")

    assert (caught.value.code, caught.value.message) == ("channel_required", "channel is required")


def test_a_channel_over_the_length_is_refused_and_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        check_channel("x" * (MAX_CHANNEL_CHARACTERS + 1))

    assert caught.value.code == "bad_request"
    assert caught.value.message == "channel has 4001 characters, at most 4000 are allowed"


@pytest.mark.parametrize(
    ("text", "stem", "is_prefix"),
    [
        ("a", "a", False), ("a*", "a", True), ("*", "", True), ("a*b", "a*b", False), ("a**", "a*", True),
        ("*a", "*a", False),
    ],
)  # fmt: skip
def test_only_a_final_star_makes_a_prefix(text: str, stem: str, is_prefix: bool) -> None:
    assert parse_pattern(text) == Pattern(text, stem, is_prefix=is_prefix, viewer=None)


def test_a_pattern_is_checked_like_a_channel() -> None:
    for text in ("", "x" * 4001):
        with pytest.raises(Refused):
            parse_pattern(text)


def test_an_exact_pattern_compares_as_given() -> None:
    pattern = parse_pattern("Test")

    assert pattern.matches("Test")
    for other in ("test", "Test ", "Tes", "Test1", "Te\u0301st"):
        assert not pattern.matches(other)


@PROPERTY
@given(names, names)
def test_a_prefix_matches_what_starts_with_it(stem: str, channel: str) -> None:
    assert parse_pattern(stem + "*").matches(channel) == channel.startswith(stem)


@PROPERTY
@given(names, names, names)
def test_what_covers_a_pattern_matches_all_that_it_matches(wide: str, narrow: str, channel: str) -> None:
    outer, inner = parse_pattern(wide), parse_pattern(narrow)

    if outer.covers(inner) and inner.matches(channel):
        assert outer.matches(channel)
    assert outer.covers(outer)
    # The other way round: a channel that matches is the smallest pattern of all.
    exact = Pattern(channel, channel, is_prefix=False)
    assert outer.covers(exact) == outer.matches(channel)


def test_an_exact_name_does_not_cover_a_prefix() -> None:
    assert not parse_pattern("a").covers(parse_pattern("a*"))
    assert parse_pattern("a*").covers(parse_pattern("a"))


@pytest.mark.parametrize("prefix", ["*", "u*", "user:*", "user:S*", "user:SCOTT*"])
def test_a_viewer_sees_no_user_channel_but_their_own(prefix: str) -> None:
    pattern = parse_pattern(prefix)
    seen = Pattern(prefix, pattern.stem, is_prefix=True, viewer="SCOTT")

    assert seen.matches("user:SCOTT")
    for foreign in ("user:", "user:SCOT", "user:SCOTTY", "user:scott", "user:S"):
        assert not seen.matches(foreign)
    assert pattern.matches("user:SCOTTY")  # without a viewer, as in open mode, nothing is held back


def test_channels_that_only_look_like_user_channels_are_for_everybody() -> None:
    seen = Pattern("*", "", is_prefix=True, viewer="SCOTT")

    assert all(seen.matches(name) for name in ("user", "users:1", "User:KING", "app:user:KING"))


def test_the_channel_of_a_user() -> None:
    assert user_channel("SCOTT") == "user:SCOTT"
