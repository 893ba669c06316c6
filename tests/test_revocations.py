"""Rights that were taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apex_rtm.channels import parse_pattern
from apex_rtm.revocations import Revocation, Revocations
from apex_rtm.tokens import Identity

AT = 1000.7


def who(user: str = "SCOTT", session_id: str | None = "1", issued_at: float = 1000) -> Identity:
    return Identity(user, session_id, (parse_pattern("*"),), issued_at, None)


def in_force(*revocations: Revocation) -> Revocations:
    book = Revocations(keep_s=500)
    for revocation in revocations:
        book.add(revocation)
    return book


@pytest.mark.parametrize(
    ("user", "session_id", "hit"),
    [
        ("SCOTT", None, True), (None, "1", True), ("SCOTT", "1", True), (None, None, True), ("KING", None, False),
        (None, "2", False), ("SCOTT", "2", False), ("KING", "1", False), ("scott", None, False),
    ],
)  # fmt: skip
def test_every_member_that_is_given_must_match(user: str | None, session_id: str | None, hit: bool) -> None:
    whole = Revocation(user, session_id, None, AT)
    of_channel = Revocation(user, session_id, "a", AT)

    assert whole.names(who()) is hit
    assert in_force(whole).refuse_connection(who()) is hit
    assert in_force(of_channel).refuse_subscription(who(), parse_pattern("a")) is hit
    assert not in_force(of_channel).refuse_connection(who())
    assert not in_force(whole).refuse_subscription(who(), parse_pattern("a"))  # the connection was refused already


def test_a_token_of_the_very_second_of_the_revocation_is_refused() -> None:
    """`iat` counts whole seconds: 1000 may have been before or after 1000.7, and the doubt is the revocation's."""
    book = in_force(Revocation("SCOTT", None, None, AT), Revocation("SCOTT", None, "a", AT))

    for issued_at, hit in [(0, True), (999, True), (1000, True), (1000.7, True), (1001, False), (2000, False)]:
        assert book.refuse_connection(who(issued_at=issued_at)) is hit
        assert book.refuse_subscription(who(issued_at=issued_at), parse_pattern("a")) is hit


def test_a_wildcard_that_would_bring_a_revoked_channel_is_refused() -> None:
    book = in_force(Revocation("SCOTT", None, "orders:17", AT))

    for wanted, hit in [("orders:17", True), ("orders:*", True), ("orders:1*", True), ("*", True), ("orders:2*", False),
                        ("orders:17x", False), ("orders:", False)]:  # fmt: skip
        assert book.refuse_subscription(who(), parse_pattern(wanted)) is hit


def test_a_revoked_channel_that_would_not_come_through_a_wildcard_does_not_count() -> None:
    book = in_force(Revocation(None, None, "user:KING", AT))

    assert not book.refuse_subscription(who(), replace(parse_pattern("*"), viewer="SCOTT"))
    assert book.refuse_subscription(who("KING"), replace(parse_pattern("*"), viewer="KING"))


def test_a_later_revocation_of_the_same_scope_replaces_the_earlier_one() -> None:
    book = in_force(Revocation("SCOTT", None, None, 1000), Revocation("SCOTT", None, None, 1500))
    assert book.refuse_connection(who(issued_at=1400))

    # Another scope stays what it was: a session ends later than its user, or earlier.
    book = in_force(Revocation("SCOTT", None, None, 1500), Revocation("SCOTT", "1", None, 1000))
    assert book.refuse_connection(who(issued_at=1400))


def test_what_no_valid_token_can_be_older_than_is_forgotten() -> None:
    book = in_force(
        Revocation("SCOTT", None, None, 1000), Revocation("KING", None, None, 1001),
        Revocation("SCOTT", None, "a", 1000), Revocation("KING", None, "a", 1001), Revocation("SCOTT", None, "b", 1000),
    )  # fmt: skip

    book.tidy(1499.9)
    assert book.refuse_connection(who())
    assert book.refuse_subscription(who(), parse_pattern("b"))

    book.tidy(1500)
    assert not book.refuse_connection(who())
    assert book.refuse_connection(who("KING"))
    assert not book.refuse_subscription(who(), parse_pattern("a"))
    assert book.refuse_subscription(who("KING"), parse_pattern("a"))
    assert set(book._by_channel) == {"a"}


def test_what_is_known_already_is_recognized() -> None:
    revocations = Revocations(keep_s=1000)
    revocations.add(Revocation("SCOTT", None, None, 100))
    revocations.add(Revocation(None, "17", "a", 100))

    assert revocations.knows(Revocation("SCOTT", None, None, 100))
    assert revocations.knows(Revocation("SCOTT", None, None, 99))
    assert not revocations.knows(Revocation("SCOTT", None, None, 101))
    assert not revocations.knows(Revocation("SCOTT", None, "a", 100))
    assert revocations.knows(Revocation(None, "17", "a", 100))
    assert not revocations.knows(Revocation(None, "17", "b", 100))
