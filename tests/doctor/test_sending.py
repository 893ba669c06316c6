"""What the doctor says of sending. The blocks of PL/SQL run in the sandbox, against the real server."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apex_rtm.doctor import sending
from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from tests.db.sandbox.session import open_session
from tests.doctor.conftest import API_KEY, JWT_SECRET, SECURED, MakePatient
from tests.doctor.oracle import GOOD, FakeDatabase
from tests.doctor.shown import bad, breaks, good, run
from tests.support.clock import FakeClock
from tests.support.server import ServerProcess, run_server

RELAYED = [["drain_by", "RELAY"], ["token_secret", "(set)"]]
DRAIN = "as is_late"
PURGE_ROW = ["RTM_PURGE_JOB", "TRUE", "SCHEDULED", 0, 0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with run_server(tmp_path_factory.mktemp("sending") / "data", **SECURED, engine="memory") as running:
        yield running


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def patient(make_patient: MakePatient, database: FakeDatabase) -> Patient:
    return make_patient({"session": database})


@pytest.fixture
def talking(tmp_path: Path, make_patient: MakePatient, server: ServerProcess) -> Iterator[Patient]:
    """A database whose PL/SQL runs in the sandbox, configured for a server that runs."""
    with open_session(tmp_path) as sandbox:
        sandbox.configure(base_url=server.url, api_key=API_KEY, token_secret=JWT_SECRET)
        yield make_patient({"session": FakeDatabase(sandbox), "url": server.url})


def sandbox_of(patient: Patient) -> Any:
    session = patient.session
    assert isinstance(session, FakeDatabase)
    return session.sandbox


# ── the job and the outbox ──


def test_a_job_that_runs_is_good(patient: Patient, database: FakeDatabase) -> None:
    assert good("db.job", patient) == "RTM_DRAIN_JOB running, RTM_PURGE_JOB scheduled"
    database.say("from rtm_settings", RELAYED).say(DRAIN, [PURGE_ROW])
    assert good("db.job", patient) == "RTM_PURGE_JOB scheduled"


@breaks("db.job")
@pytest.mark.parametrize(
    ("row", "state", "words"),
    [
        (None, State.FAILURE, "@db/install.sql"),
        (["RTM_DRAIN_JOB", "FALSE", "DISABLED", 3, 0], State.FAILURE, "dbms_scheduler.enable(name => 'RTM_DRAIN_JOB')"),
        (["RTM_DRAIN_JOB", "TRUE", "BROKEN", 16, 0], State.FAILURE, "is broken: ORA-12012"),
        (["RTM_DRAIN_JOB", "TRUE", "SCHEDULED", 0, 1], State.FAILURE, "has not started for over five minutes"),
        (["RTM_DRAIN_JOB", "TRUE", "RUNNING", 2, 0], State.WARNING, "has failed 2 times: ORA-12012"),
    ],
)
def test_a_job_that_does_not_run_is_told(
    patient: Patient, database: FakeDatabase, row: list[Any] | None, state: State, words: str
) -> None:
    database.say(DRAIN, [PURGE_ROW, *([row] if row else [])])
    assert words in bad("db.job", patient, state)


@breaks("db.job")
def test_a_database_without_job_processes_is_a_failure(patient: Patient, database: FakeDatabase) -> None:
    database.say(DRAIN, [PURGE_ROW, ["RTM_DRAIN_JOB", "TRUE", "SCHEDULED", 0, 1]])
    database.say("from v$parameter", [["job_queue_processes", "0"]])
    assert "alter system set job_queue_processes = 100;" in bad("db.job", patient)
    database.faults["v$parameter"] = "ORA-00942: table or view does not exist"
    database.faults["user_scheduler_job_run_details"] = "ORA-00942: table or view does not exist"
    assert "show parameter job_queue_processes" in bad("db.job", patient)


@breaks("db.outbox")
@pytest.mark.parametrize(
    ("row", "state", "words"),
    [
        ([7, 0, 4, "ORA-20711: … ORA-24247: network access denied", "RTM_JOB", 40], State.FAILURE, "append_host_ace("),
        ([7, 0, 4, "ORA-20720: the server refuses the key", "RTM_JOB", 40], State.FAILURE, "set_value('api_key'"),
        ([7, 0, 0, None, None, 900], State.FAILURE, "a message waits for 900 s, and nobody has tried to send it"),
        ([0, 2, 0, None, "RTM_JOB", None], State.FAILURE, "row 4711, channel orders:17: invalid_json"),
        ([2000, 0, 0, None, "RTM_JOB", 10], State.WARNING, "messages that wait: 2000"),
        ([3, 0, 0, None, "RTM_JOB", 90], State.WARNING, "the oldest for 90 s"),
    ],
)
def test_messages_that_pile_up_are_told(
    patient: Patient, database: FakeDatabase, row: list[Any], state: State, words: str
) -> None:
    assert "messages that wait: 0" in good("db.outbox", patient)
    database.say("as oldest_s", [row])
    assert words in bad("db.outbox", patient, state)


@breaks("db.outbox")
def test_a_relay_that_is_gone_and_a_row_that_is_gone_are_told(patient: Patient, database: FakeDatabase) -> None:
    database.say("as oldest_s", [[7, 0, 0, None, "relay7", 900]]).say("from rtm_settings", RELAYED)
    assert "apex-rtm relay" in bad("db.outbox", patient)
    database.say("as oldest_s", [])
    assert "insert into rtm_outbox_drain (id) values (1);" in bad("db.outbox", patient)


# ── tokens and a message, by the PL/SQL of db/ ──


@pytest.mark.slow
def test_what_the_database_signs_the_server_takes(talking: Patient) -> None:
    assert good("db.token", talking) == "the server takes what the database signs, for APEX-RTM-DOCTOR"


@pytest.mark.slow
@breaks("db.token")
def test_another_secret_in_the_database_is_a_failure(talking: Patient) -> None:
    other = secrets.token_hex(32)
    sandbox_of(talking).configure(token_secret=other)
    told = bad("db.token", talking)
    assert "the signature does not match" in told
    assert "set_value('token_secret'" in told
    assert other not in told


@pytest.mark.slow
@breaks("db.token")
def test_a_token_of_another_time_points_to_the_clocks(talking: Patient) -> None:
    talking.clock = FakeClock(1_600_000_000.0)
    assert "timedatectl set-ntp true    # see clock.database" in bad("db.token", talking)


@pytest.mark.slow
@breaks("db.token")
def test_a_database_without_a_secret_is_a_failure(talking: Patient) -> None:
    sandbox_of(talking).configure(token_secret=None)
    told = bad("db.token", talking)
    assert "ORA-20730" in told
    assert "set_value('token_secret'" in told


def test_open_mode_takes_no_tokens(make_patient: MakePatient, database: FakeDatabase) -> None:
    patient = make_patient({"session": database}, api_keys=None, jwt_secret=None)
    assert run("db.token", patient).state is State.SKIPPED


@pytest.mark.slow
def test_a_message_of_plsql_arrives(talking: Patient) -> None:
    assert "sent by PL/SQL and received in" in good("db.broadcast", talking)


@pytest.mark.slow
@breaks("db.broadcast")
def test_another_key_in_the_database_is_a_failure(talking: Patient) -> None:
    sandbox_of(talking).configure(api_key=secrets.token_hex(32))
    told = bad("db.broadcast", talking)
    assert "ORA-20720" in told
    assert "set_value('api_key'" in told


@pytest.mark.slow
@breaks("db.broadcast")
@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("ORA-20711: … ORA-29273: HTTP request failed ORA-24247: network access denied by ACL", "append_host_ace("),
        ("ORA-20712: … ORA-29273: HTTP request failed ORA-29024: Certificate validation failure", "orapki wallet add"),
        ("ORA-20713: … ORA-28759: failure to open file", "'system:'"),
        ("ORA-20714: … ORA-12535: TNS:operation timed out", "route, firewall"),
    ],
)
def test_what_oracle_says_of_a_call_is_turned_into_its_remedy(
    make_patient: MakePatient, database: FakeDatabase, server: ServerProcess, error: str, line: str
) -> None:
    database.faults["broadcast_item"] = error
    told = bad("db.broadcast", make_patient({"session": database, "url": server.url}))
    assert error in told
    assert line in told


@pytest.mark.slow
@breaks("db.broadcast")
def test_a_message_that_goes_elsewhere_is_a_failure(
    make_patient: MakePatient, database: FakeDatabase, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database reports success: its base_url is another server."""
    monkeypatch.setattr(sending, "_ARRIVAL_S", 0.5)
    told = bad("db.broadcast", make_patient({"session": database, "url": server.url}))
    assert "base_url is https://rtm.example.com: is that the server" in told


@pytest.mark.slow
@breaks("db.broadcast")
def test_without_a_relay_a_stored_message_does_not_arrive(talking: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_RELAYED_S", 0.5)
    session = talking.session
    assert isinstance(session, FakeDatabase)
    session.say("from rtm_settings", RELAYED)
    told = bad("db.broadcast", talking)
    assert "a relay must run" in told
    (row,) = sandbox_of(talking).rows("select * from rtm_outbox")
    assert (row["channel"], row["status"]) == ("apex-rtm:doctor", "PENDING")


@pytest.mark.slow
@breaks("db.broadcast")
def test_a_doctor_that_cannot_listen_says_so(
    make_patient: MakePatient, database: FakeDatabase, server: ServerProcess
) -> None:
    patient = make_patient({"session": database, "url": server.url}, jwt_secret=secrets.token_hex(32))
    assert "the doctor cannot listen" in bad("db.broadcast", patient)
    assert GOOD["from rtm_settings"], "nothing was sent"
