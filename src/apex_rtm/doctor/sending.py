"""Does the database send: the job, the outbox, a token that the server takes, and a message that arrives."""

from __future__ import annotations

import secrets
import time
from typing import Final

from apex_rtm.database.sqlplus import DatabaseError
from apex_rtm.doctor.calling import calls_nobody
from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.loop import NotListening, await_nonce, listen
from apex_rtm.doctor.oracle_errors import remedies
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.schema import asked, owner, parameters, stored
from apex_rtm.doctor.statements import BROADCAST, ISSUE, JOBS, LAST_FAILURE, OUTBOX, PARKED, QUEUE, with_nonce
from apex_rtm.doctor.wire import Cut
from apex_rtm.errors import Refused

_LATE_S: Final = 60
_STUCK_S: Final = 300
_MANY: Final = 1000
_ARRIVAL_S: Final = 10.0
_RELAYED_S: Final = 60.0
_BAD_STATES: Final = ("BROKEN", "FAILED", "CHAIN_STALLED", "DISABLED", "STOPPED")


@asked
def _job(patient: Patient) -> Outcome:
    rows = {str(row[0]): row for row in patient.database.execute(JOBS).rows}
    wanted = ["RTM_PURGE_JOB"] if calls_nobody(stored(patient)) else ["RTM_DRAIN_JOB", "RTM_PURGE_JOB"]
    for name in wanted:
        if name not in rows:
            return failure(f"there is no job {name}", "@db/install.sql    -- makes the jobs anew, keeps the rows")
        _, enabled, state, failures, is_late = rows[name]
        enable = f"begin dbms_scheduler.enable(name => '{name}'); end;"
        if str(state).upper() in _BAD_STATES or str(enabled).upper() != "TRUE":
            return failure(f"{name} is {str(state).lower()}: {_last_failure(patient)}", enable)
        if name == "RTM_DRAIN_JOB" and int(is_late or 0):
            return failure(
                f"{name} has not started for over five minutes (state {state})", *_not_started(patient, enable)
            )
        if int(failures or 0):
            return warning(
                f"{name} is {str(state).lower()}, and has failed {failures} times: {_last_failure(patient)}",
                "select log_date, job_name, additional_info from user_scheduler_job_run_details "
                "where status = 'FAILED' order by log_date desc;",
            )
    return ok(", ".join(f"{name} {str(rows[name][2]).lower()}" for name in wanted))


def _not_started(patient: Patient, enable: str) -> tuple[str, ...]:
    if parameters(patient).get("job_queue_processes") == "0":
        return ("alter system set job_queue_processes = 100;    -- as a DBA: with 0 no job runs",)
    return ("show parameter job_queue_processes    -- as a DBA: with 0 no job runs", enable)


def _last_failure(patient: Patient) -> str:
    try:
        rows = patient.database.execute(LAST_FAILURE).rows
    except DatabaseError:
        return "its log cannot be read"
    return " ".join(str(rows[0][0]).split())[:300] if rows else "its log says nothing"


@asked
def _outbox(patient: Patient) -> Outcome:
    rows = patient.database.execute(OUTBOX).rows
    if not rows:
        return failure("the row of RTM_OUTBOX_DRAIN is gone: nobody can send",
                       "insert into rtm_outbox_drain (id) values (1); commit;")  # fmt: skip
    pending, parked, failures, last_error, drained_by, oldest_s = rows[0]
    pending, parked, failures, oldest_s = (int(value or 0) for value in (pending, parked, failures, oldest_s))
    values = stored(patient)
    if failures:
        lines = remedies(str(last_error), schema=owner(patient), base_url=values.get("base_url"))
        return failure(
            f"the last tries to send failed ({failures}), messages that wait: {pending}: {last_error}", *lines
        )
    if pending and oldest_s > _STUCK_S:
        return failure(
            f"a message waits for {oldest_s} s, and nobody has tried to send it (last sender: {drained_by or 'none'})",
            "systemctl start apex-rtm-relay    # or: apex-rtm relay, or serve --dsn" if calls_nobody(values)
            else "begin dbms_scheduler.enable(name => 'RTM_DRAIN_JOB'); end;    -- see db.job",
        )  # fmt: skip
    if parked:
        return _parked(patient, parked)
    if pending > _MANY or (pending and oldest_s > _LATE_S):
        return warning(
            f"messages that wait: {pending}, the oldest for {oldest_s} s", "select * from rtm_outbox_status;"
        )
    return ok(f"messages that wait: {pending}, none is parked, last sent by {drained_by or 'nobody yet'}")


