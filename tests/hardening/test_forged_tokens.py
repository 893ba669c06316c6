"""Attacks with tokens. Each is sent to a real server over a real connection, as an attacker would."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from typing import Any

import pytest

from tests.integration.raw import command, raw
from tests.support.server import JWT_SECRET, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _sign(header: bytes, claims: bytes, secret: bytes = JWT_SECRET.encode()) -> str:
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{_part(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def _forge(header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with the right signature and anything else wrong; a claim of None is left out."""
    now = int(time.time())
    body = {"sub": "SCOTT", "channels": ["*"], "iat": now, "exp": now + 600, **claims}
    body = {name: value for name, value in body.items() if value is not None}
    return _sign(json.dumps(header or {"alg": "HS256"}).encode(), json.dumps(body).encode())


def _with_exp(number: bytes) -> str:
    return _sign(b'{"alg":"HS256"}', b'{"sub":"SCOTT","channels":["*"],"iat":0,"exp":%b}' % number)


def _answer(server: ServerProcess, token: str) -> tuple[str, str, int]:
    """Error code, message and close code that a token gets."""
    with raw(server.port) as connection:
        assert connection.upgrade().status == 101
        connection.send(command(type="connect", token=token))
        answer = json.loads(connection.read_frame()[1])
        assert answer["type"] == "error", answer
        return answer["code"], answer["message"], connection.read_close()


def _refused(server: ServerProcess, token: str) -> None:
    count = len(server.log)
    code, message, close = _answer(server, token)
    assert (code, close) == ("unauthorized", 4501)
    assert token[:20] not in message
    assert not [line for line in server.log[count:] if "exception" in line]


async def test_the_genuine_token_of_these_tests_is_good(shared_secured: ServerProcess) -> None:
    """Without this, every refusal below could have another cause."""
    for token in (_forge(), _forge({"alg": "HS256", "typ": "JWT", "kid": "1"}), _with_exp(b"%d" % (time.time() + 60))):
        async with wire(shared_secured.ws_url, token=token) as client:
            await client.subscribe("anything")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS1", None, 5, ["HS256"]], ids=repr)
@pytest.mark.parametrize("signed", [True, False])
def test_alg_none_is_refused(shared_secured: ServerProcess, algorithm: object, signed: bool) -> None:
    """The header says how to verify, so a naive verifier lets it say: not at all."""
    token = _forge({"alg": algorithm, "typ": "JWT"})
    _refused(shared_secured, token if signed else token.rpartition(".")[0] + ".")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"])
def test_another_algorithm_is_refused_even_with_a_good_signature(shared_secured: ServerProcess, algorithm: str) -> None:
    """Key confusion: a verifier that takes the algorithm from the token reads one kind of key as another."""
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(algorithm, hashlib.sha256)
    head, claims, _ = _forge({"alg": algorithm}).split(".")
    signature = _part(hmac.new(JWT_SECRET.encode(), f"{head}.{claims}".encode(), digest).digest())
    _refused(shared_secured, f"{head}.{claims}.{signature}")


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["unknown"], [], "exp", {}, 1, True], ids=repr)
def test_a_critical_header_is_refused(shared_secured: ServerProcess, crit: object) -> None:
    """`crit` names what a verifier must understand; one that ignores it accepts tokens on terms it has not read."""
    _refused(shared_secured, _forge({"alg": "HS256", "crit": crit, "b64": True}))


@pytest.mark.parametrize(
    "number",
    [b"99999999999", b"1e12", b"9" * 400, b"9" * 5000, b"1e400", b"Infinity", b"NaN", b'"tomorrow"', b"[]", b"{}",
     b"null", b"true"],
    ids=lambda number: number[:20].decode() + str(len(number)),
)  # fmt: skip
def test_an_exp_that_is_no_honest_time_is_refused(shared_secured: ServerProcess, number: bytes) -> None:
    """An exp that overflows, is missing or lies in the year 5138 makes a token that never ends."""
    count = len(shared_secured.log)
    code, _, close = _answer(shared_secured, _with_exp(number))
    assert (code, close) in {("unauthorized", 4501), ("token_expired", 4001)}
    assert not [line for line in shared_secured.log[count:] if "exception" in line]


