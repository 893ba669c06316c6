"""The schema in the database: is everything there and valid, and may it do what it must."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Final

from apex_rtm.database.check import check
from apex_rtm.database.scripts import scripts_dir
from apex_rtm.database.sqlplus import DatabaseError
from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.oracle_errors import remedies
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.statements import (
    EXECUTABLE,
    MLE_MODULES,
    MLE_OBJECTS,
    PARAMETERS,
    PRIVILEGES,
    RELEASE,
    SETTINGS,
    WHO,
)
from apex_rtm.errors import ConfigurationError
from apex_rtm.extras import install_line

_LEAST_RELEASE: Final = 19
_MLE_RELEASE: Final = 23
_PRIVILEGES: Final = ("CREATE TABLE", "CREATE VIEW", "CREATE SEQUENCE", "CREATE PROCEDURE", "CREATE JOB")
_PACKAGES: Final = ("UTL_HTTP", "DBMS_LOB", "DBMS_SCHEDULER")
_OBJECT_PROBLEMS: Final = ("nothing is installed", "missing: ", "invalid: ")
_TO_UTL_HTTP: Final = "begin rtm_config_api.set_value('transport', 'UTL_HTTP'); commit; end;    -- works without MLE"


class NoLogin(Exception):
    """There is no session. The text says why, without the password."""


def _login(patient: Patient) -> Outcome:
    if patient.connect is None:
        return skipped("no database was given", "apex-rtm doctor --dsn dbhost:1521/service --oracle-user rtm")
    settings = patient.known
    try:
        patient.session = patient.connect()
    except ConfigurationError as error:
        mends = [install_line("oracle")] if "pip install" in str(error) else ["docs/settings.md, Oracle"]
        return failure(" · ".join(error.problems), *mends)
    except (NoLogin, DatabaseError) as error:
        known = re.search(r"ORA-\d{5}", str(error)) is not None
        mends = list(remedies(str(error), schema=settings.oracle_user or "", base_url=None)) if known else [
            f"tnsping {settings.oracle_dsn}    # name, port and service; the thin driver needs 12.1 or later"
        ]  # fmt: skip
        return failure(str(error), *mends)
    return ok(f"{settings.oracle_user} at {settings.oracle_dsn}")


def asked(run: Callable[[Patient], Outcome]) -> Callable[[Patient], Outcome]:
    """Turn the database's refusal of a question into an answer."""

    @functools.wraps(run)
    def guarded(patient: Patient) -> Outcome:
        try:
            return run(patient)
        except DatabaseError as error:
            lines = remedies(str(error), schema=patient.known.oracle_user or "", base_url=None)
            return failure(f"the database refused the question: {error}", *lines)

    return guarded


@asked
def _release(patient: Patient) -> Outcome:
    (product, version), *_ = patient.database.execute(RELEASE).rows
    seen = f"{product} {version}"
    if _major(str(version)) < _LEAST_RELEASE:
        return failure(
            f"{seen}: the packages need 19c or later", "docs/oracle.md, section 1; a relay needs 12.1 or later"
        )
    return ok(seen)


def _major(version: str) -> int:
    head = version.split(".", maxsplit=1)[0]
    return int(head) if head.isdecimal() else 0


def owner(patient: Patient) -> str:
    """The schema that is looked at."""
    _, schema = patient.database.execute(WHO).rows[0]
    return str(schema)


def stored(patient: Patient) -> dict[str, str]:
    """The settings in the database; a secret reads `(set)`. Raises DatabaseError."""
    return {str(name): str(value) for name, value in patient.database.execute(SETTINGS).rows}