def _parked(patient: Patient, count: int) -> Outcome:
    first = patient.database.execute(PARKED).rows
    shown = f": row {first[0][0]}, channel {first[0][1]}: {first[0][2]}" if first else ""
    return failure(
        f"messages that were refused for good: {count}{shown}",
        "select id, channel, attempts, error from rtm_outbox where status = 'PARKED';",
        "declare l_count pls_integer; begin l_count := rtm_outbox_api.retry_all(); commit; end;    -- once mended",
    )


@asked
def _token(patient: Patient) -> Outcome:
    """Let the database sign, and read it as the server would: secret and clock at once."""
    if patient.known.is_open:
        return skipped("open mode takes no tokens")
    try:
        patient.database.output()
        patient.database.execute(ISSUE)
        signed = "".join(patient.database.output()).strip()
    except DatabaseError as error:
        lines = remedies(str(error), schema=owner(patient), base_url=None)
        return failure(f"RTM_TOKEN.ISSUE failed: {error}", *lines)
    try:
        identity = patient.verifier().verify(signed)
    except Refused as refused:
        clocks = refused.code == "token_expired" or "in the future" in refused.message or "away" in refused.message
        return failure(
            f"the server refuses a token of the database: {refused.message}",
            "timedatectl set-ntp true    # see clock.database" if clocks
            else "begin rtm_config_api.set_value('token_secret', '<the server''s jwt_secret>'); commit; end;",
        )  # fmt: skip
    return ok(f"the server takes what the database signs, for {identity.user}")


@asked
def _broadcast(patient: Patient) -> Outcome:
    values = stored(patient)
    is_relayed = calls_nobody(values)
    nonce = secrets.token_hex(8)
    try:
        with listen(patient) as wire:
            begun = time.monotonic()
            patient.database.execute(with_nonce(QUEUE if is_relayed else BROADCAST, nonce))
            took_s = _RELAYED_S if is_relayed else _ARRIVAL_S
            if await_nonce(wire, nonce, begun + took_s) is None:
                return failure(f"sent, and not received within {took_s:g} s", *_lost(values, is_relayed=is_relayed))
            ms = (time.monotonic() - begun) * 1000
    except DatabaseError as error:
        lines = remedies(str(error), schema=owner(patient), base_url=values.get("base_url"))
        return failure(f"WEBSOCKET_API.BROADCAST_ITEM failed: {error}", *lines)
    except NotListening as error:
        return failure(f"the doctor cannot listen: {error}", *error.remedy)
    except (OSError, Cut) as error:
        return failure(f"the connection broke: {error}", "journalctl -u apex-rtm -n 50")
    return ok(f"sent by PL/SQL {'through a relay ' if is_relayed else ''}and received in {ms:.0f} ms")


def _lost(values: dict[str, str], *, is_relayed: bool) -> tuple[str, ...]:
    if is_relayed:
        return ("systemctl status apex-rtm-relay    # a relay must run: apex-rtm relay, or serve --dsn",
                "select * from rtm_outbox_status;")  # fmt: skip
    return (f"base_url is {values.get('base_url')}: is that the server that this configuration is for?",)


_DB: Final = "db.login"
CHECKS: Final = (
    Check("db.job", "The job that sends is alive", _job, ("db.objects",), _DB, timeout_s=40),
    Check("db.outbox", "Messages do not pile up", _outbox, ("db.objects",), _DB, timeout_s=40),
    Check("db.token", "The server takes tokens of the database", _token, ("db.objects",), _DB, timeout_s=40),
    Check("db.broadcast", "A message of PL/SQL arrives by WebSocket", _broadcast,
          ("db.objects", "db.settings", "loop.publish"), _DB, timeout_s=90),
)  # fmt: skip
