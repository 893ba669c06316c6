"""Statements and calls of PL/SQL, run on the tree that tools.plsql reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.plsql import tree
from tools.plsql.calls import best_fit, bind
from tools.plsql.catalogue import Signature
from tools.plsql.parse_unit import parse_text
from tools.plsql.resolve import Resolver, Typed
from tools.plsql.scope import Scope, scope_of, scope_of_parameters, signature_of
from tools.plsql.tree import Argument, Part, Reference, Subprogram
from tools.plsql.world import World, constant_text

from tests.db.sandbox.database import Database
from tests.db.sandbox.evaluate import Evaluator
from tests.db.sandbox.frame import Frame, OpenCursor, Variable
from tests.db.sandbox.types import Types
from tests.db.sandbox.values import (
    Collection,
    NotInSandboxError,
    OracleError,
    Outs,
    Record,
    Value,
    compare,
    copied,
    number_of,
    text_of,
)

NAMED_CODES = {
    "no_data_found": 100,
    "too_many_rows": -1422,
    "dup_val_on_index": -1,
    "value_error": -6502,
    "zero_divide": -1476,
    "case_not_found": -6592,
}
"""Predefined exceptions by sqlcode (PL/SQL Language Reference, "Predefined Exceptions")."""

Supplied = Callable[..., Value]


class Leave(Exception):
    """Ends a subprogram, or a loop."""

    def __init__(self, kind: str, value: Value = None, label: str | None = None) -> None:
        self.kind = kind
        self.value = value
        self.label = label
        super().__init__(kind)


class Machine(Evaluator):
    """Runs the packages of a world. ``supplied`` are Python functions by ``package.subprogram``."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.resolver = Resolver(world)
        self.types = Types(self.resolver)
        self.database = Database(world, folder, self)
        self.supplied: dict[str, Supplied] = {}
        self.packages: dict[str, Frame] = {}
        self.errors: list[OracleError] = []

    # --- entry

    def run(self, name: str, **arguments: Value) -> Value:
        """Call ``package.subprogram`` with named arguments; gives its value, or its out parameters by name."""
        package, _, subprogram = name.partition(".")
        frame = self.package(package)
        signatures = frame.subprograms[subprogram]
        chosen = next(
            item for item in reversed(signatures) if set(arguments) <= {parameter.name for parameter in item.parameters}
        )
        outs: dict[str, Value] = {}
        value = self._invoke(chosen, frame, {key: copied(item) for key, item in arguments.items()}, outs)
        return value if chosen.kind == "function" else outs

    def package(self, name: str) -> Frame:
        """The frame of a package; its constants and variables are made at first use, as in a session."""
        if name in self.packages:
            return self.packages[name]
        spec, body = self.world.unit("package", name), self.world.unit("package body", name)
        if spec is None:
            raise NotInSandboxError(f"there is no package {name}")
        outer = Frame(scope_of(spec.declarations, None, name))
        frame = Frame(scope_of(body.declarations if body else [], outer.scope, name), outer)
        self.packages[name] = frame
        self._declare(spec.declarations, outer)
        self._declare(body.declarations if body else [], frame)
        return frame

    def new(self, type_name: str) -> Value:
        """A fresh value of ``package.type``: an empty record or collection."""
        package, _, name = type_name.partition(".")
        return self.types.fresh(Typed(name, self.package(package).scope))

    # --- declarations

    def _declare(self, declarations: list[tree.Declaration], frame: Frame) -> None:
        for item in declarations:
            if isinstance(item, tree.Variable):
                typed = Typed(item.type, frame.scope)
                frame.variables[item.name] = Variable(self.types.fresh(typed), item.type, item.constant)
                if item.default is not None:
                    self.assign(frame, item.name, self.value(item.default, frame))
            elif isinstance(item, Subprogram) and (item.block is not None or item.foreign is not None):
                frame.subprograms.setdefault(item.name, []).append(item)
            elif isinstance(item, tree.ExceptionName):
                frame.exceptions[item.name] = item
            elif isinstance(item, tree.Cursor):
                frame.cursors[item.name] = OpenCursor(item)

    def assign(self, owner: Frame, name: str, value: Value) -> None:
        """Put a value into a variable; a text that is too long for it is ORA-06502."""
        variable = owner.variables[name]
        variable.value = self.types.fitted(copied(value), Typed(variable.type, owner.scope))

    def assign_field(self, record: Record, name: str, value: Value) -> None:
        """Put a value into a field of a record."""
        record.fields[name] = self.types.fitted_field(record, name, copied(value))

    # --- calls

    def call(self, parts: list[Part], frame: Frame, *, want_value: bool) -> Value:
        """A call or a constant, of this package, another one, or a supplied one."""
        if parts[0].name == "sys" and len(parts) > 1:
            parts = parts[1:]
        name = parts[0].name
        owner = frame.owner("subprograms", name)
        if owner is not None:
            return self.members(self._call_own(name, parts[0].arguments or [], owner, frame), parts[1:], frame)
        if self.world.unit("package", name) is not None and len(parts) > 1:
            return self._of_package(self.package(name), parts[1:], frame)
        standalone = self.world.standalone(name)
        if standalone is not None and name not in self.supplied:
            home = Frame(Scope(), subprograms={name: [standalone]})
            return self._call_own(name, parts[0].arguments or [], home, frame)
        for length in (2, 1):
            dotted = ".".join(part.name for part in parts[:length])
            if length <= len(parts) and dotted in self.supplied:
                value = self._call_supplied(dotted, parts[length - 1].arguments or [], frame, want_value=want_value)
                return self.members(value, parts[length:], frame)
        raise NotInSandboxError(f"{'.'.join(part.name for part in parts)}")

    def _of_package(self, package: Frame, parts: list[Part], frame: Frame) -> Value:
        if package.owner("variables", parts[0].name) is not None:
            return self.follow_parts(package, parts)
        value = self._call_own(parts[0].name, parts[0].arguments or [], package, frame)
        return self.members(value, parts[1:], frame)

    def _call_own(self, name: str, arguments: list[Argument], owner: Frame, frame: Frame) -> Value:
        candidates = owner.subprograms.get(name, [])
        signatures = [signature_of(item) for item in candidates]
        if not signatures:
            raise NotInSandboxError(f"{name} is no subprogram")
        fault, signature = best_fit(signatures, arguments)
        if fault is not None:
            raise NotInSandboxError(fault)
        chosen = candidates[signatures.index(signature)]
        given = self._given(signature, arguments, frame)
        outs: dict[str, Value] = {}
        value = self._invoke(chosen, owner, given, outs)
        self._write_back(signature, arguments, outs, frame)
        return value

    def _given(self, signature: Signature, arguments: list[Argument], frame: Frame) -> dict[str, Value]:
        _, bound = bind(signature, arguments)
        return {
            formal.name: self.value(argument.value, frame) if formal.mode.startswith("in") else None
            for formal, argument in bound
        }

    def _write_back(
        self, signature: Signature, arguments: list[Argument], outs: dict[str, Value], frame: Frame
    ) -> None:
        _, bound = bind(signature, arguments)
        for formal, argument in bound:
            if formal.name in outs and isinstance(argument.value, Reference):
                self.place(argument.value, frame).write(outs[formal.name])

    def _invoke(self, chosen: Subprogram, owner: Frame, given: dict[str, Value], outs: dict[str, Value]) -> Value:
        if chosen.block is None:
            raise NotInSandboxError(f"{chosen.name} is JavaScript")
        frame = Frame(scope_of_parameters(chosen, owner.scope), owner)
        for parameter in chosen.parameters:
            typed = Typed(parameter.type, owner.scope)
            value = given.get(parameter.name)
            if parameter.name not in given and parameter.value is not None:
                value = self.value(parameter.value, owner)
            value = self.types.fresh(typed) if parameter.mode == "out" else self.types.fitted(value, typed)
            frame.variables[parameter.name] = Variable(value, parameter.type)
        block = chosen.block
        is_autonomous = any(
            isinstance(item, tree.Pragma) and item.name == "autonomous_transaction" for item in block.declarations
        )
        value = None
        with self.database.transaction(autonomous=is_autonomous):
            try:
                self._block(block, frame)
            except Leave as leave:
                value = leave.value
        for parameter in chosen.parameters:
            if "out" in parameter.mode:
                outs[parameter.name] = frame.variables[parameter.name].value
        if chosen.kind == "function":
            return self.types.fitted(value, Typed(chosen.returns, owner.scope))
        return None

    def _call_supplied(self, dotted: str, arguments: list[Argument], frame: Frame, *, want_value: bool) -> Value:
        package, _, member = dotted.rpartition(".")
        signatures = self.world.catalogue.members(package or dotted, member)
        wanted = [item for item in signatures if item.kind == ("function" if want_value else "procedure")]
        if not wanted:
            given = [self.value(argument.value, frame) for argument in arguments]
            return self.supplied[dotted](*given)
        fault, signature = best_fit(wanted, arguments)
        if fault is not None:
            raise NotInSandboxError(f"{dotted}: {fault}")
        answer = self.supplied[dotted](**self._given(signature, arguments, frame))
        if isinstance(answer, Outs):
            self._write_back(signature, arguments, answer, frame)
            return answer.get("return")
        return answer

    def method(self, value: Value, part: Part, frame: Frame) -> Value:
        """Call a method of a supplied object, by its type's name in the catalogue."""
        type_name = getattr(value, "type_name", None)
        if type_name is None:
            raise NotInSandboxError(f"{type(value).__name__}.{part.name}")
        signatures = self.world.catalogue.members(type_name, part.name)
        if not signatures:
            raise NotInSandboxError(f"{type_name}.{part.name}")
        fault, signature = best_fit(signatures, part.arguments or [])
        if fault is not None:
            raise NotInSandboxError(f"{type_name}.{fault}")
        return getattr(value, part.name)(**self._given(signature, part.arguments or [], frame))

    # --- blocks and errors

    def handled_error(self) -> OracleError | None:
        """The error that the innermost exception handler is about."""
        return self.errors[-1] if self.errors else None

    def block(self, text: str, **variables: Value) -> dict[str, Value]:
        """Run an anonymous block with bind variables by name; gives what they hold at its end."""
        unit = parse_text(text)
        assert unit.block is not None
        frame = Frame(Scope())
        for name, value in variables.items():
            frame.variables[f":{name}"] = Variable(value, None)
        self._block(unit.block, frame)
        return {name: frame.variables[f":{name}"].value for name in variables}

    def _block(self, block: tree.Block, outer: Frame) -> None:
        frame = Frame(scope_of(block.declarations, outer.scope), outer)
        # Outside of the try: an error in a declaration is not for the handlers of its own block.
        self._declare(block.declarations, frame)
        try:
            self._statements(block.body, frame)
        except OracleError as error:
            handler = next((item for item in block.handlers if self._handles(item, error, frame)), None)
            if handler is None:
                raise
            self.errors.append(error)
            try:
                self._statements(handler.body, frame)
            finally:
                self.errors.pop()

    def _handles(self, handler: tree.Handler, error: OracleError, frame: Frame) -> bool:
        return any(name == "others" or self._is(error, name, frame) for name in handler.names)

    def _is(self, error: OracleError, name: str, frame: Frame) -> bool:
        code = self.code_of(name, frame)
        return error.code == code and (code != 1 or error.name == name)

    def code_of(self, name: str, frame: Frame) -> int:
        """The sqlcode of an exception by its name; 1 where it has no number."""
        head, _, member = name.rpartition(".")
        if not head and member in NAMED_CODES:
            return NAMED_CODES[member]
        if head and f"{head}.{member}" in self.supplied:
            return int(self.supplied[f"{head}.{member}"]())
        owner = frame.owner("exceptions", member) if not head else self.package(head).owner("exceptions", member)
        if owner is None:
            raise NotInSandboxError(f"the exception {name}")
        units = [unit for unit in self.world.units if unit.name == owner.scope.home()]
        for pragma in (node for unit in units for node in tree.walk(unit) if isinstance(node, tree.Pragma)):
            if pragma.name == "exception_init" and pragma.arguments[0] == member:
                return int("".join(pragma.arguments[1:]))
        return 1

    # --- statements

    def _statements(self, statements: list[tree.Statement], frame: Frame) -> None:
        for statement in statements:
            self._statement(statement, frame)

    def _statement(self, statement: tree.Statement, frame: Frame) -> None:
        runners: dict[type, Callable[[Any, Frame], None]] = {
            tree.Assign: self._assignment,
            tree.Call: self._procedure_call,
            tree.If: self._if,
            tree.Loop: self._loop,
            tree.Exit: self._exit,
            tree.Return: self._return,
            tree.Raise: self._raise,
            tree.Null: lambda *_: None,
            tree.Block: self._block,
            tree.Sql: self.database.sql,
            tree.Execute: self._execute,
            tree.CursorWork: self._cursor_work,
        }
        runner = runners.get(type(statement))
        if runner is None:
            raise NotInSandboxError(f"line {statement.line}: the statement {type(statement).__name__}")
        runner(statement, frame)

    def _assignment(self, statement: tree.Assign, frame: Frame) -> None:
        value = self.value(statement.value, frame)
        self.place(statement.target, frame).write(value)

    def _procedure_call(self, statement: tree.Call, frame: Frame) -> None:
        parts = statement.target.parts
        if parts[0].name == "raise_application_error":
            given = [self.value(item.value, frame) for item in parts[0].arguments or []]
            code, text, keep = [*given, False][:3]
            handled = self.handled_error()
            raise OracleError(int(code), str(text), handled.stack if keep and handled else None)
        if frame.owner("variables", parts[0].name) is not None:
            self.follow_parts(frame, parts)
        else:
            self.call(parts, frame, want_value=False)

    def _if(self, statement: tree.If, frame: Frame) -> None:
        operand = self.value(statement.operand, frame)
        for condition, body in statement.branches:
            if statement.operand is None:
                hit = self.is_true(condition, frame)
            else:
                hit = compare("=", operand, self.value(condition, frame)) is True
            if hit:
                self._statements(body, frame)
                return
        if statement.otherwise is not None:
            self._statements(statement.otherwise, frame)
        elif statement.operand is not None:
            raise OracleError(-6592, "CASE not found while executing CASE statement")

    def _loop(self, loop: tree.Loop, frame: Frame) -> None:
        inner = Frame(Scope(frame.scope), frame)
        for value in self._turns(loop, frame):
            if loop.variable is not None:
                inner.variables[loop.variable] = Variable(value, None)
            try:
                self._statements(loop.body, inner)
            except Leave as leave:
                if leave.kind == "return" or (leave.label is not None and leave.label != loop.label):
                    raise
                if leave.kind == "exit":
                    return

    def _turns(self, loop: tree.Loop, frame: Frame) -> list[Value] | Value:
        if loop.kind == "range":
            low, high = (number_of(self.value(item, frame)) for item in loop.header)
            if low is None or high is None:
                raise OracleError(-6502, "PL/SQL: numeric or value error: a bound of the loop is null")
            return range(int(low), int(high) + 1)
        if loop.kind == "cursor":
            raise NotInSandboxError(f"line {loop.line}: a loop over a cursor")
        return self._while(loop, frame)

    def _while(self, loop: tree.Loop, frame: Frame) -> Value:
        while loop.kind == "loop" or self.is_true(loop.header[0], frame):
            yield None

    def _exit(self, statement: tree.Exit, frame: Frame) -> None:
        if statement.condition is None or self.is_true(statement.condition, frame):
            raise Leave(statement.verb, label=statement.label)

    def _return(self, statement: tree.Return, frame: Frame) -> None:
        raise Leave("return", copied(self.value(statement.value, frame)))

    def _raise(self, statement: tree.Raise, frame: Frame) -> None:
        if statement.name is None:
            raise self.errors[-1]
        name = statement.name.dotted
        raise OracleError(self.code_of(name, frame), "", name=name)

    def _execute(self, statement: tree.Execute, frame: Frame) -> None:
        text = constant_text(statement.statement) or text_of(self.value(statement.statement, frame)) or ""
        self.database.execute(text, statement.rest, frame)

    # --- cursors and attributes

    def _cursor_work(self, statement: tree.CursorWork, frame: Frame) -> None:
        owner = frame.owner("cursors", statement.cursor.parts[0].name)
        if owner is None:
            raise NotInSandboxError(f"line {statement.line}: the cursor {statement.cursor.dotted}")
        cursor = owner.cursors[statement.cursor.parts[0].name]
        if statement.verb == "open":
            if cursor.rows is not None:
                raise OracleError(-6511, "PL/SQL: cursor already open")
            assert cursor.declaration.query is not None
            cursor.rows = self.database.rows(cursor.declaration.query.tokens, frame)
        elif cursor.rows is None:
            raise OracleError(-1001, "invalid cursor")
        elif statement.verb == "close":
            cursor.rows = None
        else:
            self._fetch(cursor, statement, frame)

    def _fetch(self, cursor: OpenCursor, statement: tree.CursorWork, frame: Frame) -> None:
        words = [token.low for token in statement.rest]
        if words[:3] != ["bulk", "collect", "into"]:
            raise NotInSandboxError(f"line {statement.line}: fetch of one row")
        limit = self.variable(words[words.index("limit") + 1], frame) if "limit" in words else 10**9
        taken, cursor.rows = (cursor.rows or [])[: int(limit)], (cursor.rows or [])[int(limit) :]
        owner = frame.owner("variables", words[3])
        assert owner is not None
        owner.variables[words[3]].value = Collection(dict(enumerate(taken, 1)), owner.variables[words[3]].value.element)

    def variable(self, name: str, frame: Frame) -> Value:
        """The value of a plain variable."""
        return self.value(Reference(0, [Part(name)]), frame)

    def attribute(self, node: Reference, frame: Frame) -> Value:
        """``sql%rowcount`` and ``cursor%isopen``."""
        if node.dotted == "sql" and node.attribute == "rowcount":
            return self.database.row_count
        owner = frame.owner("cursors", node.dotted)
        if owner is None or node.attribute != "isopen":
            raise NotInSandboxError(f"{node.dotted}%{node.attribute}")
        return owner.cursors[node.dotted].rows is not None
