"""From the number of an error to the lines that mend it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apex_rtm.doctor.oracle_errors import _REMEDIES, remedies

ROOT = Path(__file__).resolve().parent.parent.parent


def lines(error: str, base_url: str | None = "https://rtm.example.com:8443/bus") -> str:
    return "\n".join(remedies(error, schema="rtm", base_url=base_url))


def test_the_cause_counts_and_not_its_wrapping() -> None:
    told = lines("ORA-20711: the ACL … ORA-29273: HTTP request failed ORA-24247: network access denied")
    assert "host => 'rtm.example.com', lower_port => 8443" in told
    told = lines("ORA-20725: the server failed ORA-29024: Certificate validation failure")
    assert "orapki wallet add" in told
    assert "--url wss://rtm.example.com --only tls" in told


@pytest.mark.parametrize(
    ("url", "port"), [("http://rtm.example.com", 80), ("https://rtm.example.com", 443), (None, 443)]
)
def test_the_port_is_that_of_the_address(url: str | None, port: int) -> None:
    assert f"lower_port => {port}, upper_port => {port}," in lines("ORA-24247", url)


@pytest.mark.parametrize("url", ["https://x$(id)/", "https://x;id/", "https://x`id`", "https://x');evil;--/"])
@pytest.mark.parametrize("error", ["ORA-12541", "ORA-24247", "ORA-29024"])
def test_a_name_out_of_the_database_is_no_command(error: str, url: str) -> None:
    assert (urlsplit(url).hostname or "x$") not in lines(error, url)
    assert "NAME" in lines(error, url)


def test_an_unknown_error_leads_to_the_log() -> None:
    assert "from rtm_log where status = 'FAILED'" in lines("ORA-00600: internal error code")
    assert "from rtm_log where status = 'FAILED'" in lines("something else")


@pytest.mark.parametrize("code", _REMEDIES)
def test_every_remedy_is_complete(code: str) -> None:
    told = lines(f"ORA-{code}: text")
    assert told
    assert not re.search(r"\{\w+\}", told), "a place was not filled in"


def test_every_number_of_the_packages_is_explained_in_docs() -> None:
    page = (ROOT / "docs" / "oracle.md").read_text(encoding="utf-8")
    unexplained = [code for code in _REMEDIES if code.startswith("207") and f"| {code} |" not in page]
    assert unexplained == []
