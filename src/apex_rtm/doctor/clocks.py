"""Whose clock is off? A token that was signed in the future, or has expired before it arrives, is refused."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.request import NoAnswer, call
from apex_rtm.doctor.schema import asked
from apex_rtm.doctor.statements import CLOCK

_DATE_STEP_S: Final = 1.0  # both sources tell whole seconds
_SET_CLOCK: Final = "timedatectl set-ntp true && chronyc makestep"


def _server(patient: Patient) -> Outcome:
    before = patient.clock.now()
    try:
        answer = call(patient.base_url, "GET", "/health/live", patient.context(verify=False))
    except NoAnswer as error:
        return failure(f"no answer from {patient.base_url}: {error}", "systemctl status apex-rtm nginx")
    after = patient.clock.now()
    text = answer.headers.get("date")
    if text is None:
        return skipped("the answer has no Date header")
    try:
        date_s = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return skipped(f"the Date header cannot be read: {text[:50]}")
    patient.server_ahead_s = _between(date_s - after, date_s + _DATE_STEP_S - before)
    return _judge(patient, patient.server_ahead_s, "the server", "this machine", f"{_SET_CLOCK}    # on both machines")


def _between(least_s: float, most_s: float) -> float:
    """The smallest difference that explains what was seen: a slow answer proves nothing about a clock."""
    return 0.0 if least_s <= 0 <= most_s else least_s if least_s > 0 else most_s


def _judge(patient: Patient, ahead_s: float, who: str, whom: str, *remedy: str) -> Outcome:
    leeway_s = patient.settings.clock_leeway_s if patient.settings is not None else 5.0
    if abs(ahead_s) <= leeway_s:
        return ok(f"{who} and {whom} agree within {max(abs(ahead_s), _DATE_STEP_S):.0f} s, {leeway_s:g} s are allowed")
    way = "ahead of" if ahead_s > 0 else "behind"
    return failure(
        f"{who} is {abs(ahead_s):.0f} s {way} {whom}, {leeway_s:g} s are allowed: tokens are refused", *remedy
    )


@asked
def _database(patient: Patient) -> Outcome:
    before = patient.clock.now()
    rows = patient.database.execute(CLOCK).rows
    after = patient.clock.now()
    database_s = float(rows[0][0])
    ahead_s = _between(database_s - after, database_s + _DATE_STEP_S - before)
    other = "this machine"
    if patient.server_ahead_s is not None:
        ahead_s, other = ahead_s - patient.server_ahead_s, "the server"
    return _judge(
        patient, ahead_s, "the database", other, f"{_SET_CLOCK}    # on the database's machine and on the server",
        "select systimestamp at time zone 'UTC' from dual;    -- compare with: date -u",
    )  # fmt: skip


SERVER: Final = Check("clock.server", "The server's clock is right", _server, needs=("tls.reachable", "port.listening"))
DATABASE: Final = Check("clock.database", "The database's clock is that of the server", _database, only_if="db.login")
CHECKS: Final = (SERVER, DATABASE)
