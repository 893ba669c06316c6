"""A patient in good health, to which each test does its harm."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apex_rtm.clock import SystemClock
from apex_rtm.doctor.patient import Patient
from apex_rtm.settings import load_settings

MakePatient = Callable[..., Patient]
API_KEY = secrets.token_hex(32)
JWT_SECRET = secrets.token_hex(32)
SECURED = {"api_keys": API_KEY, "jwt_secret": JWT_SECRET}


@pytest.fixture
def make_patient(tmp_path: Path) -> MakePatient:
    """Make a patient in secured mode; settings by name, what belongs to the patient under `about`."""

    def make(about: dict[str, Any] | None = None, **settings: Any) -> Patient:
        given = {"data_dir": str(tmp_path / "data"), **SECURED, **settings}
        loaded = load_settings({name: value for name, value in given.items() if value is not None}, {})
        return Patient(SystemClock(), loaded, **(about or {}))

    return make
