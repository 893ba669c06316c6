"""Built-in functions of SQL and PL/SQL, as far as db/ uses them. Every one takes and gives values of ``values``."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from tests.db.sandbox.values import Lob, NotInSandboxError, Value, number_of, text_of, tidy


def _text(function: Callable[..., str | None]) -> Callable[..., Value]:
    """Null in, null out; the empty string is null."""

    def run(value: Value, *rest: Value) -> Value:
        text = text_of(value)
        return None if text is None else (function(text, *rest) or None)

    return run


def _substr(text: str, start: Value, length: Value = 10**9) -> str | None:
    first, count = number_of(start), number_of(length)
    if first is None or count is None or count < 1:
        return None
    at = int(first) - 1 if first > 0 else max(len(text) + int(first), 0) if first < 0 else 0
    return text[at : at + int(count)]


def _substrb(text: str, start: Value, length: Value) -> str | None:
    if start != 1:
        raise NotInSandboxError("substrb from elsewhere than 1")
    return text.encode()[: int(length)].decode(errors="ignore")


def _instr(value: Value, part: Value) -> Value:
    text, wanted = text_of(value), text_of(part)
    return None if text is None or wanted is None else text.find(wanted) + 1


def _length(value: Value) -> Value:
    text = text_of(value)
    return None if text is None else len(text)


def _lengthb(value: Value) -> Value:
    text = text_of(value)
    return None if text is None else len(text.encode())


def _round(value: Value, digits: Value = 0) -> Value:
    number = number_of(value)
    if number is None:
        return None
    return tidy(Decimal(number).quantize(Decimal(1).scaleb(-int(digits)), rounding=ROUND_HALF_UP))


def _trunc(value: Value) -> Value:
    number = number_of(value)
    return None if number is None else int(Decimal(number).to_integral_value(rounding=ROUND_DOWN))


def _extreme(choose: Callable[..., Any]) -> Callable[..., Value]:
    def run(*values: Value) -> Value:
        numbers = [number_of(value) for value in values]
        return None if None in numbers else choose(numbers)

    return run


def _coalesce(*values: Value) -> Value:
    return next((value for value in values if value is not None and value != ""), None)


def _replace(text: str, old: Value, new: Value = None) -> str | None:
    wanted = text_of(old)
    return text if wanted is None else text.replace(wanted, text_of(new) or "")


_CLASSES = {
    # Letters of other languages count in Oracle too: a pattern that means ASCII has to say so.
    "alnum": "0-9A-Za-z\u00c0-\uffff",
    "alpha": "A-Za-z\u00c0-\uffff",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "space": "\\s",
    "xdigit": "0-9A-Fa-f",
}


def _pattern(pattern: Value, match: Value = None) -> re.Pattern[str]:
    """A POSIX pattern as Python's."""
    text = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES[found.group(1)], str(text_of(pattern)))
    # $ stands at the end of the text only, not before a last line break.
    text = re.sub(r"\$$", r"\\Z", text)
    return re.compile(text, re.IGNORECASE if match == "i" else 0)


def _regexp_like(value: Value, pattern: Value, match: Value = None) -> Value:
    text = text_of(value)
    return None if text is None else _pattern(pattern, match).search(text) is not None


def _regexp_substr(text: str, pattern: Value, start: Value = 1, occurrence: Value = 1) -> str | None:
    found = [item.group() for item in _pattern(pattern).finditer(text, int(start) - 1)]
    return found[int(occurrence) - 1] if len(found) >= int(occurrence) else None


def _regexp_count(value: Value, pattern: Value) -> Value:
    text = text_of(value)
    return None if text is None else sum(1 for _ in _pattern(pattern).finditer(text))


def _regexp_replace(text: str, pattern: Value, new: Value = None) -> str | None:
    return _pattern(pattern).sub(text_of(new) or "", text)


def _numtodsinterval(value: Value, unit: Value) -> Value:
    number = number_of(value)
    seconds = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}[str(unit).upper()]
    return None if number is None else timedelta(seconds=float(number) * seconds)


def _to_clob(value: Value) -> Value:
    if value is None:
        return None
    return value if isinstance(value, Lob) else Lob(text_of(value) or "")


def _hextoraw(value: Value) -> Value:
    text = text_of(value)
    return None if text is None else bytes.fromhex(text)


def _rpad(text: str, length: Value, characters: Value = " ") -> str | None:
    count, fill = int(number_of(length) or 0), text_of(characters) or " "
    return (text + fill * count)[:count]


def _unistr(text: str) -> str | None:
    return re.sub(r"\\([0-9A-Fa-f]{4})", lambda found: chr(int(found.group(1), 16)), text)


def _strip(side: str) -> Callable[..., str | None]:
    def run(text: str, characters: Value = " ") -> str | None:
        return str(getattr(text, side)(text_of(characters)))

    return run


def extract(unit: str, value: Value) -> Value:
    """``extract(unit from interval)``: whole units, seconds with their fraction, all of the interval's sign."""
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise NotInSandboxError("extract from something else than an interval")
    sign = -1 if value < timedelta(0) else 1
    value = abs(value)
    minutes, seconds = divmod(Decimal(value.seconds) + Decimal(value.microseconds) / 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    parts = {"day": Decimal(value.days), "hour": hours, "minute": minutes, "second": seconds}
    return tidy(parts[unit] * sign)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "ascii": lambda value: ord(text_of(value) or "\0") if text_of(value) else None,
    "chr": lambda value: chr(int(number_of(value) or 0)),
    "coalesce": _coalesce,
    "greatest": _extreme(max),
    "hextoraw": _hextoraw,
    "instr": _instr,
    "least": _extreme(min),
    "length": _length,
    "lengthb": _lengthb,
    "lower": _text(str.lower),
    "ltrim": _text(_strip("lstrip")),
    "mod": lambda one, other: tidy(Decimal(number_of(one) or 0) % Decimal(number_of(other) or 1)),
    "nls_charset_id": lambda value: {"AL32UTF8": 873}[str(value)],
    "numtodsinterval": _numtodsinterval,
    "nvl": _coalesce,
    "power": lambda one, other: tidy(Decimal(number_of(one) or 0) ** Decimal(number_of(other) or 0)),
    "rawtohex": text_of,
    "regexp_count": _regexp_count,
    "regexp_like": _regexp_like,
    "regexp_replace": _text(_regexp_replace),
    "regexp_substr": _text(_regexp_substr),
    "replace": _text(_replace),
    "round": _round,
    "rpad": _text(_rpad),
    "rtrim": _text(_strip("rstrip")),
    "substr": _text(_substr),
    "substrb": _text(_substrb),
    "sys_guid": lambda: uuid.uuid4().bytes,
    "to_char": text_of,
    "to_clob": _to_clob,
    "to_number": number_of,
    "trim": _text(_strip("strip")),
    "trunc": _trunc,
    "unistr": _text(_unistr),
    "upper": _text(str.upper),
}
