"""A database that takes every statement, and answers some of them."""

from __future__ import annotations

from collections.abc import Callable

from apex_rtm.database.sqlplus import Answer, DatabaseError


class FakeSession:
    """`answers` gives the answer to a statement by words in it, `faults` the error, `warnings` marks compile errors."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.faults: dict[str, str] = {}
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.rollbacks = 0
        self.is_closed = False
        self.on_execute: Callable[[str], None] = lambda _statement: None

    def execute(self, statement: str) -> Answer:
        self.statements.append(statement)
        self.on_execute(statement)
        for words, text in self.faults.items():
            if words in statement:
                raise DatabaseError(text)
        for words, answer in self.answers.items():
            if words in statement:
                return answer
        return Answer(has_warning=any(words in statement for words in self.warnings))

    def output(self) -> list[str]:
        taken, self.lines = self.lines, []
        return taken

    def compile_errors(self, kind: str, name: str) -> list[str]:
        return [f"line 3, column 5: {kind} {name}: PLS-00201: identifier must be declared"]

    def rollback(self) -> None:
        self.rollbacks += 1

    def close(self) -> None:
        self.is_closed = True
