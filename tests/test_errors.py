"""The errors that the product raises on purpose."""

from __future__ import annotations

import pytest

from apex_rtm.codes import HTTP_STATUS
from apex_rtm.errors import ConfigurationError, Refused, RtmError, Unavailable


@pytest.mark.parametrize("code", HTTP_STATUS)
def test_a_refusal_knows_its_http_status(code: str) -> None:
    refused = Refused(code, "why")

    assert isinstance(refused, RtmError)
    assert (refused.http_status, refused.message, str(refused)) == (HTTP_STATUS[code], "why", "why")


def test_unavailable_is_the_servers_fault() -> None:
    error = Unavailable("the disk is full")

    assert (error.code, error.http_status, str(error)) == ("unavailable", 503, "the disk is full")


def test_a_configuration_error_has_every_problem() -> None:
    error = ConfigurationError(["host: wrong", "port: wrong too"])

    assert error.problems == ["host: wrong", "port: wrong too"]
    assert str(error) == "host: wrong\nport: wrong too"
    assert not isinstance(error, RtmError)  # it has no code and never reaches a caller
