"""The port on this machine: is somebody there, is it the server, can it take messages."""

from __future__ import annotations

import socket
from typing import Final

from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.process import listener_on
from apex_rtm.doctor.request import NoAnswer, call

_GREETING: Final = "RTM WebSocket / REST bridge is running"


def _listening(patient: Patient) -> Outcome:
    if patient.is_remote:
        return skipped("the server is on another machine")
    settings = patient.known
    address = patient.local_url.split("://")[1]
    host, _, port = address.rpartition(":")
    start = (
        "systemctl start apex-rtm && journalctl -u apex-rtm -n 20",
        "apex-rtm serve    # or by hand",
        "ss -ltnp | grep apex-rtm    # or it listens on another port; then: apex-rtm doctor --port N",
        "apex-rtm doctor --remote --url …    # or the server is on another machine",
    )
    if settings.port == 0:
        return failure("port is 0: each start takes another one, which nobody can find", "port = 3000")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        return failure(f"nobody listens on {address}: {error.strerror or error}", *start)
    return ok(f"somebody listens on {address}")


def _ours(patient: Patient) -> Outcome:
    if patient.is_remote:
        return skipped("the server is on another machine")
    port = patient.known.port
    other = listener_on(port)
    who = f"process {other.pid} ({other.name})" if other is not None else "another program"
    remedy = (f"ss -ltnp 'sport = :{port}'    # who is it? Stop it, or take another port:", f"port = {port + 1}")
    try:
        answer = call(patient.local_url, "GET", "/", patient.context(verify=False))
    except NoAnswer as error:
        return failure(f"{who} has port {port} and does not speak HTTP: {error}", *remedy)
    if answer.status == 200 and answer.body.strip() == _GREETING:
        return ok(f"apex-rtm answers on port {port}" + (f", process {other.pid}" if other is not None else ""))
    if answer.json.get("code") == "open_mode":
        return failure(
            f"a server in open mode answers: {answer.message}",
            "systemctl restart apex-rtm    # it was started before the configuration named keys and a secret",
        )
    return failure(f"{who} has port {port} and answers {answer.status}: {answer.message[:80]}", *remedy)


def _ready(patient: Patient) -> Outcome:
    try:
        answer = call(patient.local_url, "GET", "/health/ready", patient.context(verify=False))
    except NoAnswer as error:
        return failure(f"no answer from /health/ready: {error}", "journalctl -u apex-rtm -n 50")
    if answer.status == 200:
        return ok("ready to take messages")
    return failure(
        f"not ready: {answer.message}",
        "journalctl -u apex-rtm -n 50",
        f"df -h {patient.known.data_dir}    # where the log cannot be written",
    )


def _ready_here(patient: Patient) -> Outcome:
    return skipped("the server is on another machine") if patient.is_remote else _ready(patient)


CHECKS: Final = (
    Check("port.listening", "The server listens", _listening, needs=("config.loads",)),
    Check("port.ours", "It is this server that listens", _ours, needs=("port.listening",)),
    Check("port.ready", "It can take messages", _ready_here, needs=("port.ours",)),
)
