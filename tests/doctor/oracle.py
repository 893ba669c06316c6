"""A database in good health, in rows as SQL*Plus shows them; blocks of PL/SQL run in the sandbox, from db/ itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from apex_rtm.database.scripts import created_by, scripts_dir
from apex_rtm.database.sqlplus import Answer, DatabaseError
from tests.database.fake_session import FakeSession
from tests.db.sandbox.session import Session as Sandbox
from tests.db.sandbox.values import OracleError

_CALL = re.compile(r"(rtm_token\.issue|websocket_api\.broadcast_item)\(")
_ARGUMENT = re.compile(r"(p_\w+)\s*=>\s*('(?:[^']|'')*'|null|\d+)")
GOOD: dict[str, list[list[Any]]] = {
    "product_component_version": [["Oracle Database 19c Enterprise Edition ", "19.0.0.0.0"]],
    "as session_user": [["RTM", "RTM"]],
    "as cloud_service": [[None]],
    "from session_privs": [
        ["CREATE TABLE"], ["CREATE VIEW"], ["CREATE SEQUENCE"], ["CREATE PROCEDURE"], ["CREATE JOB"],
    ],
    "from all_tab_privs": [["UTL_HTTP"], ["DBMS_LOB"], ["DBMS_SCHEDULER"]],
    "from rtm_settings": [
        ["base_url", "https://rtm.example.com"], ["api_key", "(set)"], ["token_secret", "(set)"],
        ["transport", "UTL_HTTP"], ["wallet_path", "system:"],
    ],
    "from user_host_aces": [
        ["rtm.example.com", 443, 443, "HTTP", "GRANTED"], ["rtm.example.com", None, None, "RESOLVE", "GRANTED"],
    ],
    "from user_mle_modules": [["WEBSOCKET_SENDER_MODULE", "JAVASCRIPT"]],
    "object_name in ('RTM_MLE_POST'": [["RTM_MLE_POST", "VALID"], ["WEBSOCKET_SENDER_MODULE", "VALID"]],
    "from v$parameter": [["job_queue_processes", "160"], ["mle_prog_languages", "all"]],
    "job_name, enabled, state from user_scheduler_jobs": [
        ["RTM_DRAIN_JOB", "TRUE", "RUNNING"], ["RTM_PURGE_JOB", "TRUE", "SCHEDULED"],
    ],
    "as is_late": [
        ["RTM_DRAIN_JOB", "TRUE", "RUNNING", 0, 0], ["RTM_PURGE_JOB", "TRUE", "SCHEDULED", 0, 0],
    ],
    "from user_scheduler_job_run_details": [["ORA-12012: error on auto execute of job\nORA-06550: line 1"]],
    "as is_stuck": [[0, 0, 0, None, "RTM_JOB", 0]],
    "as oldest_s": [[0, 0, 0, None, "RTM_JOB", None]],
    "where status = 'PARKED'": [[4711, "orders:17", "invalid_json: the payload is not JSON"]],
}  # fmt: skip


class FakeDatabase(FakeSession):
    """`GOOD` as answers; `say` replaces one of them. With a sandbox the two blocks run in it, for real."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        super().__init__()
        files = [path for path in scripts_dir().rglob("*") if path.suffix in (".sql", ".pks", ".pkb")]
        objects = [[kind, name, "VALID"] for kind, name in sorted(created_by(files))]
        self.objects = objects
        self.sandbox = sandbox
        self.on_block: Callable[[str], None] = lambda _name: None
        for words, rows in {**GOOD, "select object_type, object_name, status": objects}.items():
            self.say(words, rows)

    def say(self, words: str, rows: list[list[Any]]) -> FakeDatabase:
        self.answers[words] = Answer(["column"] * len(rows[0]) if rows else [], [list(row) for row in rows])
        return self

    def execute(self, statement: str) -> Answer:
        found = _CALL.search(statement)
        if found is None or any(words in statement for words in self.faults):
            return super().execute(statement)
        self.statements.append(statement)
        self._call(found[1], statement[found.end() :])
        self.on_block(found[1])
        return Answer()

    def _call(self, name: str, text: str) -> None:
        if self.sandbox is None:
            return
        arguments: dict[str, Any] = {}
        for parameter, literal in _ARGUMENT.findall(text):
            is_text = literal.startswith("'")
            value = literal[1:-1].replace("''", "'") if is_text else None if literal == "null" else int(literal)
            arguments[parameter] = value
        try:
            result = self.sandbox.call(name, **arguments)
        except OracleError as error:
            raise DatabaseError(str(error)) from error
        if "commit" in text:
            self.sandbox.commit()
        if result is not None:
            self.lines.append(str(result))