def test_a_token_longer_than_the_longest_is_refused_and_clocks_may_differ_a_little(
    shared_secured: ServerProcess,
) -> None:
    """A stolen token is good for as long as its exp says, so the server bounds it, with some room for the clocks."""
    now = int(time.time())
    _refused(shared_secured, _forge(iat=now, exp=now + 86_400 + 60))
    _refused(shared_secured, _forge(iat=now + 60))
    assert _answer(shared_secured, _forge(iat=now - 700, exp=now - 60))[::2] == ("token_expired", 4001)
    with raw(shared_secured.port) as connection:
        connection.upgrade()
        connection.send(command(type="connect", token=_forge(iat=now + 2)))
        assert json.loads(connection.read_frame()[1])["type"] == "connected"


def test_a_session_that_is_no_text_is_refused(shared_secured: ServerProcess) -> None:
    """One session id that cannot be written down would make the list of all connections fail for everybody."""
    for sid in ("\ud800", ["1"], {"id": 1}, 1.5):
        _refused(shared_secured, _forge(sid=sid))


@pytest.mark.parametrize("sub", [None, "", 5, True, ["SCOTT"], {"name": "SCOTT"}, "\ud800", "a\ud800b"], ids=ascii)
def test_a_user_that_is_no_name_is_refused(shared_secured: ServerProcess, sub: object) -> None:
    """A `sub` of another type compares equal to nothing that was revoked, and half a character breaks the answer."""
    _refused(shared_secured, _forge(sub=sub))


@pytest.mark.parametrize(
    "channels", ["*", {"*": 1}, [["*"]], [None], [""], [5], ["c" * 4001], ["c"] * 1001, ["\udfff"]], ids=range(9)
)
def test_grants_that_are_no_list_of_names_are_refused(shared_secured: ServerProcess, channels: object) -> None:
    """A string is a list of characters to careless code: `"*"` as channels would grant everything."""
    count = len(shared_secured.log)
    assert _answer(shared_secured, _forge(channels=channels))[2] == 4501
    assert not [line for line in shared_secured.log[count:] if "exception" in line]


@pytest.mark.parametrize(
    "token",
    ["..", "a.b.c", ".", "", "e30.e30.", "\u0000", "=" * 100, "ä.ö.ü", "." * 60_000, _part(b"[" * 30_000) + ".e30.x",
     _part(b'{"alg":' * 5_000) + ".e30.x", _part(b'{"alg":' + b"9" * 5000 + b"}") + ".e30.x"],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_token_is_refused_before_anything_is_done_with_it(shared_secured: ServerProcess, token: str) -> None:
    """The header is parsed before the signature is checked, by everybody: deep or huge JSON there must not break it."""
    count = len(shared_secured.log)
    assert _answer(shared_secured, token)[::2] == ("unauthorized", 4501)
    assert not [line for line in shared_secured.log[count:] if "exception" in line]


def test_claims_cause_no_connection_to_anywhere(shared_secured: ServerProcess) -> None:
    """A token that names where its key is to be fetched turns the server into a scanner of the network behind it."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/keys"
        header = {"alg": "HS256", "jku": url, "x5u": url, "kid": url}
        _refused(shared_secured, _forge(header, iss=url, aud=url).rpartition(".")[0] + ".AAAA")
        with raw(shared_secured.port) as connection:
            connection.upgrade()
            connection.send(command(type="connect", token=_forge(header, iss=url, aud=url)))
            assert json.loads(connection.read_frame()[1])["type"] == "connected"
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_a_key_id_chooses_no_key(shared_secured: ServerProcess) -> None:
    """A cache of keys by `kid` alone lets a second issuer reuse the first one's id, or fill the cache."""
    header = {"alg": "HS256", "kid": "the-same"}
    with raw(shared_secured.port) as connection:
        connection.upgrade()
        connection.send(command(type="connect", token=_forge(header)))
        assert json.loads(connection.read_frame()[1])["type"] == "connected"
    head, claims, _ = _forge(header, iss="another").split(".")
    foreign = hmac.new(b"the secret of another issuer, 32 bytes", f"{head}.{claims}".encode(), hashlib.sha256)
    _refused(shared_secured, f"{head}.{claims}.{_part(foreign.digest())}")


async def test_a_stripped_or_swapped_signature_is_refused(shared_secured: ServerProcess) -> None:
    """The cheapest forgery of all: other claims under a signature that was genuine once."""
    mine, wanted = make_token("SCOTT"), make_token("KING", "*")
    head, claims, signature = mine.split(".")
    for token in (f"{head}.{wanted.split('.')[1]}.{signature}", f"{head}.{claims}", f"{head}.{claims}.", mine[:-2]):
        _refused(shared_secured, token)
