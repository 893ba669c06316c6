"""What `apex-rtm db check` finds out: is everything there, is it valid, does sending work. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from apex_rtm.database.scripts import Created, created_by
from apex_rtm.database.sqlplus import Session

_RELEASE: Final = "select product, version from product_component_version where rownum = 1"
_OBJECTS: Final = """
select object_type, object_name, status
  from all_objects
 where owner = sys_context('USERENV', 'CURRENT_SCHEMA')
   and (object_name like 'RTM\\_%' escape '\\' or object_name like 'WEBSOCKET\\_%' escape '\\')"""
_OUTBOX: Final = """
select pending, parked, failures, last_error, drained_by,
       case when oldest_pending_at < systimestamp - interval '5' minute then 1 else 0 end as is_stuck
  from rtm_outbox_status"""
_SETTINGS: Final = "select name, value from rtm_settings"
_JOBS: Final = "select job_name, enabled, state from user_scheduler_jobs where job_name like 'RTM\\_%' escape '\\'"
# Without APEX in the database these cannot be compiled, and everything else works.
_NEEDS_APEX: Final = ("RTM_TOKEN", "RTM_PLUGIN")


@dataclass(slots=True)
class Report:
    """`lines` is for reading; `problems` is what has to be mended; `is_installed` tells whether anything is there."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_installed: bool = False


def check(session: Session, root: Path) -> Report:
    """Look at the schema of `session`; `root` is the directory of the scripts. Raises DatabaseError."""
    report = Report()
    for product, version in session.execute(_RELEASE).rows:
        report.lines.append(f"database   {product} {version}")
    present = {Created(str(kind), str(name)): str(status) for kind, name, status in session.execute(_OBJECTS).rows}
    report.is_installed = Created("TABLE", "RTM_OUTBOX") in present
    if not report.is_installed:
        report.problems.append("nothing is installed in this schema: apex-rtm db install")
        return report
    _compare(report, session, present, root)
    _look_at_outbox(report, session)
    _look_at_jobs(report, session)
    return report


def _compare(report: Report, session: Session, present: dict[Created, str], root: Path) -> None:
    files = [path for path in sorted(root.rglob("*")) if path.suffix in (".sql", ".pks", ".pkb")]
    expected = created_by(files)
    missing = sorted(expected - set(present))
    report.lines.append(f"objects    {len(expected) - len(missing)} of {len(expected)}")
    report.problems += [f"missing: {created.kind.lower()} {created.name}" for created in missing]
    for created, status in sorted(present.items()):
        if status == "VALID":
            continue
        errors = session.compile_errors(created.kind, created.name)
        hint = " (needs APEX in this database)" if created.name in _NEEDS_APEX else ""
        report.problems.append(f"invalid: {created.kind.lower()} {created.name}{hint}: {'; '.join(errors[:3])}")


def _look_at_outbox(report: Report, session: Session) -> None:
    settings = {str(name): str(value) for name, value in session.execute(_SETTINGS).rows}
    drain_by = settings.get("drain_by", "JOB")
    report.lines.append(f"drained by {drain_by}, wake {settings.get('wake', 'NONE')}")
    if drain_by == "JOB" and "base_url" not in settings:
        report.problems.append("base_url is not set, so the job sends nothing: rtm_config_api.set_value, or a relay")
    for row in session.execute(_OUTBOX).rows:
        pending, parked, failures, last_error, drained_by, is_stuck = row
        report.lines.append(f"outbox     {pending} pending, {parked} parked, last sender {drained_by or 'none'}")
        if int(parked or 0):
            report.problems.append(f"{parked} messages are parked: see RTM_OUTBOX.ERROR and RTM_OUTBOX_API.RETRY")
        if int(failures or 0):
            report.problems.append(f"the last {failures} tries to send failed: {last_error}")
        if int(is_stuck or 0):
            report.problems.append("a message has been waiting for over five minutes: nobody drains, or it is refused")


def _look_at_jobs(report: Report, session: Session) -> None:
    jobs: list[Any] = list(session.execute(_JOBS).rows)
    for name, enabled, state in jobs:
        report.lines.append(f"job        {name} {state}")
        if str(enabled).upper() != "TRUE":
            report.problems.append(f"the job {name} is disabled ({state})")


def print_report(report: Report, say: Callable[[str], None]) -> None:
    """Say everything."""
    for line in report.lines:
        say(line)
    for problem in report.problems:
        say(f"PROBLEM    {problem}")
