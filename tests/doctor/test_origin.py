"""What the doctor says of the pages that connect."""

from __future__ import annotations

from pathlib import Path

import pytest

from apex_rtm.doctor.check import State
from tests.doctor.conftest import SECURED, MakePatient
from tests.doctor.shown import bad, breaks, good, run
from tests.support.server import run_server

PAGE = "https://apex.example.com"


@pytest.mark.slow
@breaks("origin.page")
def test_a_page_that_is_not_in_the_list_is_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    with run_server(tmp_path / "data", **SECURED, allowed_origins=PAGE) as server:
        patient = make_patient({"url": server.url}, allowed_origins=PAGE)
        assert good("origin.page", patient) == f"welcome: {PAGE}"
        assert good("origin.foreign", patient)
        patient.origin = "https://apex2.example.com"
        told = bad("origin.page", patient)
    assert "HTTP 403 forbidden_origin" in told
    assert f'allowed_origins = ["{PAGE}", "https://apex2.example.com"]' in told


@pytest.mark.slow
@breaks("origin.foreign")
@pytest.mark.parametrize("origin", [None, PAGE])
def test_a_server_that_welcomes_everybody_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, origin: str | None
) -> None:
    with run_server(tmp_path / "data", **SECURED, allowed_origins="*") as server:
        patient = make_patient({"url": server.url, "origin": origin}, allowed_origins="*")
        told = bad("origin.foreign", patient)
        assert run("origin.page", patient).state is (State.OK if origin else State.SKIPPED)
    assert 'allowed_origins = ["https://apex.example.com"]' in told
