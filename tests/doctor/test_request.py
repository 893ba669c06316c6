"""One HTTP request, and what comes back instead of an answer."""

from __future__ import annotations

import ssl

import pytest

from apex_rtm.doctor.request import Answer, NoAnswer, call, with_key
from tests.doctor.scripted import answering, http

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def test_an_answer_is_read() -> None:
    with answering(http("404 Not Found", '{"ok": false, "message": "there is no such path"}', "X-One: Two")) as port:
        answer = call(f"http://127.0.0.1:{port}/bus", "POST", "/api", CONTEXT, body=b"{}", headers=with_key("k"))
    assert (answer.status, answer.headers["x-one"], answer.message) == (404, "Two", "there is no such path")


@pytest.mark.parametrize(
    ("body", "message"), [("<h1>502  Bad\nGateway</h1>", "<h1>502 Bad Gateway</h1>"), ("[1]", "[1]")]
)
def test_what_is_no_object_is_quoted(body: str, message: str) -> None:
    answer = Answer(502, {}, body)
    assert answer.json == {}
    assert answer.message == message


@pytest.mark.parametrize("data", [b"", b"220 mail.example.com ESMTP\r\n"])
def test_no_answer_is_an_error_in_words(data: bytes) -> None:
    with answering(data) as port, pytest.raises(NoAnswer, match=r"\w"):
        call(f"http://127.0.0.1:{port}", "GET", "/", CONTEXT)


def test_tls_with_a_plain_port_is_no_answer() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, pytest.raises(NoAnswer):
        call(f"https://127.0.0.1:{port}", "GET", "/", CONTEXT, timeout_s=0.3)


def test_a_key_is_a_header() -> None:
    assert with_key("k")["X-API-Key"] == "k"
    assert "X-API-Key" not in with_key(None)
