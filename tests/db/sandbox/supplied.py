"""Stand-ins for the supplied packages and object types that db/ calls, by their names in the catalogue."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.db.sandbox.evaluate import is_json, json_value_of
from tests.db.sandbox.values import Lob, OracleError, Outs, Record, Value, now, text_of, tidy

if TYPE_CHECKING:
    from tests.db.sandbox.machine import Machine


@dataclass(slots=True, eq=False)
class Json:
    """JSON_OBJECT_T, JSON_ARRAY_T or a scalar: a document that several variables may share."""

    document: Any

    @property
    def type_name(self) -> str:
        """The type whose methods it has."""
        names = {"dict": "json_object_t", "list": "json_array_t"}
        return names.get(type(self.document).__name__, "json_element_t")

    def to_string(self) -> str:
        """TO_STRING: no white space, characters as they are."""
        text = json.dumps(self.document, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) > 32767:
            raise OracleError(-40478, "output value too large (maximum: 32767)")
        return text

    def to_clob(self) -> Lob:
        """TO_CLOB."""
        return Lob(json.dumps(self.document, ensure_ascii=False, separators=(",", ":")))

    def put(self, key: str, val: Value) -> None:
        """PUT: a member, whatever its type."""
        self.document[key] = val.document if isinstance(val, Json) else json_value_of(val)

    def append(self, val: Value) -> None:
        """APPEND to an array."""
        self.document.append(val.document if isinstance(val, Json) else json_value_of(val))

    def get(self, key: str | None = None, pos: int | None = None) -> Json | None:
        """GET: an element of an object by key, of an array by position from 0."""
        if pos is not None:
            return Json(self.document[pos]) if pos < len(self.document) else None
        return Json(self.document[key]) if key in self.document else None

    def get_string(self, key: str) -> str | None:
        """GET_STRING: a scalar as text; null for what is none, and where there is no such member."""
        value = self.document.get(key)
        return None if isinstance(value, dict | list) or value is None else str(value)

    def get_number(self, key: str) -> Value:
        """GET_NUMBER: null where it is none."""
        value = self.document.get(key)
        return tidy(Decimal(str(value))) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def get_boolean(self, key: str) -> bool | None:
        """GET_BOOLEAN: null where it is none."""
        value = self.document.get(key)
        return value if isinstance(value, bool) else None

    def get_clob(self, key: str) -> Lob | None:
        """GET_CLOB: a text of any length."""
        value = self.document.get(key)
        return Lob(value) if isinstance(value, str) else None

    def get_array(self, key: str) -> Json | None:
        """GET_ARRAY: null where it is none."""
        value = self.document.get(key)
        return Json(value) if isinstance(value, list) else None

    def get_object(self, key: str) -> Json | None:
        """GET_OBJECT: null where it is none."""
        value = self.document.get(key)
        return Json(value) if isinstance(value, dict) else None

    def has(self, key: str) -> bool:
        """HAS."""
        return key in self.document

    def get_size(self) -> int:
        """GET_SIZE: members or elements."""
        return len(self.document)


def parse_json(jsn: Value, *, kind: type) -> Json:
    """PARSE: ORA-40441 for what is no JSON, ORA-40587 for JSON of another kind."""
    text = text_of(jsn)
    if not is_json(text):
        raise OracleError(-40441, "JSON syntax error")
    document = json.loads(text or "")
    if not isinstance(document, kind):
        raise OracleError(-40587, "invalid JSON type")
    return Json(document)


@dataclass(slots=True)
class Apex:
    """What an APEX session knows, and what it was told."""

    context: dict[str, str] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    g_x01: str | None = None
    g_clob_01: Lob | None = None
    answer: dict[str, Value] = field(default_factory=dict)
    debug: list[str] = field(default_factory=list)


def encode_jwt(
    p_sub: str | None = None,
    p_iat_ts: Value = None,
    p_exp_sec: Value = None,
    p_jti: str | None = None,
    p_other_claims: str | None = None,
    p_signature_key: bytes = b"",
    p_iss: str | None = None,
    p_aud: str | None = None,
) -> str:
    """APEX_JWT.ENCODE: HS256; the other claims are spliced in as they are."""
    issued = int((p_iat_ts or now()).timestamp())
    claims: dict[str, Value] = {"iss": p_iss, "sub": p_sub, "aud": p_aud, "iat": issued, "jti": p_jti}
    claims["exp"] = None if p_exp_sec is None else issued + int(p_exp_sec)
    body = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in claims.items() if value is not None)
    parts = ['{"typ":"JWT","alg":"HS256"}', "{" + body + (f",{p_other_claims}" if p_other_claims else "") + "}"]
    signed = ".".join(_base64url(part.encode()) for part in parts)
    return f"{signed}.{_base64url(hmac.digest(p_signature_key, signed.encode(), hashlib.sha256))}"


def decode_jwt(p_value: str, **_values: Value) -> Record:
    """APEX_JWT.DECODE without a key: the parts, the signature not looked at."""
    names = ("header", "payload", "signature")
    parts = p_value.split(".")
    texts = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode() for part in parts[:2]]
    return Record(dict(zip(names, [*texts, parts[2]], strict=True)))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _lobs() -> dict[str, Callable[..., Value]]:
    def append(dest_lob: Lob, src_lob: Lob) -> None:
        dest_lob.text += text_of(src_lob) or ""

    def writeappend(lob_loc: Lob, amount: int, buffer: bytes) -> None:
        lob_loc.is_binary, lob_loc.data = True, lob_loc.data + buffer[:amount]

    def read(lob_loc: Lob, amount: int, offset: int, buffer: Value = None) -> Outs:
        taken = lob_loc.data[offset - 1 : offset - 1 + amount]
        if not taken:
            raise OracleError(100, "no data found")
        return Outs(amount=len(taken), buffer=taken)

    def substr(lob_loc: Value, amount: Value = 32767, offset: Value = 1) -> str | None:
        text = text_of(lob_loc) or ""
        return text[int(offset) - 1 : int(offset) - 1 + int(amount)] or None

    def getlength(lob_loc: Value) -> int | None:
        if isinstance(lob_loc, str):
            return len(lob_loc)
        return None if lob_loc is None else len(lob_loc.content())

    def free(lob_loc: Lob) -> None:
        lob_loc.is_temporary = False

    return {
        "createtemporary": lambda lob_loc=None, cache=None, dur=None: Outs(lob_loc=Lob(is_temporary=True)),
        "istemporary": lambda lob_loc: int(isinstance(lob_loc, Lob) and lob_loc.is_temporary),
        "freetemporary": free,
        "append": append,
        "writeappend": writeappend,
        "read": read,
        "substr": substr,
        "getlength": getlength,
        "converttoblob": lambda dest_lob, src_clob, **_: _to_bytes(dest_lob, src_clob),
        "converttoclob": lambda dest_lob, src_blob, **_: _to_text(dest_lob, src_blob),
        "call": lambda: 12,
        "lobmaxsize": lambda: 2**63,
        "default_lang_ctx": lambda: 0,
    }


def _to_bytes(dest_lob: Lob, src_clob: Value) -> None:
    dest_lob.is_binary, dest_lob.data = True, (text_of(src_clob) or "").encode()


def _to_text(dest_lob: Lob, src_blob: Lob) -> None:
    dest_lob.text = src_blob.data.decode(errors="replace")


def _to_raw(data: str, dst_charset: str | None = None) -> bytes:
    """STRING_TO_RAW: in the character set of the database (here ASCII, which shows who forgets it) or another one."""
    return data.encode("utf-8" if dst_charset == "AL32UTF8" else "ascii")


def _apex(apex: Apex, machine: Machine) -> dict[str, Callable[..., Value]]:
    def said(level: str) -> Callable[..., None]:
        return lambda p_message, **values: apex.debug.append(f"{level}: {p_message} {list(values.values())}")

    def item(p_item: str) -> Record:
        return Record({"data_type": None, "varchar2_value": apex.items.get(p_item), "clob_value": None})

    return {
        "apex_jwt.encode": encode_jwt,
        "apex_jwt.decode": decode_jwt,
        "apex_debug.warn": said("warn"),
        "apex_debug.error": said("error"),
        "apex_debug.info": said("info"),
        "apex_plugin.get_ajax_identifier": lambda: "ajax-identifier",
        "apex_json.open_object": lambda **_: apex.answer.clear(),
        "apex_json.close_object": lambda: None,
        "apex_json.write": lambda p_name, p_value, **_: apex.answer.__setitem__(p_name, p_value),
        "apex_application.g_x01": lambda: apex.g_x01,
        "apex_application.g_clob_01": lambda: apex.g_clob_01,
        "apex_session_state.get_value": item,
        "sys_context": lambda _namespace, name: apex.context.get(str(name)),
        "v": lambda name: apex.context.get(str(name)),
    }


def install(machine: Machine, apex: Apex) -> None:
    """Give a machine everything but UTL_HTTP."""
    supplied = machine.supplied
    supplied.update({f"dbms_lob.{name}": function for name, function in _lobs().items()})
    supplied.update(_apex(apex, machine))

    def stack() -> str | None:
        error = machine.handled_error()
        return "\n".join(error.stack) + "\n" if error else None

    supplied.update(
        {
            "json_object_t": lambda jsn=None: Json({}) if jsn is None else parse_json(jsn, kind=dict),
            "json_array_t": lambda jsn=None: Json([]) if jsn is None else parse_json(jsn, kind=list),
            "json_object_t.parse": partial(parse_json, kind=dict),
            "json_array_t.parse": partial(parse_json, kind=list),
            "utl_i18n.string_to_raw": _to_raw,
            "utl_raw.length": lambda r: None if r is None else len(r),
            "dbms_utility.format_error_stack": stack,
            "dbms_utility.format_error_backtrace": lambda: "ORA-06512: at line 1\n" if machine.errors else None,
            "dbms_transaction.local_transaction_id": lambda create_transaction=False: "1.2.3",
            "dbms_session.sleep": lambda seconds: None,
            "dbms_aq.enqueue": lambda **values: Outs(msgid=b"\x01" * 16),
        }
    )
