"""Certificates as they are read from a handshake."""

from __future__ import annotations

from pathlib import Path

import pytest

from apex_rtm.doctor.handshake import Certificate, shake
from tests.doctor.authority import make, serve_tls
from tests.doctor.conftest import MakePatient


def certificate(*names: str) -> Certificate:
    return Certificate("CN=a", "CN=b", names, 0, 0, (), b"")


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("rtm.example.com", "RTM.example.com.", True),
        ("*.example.com", "rtm.example.com", True),
        ("*.example.com", "a.rtm.example.com", False),
        ("*.example.com", "example.com", False),
        ("*", "localhost", False),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("127.0.0.1", "127.0.0.2", False),
    ],
)
def test_names_are_compared_as_browsers_do(name: str, host: str, fits: bool) -> None:
    assert certificate(name).is_for(host) is fits


def test_a_certificate_is_read_whole(tmp_path: Path, make_patient: MakePatient) -> None:
    root = make("Root")
    leaf = make("rtm", root, hosts=["localhost"])
    with serve_tls(tmp_path, leaf, [leaf, root]) as server:
        found = shake("localhost", server.port, make_patient().context(), timeout_s=5)
    first, last = found.presented
    assert (first.subject, first.issuer, first.names) == ("CN=rtm", "CN=Root", ("localhost",))
    assert first.issuer_urls == ("http://ca.example/issuer.der",)
    assert first.not_after == pytest.approx(leaf.certificate.not_valid_after_utc.timestamp(), abs=1)
    assert not first.is_self_signed
    assert last.is_self_signed
    assert first.pem.split() == leaf.pem.split()
    assert found.trusted == ()
    assert found.fault is not None
    assert found.fault[0] == 19
