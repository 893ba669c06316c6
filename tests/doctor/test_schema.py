"""What the doctor says of the schema, from rows as the data dictionary gives them."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm.database.sqlplus import DatabaseError
from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.schema import NoLogin
from apex_rtm.errors import ConfigurationError
from tests.doctor.conftest import MakePatient
from tests.doctor.oracle import FakeDatabase
from tests.doctor.shown import bad, breaks, good, run

MLE = ["transport", "MLE"]


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def patient(make_patient: MakePatient, database: FakeDatabase) -> Patient:
    return make_patient({"session": database})


def test_a_schema_in_order_is_good(patient: Patient, database: FakeDatabase) -> None:
    assert "19.0.0.0.0" in good("db.release", patient)
    assert f"{len(database.objects)} of {len(database.objects)} objects" in good("db.objects", patient)
    assert "RTM has what" in good("db.privileges", patient)
    assert run("db.mle", patient).state is State.SKIPPED
    assert all(text.lstrip().startswith("select") for text in database.statements), "looking changes nothing"


@breaks("db.login")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (NoLogin("rtm at db/orcl: ORA-01017: invalid username/password; logon denied"), "alter user RTM identified by"),
        (NoLogin("rtm at db/orcl: ORA-28000: the account is locked"), "alter user RTM account unlock;"),
        (NoLogin("rtm at db/orcl: ORA-12541: TNS:no listener"), "route, firewall"),
        (NoLogin("rtm at db/orcl: DPY-6005: cannot connect to database"), "tnsping db/orcl"),
        (DatabaseError("ORA-01045: user RTM lacks CREATE SESSION"), "grant create session to RTM;"),
        (
            ConfigurationError(["python-oracledb is not installed: pip install 'oracledb'"]),
            "-m pip install 'oracledb>=3.1'",
        ),
        (ConfigurationError(["oracle_password_file: cannot be read"]), "docs/settings.md"),
    ],
)
def test_a_login_that_fails_says_what_to_do(make_patient: MakePatient, fault: Exception, words: str) -> None:
    def connect() -> FakeDatabase:
        raise fault

    login = {"oracle_dsn": "db/orcl", "oracle_user": "rtm", "oracle_password": "tiger"}
    told = bad("db.login", make_patient({"connect": connect}, **login))
    assert words in told
    assert "tiger" not in told


def test_a_login_that_succeeds_is_kept(make_patient: MakePatient, database: FakeDatabase) -> None:
    login = {"oracle_dsn": "db/orcl", "oracle_user": "rtm", "oracle_password": "tiger"}
    patient = make_patient({"connect": lambda: database}, **login)
    assert good("db.login", patient) == "rtm at db/orcl"
    assert patient.session is database
    assert run("db.login", make_patient()).state is State.SKIPPED


@breaks("db.release")
def test_an_old_release_is_a_failure(patient: Patient, database: FakeDatabase) -> None:
    database.say("product_component_version", [["Oracle Database 12c", "12.2.0.1.0"]])
    assert "need 19c or later" in bad("db.release", patient)


@breaks("db.objects")
def test_a_missing_object_is_a_failure(patient: Patient, database: FakeDatabase) -> None:
    rows = [row for row in database.objects if row[1] != "RTM_SECRET"]
    database.say("select object_type, object_name, status", rows)
    told = bad("db.objects", patient)
    assert "missing: package body RTM_SECRET" in told
    assert "apex-rtm db install" in told


@breaks("db.objects")
@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("RTM_OUTBOX_API", State.FAILURE, "alter package rtm_outbox_api compile body;"),
        ("RTM_TOKEN", State.WARNING, "everything but tokens and plug-ins works"),
    ],
)
def test_an_invalid_object_is_named_with_its_error(
    patient: Patient, database: FakeDatabase, name: str, state: State, words: str
) -> None:
    rows = [[kind, each, "INVALID" if each == name else status] for kind, each, status in database.objects]
    database.say("select object_type, object_name, status", rows)
    told = bad("db.objects", patient, state)
    assert words in told
    assert "PLS-00201" in told
    assert f"alter package {name.lower()} compile;" in told


@breaks("db.objects")
def test_an_empty_schema_is_a_failure(patient: Patient, database: FakeDatabase) -> None:
    database.say("select object_type, object_name, status", [])
    assert "nothing is installed" in bad("db.objects", patient)


@breaks("db.privileges")
def test_missing_privileges_are_granted_by_name(patient: Patient, database: FakeDatabase) -> None:
    database.say("from session_privs", [["CREATE TABLE"], ["CREATE VIEW"], ["CREATE SEQUENCE"], ["CREATE PROCEDURE"]])
    database.say("from all_tab_privs", [["DBMS_LOB"], ["DBMS_SCHEDULER"]])
    told = bad("db.privileges", patient)
    assert "RTM lacks CREATE JOB, EXECUTE on UTL_HTTP" in told
    assert "grant create job to RTM;" in told
    assert "grant execute on sys.utl_http to RTM;" in told
    assert "create table" not in told


def with_mle(database: FakeDatabase, version: str = "23.0.0.0.0") -> None:
    database.say("product_component_version", [["Oracle Database 23ai", version]])
    database.say("from rtm_settings", [MLE])


def test_javascript_in_order_is_good(patient: Patient, database: FakeDatabase) -> None:
    with_mle(database)
    assert "valid" in good("db.mle", patient)
    database.faults["v$parameter"] = "ORA-00942: table or view does not exist"
    assert good("db.mle", patient), "who may not read the parameter is not bothered with it"


@breaks("db.mle")
@pytest.mark.parametrize(
    ("words", "rows", "told"),
    [
        ("product_component_version", [["Oracle Database 19c", "19.0.0.0.0"]], "release 19.0.0.0.0 has none"),
        ("from user_mle_modules", [], "grant create mle to RTM;"),
        ("object_name in ('RTM_MLE_POST'", [["WEBSOCKET_SENDER_MODULE", "VALID"]], "RTM_MLE_POST: missing or invalid"),
        ("from v$parameter", [["mle_prog_languages", "off"]], "alter system set mle_prog_languages = all;"),
    ],
)
def test_javascript_that_cannot_run_is_a_failure(
    patient: Patient, database: FakeDatabase, words: str, rows: list[list[Any]], told: str
) -> None:
    with_mle(database)
    database.say(words, rows)
    said = bad("db.mle", patient)
    assert told in said
    assert "set_value('transport', 'UTL_HTTP')" in said


@breaks("db.release")
def test_a_question_that_is_refused_is_a_failure_with_the_databases_words(
    patient: Patient, database: FakeDatabase
) -> None:
    database.faults["product_component_version"] = "ORA-00942: table or view does not exist"
    assert "refused the question: ORA-00942" in bad("db.release", patient)
