"""Tokens: what is signed is what counts, and nothing else gets through."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest

from apex_rtm.channels import parse_pattern
from apex_rtm.errors import Refused
from apex_rtm.tokens import ANYBODY, MAX_GRANTS, Identity, TokenVerifier, combine
from tests.support.clock import FakeClock
from tests.support.server import JWT_SECRET

MAX_TTL_S = 86_400
LEEWAY_S = 5
NOW = 1_790_000_000


def make_verifier(secret: str = JWT_SECRET) -> TokenVerifier:
    return TokenVerifier(secret, max_ttl_s=MAX_TTL_S, leeway_s=LEEWAY_S, clock=FakeClock(float(NOW)))


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, changed; a claim of None is left out."""
    good = {"sub": "SCOTT", "sid": "4711", "channels": ["app:*"], "iat": NOW, "exp": NOW + 3600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(header: bytes, payload: bytes, secret: str = JWT_SECRET) -> str:
    """A token of any bytes: what a library would not write, somebody else might."""
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def token(header: dict[str, Any] | None = None, /, **changes: Any) -> str:
    return sign(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode(), json.dumps(claims(**changes)).encode())


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        make_verifier().verify(text)
    assert text == "" or text not in caught.value.message
    return caught.value.code, caught.value.message


# ── what a good token says ──


def test_a_token_says_who_and_what() -> None:
    identity = make_verifier().verify(token(jti="x1", aud="somebody", iss="apex"))

    assert identity == Identity("SCOTT", "4711", (parse_pattern("app:*"),), float(NOW), float(NOW + 3600))
    assert identity.channel_names == ["user:SCOTT", "app:*"]


def test_a_token_may_leave_out_what_is_optional() -> None:
    identity = make_verifier().verify(token(sid=None, channels=None, iat=None))

    assert identity == Identity("SCOTT", None, (), 0.0, float(NOW + 3600))


def test_a_session_id_that_the_database_wrote_as_a_number_is_the_same_id() -> None:
    assert make_verifier().verify(token(sid=4711)).session_id == "4711"


def test_what_is_minted_is_what_is_verified() -> None:
    verifier = make_verifier()

    minted, expires_at = verifier.mint("SCOTT", "4711", ["app:*"], 3600)

    assert expires_at == NOW + 3600
    assert verifier.verify(minted) == Identity(
        "SCOTT", "4711", (parse_pattern("app:*"),), float(NOW), float(NOW + 3600)
    )
    assert verifier.verify(verifier.mint("KING", None, [], 1.9)[0]).session_id is None


@pytest.mark.parametrize("ttl_s", [0, -1, MAX_TTL_S + 1, float("nan"), float("inf")])
def test_a_lifetime_out_of_bounds_is_not_minted(ttl_s: float) -> None:
    with pytest.raises(Refused, match="ttlSeconds must be 1 to 86400") as caught:
        make_verifier().mint("SCOTT", None, [], ttl_s)

    assert caught.value.code == "bad_request"


# ── what is refused ──


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(jwt.encode(claims(), JWT_SECRET * 2, algorithm="HS512"), "alg must be HS256", id="HS512"),
        pytest.param(sign(b'{"alg":"none"}', b'{"sub":"SCOTT","exp":9999999999}'), "alg must be HS256", id="none"),
        pytest.param(token({"alg": ["HS256"]}), "alg must be HS256", id="alg is a list"),
        pytest.param(token({"typ": "JWT"}), "alg must be HS256", id="no alg"),
        pytest.param(
            jwt.encode(claims(), "another-secret-of-thirty-two-bytes-or-more", algorithm="HS256"),
            "the signature does not match the configured jwt_secret", id="other secret",
        ),
        pytest.param(token(exp=None), "exp and sub are required", id="no exp"),
        pytest.param(token(sub=None), "exp and sub are required", id="no sub"),
        pytest.param(token(sub=""), "sub must be a user name", id="empty sub"),
        pytest.param(token(sub="\ud800"), "sub must be a user name", id="half a surrogate pair"),
        pytest.param(token(iat=NOW + 3600), "iat or nbf is in the future, compare the clocks", id="iat in the future"),
        pytest.param(token(nbf=NOW + 3600), "iat or nbf is in the future, compare the clocks", id="nbf in the future"),
        pytest.param(token(iat="yesterday"), "iat must be a number", id="iat is text"),
        pytest.param(token(sid=["4711"]), "sid must be text", id="sid is a list"),
        pytest.param(token(channels="app:*"), "channels must be an array of names", id="channels is text"),
        pytest.param(token(channels=[1]), "channels must be an array of names", id="channels has a number"),
        pytest.param(token(channels=["a", ""]), "channels must be an array of names", id="channels has nothing"),
        pytest.param(token(channels=["a"] * (MAX_GRANTS + 1)), "more than 1000 channels", id="too many channels"),
        pytest.param(token(exp=NOW + MAX_TTL_S + 60), "exp is over 86400 s away", id="exp far away"),
        pytest.param(token(exp=10**4000), "exp must be a number", id="exp beyond a double"),
        pytest.param(token(exp="soon"), "exp must be a number", id="exp is text"),
        pytest.param(token(exp=str(NOW + 60)), "exp must be a number", id="exp is a number as text"),
        pytest.param(token(exp=True), "exp must be a number", id="exp is true"),
        pytest.param(token(exp=[NOW + 60]), "exp must be a number", id="exp is a list"),
        pytest.param(token(exp=float("nan")), "exp must be a number", id="exp is NaN"),
        pytest.param(token(exp=float("inf")), "exp must be a number", id="exp is infinite"),
        pytest.param(token(nbf=float("inf")), "nbf must be a number", id="nbf is infinite"),
    ],
)  # fmt: skip
def test_a_refused_token_is_told_why(text: str, why: str) -> None:
    assert refusal(text) == ("unauthorized", f"the token is refused: {why}")


