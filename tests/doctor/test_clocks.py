"""What the doctor says of clocks."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from apex_rtm.database.sqlplus import Answer
from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from tests.database.fake_session import FakeSession
from tests.doctor.conftest import MakePatient
from tests.doctor.scripted import answering, http
from tests.doctor.shown import bad, breaks, good, run
from tests.support.server import ServerProcess


@pytest.mark.slow
def test_the_clock_of_a_real_server_is_right(make_patient: MakePatient, open_server: ServerProcess) -> None:
    patient = make_patient({"url": open_server.url})
    assert "agree" in good("clock.server", patient)
    assert patient.server_ahead_s == 0


@breaks("clock.server")
@pytest.mark.parametrize(("skew_s", "words"), [(90, "s ahead of this machine"), (-3600, "s behind this machine")])
def test_a_server_whose_clock_is_off_is_a_failure(make_patient: MakePatient, skew_s: float, words: str) -> None:
    with answering(http("200 OK", "{}", f"Date: {formatdate(time.time() + skew_s, usegmt=True)}")) as port:
        patient = make_patient({"url": f"http://127.0.0.1:{port}"})
        told = bad("clock.server", patient)
    assert words in told
    assert "timedatectl set-ntp true" in told
    assert patient.server_ahead_s == pytest.approx(skew_s, abs=3)


def test_within_the_leeway_all_is_well(make_patient: MakePatient) -> None:
    with answering(http("200 OK", "{}", f"Date: {formatdate(time.time() + 20, usegmt=True)}")) as port:
        about = {"url": f"http://127.0.0.1:{port}"}
        assert good("clock.server", make_patient(about, clock_leeway_s="30"))
    for header in ("X-No: date", "Date: yesterday"):
        with answering(http("200 OK", "{}", header)) as port:
            assert run("clock.server", make_patient({"url": f"http://127.0.0.1:{port}"})).state is State.SKIPPED


@breaks("clock.server")
def test_no_answer_is_a_failure(make_patient: MakePatient) -> None:
    with answering(b"") as port:
        assert "no answer" in bad("clock.server", make_patient({"url": f"http://127.0.0.1:{port}"}))


def with_database_clock(make_patient: MakePatient, now_s: float, **about: object) -> Patient:
    session = FakeSession()
    session.answers["sys_extract_utc(systimestamp)"] = Answer(["now_s"], [[now_s]])
    return make_patient({"session": session, **about})


@breaks("clock.database")
def test_a_database_whose_clock_is_off_is_a_failure(make_patient: MakePatient) -> None:
    now = int(time.time())
    told = bad("clock.database", with_database_clock(make_patient, now + 61))
    assert "the database is 60 s ahead of this machine" in told or "61 s ahead" in told
    assert "select systimestamp at time zone 'UTC' from dual;" in told
    assert "agree" in good("clock.database", with_database_clock(make_patient, now))


@breaks("clock.database")
def test_the_database_is_compared_with_the_server_and_not_with_the_doctor(make_patient: MakePatient) -> None:
    now = int(time.time())
    assert good("clock.database", with_database_clock(make_patient, now + 600, server_ahead_s=600.0))
    told = bad("clock.database", with_database_clock(make_patient, now, server_ahead_s=600.0))
    assert "s behind the server" in told


@breaks("clock.database")
def test_a_database_that_refuses_the_question_is_a_failure(make_patient: MakePatient) -> None:
    session = FakeSession()
    session.faults["systimestamp"] = "ORA-03113: end-of-file on communication channel"
    assert "ORA-03113" in bad("clock.database", make_patient({"session": session}))
