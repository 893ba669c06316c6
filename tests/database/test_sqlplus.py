"""The commands of SQL*Plus that the scripts use, on a database that takes everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from apex_rtm.database.scripts import INSTALL, UNINSTALL, WAKE_QUEUE, created_by, scripts_dir
from apex_rtm.database.splitter import ScriptFault
from apex_rtm.database.sqlplus import Answer, DatabaseError, Runner
from tests.database.fake_session import FakeSession


class Bench:
    """Scripts in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.session = FakeSession()
        self.said: list[str] = []

    def run(self, text: str, *, answers: dict[str, str] | None = None, **files: str) -> Runner:
        for name, content in {"main": text, **files}.items():
            (self.directory / f"{name}.sql").write_text(content, encoding="utf-8")
        runner = Runner(self.directory, self.session, self.said.append, answers)
        runner.run(self.directory / "main.sql")
        return runner


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_statements_run_in_order_through_includes(bench: Bench) -> None:
    bench.run("create table a (n number);\n@@other.sql\ncommit;\n", other="begin\n  null;\nend;\n/\n")

    assert bench.session.statements == ["create table a (n number)", "begin\n  null;\nend;", "commit"]
    assert bench.said == [
        "ok       main.sql:1  create table a (n number)",
        "ok       other.sql:1  begin null; end;",
        "ok       main.sql:3  commit",
    ]


def test_the_database_chooses_which_script_runs(bench: Bench) -> None:
    bench.session.answers["from session_privs"] = Answer(["next"], [["two.sql"]])
    bench.run(
        "define next = 'one.sql'\ncolumn next new_value next noprint\nselect n as next from session_privs;\n"
        "column next clear\n@@&next\n",
        one="drop table one;\n",
        two="drop table two;\n",
    )
    assert bench.session.statements[-1] == "drop table two"


def test_variables_are_filled_in_while_define_is_on(bench: Bench) -> None:
    bench.run(
        "define name = SCOTT\ninsert into t values ('&name', '&name..x');\nset define off\n"
        "insert into t values ('&name');\nset define on\nundefine name\n"
    )
    assert bench.session.statements == ["insert into t values ('SCOTT', 'SCOTT.x')", "insert into t values ('&name')"]


def test_a_variable_without_a_value_is_refused_instead_of_asked_for(bench: Bench) -> None:
    with pytest.raises(ScriptFault, match=r"main\.sql, &who has no value"):
        bench.run("drop table &who;\n")
    assert bench.session.statements == []


@pytest.mark.parametrize(("answers", "value"), [(None, "N"), ({"sure": "Y"}, "Y")])
def test_questions_are_answered_beforehand(bench: Bench, answers: dict[str, str] | None, value: str) -> None:
    bench.run(
        "define sure = N\naccept sure char format a1 default 'N' prompt 'Sure? '\ndrop table t_&sure;\n",
        answers=answers,
    )
    assert bench.session.statements == [f"drop table t_{value}"]


def test_rows_and_output_are_shown(bench: Bench) -> None:
    bench.session.answers["select"] = Answer(["kind", "name"], [["TABLE", "A"], ["VIEW", None]])
    bench.session.on_execute = lambda _statement: bench.session.lines.append("said by the database")
    bench.run("prompt Objects\nselect kind, name from user_objects;\nbegin null; end;\n/\n")

    assert bench.said == [
        "Objects", "         said by the database", "         TABLE  A", "         VIEW  None",
        "ok       main.sql:3  begin null; end;", "         said by the database",
    ]  # fmt: skip


def test_what_was_created_with_errors_is_told_and_goes_on(bench: Bench) -> None:
    bench.session.warnings = ["package body p"]
    runner = bench.run(
        "create or replace package body p as\nend;\n/\nshow errors\n"
        "create view v as select 1 a from dual;\nshow errors\n"
    )
    assert runner.totals.invalid == ["main.sql:1"]
    assert bench.said[:2] == [
        "INVALID  main.sql:1  create or replace package body p as end;",
        "         line 3, column 5: PACKAGE BODY P: PLS-00201: identifier must be declared",
    ]