@pytest.mark.parametrize("crit", [["b64"], ["exp"], ["unknown"], [], "exp", None, {}], ids=json.dumps)
def test_any_crit_is_refused(crit: object) -> None:
    """RFC 7515, 4.1.11: who does not understand a critical extension must refuse the token."""
    code, message = refusal(token({"alg": "HS256", "crit": crit, "b64": True, "exp": 1, "unknown": 1}))

    assert code == "unauthorized"
    assert message.startswith("the token is refused: ")


GARBAGE = {
    "nothing": "", "no dots": "abc", "only dots": "...", "five parts": "a.b.c.d.e", "not base64": "ä.ö.ü",
    "deep header": sign(b"[" * 30_000 + b"]" * 30_000, b"{}"), "deep claims": sign(b'{"alg":"HS256"}', b"[" * 60_000),
    "long number in the header": sign(b'{"alg":' + b"9" * 5000 + b"}", b"{}"), "header is a list": sign(b"[]", b"{}"),
    "claims are a list": sign(b'{"alg":"HS256"}', b"[]"), "claims are not UTF-8": sign(b'{"alg":"HS256"}', b"\xff"),
    "sub is a number": token(sub=1), "jti is a number": token(jti=1),
    "kid is a number": token({"alg": "HS256", "kid": 1}),
}  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_refused_and_breaks_nothing(text: str) -> None:
    """Most of this needs no secret: anybody can send it, so it may cost a refusal and nothing else."""
    assert refusal(text)[0] == "unauthorized"


def test_a_changed_byte_anywhere_breaks_the_signature() -> None:
    good = token()
    make_verifier().verify(good)
    for place in range(0, len(good), 7):
        if good[place] == ".":
            continue
        changed = good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
        assert refusal(changed)[0] == "unauthorized"


def test_a_channel_that_is_too_long_is_refused() -> None:
    assert refusal(token(channels=["x" * 4001]))[0] == "bad_request"


def test_an_expired_token_is_told_apart_from_a_wrong_one() -> None:
    assert refusal(token(iat=NOW - 700, exp=NOW - 60)) == ("token_expired", "the token has expired, fetch a new one")


