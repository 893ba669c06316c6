"""What the doctor says of the way from the database to the server."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from tests.doctor.conftest import MakePatient
from tests.doctor.oracle import GOOD, FakeDatabase
from tests.doctor.shown import bad, breaks, good, run

RELAYED = [["drain_by", "RELAY"], ["token_secret", "(set)"]]


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def patient(make_patient: MakePatient, database: FakeDatabase) -> Patient:
    return make_patient({"session": database})


def without(*names: str) -> list[list[Any]]:
    return [row for row in GOOD["from rtm_settings"] if row[0] not in names]


def test_a_way_that_is_open_is_good(patient: Patient) -> None:
    assert "https://rtm.example.com" in good("db.settings", patient)
    assert good("db.acl", patient) == "RTM may call rtm.example.com:443 (entry for rtm.example.com)"
    assert good("db.wallet", patient) == "system:"


def test_a_database_that_calls_nobody_needs_no_way(patient: Patient, database: FakeDatabase) -> None:
    database.say("from rtm_settings", RELAYED)
    assert "drained by RELAY" in good("db.settings", patient)
    assert run("db.acl", patient).state is State.SKIPPED
    assert run("db.wallet", patient).state is State.SKIPPED


@breaks("db.settings")
@pytest.mark.parametrize("name", ["base_url", "api_key", "token_secret"])
def test_a_setting_that_is_missing_is_a_failure(patient: Patient, database: FakeDatabase, name: str) -> None:
    database.say("from rtm_settings", without(name))
    told = bad("db.settings", patient)
    assert f"{name} is not set" in told
    assert f"rtm_config_api.set_value('{name}', " in told


@breaks("db.settings")
def test_another_server_than_that_of_the_pages_is_warned_of(patient: Patient) -> None:
    patient.url = "https://rtm2.example.com"
    told = bad("db.settings", patient, State.WARNING)
    assert "set_value('base_url', 'https://rtm2.example.com')" in told
    patient.url = "https://rtm.example.com:443"
    assert good("db.settings", patient)


@breaks("db.acl")
@pytest.mark.parametrize(
    "aces",
    [
        [],
        [["rtm.example.com", 443, 443, "RESOLVE", "GRANTED"]],
        [["rtm.example.com", 80, 80, "HTTP", "GRANTED"]],
        [["*.example.org", None, None, "HTTP", "GRANTED"]],
        [["*", None, None, "HTTP", "GRANTED"], ["rtm.example.com", 443, 443, "HTTP", "DENIED"]],
        [["10.0.*", None, None, "HTTP", "GRANTED"]],
    ],
)
def test_a_call_that_the_acl_forbids_is_a_failure(
    patient: Patient, database: FakeDatabase, aces: list[list[Any]]
) -> None:
    told = bad("db.acl", _with(patient, database, aces))
    assert "ORA-24247" in told
    for line in (
        "dbms_network_acl_admin.append_host_ace(",
        "host => 'rtm.example.com', lower_port => 443, upper_port => 443,",
        "principal_name => 'RTM'",
        "@db/00_grants_and_acl.sql RTM rtm.example.com 443",
    ):
        assert line in told


def _with(patient: Patient, database: FakeDatabase, aces: list[list[Any]]) -> Patient:
    database.say("from user_host_aces", aces)
    return patient


@pytest.mark.parametrize(
    "ace",
    [
        ["*", None, None, "HTTP", "GRANTED"],
        ["*.example.com", 1, 65535, "http", "granted"],
        ["RTM.example.com", 443, None, "HTTP", "GRANTED"],
    ],
)
def test_every_entry_that_fits_is_enough(patient: Patient, database: FakeDatabase, ace: list[Any]) -> None:
    assert good("db.acl", _with(patient, database, [ace]))


def test_the_entries_of_another_user_cannot_be_seen(patient: Patient, database: FakeDatabase) -> None:
    database.say("as session_user", [["RELAY", "RTM"]])
    assert run("db.acl", patient).state is State.SKIPPED


@breaks("db.wallet")
@pytest.mark.parametrize("wallet", [None, "/opt/oracle/wallets/rtm"])
def test_https_without_a_wallet_is_a_failure(patient: Patient, database: FakeDatabase, wallet: str | None) -> None:
    database.say("from rtm_settings", [*without("wallet_path"), *([["wallet_path", wallet]] if wallet else [])])
    told = bad("db.wallet", patient)
    assert "orapki wallet add -wallet /opt/oracle/wallets/rtm -trusted_cert" in told
    assert "set_value('wallet_path', 'system:')" in told


def test_autonomous_database_has_a_wallet_of_its_own(patient: Patient, database: FakeDatabase) -> None:
    database.say("from rtm_settings", without("wallet_path"))
    database.say("as cloud_service", [["OLTP"]])
    assert "OLTP" in good("db.wallet", patient)
    database.faults["cloud_service"] = "ORA-02003: invalid USERENV parameter"
    assert run("db.wallet", patient).state is State.FAILURE