@asked
def _objects(patient: Patient) -> Outcome:
    report = check(patient.database, scripts_dir())
    problems = [text for text in report.problems if text.startswith(_OBJECT_PROBLEMS)]
    counted = next((line.split(None, 1)[1] for line in report.lines if line.startswith("objects")), "none")
    if not problems:
        return ok(f"{counted} objects, all valid")
    apex = [text for text in problems if "needs APEX" in text]
    invalid = [text.split(": ")[1].split(" (")[0] for text in problems if text.startswith("invalid: ")]
    compile_lines = [_compile(text) for text in invalid]
    told = " · ".join(problems[:4]) + (f" · and {len(problems) - 4} more" if len(problems) > 4 else "")
    if len(apex) == len(problems):
        return warning(f"{told}; everything but tokens and plug-ins works", "install APEX, then:", *compile_lines)
    if compile_lines and len(invalid) == len(problems):
        return failure(told, *compile_lines, "select name, line, text from user_errors where attribute = 'ERROR';")
    return failure(told, "apex-rtm db install    # or @db/install.sql; rows and settings are kept", *compile_lines)


def _compile(named: str) -> str:
    kind, _, name = named.rpartition(" ")
    body = " body" if kind == "package body" else ""
    return f"alter {kind.removesuffix(' body')} {name.lower()} compile{body};"


@asked
def _privileges(patient: Patient) -> Outcome:
    schema = owner(patient)
    held = {str(row[0]) for row in patient.database.execute(PRIVILEGES).rows}
    executable = {str(row[0]) for row in patient.database.execute(EXECUTABLE).rows}
    missing = [name for name in _PRIVILEGES if name not in held]
    closed = [name for name in _PACKAGES if name not in executable]
    if not missing and not closed:
        return ok(f"{schema} has what the packages need")
    lines = [f"grant {name.lower()} to {schema};    -- as a DBA" for name in missing]
    lines += [
        f"grant execute on sys.{name.lower()} to {schema};    -- directly: packages do not see roles" for name in closed
    ]
    return failure(f"{schema} lacks {', '.join([*missing, *(f'EXECUTE on {name}' for name in closed)])}", *lines)


@asked
def _mle(patient: Patient) -> Outcome:
    if stored(patient).get("transport") != "MLE":
        return skipped("the transport is UTL_HTTP, no JavaScript is used")
    (_, version), *_ = patient.database.execute(RELEASE).rows
    if _major(str(version)) < _MLE_RELEASE:
        return failure(f"the transport is MLE, and release {version} has none", _TO_UTL_HTTP)
    return _module(patient)


def _module(patient: Patient) -> Outcome:
    modules = {str(row[0]) for row in patient.database.execute(MLE_MODULES).rows}
    if "WEBSOCKET_SENDER_MODULE" not in modules:
        return failure(
            "the transport is MLE, and the module WEBSOCKET_SENDER_MODULE is not there",
            f"grant create mle to {owner(patient)};    -- as a DBA, then:", "@db/install.sql", _TO_UTL_HTTP,
        )  # fmt: skip
    states = {str(name): str(status) for name, status in patient.database.execute(MLE_OBJECTS).rows}
    broken = [name for name in ("WEBSOCKET_SENDER_MODULE", "RTM_MLE_POST") if states.get(name) != "VALID"]
    if broken:
        return failure(f"{', '.join(broken)}: missing or invalid", "@db/install.sql", _TO_UTL_HTTP)
    if parameters(patient).get("mle_prog_languages", "").upper() == "OFF":
        switch = "alter system set mle_prog_languages = all;    -- as a DBA"
        return failure("MLE is switched off in this database", switch, _TO_UTL_HTTP)
    return ok("WEBSOCKET_SENDER_MODULE and its call specification are valid")


def parameters(patient: Patient) -> dict[str, str]:
    """Parameters of the database; empty where the schema may not read them."""
    try:
        return {str(name): str(value) for name, value in patient.database.execute(PARAMETERS).rows}
    except DatabaseError:
        return {}


_DB: Final = "db.login"
CHECKS: Final = (
    Check("db.login", "The database can be logged in to", _login, ("config.loads",), timeout_s=40),
    Check("db.release", "Its release is one that the packages are written for", _release, only_if=_DB, timeout_s=40),
    Check("db.objects", "Every object is there and valid", _objects, only_if=_DB, timeout_s=60),
    Check("db.privileges", "The schema may do what the packages do", _privileges, only_if=_DB, timeout_s=40),
    Check("db.mle", "The JavaScript is usable, where it is used", _mle, ("db.objects",), _DB, timeout_s=40),
)