def test_clocks_may_differ_by_the_leeway() -> None:
    verifier = make_verifier()

    for good in ({"exp": NOW + MAX_TTL_S + LEEWAY_S}, {"exp": NOW - LEEWAY_S + 1}, {"iat": NOW + LEEWAY_S},
                 {"nbf": NOW + LEEWAY_S}):  # fmt: skip
        verifier.verify(token(**good))
    for bad in ({"exp": NOW + MAX_TTL_S + LEEWAY_S + 1}, {"exp": NOW - LEEWAY_S}, {"iat": NOW + LEEWAY_S + 1},
                {"nbf": NOW + LEEWAY_S + 1}):  # fmt: skip
        refusal(token(**bad))


# ── what a token grants ──


def identity(user: str | None, *channels: str) -> Identity:
    return Identity(user, None, tuple(parse_pattern(name) for name in channels), 0.0, None)


@pytest.mark.parametrize(
    ("grants", "wanted", "granted"),
    [
        (["a"], "a", True), (["a"], "ab", False), (["a"], "a*", False), (["a"], "A", False), ([], "a", False),
        (["a*"], "a", True), (["a*"], "ab", True), (["a*"], "ab*", True), (["a*"], "a*", True), (["ab*"], "a*", False),
        (["*"], "anything", True), (["*"], "*", True), (["x", "a*"], "abc", True),
        # The user's own channel is always theirs, by its exact name.
        ([], "user:SCOTT", True), ([], "user:SCOTT*", False), ([], "user:*", False), ([], "user:scott", False),
        # Nobody reads another user's channel through a prefix; the exact name grants it.
        (["*"], "user:KING", False), (["user:*"], "user:KING", False), (["user:K*"], "user:KING", False),
        (["user:KING"], "user:KING", True), (["*", "user:KING"], "user:KING", True), (["*"], "user:", False),
        # A prefix may be asked for: what comes through it is filtered by the viewer.
        (["*"], "user:*", True), (["user:*"], "user:K*", True),
    ],
)  # fmt: skip
def test_what_a_token_grants(grants: list[str], wanted: str, granted: bool) -> None:
    assert identity("SCOTT", *grants).grants_pattern(parse_pattern(wanted)) is granted


def test_without_a_user_no_channel_is_their_own() -> None:
    nobody = identity(None, "a")

    assert not nobody.grants_pattern(parse_pattern("user:None"))
    assert nobody.channel_names == ["a"]


def test_the_own_channel_is_listed_once() -> None:
    assert identity("SCOTT", "b", "user:SCOTT", "a").channel_names == ["user:SCOTT", "b", "a"]


def test_in_open_mode_everybody_may_have_everything() -> None:
    assert (ANYBODY.user, ANYBODY.expires_at, ANYBODY.channel_names) == (None, None, ["*"])


# ── several tokens of one connection ──


def test_one_token_is_what_it_says() -> None:
    only = identity("SCOTT", "a")

    assert combine([only]) is only
    assert only.each == (only,)


def test_several_tokens_grant_what_any_of_them_does_and_end_with_the_first() -> None:
    parts = [
        make_verifier().verify(token(channels=["a", "b"], iat=NOW, exp=NOW + 60)),
        make_verifier().verify(token(channels=["b", "c:*"], iat=NOW - 5, exp=NOW + 600)),
    ]

    both = combine(parts)

    assert both.each == tuple(parts)
    assert (both.user, both.session_id) == ("SCOTT", "4711")
    assert both.channel_names == ["user:SCOTT", "a", "b", "c:*"]
    assert (both.expires_at, both.issued_at) == (NOW + 60, NOW - 5)


@pytest.mark.parametrize("other", [{"sub": "KING"}, {"sid": "4712"}, {"sid": None}])
def test_tokens_of_several_people_do_not_mix(other: dict[str, Any]) -> None:
    parts = [make_verifier().verify(text) for text in (token(), token(**other))]

    with pytest.raises(Refused) as caught:
        combine(parts)
    assert caught.value.code == "forbidden"
