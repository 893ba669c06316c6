"""The whole way: a message by HTTP, with the configured key, to a WebSocket, with a token of the configured secret."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, Final

from apex_rtm.doctor.check import Check, Outcome, failure, ok
from apex_rtm.doctor.configuration import KEYLESS, WITH_FILE
from apex_rtm.doctor.patient import CHANNEL, Patient
from apex_rtm.doctor.request import NoAnswer, call, with_key
from apex_rtm.doctor.wire import Cut, HandshakeRefused, Wire

_WAIT_S: Final = 5.0
_RESTART: Final = "systemctl restart apex-rtm    # it may have been started with another configuration than this one"


class NotListening(Exception):
    """The doctor may not listen; `remedy` says what to do about it."""

    def __init__(self, why: str, *remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


def listen(patient: Patient) -> Wire:
    """A connection that is subscribed to the doctor's channel. Raises NotListening."""
    try:
        wire = Wire(patient.base_url, patient.context())
    except (OSError, HandshakeRefused) as error:
        raise NotListening(f"no WebSocket: {error}", "tail /var/log/nginx/error.log") from error
    try:
        refused = _subscribe(wire, patient)
    except (OSError, Cut) as error:
        refused = NotListening(f"the connection broke: {error}", "journalctl -u apex-rtm -n 50")
    if refused is not None:
        wire.close()
        raise refused
    return wire


def _subscribe(wire: Wire, patient: Patient) -> NotListening | None:
    connected = wire.ask(type="connect", token=patient.token(CHANNEL) or "")
    if connected.get("type") != "connected":
        if patient.known.is_open and connected.get("code") == "unauthorized":
            return NotListening(KEYLESS, WITH_FILE)
        return NotListening(
            f"the server refuses a token of this configuration: {connected.get('message')}",
            "jwt_secret must be the same here and where the server was started", _RESTART,
        )  # fmt: skip
    answer = wire.ask(type="subscribe", channel=CHANNEL, id=1)
    if answer.get("type") != "subscribed":
        return NotListening(f"the subscription is refused: {answer.get('message')}", _RESTART)
    return None


def await_nonce(wire: Wire, nonce: str, deadline: float) -> dict[str, Any] | None:
    """The publication whose payload has `nonce`; None where it does not come. Raises Cut, OSError."""
    try:
        while True:
            frame = wire.receive(deadline)
            payload = frame.get("payload")
            if isinstance(payload, dict) and payload.get("nonce") == nonce:
                return frame
    except TimeoutError:
        return None


def _publish(patient: Patient) -> Outcome:
    nonce = secrets.token_hex(8)
    body = json.dumps({"channel": CHANNEL, "eventName": "doctor", "payload": {"nonce": nonce}}).encode()
    context = patient.context()  # reading the roots takes longer than the message
    try:
        with listen(patient) as wire:
            begun = time.monotonic()
            answer = call(patient.base_url, "POST", "/api/broadcast", context, body=body,
                          headers=with_key(patient.api_key))  # fmt: skip
            answered_ms = (time.monotonic() - begun) * 1000
            if answer.status != 200:
                return _refused(answer.status, answer.message)
            if await_nonce(wire, nonce, begun + _WAIT_S) is None:
                return failure(
                    f"published at offset {answer.json.get('offset')}, and not delivered within {_WAIT_S:g} s: another "
                    "server behind the same address took it",
                    "server 127.0.0.1:3000;    # one server only in nginx's upstream, unless they share an engine",
                )
            total_ms = (time.monotonic() - begun) * 1000
    except NotListening as error:
        return failure(str(error), *error.remedy)
    except (NoAnswer, OSError, Cut) as error:
        return failure(f"the connection broke: {error}", "journalctl -u apex-rtm -n 50")
    return ok(f"published and received in {total_ms:.1f} ms (the answer to the publisher took {answered_ms:.1f} ms)")


def _refused(status: int, message: str) -> Outcome:
    if status == 401:
        return failure(
            f"the server refuses the key of this configuration: {message}",
            "api_keys must be the same here and where the server was started", _RESTART,
        )  # fmt: skip
    if status == 404:
        return failure(
            f"404 for /api/broadcast: {message}",
            "location /api/ { proxy_pass http://127.0.0.1:3000; }    # in nginx, beside location = /",
        )
    return failure(f"publishing is refused with {status}: {message}", "journalctl -u apex-rtm -n 50")


CHECKS: Final = (
    Check("loop.publish", "A message published by HTTP arrives by WebSocket", _publish,
          ("port.ready", "proxy.upgrade", "tls.chain", "tls.name", "tls.expiry"), timeout_s=30),
)  # fmt: skip
