"""Expressions of PL/SQL, evaluated on the tree that tools.plsql reads."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tools.plsql.tree import (
    Argument,
    Binary,
    Case,
    Cast,
    Expression,
    JsonObject,
    JsonRead,
    Literal,
    Part,
    Predicate,
    Reference,
    Unary,
)

from tests.db.sandbox.builtin import FUNCTIONS, extract
from tests.db.sandbox.frame import Frame, Place
from tests.db.sandbox.http import Response
from tests.db.sandbox.values import (
    Collection,
    Lob,
    NotInSandboxError,
    OracleError,
    Record,
    Value,
    arithmetic,
    compare,
    now,
    number_of,
    text_of,
    tidy,
)

_COMPARISONS = ("=", "<>", "!=", "<", ">", "<=", ">=")


class Evaluator:
    """Gives the value of an expression in a frame. What a name means is the machine's to say."""

    @abstractmethod
    def call(self, parts: list[Part], frame: Frame, *, want_value: bool) -> Value:
        """The value of a reference that is no variable: a call, a constant of a package."""

    @abstractmethod
    def handled_error(self) -> OracleError | None:
        """The error that the present exception handler is about."""

    def value(self, expression: Expression | None, frame: Frame) -> Value:
        """The value of ``expression``."""
        if expression is None:
            return None
        if isinstance(expression, Reference):
            return self.reference(expression, frame)
        readers: dict[type, Callable[[Any, Frame], Value]] = {
            Literal: self._literal,
            Unary: self._unary,
            Binary: self._binary,
            Predicate: self._predicate,
            Case: self._case,
            Cast: self._cast,
            JsonObject: self._json_object,
            JsonRead: self._json_read,
        }
        reader = readers.get(type(expression))
        if reader is None:
            raise NotInSandboxError(f"line {expression.line}: {type(expression).__name__} as an expression")
        return reader(expression, frame)

    def is_true(self, expression: Expression, frame: Frame) -> bool:
        """Whether a condition holds; null does not."""
        return self.value(expression, frame) is True

    def _literal(self, node: Literal, _frame: Frame) -> Value:
        if node.kind == "string":
            return node.value or None
        if node.kind == "number":
            return tidy(Decimal(node.value))
        if node.kind in ("boolean", "null"):
            return {"true": True, "false": False}.get(node.value)
        if node.kind == "interval":
            amount, unit = node.value.split()
            return timedelta(**{f"{unit}s": float(amount)})
        raise NotInSandboxError(f"line {node.line}: a literal of kind {node.kind}")

    def _unary(self, node: Unary, frame: Frame) -> Value:
        operand = self.value(node.operand, frame)
        if node.operator == "not":
            return None if operand is None else not operand
        number = number_of(operand)
        return None if number is None else (-number if node.operator == "-" else number)

    def _binary(self, node: Binary, frame: Frame) -> Value:
        left = self.value(node.left, frame)
        if node.operator in ("and", "or"):
            decided = node.operator == "or"
            if left is decided:
                return decided
            right = self.value(node.right, frame)
            return right if left is not None or right is decided else None
        right = self.value(node.right, frame)
        if node.operator == "||":
            is_long = isinstance(left, Lob) or isinstance(right, Lob)
            text = (text_of(left) or "") + (text_of(right) or "")
            return Lob(text) if is_long else text or None
        if node.operator in _COMPARISONS:
            return compare(node.operator, left, right)
        if node.operator == "like":
            return self._like(text_of(left), text_of(right), negated=node.negated)
        return arithmetic(node.operator, left, right)

    @staticmethod
    def _like(text: str | None, pattern: str | None, *, negated: bool) -> Value:
        if text is None or pattern is None:
            return None
        expression = pattern.replace("_", ".").replace("%", ".*")
        return (FUNCTIONS["regexp_like"](text, f"^{expression}$") is True) is not negated

    def _predicate(self, node: Predicate, frame: Frame) -> Value:
        operand = self.value(node.operand, frame)
        if node.kind == "null":
            is_null = operand is None or operand == "" or (isinstance(operand, Lob) and not operand.content())
            return is_null is not node.negated
        if node.kind == "json":
            return None if operand is None else is_json(text_of(operand)) is not node.negated
        items = [self.value(item, frame) for item in node.items]
        if node.kind == "between":
            low, high = compare(">=", operand, items[0]), compare("<=", operand, items[1])
            found = False if low is False or high is False else None if low is None or high is None else True
        elif node.kind == "in":
            results = [compare("=", operand, item) for item in items]
            found = True if True in results else None if None in results else False
        else:
            raise NotInSandboxError(f"line {node.line}: is {node.kind}")
        return None if found is None else found is not node.negated

    def _case(self, node: Case, frame: Frame) -> Value:
        operand = self.value(node.operand, frame)
        for condition, result in node.branches:
            if node.operand is None:
                hit = self.is_true(condition, frame)
            else:
                hit = compare("=", operand, self.value(condition, frame)) is True
            if hit:
                return self.value(result, frame)
        return self.value(node.otherwise, frame)

    def _cast(self, node: Cast, frame: Frame) -> Value:
        """``treat(json_element as json_object_t)``: the element itself where it is one, else null."""
        value = self.value(node.operand, frame)
        if node.type not in ("json_object_t", "json_array_t"):
            raise NotInSandboxError(f"line {node.line}: cast to {node.type}")
        return value if getattr(value, "type_name", None) == node.type else None

    def _json_object(self, node: JsonObject, frame: Frame) -> Value:
        members = {}
        for key, value, is_json_text in node.members:
            given = self.value(value, frame)
            members[text_of(self.value(key, frame))] = (
                json.loads(text_of(given) or "null") if is_json_text else json_value_of(given)
            )
        text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
        if "returning clob" in node.clauses:
            return Lob(text)
        if len(text.encode()) > 4000:
            raise OracleError(-40478, "output value too large (maximum: 4000)")
        return text

    def _json_read(self, node: JsonRead, frame: Frame) -> Value:
        document, path = (self.value(argument, frame) for argument in node.arguments)
        text = text_of(document)
        if text is None or not is_json(text):
            return False if node.name == "json_exists" else None
        found = follow(json.loads(text), str(path))
        if node.name == "json_exists":
            return bool(found)
        if node.name != "json_value" or node.clauses:
            raise NotInSandboxError(f"line {node.line}: {node.name} {node.clauses}")
        scalar = found[0] if found and not isinstance(found[0], dict | list) else None
        return str(scalar) if scalar is not None and len(str(scalar).encode()) <= 4000 else None

    # --- references

    def reference(self, node: Reference, frame: Frame) -> Value:  # noqa: PLR0911 - one return for each meaning
        """The value of a variable, a member, a call."""
        if node.attribute is not None:
            return self.attribute(node, frame)
        name, arguments = node.parts[0].name, node.parts[0].arguments
        if frame.owner("variables", name) is not None:
            return self.follow_parts(frame, node.parts)
        if name == "extract" and arguments:
            return extract(str(arguments[0].name), self.value(arguments[0].value, frame))
        if name == "systimestamp":
            return now()
        if name in ("sqlerrm", "sqlcode"):
            error = self.handled_error()
            if name == "sqlcode":
                return error.code if error else 0
            return error.text if error else "ORA-0000: normal, successful completion"
        if name in FUNCTIONS and len(node.parts) == 1:
            return FUNCTIONS[name](*[self.value(argument.value, frame) for argument in arguments or []])
        return self.call(node.parts, frame, want_value=True)

    @abstractmethod
    def attribute(self, node: Reference, frame: Frame) -> Value:
        """``sql%rowcount`` and the attributes of cursors."""

    def follow_parts(self, frame: Frame, parts: list[Part]) -> Value:
        """A variable and what stands behind it: fields, elements, methods."""
        owner = frame.owner("variables", parts[0].name)
        assert owner is not None
        value = owner.variables[parts[0].name].value
        if parts[0].arguments is not None:
            value = self.element(value, parts[0].arguments, frame)
        return self.members(value, parts[1:], frame)

    def members(self, value: Value, parts: list[Part], frame: Frame) -> Value:
        """``value.a(1).b``."""
        for part in parts:
            if isinstance(value, Record):
                if part.name not in value.fields:
                    raise NotInSandboxError(f"a record has no field {part.name}")
                value = value.fields[part.name]
                if part.arguments is not None:
                    value = self.element(value, part.arguments, frame)
            elif isinstance(value, Collection):
                value = self._collection_method(value, part, frame)
            elif isinstance(value, Response):
                value = value.fields[part.name]
            elif value is None:
                raise OracleError(-30625, f"method dispatch on NULL SELF argument is disallowed ({part.name})")
            else:
                value = self.method(value, part, frame)
        return value

    @abstractmethod
    def method(self, value: Value, part: Part, frame: Frame) -> Value:
        """Call a method of a supplied object."""

    def element(self, value: Value, arguments: list[Argument], frame: Frame) -> Value:
        """An element of a collection.

        Raises:
            OracleError: NO_DATA_FOUND where there is none.
        """
        key = self.value(arguments[0].value, frame)
        if not isinstance(value, Collection):
            raise NotInSandboxError("an index into something that is no collection")
        if key not in value.items:
            raise OracleError(100, "no data found")
        return value.items[key]

    def _collection_method(self, value: Collection, part: Part, frame: Frame) -> Value:
        keys = sorted(value.items)
        given = [self.value(argument.value, frame) for argument in part.arguments or []]
        if part.name == "count":
            return len(keys)
        if part.name in ("first", "last"):
            return (keys[0] if part.name == "first" else keys[-1]) if keys else None
        if part.name == "next":
            return next((key for key in keys if key > given[0]), None)
        if part.name == "prior":
            return next((key for key in reversed(keys) if key < given[0]), None)
        if part.name == "exists":
            return given[0] in value.items
        if part.name == "delete":
            for key in given or keys:
                value.items.pop(key, None)
            return None
        raise NotInSandboxError(f"the collection method {part.name}")

    def place(self, target: Reference, frame: Frame) -> Place:
        """Where an assignment goes; a field of an element that is not there makes the element."""
        owner = frame.owner("variables", target.parts[0].name)
        if owner is None:
            raise NotInSandboxError(f"line {target.line}: assignment to {target.dotted}")
        variable = owner.variables[target.parts[0].name]
        place = Place(lambda: variable.value, lambda value: self.assign(owner, target.parts[0].name, value))
        if target.parts[0].arguments is not None:
            place = self._element_place(variable.value, target.parts[0].arguments, frame)
        for part in target.parts[1:]:
            place = self._field_place(place.read(), part.name)
            if part.arguments is not None:
                place = self._element_place(place.read(), part.arguments, frame)
        return place

    @abstractmethod
    def assign(self, owner: Frame, name: str, value: Value) -> None:
        """Put a value into a variable, checked by its type."""

    def _field_place(self, record: Value, name: str) -> Place:
        if not isinstance(record, Record) or name not in record.fields:
            raise NotInSandboxError(f"assignment to a field {name} that is not there")
        return Place(lambda: record.fields[name], lambda value: self.assign_field(record, name, value))

    @abstractmethod
    def assign_field(self, record: Record, name: str, value: Value) -> None:
        """Put a value into a field, checked by its type."""

    def _element_place(self, collection: Value, arguments: list[Argument], frame: Frame) -> Place:
        key = self.value(arguments[0].value, frame)
        if not isinstance(collection, Collection):
            raise NotInSandboxError("an index into something that is no collection")

        def read() -> Value:
            if key not in collection.items and collection.element is not None:
                collection.items[key] = collection.element()
            return collection.items.get(key)

        def write(value: Value) -> None:
            collection.items[key] = value

        return Place(read, write)


def is_json(text: str | None) -> bool:
    """Whether a text is JSON by the strict grammar: no NaN, no bare words."""
    if text is None:
        return False

    def refuse(word: str) -> Value:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def follow(document: Value, path: str) -> list[Value]:
    """What ``$.name`` or ``$[0]`` finds."""
    found = [document]
    for step in path.removeprefix("$").replace("[", ".[").split(".")[1:]:
        if step.startswith("["):
            at = int(step[1:-1])
            found = [item[at] for item in found if isinstance(item, list) and len(item) > at]
        else:
            found = [item[step] for item in found if isinstance(item, dict) and step in item]
    return found


def json_value_of(value: Value) -> Value:
    """A value of PL/SQL as Python's json writes it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return text_of(value)
