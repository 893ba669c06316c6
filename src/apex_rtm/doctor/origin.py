"""Whether the pages of the application may connect, and others may not."""

from __future__ import annotations

from typing import Final

from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.wire import Cut, HandshakeRefused, Wire

# A name that can belong to nobody (RFC 2606).
_FOREIGN: Final = "https://apex-rtm-doctor.invalid"


def _page(patient: Patient) -> Outcome:
    origins = [patient.origin] if patient.origin else [text for text in patient.known.allowed_origins if text != "*"]
    if not origins:
        return skipped("which page shall connect?", "apex-rtm doctor --origin https://apex.example.com")
    refused = [(origin, refusal) for origin in origins if (refusal := _refusal(patient, origin)) is not None]
    if not refused:
        return ok(f"welcome: {', '.join(origins)}")
    origin, why = refused[0]
    wanted = sorted({*patient.known.allowed_origins, *(text for text, _ in refused)} - {"*"})
    listed = ", ".join(f'"{text}"' for text in wanted)
    return failure(
        f"pages of {origin} may not connect: {why}", f"allowed_origins = [{listed}]", "systemctl restart apex-rtm"
    )


def _foreign(patient: Patient) -> Outcome:
    refusal = _refusal(patient, _FOREIGN)
    if refusal is not None:
        return ok("a page of another site is turned away")
    origin = patient.origin or "https://apex.example.com"
    return failure(
        f"a page of {_FOREIGN} may connect: any site could, in a visitor's browser",
        f'allowed_origins = ["{origin}"]    # instead of *',
        "proxy_set_header Origin $http_origin;    # if nginx sets another one, it hides the page's",
    )


def _refusal(patient: Patient, origin: str) -> str | None:
    """Why a page is turned away; None where it is not."""
    try:
        with Wire(patient.base_url, patient.context(verify=False), origin=origin):
            return None
    except HandshakeRefused as refused:
        return f"HTTP {refused.status} {refused.code or ''}".strip()
    except (OSError, Cut) as error:
        return f"{type(error).__name__}: {error}"


_NEEDS: Final = ("port.ready", "proxy.upgrade")
CHECKS: Final = (
    Check("origin.page", "Pages of the application may connect", _page, _NEEDS, timeout_s=30),
    Check("origin.foreign", "Pages of other sites may not", _foreign, _NEEDS),
)
