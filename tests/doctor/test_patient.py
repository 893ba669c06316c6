"""What is examined: addresses, tokens, and what must not be told."""

from __future__ import annotations

import ssl

import pytest

from apex_rtm.clock import SystemClock
from apex_rtm.doctor.patient import CHANNEL, USER, BadUrl, Patient, normal_url
from tests.doctor.conftest import API_KEY, JWT_SECRET, MakePatient


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("wss://rtm.example.com", "https://rtm.example.com"),
        ("ws://127.0.0.1:3000/", "http://127.0.0.1:3000"),
        ("rtm.example.com", "https://rtm.example.com"),
        ("https://example.com/bus/", "https://example.com/bus"),
        ("wss://[::1]:3000", "https://[::1]:3000"),
    ],
)
def test_an_address_may_be_written_in_many_ways(text: str, url: str) -> None:
    assert normal_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["ftp://rtm.example.com", "wss://", "wss://u:p@rtm.example.com", "wss://a?token=x", "wss://a:99999", "wss://[x"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadUrl):
        normal_url(text)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:3000"), ("::", "http://[::1]:3000"), ("127.0.0.1", "http://127.0.0.1:3000"),
        ("10.1.2.3", "http://10.1.2.3:3000"),
    ],
)  # fmt: skip
def test_where_the_server_should_listen(make_patient: MakePatient, host: str, url: str) -> None:
    assert make_patient(host=host).local_url == url
    assert make_patient(host=host, tls_cert="c.pem", tls_key="k.pem").local_url == url.replace("http", "https")


def test_the_public_address_comes_first(make_patient: MakePatient) -> None:
    public = make_patient({"url": "https://rtm.example.com"})
    assert (public.base_url, public.host, public.port) == ("https://rtm.example.com", "rtm.example.com", 443)
    assert public.is_public
    local = make_patient({"url": "http://127.0.0.1:8080"})
    assert not local.is_public
    assert make_patient().port == 3000


def test_a_token_grants_the_channel_and_little_time(make_patient: MakePatient) -> None:
    patient = make_patient(max_token_ttl_s="60")
    identity = patient.verifier().verify(patient.token(CHANNEL) or "")
    assert identity.user == USER
    assert CHANNEL in identity.channel_names
    assert (identity.expires_at or 0) - identity.issued_at == 60
    assert make_patient(api_keys=None, jwt_secret=None).token(CHANNEL) is None
    with pytest.raises(RuntimeError):
        make_patient(api_keys=None, jwt_secret=None).verifier()


def test_no_secret_survives(make_patient: MakePatient) -> None:
    patient = make_patient(oracle_password="tiger-of-scott", console_key="k" * 20)
    text = f"key {API_KEY}, secret {JWT_SECRET}, password tiger-of-scott, console {'k' * 20}"
    assert patient.hide(text) == "key (hidden), secret (hidden), password (hidden), console (hidden)"
    assert Patient(SystemClock()).hide("nothing is known") == "nothing is known"


def test_what_was_not_found_out_cannot_be_used() -> None:
    patient = Patient(SystemClock())
    for look in (lambda: patient.known, lambda: patient.database):
        with pytest.raises(RuntimeError, match="must not run"):
            look()


def test_what_is_not_this_machine_gets_no_key_unseen(make_patient: MakePatient) -> None:
    """With --remote and no --url the configuration's own address is tried: nobody vouches for who answers there."""
    settings = {"host": "10.1.2.3", "tls_cert": "c.pem", "tls_key": "k.pem"}
    assert make_patient({"is_remote": True}, **settings).context().verify_mode is ssl.CERT_REQUIRED
    assert make_patient({"url": "https://rtm.example.com"}).context().check_hostname
    assert make_patient(**settings).context().verify_mode is ssl.CERT_NONE
