"""Who may publish, and who may subscribe to what."""

from __future__ import annotations

import hmac

import pytest

from apex_rtm.authorize import Authorizer
from apex_rtm.errors import Refused
from apex_rtm.revocations import Revocation, Revocations
from apex_rtm.tokens import ANYBODY, MAX_TOKENS, TokenVerifier
from tests.support.core import Core

KEYS = ["first-key", "second-key", "ünïcode"]


def secured(keys: list[str] | None = None) -> tuple[Authorizer, TokenVerifier, Core]:
    core = Core(secured=True)
    return Authorizer(KEYS if keys is None else keys, core.verifier, core.revocations), core.verifier, core


def test_open_mode_asks_for_nothing() -> None:
    authorizer = Authorizer([], None, Revocations(keep_s=1))

    authorizer.check_key(None)
    authorizer.check_key("anything")
    assert authorizer.is_open
    assert authorizer.identify(None) is ANYBODY
    assert authorizer.identify("not a token") is ANYBODY
    assert authorizer.check_subscribe(ANYBODY, "user:*").viewer is None


@pytest.mark.parametrize("key", KEYS)
def test_every_configured_key_may_publish(key: str) -> None:
    authorizer, _, _ = secured()

    authorizer.check_key(key)
    assert not authorizer.is_open


@pytest.mark.parametrize("key", ["first-ke", "first-keyy", "FIRST-KEY", "first-key,second-key", " first-key", "third"])
def test_no_other_key_may_publish(key: str) -> None:
    authorizer, _, _ = secured()

    with pytest.raises(Refused, match="not one of the configured api_keys") as caught:
        authorizer.check_key(key)
    assert caught.value.code == "unauthorized"
    assert key not in caught.value.message


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_nobody_may_publish(key: str | None) -> None:
    for keys in (KEYS, []):
        with pytest.raises(Refused, match="X-API-Key") as caught:
            secured(keys)[0].check_key(key)
        assert caught.value.code == "unauthorized"


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping at the first match would tell an attacker by the time taken which key came near."""
    authorizer, _, _ = secured()
    lengths = []
    compare = hmac.compare_digest

    def compare_digest(one: bytes, two: bytes) -> bool:
        lengths.append((len(one), len(two)))
        return compare(one, two)

    monkeypatch.setattr("apex_rtm.authorize.hmac.compare_digest", compare_digest)
    authorizer.check_key(KEYS[0])

    assert lengths == [(32, 32)] * len(KEYS)


def test_a_token_says_who_a_connection_is() -> None:
    authorizer, verifier, _ = secured()

    assert authorizer.identify(verifier.mint("SCOTT", None, ["a"], 60)[0]).user == "SCOTT"
    for nothing in (None, ""):
        with pytest.raises(Refused, match="connect needs a token") as caught:
            authorizer.identify(nothing)
        assert caught.value.code == "unauthorized"


def test_a_revoked_token_connects_no_more() -> None:
    authorizer, verifier, core = secured()
    token = verifier.mint("SCOTT", None, ["a"], 60)[0]
    core.revocations.add(Revocation("SCOTT", None, None, core.clock.now()))

    with pytest.raises(Refused) as caught:
        authorizer.identify(token)
    assert caught.value.code == "revoked"


def test_a_subscription_is_limited_to_what_its_user_may_see() -> None:
    authorizer, verifier, _ = secured()
    identity = authorizer.identify(verifier.mint("SCOTT", None, ["*"], 60)[0])

    assert authorizer.check_subscribe(identity, "app:1").viewer == "SCOTT"
    assert not authorizer.check_subscribe(identity, "*").matches("user:KING")


@pytest.mark.parametrize(
    ("channel", "code"),
    [("other", "forbidden"), ("*", "forbidden"), ("user:KING", "forbidden"), ("", "channel_required"),
     ("x" * 4001, "bad_request"), ("app:2", "revoked"), ("app:*", "revoked")],
)  # fmt: skip
def test_what_may_not_be_subscribed(channel: str, code: str) -> None:
    authorizer, verifier, core = secured()
    identity = authorizer.identify(verifier.mint("SCOTT", None, ["app:*"], 60)[0])
    core.revocations.add(Revocation("SCOTT", None, "app:2", core.clock.now()))
    authorizer.check_subscribe(identity, "app:1*")

    with pytest.raises(Refused) as caught:
        authorizer.check_subscribe(identity, channel)

    assert caught.value.code == code
    assert len(caught.value.message) < 200


def test_a_foreign_user_channel_that_was_revoked_does_not_take_the_wildcard_of_others() -> None:
    authorizer, verifier, core = secured()
    identity = authorizer.identify(verifier.mint("SCOTT", None, ["*"], 60)[0])
    core.revocations.add(Revocation(None, None, "user:KING", core.clock.now()))

    assert authorizer.check_subscribe(identity, "*").viewer == "SCOTT"


# ── several tokens ──


def test_several_tokens_are_one_identity_and_any_bad_one_refuses_all() -> None:
    authorizer, verifier, core = secured()
    good, more = (verifier.mint("SCOTT", "1", [name], 60)[0] for name in ("a", "b"))

    assert authorizer.identify(good, more).channel_names == ["user:SCOTT", "a", "b"]
    for bad, code in (
        ("", "unauthorized"), ("abc", "unauthorized"), (verifier.mint("KING", "1", ["a"], 60)[0], "forbidden"),
        (verifier.mint("SCOTT", "2", ["a"], 60)[0], "forbidden"),
    ):  # fmt: skip
        for tokens in ((good, bad), (bad, good)):
            with pytest.raises(Refused) as caught:
                authorizer.identify(*tokens)
            assert caught.value.code == code
    core.clock.advance(2)
    newer = verifier.mint("SCOTT", "1", ["c"], 60)[0]
    core.revocations.add(Revocation("SCOTT", None, None, core.clock.now() - 1))
    assert authorizer.identify(newer).user == "SCOTT"
    with pytest.raises(Refused) as caught:  # one that was revoked does not hide behind one that was not
        authorizer.identify(newer, good)
    assert caught.value.code == "revoked"


def test_tokens_have_a_bound() -> None:
    authorizer, verifier, _ = secured()
    tokens = [verifier.mint("SCOTT", "1", [f"a:{number}"], 60)[0] for number in range(MAX_TOKENS + 1)]

    assert len(authorizer.identify(*tokens[:MAX_TOKENS]).each) == MAX_TOKENS
    with pytest.raises(Refused, match=str(MAX_TOKENS)) as caught:
        authorizer.identify(*tokens)
    assert caught.value.code == "bad_request"


def test_a_newer_token_for_one_channel_does_not_revive_another() -> None:
    """The oldest and the newest `iat` are both wrong: a right and its age come from the same token."""
    authorizer, verifier, core = secured()
    old = verifier.mint("SCOTT", "1", ["a", "both"], 600)[0]
    core.clock.advance(10)
    for channel in ("a", "both", "b"):
        core.revocations.add(Revocation("SCOTT", None, channel, core.clock.now()))
    core.clock.advance(10)
    new = verifier.mint("SCOTT", "1", ["b", "both"], 600)[0]
    identity = authorizer.identify(old, new)

    with pytest.raises(Refused) as caught:
        authorizer.check_subscribe(identity, "a")
    assert caught.value.code == "revoked"
    for channel in ("b", "both"):
        assert authorizer.check_subscribe(identity, channel).matches(channel)
    with pytest.raises(Refused) as caught:
        authorizer.check_subscribe(identity, "c")
    assert caught.value.code == "forbidden"
