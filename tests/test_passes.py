"""Passes of operators: nothing that an application has opens the console, and nothing of the console lasts."""

from __future__ import annotations

import base64

import jwt
import pytest

from apex_rtm.errors import Refused
from apex_rtm.passes import LONGEST_S, PREFIX, SOCKET_S, Kind, Pass, Passes
from apex_rtm.revocations import Revocation
from tests.support.clock import FakeClock
from tests.support.core import Client, Core
from tests.support.server import JWT_SECRET
from tests.support.tokens import make_token

KEY = "a-key-for-the-console"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def passes(clock: FakeClock) -> Passes:
    return Passes(KEY, clock)


def refusal(passes: Passes, text: str, kind: Kind = "login") -> str:
    with pytest.raises(Refused) as caught:
        passes.read(text, kind)
    assert text == "" or text not in caught.value.message
    return caught.value.code


def test_the_key_alone_logs_in(passes: Passes) -> None:
    assert passes.is_key(KEY)
    for wrong in ("", KEY[:-1], KEY + "x", KEY.upper(), "ü"):
        assert not passes.is_key(wrong)


def test_without_a_key_no_key_fits(clock: FakeClock) -> None:
    assert not Passes(None, clock).needs_login
    assert not Passes(None, clock).is_key("")


def test_workers_in_open_mode_take_the_passes_of_each_other(clock: FakeClock) -> None:
    """They share a port: the page asks one of them for a pass and shows it to another."""
    one, other = Passes(None, clock), Passes(None, clock)
    assert other.identify(one.sign(one.for_socket(one.log_in()))).is_operator
    keyed = Passes(KEY, clock)
    assert refusal(keyed, one.sign(one.for_socket(one.log_in())), "socket") == "unauthorized"


def test_a_login_holds_an_hour_from_its_last_use_and_a_day_at_most(passes: Passes, clock: FakeClock) -> None:
    login = passes.log_in()
    clock.advance(3599)
    assert passes.read(passes.sign(login), "login") == login
    clock.advance(1)
    assert refusal(passes, passes.sign(login)) == "token_expired"

    login = passes.log_in()
    for _ in range(12):
        login = passes.read(passes.sign(passes.prolong(login)), "login")
        clock.advance(3599)
    login = passes.prolong(login)
    assert login.expires_at == login.began_at + LONGEST_S == clock.now() + 12
    clock.advance(12)
    assert refusal(passes, passes.sign(login)) == "token_expired"


def test_a_pass_for_the_socket_is_no_login_and_ends_soon(passes: Passes, clock: FakeClock) -> None:
    login = passes.log_in()
    text = passes.sign(passes.for_socket(login))

    assert refusal(passes, text) == "unauthorized"
    assert refusal(passes, passes.sign(login), "socket") == "unauthorized"
    identity = passes.identify(text)
    assert (identity.user, identity.session_id, identity.is_operator) == (None, login.login, True)
    assert identity.expires_at == clock.now() + SOCKET_S
    clock.advance(SOCKET_S)
    assert refusal(passes, text, "socket") == "token_expired"


def test_who_logged_out_is_out(passes: Passes) -> None:
    login = passes.log_in()
    other = passes.log_in()
    passes.log_out(login.login)

    assert refusal(passes, passes.sign(login)) == "unauthorized"
    assert refusal(passes, passes.sign(passes.for_socket(login)), "socket") == "unauthorized"
    assert passes.read(passes.sign(other), "login") == other


def test_logging_out_again_and_again_takes_no_memory(passes: Passes) -> None:
    for number in range(5000):
        passes.log_out(str(number))

    assert len(passes._logged_out) == 1000


def test_nobody_else_can_make_one(passes: Passes, clock: FakeClock) -> None:
    good = passes.sign(passes.log_in())
    content, signature = good.removeprefix(PREFIX).split(".")
    forged = base64.urlsafe_b64encode(b'{"kind":"login","login":"x","began_at":0,"expires_at":9e9}').decode()
    for text in (
        "", PREFIX, good[:-1], good + "x", f"{PREFIX}{content}.", f"{PREFIX}{forged}.{signature}", content, "ü.ü",
        Passes("another-key-of-a-console", clock).sign(passes.log_in()), Passes(None, clock).sign(passes.log_in()),
        make_token("SCOTT", "*"), jwt.encode({"kind": "login"}, KEY.ljust(32), algorithm="HS256"),
    ):  # fmt: skip
        assert refusal(passes, text) == "unauthorized", text


