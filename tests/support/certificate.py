"""Certificates for tests, made by openssl as an administrator would."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    cert: Path
    key: Path


def openssl(*arguments: str | Path) -> str:
    """Run openssl; return what it prints."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed: apt install openssl")
    done = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


def make_certificate(directory: Path, name: str = "rtm.example.com", stem: str = "one") -> Pair:
    """A certificate for a name and for 127.0.0.1, signed by itself."""
    directory.mkdir(parents=True, exist_ok=True)
    pair = Pair(directory / f"{stem}.fullchain.pem", directory / f"{stem}.privkey.pem")
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1",
        "-keyout", pair.key, "-out", pair.cert,
    )  # fmt: skip
    pair.key.chmod(0o600)
    return pair


def fingerprint(cert: Path) -> str:
    """SHA-256 of the certificate in hexadecimal."""
    shown = openssl("x509", "-in", cert, "-noout", "-fingerprint", "-sha256")
    return shown.strip().split("=", 1)[1].replace(":", "").lower()
