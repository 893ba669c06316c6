"""What lets an operator in: signed, short-lived, and of no use to an application.

A pass is made from the console's key, never from the secret that signs the tokens of browsers, and has another form:
whoever can mint tokens cannot make one, and no token is taken for one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Final, Literal

import msgspec

from apex_rtm.channels import parse_pattern
from apex_rtm.clock import Clock
from apex_rtm.errors import Refused
from apex_rtm.tokens import Identity

PREFIX: Final = "console."
LOGIN_S: Final = 3600.0
"""How long a login holds without use; each use makes it hold that long again."""
LONGEST_S: Final = 43_200.0
"""A login ends after a working day, used or not."""
SOCKET_S: Final = 300.0
"""How long a pass for the WebSocket holds; the console fetches another before it ends."""
_MAX_LOGGED_OUT: Final = 1000

Kind = Literal["login", "socket"]


class Pass(msgspec.Struct, frozen=True):
    """What is signed. `login` names the login that it belongs to; times are in seconds since 1970."""

    kind: str
    login: str
    began_at: float
    expires_at: float


class Passes:
    """Makes and reads passes with one key. Without a key there is nothing to log in to, as in open mode."""

    def __init__(self, key: str | None, clock: Clock) -> None:
        self.needs_login = key is not None
        self._digest = hashlib.sha256((key or "").encode()).digest()
        # In open mode a pass opens nothing that is shut, so there is no secret to keep; with one of its own, each of
        # several workers would refuse the passes of the others.
        secret = (key or "").encode()
        self._signing_key = hmac.digest(secret, b"apex-rtm console passes", "sha256")
        self._clock = clock
        self._logged_out: OrderedDict[str, None] = OrderedDict()

    def is_key(self, offered: str) -> bool:
        """Compare with the key in constant time."""
        return self.needs_login and hmac.compare_digest(hashlib.sha256(offered.encode()).digest(), self._digest)

    def log_in(self) -> Pass:
        """Begin a login; the caller has checked the key."""
        now = self._clock.now()
        return Pass("login", secrets.token_urlsafe(9), now, now + LOGIN_S)

    def log_out(self, login: str) -> None:
        """End a login before its time, on this node. Its passes are remembered until none of them can be valid."""
        self._logged_out[login] = None
        while len(self._logged_out) > _MAX_LOGGED_OUT:
            self._logged_out.popitem(last=False)

    def prolong(self, login: Pass) -> Pass:
        """Make the pass of a login that is in use."""
        until = min(self._clock.now() + LOGIN_S, login.began_at + LONGEST_S)
        return Pass("login", login.login, login.began_at, until)

    def for_socket(self, login: Pass) -> Pass:
        """Make a pass for the WebSocket, which ends with the login at the latest."""
        until = min(self._clock.now() + SOCKET_S, login.began_at + LONGEST_S)
        return Pass("socket", login.login, login.began_at, until)

    def sign(self, one: Pass) -> str:
        """Write a pass: `console.<content>.<signature>`, both base64url."""
        content = base64.urlsafe_b64encode(msgspec.json.encode(one)).rstrip(b"=").decode()
        return f"{PREFIX}{content}.{self._signature(content)}"

    def read(self, text: str, kind: Kind) -> Pass:
        """Check a pass. Raises Refused (unauthorized, token_expired)."""
        content, _, signature = text.removeprefix(PREFIX).partition(".")
        good = hmac.compare_digest(signature.encode(), self._signature(content).encode())
        if not text.startswith(PREFIX) or not good:
            raise Refused("unauthorized", "log in to the console")
        try:
            one = msgspec.json.decode(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)), type=Pass)
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:  # signed by us, so by another release
            raise Refused("unauthorized", "log in to the console again") from error
        if one.kind != kind or one.login in self._logged_out:
            raise Refused("unauthorized", "log in to the console")
        if one.expires_at <= self._clock.now():
            raise Refused("token_expired", "the login has ended")
        return one

    def identify(self, text: str) -> Identity:
        """Say what a connection with this pass may do: look at everything. Raises Refused."""
        one = self.read(text, "socket")
        everything = (parse_pattern("*"),)
        return Identity(None, one.login, everything, one.began_at, one.expires_at, is_operator=True)

    def _signature(self, content: str) -> str:
        digest = hmac.digest(self._signing_key, content.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
