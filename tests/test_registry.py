"""Who is subscribed to what."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from apex_rtm.channels import Pattern, parse_pattern
from apex_rtm.registry import Registry
from apex_rtm.session import Session
from tests.support.core import Core
from tests.support.property import PROPERTY


def sessions(count: int) -> list[Session]:
    core = Core()
    return [core.open().session for _ in range(count)]


def viewed_by(user: str, text: str) -> Pattern:
    return replace(parse_pattern(text), viewer=user)


def test_exact_names_and_prefixes_find_their_subscribers() -> None:
    one, two, three = sessions(3)
    registry = Registry()
    registry.add(parse_pattern("orders:17"), one)
    registry.add(parse_pattern("orders:*"), two)
    registry.add(parse_pattern("*"), three)

    assert set(registry.subscribers("orders:17")) == {one, two, three}
    assert set(registry.subscribers("orders:")) == {two, three}
    assert set(registry.subscribers("order")) == {three}
    assert set(registry.exact_subscribers("orders:17")) == {one}
    assert set(registry.exact_subscribers("orders:*")) == set()
    assert list(registry.channels()) == ["orders:17"]


def test_several_subscriptions_of_one_connection_deliver_once() -> None:
    (one,) = sessions(1)
    registry = Registry()
    for text in ("a:b", "a:*", "a*", "*"):
        registry.add(parse_pattern(text), one)

    assert list(registry.subscribers("a:b")) == [one]
    assert list(registry.subscribers("a:c")) == [one]


def test_user_channels_reach_a_wildcard_of_their_user_only() -> None:
    scott, king = sessions(2)
    registry = Registry()
    for text in ("*", "user:*"):
        registry.add(viewed_by("SCOTT", text), scott)
        registry.add(viewed_by("KING", text), king)

    assert set(registry.subscribers("user:SCOTT")) == {scott}
    assert set(registry.subscribers("user:KING")) == {king}
    assert set(registry.subscribers("user:SMITH")) == set()
    assert set(registry.subscribers("users")) == {scott, king}


def test_removing_leaves_nothing_behind() -> None:
    one, two = sessions(2)
    registry = Registry()
    for text in ("a", "a*", "b*", "*"):
        registry.add(parse_pattern(text), one)
        registry.add(parse_pattern(text), two)

    for session in (one, two):
        for text in ("a", "a*", "b*", "*"):
            registry.remove(parse_pattern(text), session)
            registry.remove(parse_pattern(text), session)  # the second time is no fault

    assert list(registry.subscribers("a")) == []
    assert (registry._exact, registry._prefixes, registry._prefix_lengths) == ({}, {}, {})


def test_a_list_is_the_same_object_until_it_changes() -> None:
    one, two = sessions(2)
    registry = Registry()
    registry.add(parse_pattern("a"), one)
    before = registry.listed("a")

    registry.add(parse_pattern("b"), two)
    assert registry.listed("a") is before == (one,)
    registry.add(parse_pattern("a"), two)
    assert registry.listed("a") == (one, two)
    assert before == (one,)
    assert registry.listed("b") == (two,)
    registry.add(parse_pattern("*"), one)
    assert registry.listed("b") == (two, one)
    assert registry.listed("b") is registry.listed("b")
    registry.remove(parse_pattern("*"), one)
    assert registry.listed("b") == (two,)


texts = st.text("ab*", min_size=1, max_size=4)


@PROPERTY
@given(
    st.lists(st.tuples(st.booleans(), texts, st.integers(0, 2)), max_size=25), st.lists(texts, min_size=1, max_size=4)
)
def test_the_registry_agrees_with_asking_every_pattern(steps: list[tuple[bool, str, int]], channels: list[str]) -> None:
    registry, held = Registry(), set[tuple[str, int]]()
    everybody = sessions(3)
    for adds, text, who in steps:
        if adds:
            registry.add(parse_pattern(text), everybody[who])
            held.add((text, who))
        else:
            registry.remove(parse_pattern(text), everybody[who])
            held.discard((text, who))
        now = {everybody[who] for text, who in held if parse_pattern(text).matches(channels[0])}
        assert set(registry.listed(channels[0])) == now

    for channel in channels:
        wanted = {everybody[who] for text, who in held if parse_pattern(text).matches(channel)}
        assert set(registry.subscribers(channel)) == wanted