def test_an_error_ends_the_run_where_the_script_says_so(bench: Bench) -> None:
    bench.session.faults["table b"] = "ORA-00955: name is already used"
    with pytest.raises(DatabaseError, match=r"main\.sql:4: ORA-00955"):
        bench.run(
            "whenever sqlerror exit failure\nwhenever oserror continue\ndrop table a;\ndrop table b;\ndrop table c;\n"
        )
    assert bench.session.statements == ["drop table a", "drop table b"]
    assert bench.session.rollbacks == 1


def test_an_error_is_counted_and_passed_over_where_it_says_that(bench: Bench) -> None:
    bench.session.faults["table b"] = "ORA-00942: there is no such table"
    runner = bench.run("whenever sqlerror exit failure\nwhenever sqlerror continue\ndrop table b;\ndrop table c;\n")
    assert runner.totals.failed == ["main.sql:3"]
    assert bench.session.statements == ["drop table b", "drop table c"]


def test_an_unknown_command_is_refused(bench: Bench) -> None:
    with pytest.raises(ScriptFault, match="the command exit is not known"):
        bench.run("exit\n")


# ── the scripts themselves ──


def run_script(name: str, *, has_mle: bool = False, answers: dict[str, str] | None = None) -> FakeSession:
    session = FakeSession()
    mle = ["03_websocket_sender_module.sql", "04_websocket_send_broadcast.sql"]
    without = ["nothing.sql", "04_without_mle.sql"]
    session.answers["as rtm_03"] = Answer(["rtm_03", "rtm_04"], [mle if has_mle else without])
    session.answers["from user_objects o\n where"] = Answer(["object_type", "object_name"], [])
    session.answers["from user_errors"] = Answer(["name"], [])
    Runner(scripts_dir(), session, lambda _line: None, answers).run(scripts_dir() / name)
    return session


@pytest.mark.parametrize("has_mle", [True, False])
def test_the_installation_runs_every_script_once(has_mle: bool) -> None:
    session = run_script(INSTALL, has_mle=has_mle)

    text = "\n".join(session.statements)
    files = [path for path in scripts_dir().rglob("*") if path.suffix in (".pks", ".pkb")]
    for path in files:
        assert text.count(path.read_text(encoding="utf-8").rstrip().removesuffix("/").rstrip()) == 1, path.name
    assert ("create or replace mle module" in text) is has_mle
    assert text.count("procedure websocket_send_broadcast(") == 1
    assert "&rtm" not in text


def test_specifications_come_before_what_needs_them() -> None:
    heads = [" ".join(text.split()[:6]) + " " for text in run_script(INSTALL).statements]
    names = ["rtm_error", "rtm_config_api", "rtm_log_api", "rtm_message", "rtm_transport", "rtm_outbox_api", "rtm_job"]
    places = [next(n for n, head in enumerate(heads) if f"replace package {name} " in head) for name in names]

    assert places == sorted(places)


@pytest.mark.parametrize("answer", ["Y", "N"])
def test_the_removal_keeps_the_log_unless_told(answer: str) -> None:
    session = run_script(UNINSTALL, answers={"rtm_drop_log": answer})
    assert f"upper('{answer}') = 'Y'" in session.statements[0]


def test_the_wake_queue_is_a_script_of_its_own() -> None:
    assert any("dbms_aqadm.create_queue" in text for text in run_script(WAKE_QUEUE).statements)


def test_what_the_scripts_create_is_known() -> None:
    files = [path for path in scripts_dir().rglob("*") if path.suffix in (".sql", ".pks", ".pkb")]
    created = {f"{kind} {name}" for kind, name in created_by(files)}

    tables = {"TABLE RTM_OUTBOX", "TABLE RTM_OUTBOX_DRAIN", "TABLE RTM_LOG", "INDEX RTM_OUTBOX_STATUS_IDX"}
    code = {"PACKAGE RTM_JOB", "PACKAGE BODY RTM_JOB", "PROCEDURE WEBSOCKET_SEND_BROADCAST", "VIEW RTM_OUTBOX_STATUS"}
    assert tables | code <= created
    assert not any("MLE" in name for name in created), "not every database has JavaScript"
