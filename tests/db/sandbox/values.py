"""Values of PL/SQL in Python: None is null, str text, int and Decimal numbers, datetime and timedelta times."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

Value = Any
"""None, bool, int, Decimal, str, bytes (raw), datetime, timedelta, Lob, Record, Collection, or a supplied object."""


class NotInSandboxError(Exception):
    """The source uses something that the sandbox does not know. Never caught by ``when others``."""


class OracleError(Exception):
    """An Oracle error on its way up. ``stack`` is what format_error_stack shows, newest first."""

    def __init__(self, code: int, text: str, stack: list[str] | None = None, name: str = "") -> None:
        self.code = code
        self.name = name
        self.text = f"ORA-{-code:05d}: {text}" if code != 1 else f"User-Defined Exception {name}"
        self.stack = [self.text, *(stack or [])]
        super().__init__("\n".join(self.stack))


@dataclass(slots=True, eq=False)
class Lob:
    """A CLOB (``text``) or BLOB (``data``); a temporary one has to be freed by somebody."""

    text: str = ""
    data: bytes = b""
    is_binary: bool = False
    is_temporary: bool = False

    def content(self) -> str | bytes:
        """What is in it."""
        return self.data if self.is_binary else self.text


@dataclass(slots=True, eq=False)
class Record:
    """A record: a value for each field, and the fields' types where they are known."""

    fields: dict[str, Value]
    types: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Collection:
    """An associative array or nested table; ``element`` makes a new element."""

    items: dict[Value, Value] = field(default_factory=dict)
    element: Any = None


class Outs(dict[str, Value]):
    """What a supplied subprogram gives back: ``out`` parameters by name, and ``return``."""


def copied(value: Value) -> Value:
    """The value as assignment gives it: records, collections and LOBs are new ones."""
    if isinstance(value, Record):
        return Record({name: copied(item) for name, item in value.fields.items()}, value.types)
    if isinstance(value, Collection):
        return Collection({key: copied(item) for key, item in value.items.items()}, value.element)
    if isinstance(value, Lob):
        return Lob(value.text, value.data, value.is_binary, is_temporary=False)
    return value


def text_of(value: Value) -> str | None:
    """The value as VARCHAR2; the empty string is null."""
    if isinstance(value, Lob):
        if value.is_binary:
            raise OracleError(-6502, "PL/SQL: numeric or value error: a BLOB is no text")
        value = value.text
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        raise NotInSandboxError("a boolean as text (PLS-00382)")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return (
            format(value.normalize(), "f").replace("0.", ".", 1) if abs(value) < 1 else format(value.normalize(), "f")
        )
    if isinstance(value, bytes):
        return value.hex().upper() or None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    raise NotInSandboxError(f"{type(value).__name__} as text")


def number_of(value: Value) -> int | Decimal | None:
    """The value as NUMBER.

    Raises:
        OracleError: -6502 where a text is no number.
    """
    if value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool)):
        return value
    text = text_of(value)
    if text is None:
        return None
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise OracleError(
            -6502, f"PL/SQL: numeric or value error: character to number conversion error ({text})"
        ) from None
    return tidy(number)


def tidy(number: Decimal | int) -> int | Decimal:
    """An int where the number is whole."""
    if isinstance(number, Decimal) and number == number.to_integral_value():
        return int(number)
    return number


def compare(operator: str, left: Value, right: Value) -> bool | None:
    """A comparison; None where one side is null."""
    if isinstance(left, Record | Collection) or isinstance(right, Record | Collection):
        raise NotInSandboxError("records and collections are not compared")
    left, right = (
        text_of(item) if isinstance(item, Lob) else item or None if item == "" else item for item in (left, right)
    )
    if left is None or right is None:
        return None
    left, right = _alike(left, right)
    results = {
        "=": left == right,
        "<>": left != right,
        "!=": left != right,
        "<": left < right,
        ">": left > right,
        "<=": left <= right,
        ">=": left >= right,
    }
    return bool(results[operator])


def _alike(left: Value, right: Value) -> tuple[Value, Value]:
    numbers = (int, Decimal)
    if isinstance(left, numbers) and isinstance(right, str):
        return left, number_of(right)
    if isinstance(left, str) and isinstance(right, numbers):
        return number_of(left), right
    if type(left) is not type(right) and not (isinstance(left, numbers) and isinstance(right, numbers)):
        raise NotInSandboxError(f"{type(left).__name__} and {type(right).__name__} are not compared")
    return left, right


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """``+ - * / **`` over numbers and times; null where one side is null."""
    if left is None or right is None:
        return None
    if isinstance(left, datetime | timedelta):
        return _time(operator, left, right)
    one, other = number_of(left), number_of(right)
    if one is None or other is None:
        return None
    if operator == "/":
        if other == 0:
            raise OracleError(-1476, "divisor is equal to zero")
        return tidy(Decimal(one) / Decimal(other))
    if operator == "**":
        return tidy(Decimal(one) ** Decimal(other))
    return tidy({"+": one + other, "-": one - other, "*": one * other}[operator])


def _time(operator: str, left: datetime | timedelta, right: Value) -> Value:
    step = right if isinstance(right, datetime | timedelta) else timedelta(days=float(number_of(right) or 0))
    if operator == "+" and isinstance(step, timedelta):
        return left + step
    if operator == "-":
        return left - step  # type: ignore[operator]
    raise NotInSandboxError(f"{operator} over times")


def now() -> datetime:
    """SYSTIMESTAMP."""
    return datetime.now(UTC)


def timestamp_text(moment: datetime) -> str:
    """A timestamp as the tables keep it: texts that sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