def test_what_another_release_signed_is_refused_in_words(passes: Passes) -> None:
    content = base64.urlsafe_b64encode(b'{"version":2}').rstrip(b"=").decode()
    assert refusal(passes, f"{PREFIX}{content}.{passes._signature(content)}") == "unauthorized"


# ── on a connection ──


def secured() -> tuple[Core, Passes]:
    core = Core(secured=True)
    core.authorizer.passes = passes = Passes(KEY, core.clock)
    return core, passes


async def test_an_operator_sees_every_channel_also_those_of_users() -> None:
    core, passes = secured()
    await core.start()
    client = core.open()
    answer = client.ask(type="connect", token=passes.sign(passes.for_socket(passes.log_in())))
    assert (answer["type"], answer["user"], answer["channels"]) == ("connected", None, ["*"])
    client.subscribe("*")

    await core.publish("user:SCOTT")

    assert client.peer.take_places() == [("user:SCOTT", 1)]
    assert list(core.hub.operators) == [client.session]
    client.session.on_closed()
    assert not core.hub.operators


@pytest.mark.parametrize(("secret", "answer"), [(JWT_SECRET, "connected"), (KEY.ljust(32), "error")])
async def test_no_token_makes_an_operator(secret: str, answer: str) -> None:
    """Neither the secret of browsers nor the console's own key signs a token that says more than its channels."""
    core, _ = secured()
    await core.start()
    token = make_token("SCOTT", "*", secret=secret, is_operator=True, kind="socket", login="x")
    client = core.open()
    client.say(type="connect", token=token)

    assert client.peer.take_one()["type"] == answer
    assert not core.hub.operators
    if answer == "connected":
        assert client.ask(type="subscribe", channel="user:KING")["code"] == "forbidden"


async def test_without_a_console_a_pass_is_no_token() -> None:
    core, passes = secured()
    core.authorizer.passes = None
    client = core.open()

    client.say(type="connect", token=passes.sign(passes.for_socket(passes.log_in())))

    assert client.peer.take_one()["code"] == "unauthorized"
    assert client.peer.close_code == 4501


async def test_an_operator_is_not_present_and_not_revoked() -> None:
    core, passes = secured()
    await core.start()
    scott = core.connect("SCOTT", "chat:1")
    scott.subscribe("chat:1", presence=True)
    client = core.open()
    client.ask(type="connect", token=passes.sign(passes.for_socket(passes.log_in())))
    client.subscribe("chat:1")
    core.hub.presence.flush()
    assert [frame["connections"] for frame in scott.peer.take()] == [1]

    assert await core.hub.revoke(Revocation(None, None, "chat:1", core.clock.now())) == (0, 1)
    assert list(client.session.subscriptions) == ["chat:1"]


async def test_in_open_mode_a_pass_is_taken_before_anything_else_only() -> None:
    core = await Core().start()
    core.authorizer.passes = passes = Passes(None, core.clock)
    token = passes.sign(passes.for_socket(Pass("login", "open", core.clock.now(), core.clock.now() + 60)))
    operator, late = core.open(), core.open()
    assert operator.ask(type="connect", token=token)["type"] == "connected"
    late.subscribe("a")
    late.ask(type="connect", token=token)

    assert list(core.hub.operators) == [operator.session]


def stay(core: Core, client: Client, seconds: float) -> None:
    """Let time pass for a client that answers pings."""
    for _ in range(int(seconds / 10)):
        client.session.on_heard()
        core.pass_time(10)


async def test_a_pass_that_ends_ends_the_connection_and_another_prolongs_it() -> None:
    core, passes = secured()
    await core.start()
    login = passes.log_in()
    client = core.open()
    client.ask(type="connect", token=passes.sign(passes.for_socket(login)))
    stay(core, client, SOCKET_S - 30)
    assert "expiring" in {frame["type"] for frame in client.peer.take()}
    assert client.ask(type="refresh", token=passes.sign(passes.for_socket(login)))["type"] == "refreshed"
    assert client.ask(type="refresh", token=passes.sign(passes.for_socket(passes.log_in())))["code"] == "forbidden"

    stay(core, client, SOCKET_S + 10)

    assert client.peer.close_code == 4001
