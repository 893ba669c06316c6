"""docs/protocol.md says what the server does: every example is decoded or produced, every table compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apex_rtm import codes
from apex_rtm.codes import HTTP_STATUS, Close
from apex_rtm.edge.http import RevokeRequest, TokenRequest
from apex_rtm.edge.openapi import describe_api
from apex_rtm.message import MAX_EVENT_NAME_CHARACTERS, MAX_ID_CHARACTERS, Position, check_json, decode_message
from apex_rtm.protocol import decode_command, publication_frame, reply_frame, unframe
from apex_rtm.session import COMMANDS
from apex_rtm.settings import Settings, load_settings
from tests.support.core import Client, Core
from tests.support.tokens import make_token

DOCUMENT = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
SPANS = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", DOCUMENT, flags=re.DOTALL | re.MULTILINE))
OBJECTS = [span for span in SPANS if span.startswith("{") and not re.fullmatch(r"\{\w+\}", span)]


def section(number: str) -> str:
    found = re.search(rf"^##+ {re.escape(number)}[. ].*?(?=^##? )", DOCUMENT + "\n## ", re.DOTALL | re.MULTILINE)
    assert found is not None, number
    return found.group(0)


def rows(text: str) -> list[list[str]]:
    """The rows of the tables of a section, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [place for place, row in enumerate(cells) if set("".join(row)) <= set("-:")]
    return [row for place, row in enumerate(cells) if place not in rules and place + 1 not in rules]


def fill(text: str) -> Any:
    """An example as JSON: what the document leaves out with an ellipsis is filled with something."""
    text = re.sub(r'(["\]}\d]), ?…(?=[\]}])', r"\1", text)
    text = text.replace("[…]", "[]").replace("[ … ]", "[]").replace(":…", ":0")
    return json.loads(re.sub(r":n(?=[,}])", ":0", text.replace(": n", ":n")))


def is_shape(text: str) -> bool:
    """Tell whether an object only names its members, as in `{"user"?, "channel"}`."""
    return re.search(r'"\w+"\??\s*[,}]', re.sub(r':\s*"[^"]*"', ":0", text)) is not None


# ── the examples ──


def test_the_document_has_examples_at_all() -> None:
    assert len(FENCED) >= 5
    assert len(OBJECTS) >= 20


@pytest.mark.parametrize("text", FENCED)
def test_an_example_in_a_block_is_what_the_server_understands_or_says(text: str) -> None:
    example = json.loads(text)
    if example.get("type") == "subscribe":
        command = decode_command(text.encode())
        assert command.since is not None
        assert msgspec.to_builtins(command.since) == example["since"]
    elif "type" in example:
        assert (
            json.loads(unframe(reply_frame(example["type"], **{k: v for k, v in example.items() if k != "type"})))
            == example
        )
    elif "ok" in example:
        assert set(example) == {"ok", "id", "epoch", "offset"}
    elif "offset" in example:
        body = {name: value for name, value in example.items() if name not in {"epoch", "offset"}}
        message = decode_message(json.dumps(body).encode())
        framed = publication_frame(message, example["id"], Position(example["epoch"], example["offset"]))
        assert list(json.loads(unframe(framed)).items()) == list(example.items())  # in this order, too
    else:
        check_json(text.encode(), max_depth=128)
        assert decode_message(text.encode()).channel == example["channel"]


@pytest.mark.parametrize("text", OBJECTS)
def test_every_object_in_the_text_is_json_or_names_members(text: str) -> None:
    if not is_shape(text):
        assert isinstance(fill(text), dict)


def test_the_bodies_of_requests_are_those_of_the_document() -> None:
    shapes = {frozenset(re.findall(r'"(\w+)"', text)) for text in OBJECTS if is_shape(text)}

    for request in (TokenRequest, RevokeRequest):
        assert frozenset(field.encode_name for field in msgspec.structs.fields(request)) in shapes


# ── the conversation ──

CONVERSATION = [(row[0].strip("`"), row[1].strip("`")) for row in rows(section("4")) if row[0].startswith('`{"type"')]
COMMANDS_SHOWN = [(said, answer) for said, answer in CONVERSATION if '"id"' in said]


def test_every_command_is_in_the_document() -> None:
    assert [fill(said)["type"] for said, _ in COMMANDS_SHOWN] == list(COMMANDS)


@pytest.mark.parametrize(("said", "answer"), COMMANDS_SHOWN, ids=COMMANDS)
def test_a_command_gets_the_answer_of_the_document(said: str, answer: str) -> None:
    core = Core(secured=True)
    command, expected = fill(said), fill(answer)
    client = core.open() if command["type"] == "connect" else core.connect("SCOTT", "test", "chat:*")
    if command["type"] == "unsubscribe":
        client.subscribe(command["channel"])
    if "token" in command:
        command["token"] = core.token("SCOTT", *expected["channels"])
    if "since" in command:  # its log is empty here, and test has no presence
        top = core.journal.top(command["channel"])
        command |= {"since": {"epoch": top.epoch, "offset": top.offset}, "presence": False}
        expected |= {"epoch": top.epoch, "offset": 0}

    given = client.ask(**command)

    assert set(given) == set(expected)
    for name in ("type", "id", "channel", "code", "user", "recovered", "pingIntervalS"):
        assert given.get(name) == expected.get(name)


def test_an_unknown_type_gets_the_error_of_the_document() -> None:
    (text,) = [row[1].strip("`") for row in rows(section("4")) if row[0] == "anything else"]
    expected = fill(text)

    given = Core().open().ask(type="dance", id=6)

    assert {**given, "message": "…"} == expected


def spoken_frames() -> Iterator[dict[str, Any]]:
    """One of each frame that the server sends on its own."""
    core = Core(secured=True)
    client = core.connect("SCOTT", "*", ttl_s=61)
    client.subscribe("a")
    client.session.drop_channel("a")
    for _ in range(3):
        core.pass_time(1)
    other = core.connect("KING", "chat:*")
    other.subscribe("chat:general", presence=True)
    core.hub.presence.flush()
    yield from client.peer.take()
    yield from other.peer.take()
    yield {"type": "draining", "reconnectWithinMs": int(load_settings({}, {}).reconnect_spread_s * 1000)}


def test_what_the_server_says_on_its_own_is_in_the_document() -> None:
    shown = {fill(said)["type"]: fill(said) for said, _ in CONVERSATION if '"id"' not in said}
    said = {frame["type"]: frame for frame in spoken_frames()}

    assert set(said) == set(shown)
    for kind, frame in said.items():
        assert set(shown[kind]) <= set(frame), kind
    assert said["draining"] == shown["draining"]
    (presence,) = [json.loads(text) for text in FENCED if '"type":"presence"' in text]
    assert list(said["presence"]) == list(presence)


def test_the_answer_with_presence_is_the_one_of_the_document() -> None:
    (text,) = [span for span in SPANS if span.startswith('"presence": {')]
    client: Client = Core(secured=True).connect("SCOTT", "*")

    answer = client.subscribe("chat:general", presence=True)["presence"]

    assert list(answer) == list(json.loads("{" + text + "}")["presence"])


# ── the tables ──


def test_the_error_codes_are_those_of_the_document() -> None:
    table = {row[0].strip("`"): [int(status) for status in row[1].split(",")] for row in rows(section("9"))}

    assert {code: statuses[0] for code, statuses in table.items()} == HTTP_STATUS
    assert {code: statuses[1:] for code, statuses in table.items() if statuses[1:]} == {"open_mode": [409]}


def test_the_close_codes_are_those_of_the_document() -> None:
    table = {int(code): row[1] for row in rows(section("10")) for code in row[0].split(",")}
    ours = [value for value in vars(codes).values() if isinstance(value, Close)]

    for close in ours:
        assert close.code in table
        if close.code == 1012 or close.code >= 4000:
            assert table[close.code] == f"`{close.reason}`"
    assert {code for code in table if code >= 4000} == {close.code for close in ours if close.code >= 4000}


def test_the_requests_are_those_of_the_document() -> None:
    listed = {row[0].strip("`").partition("?")[0] for row in rows(section("3")) if "/" in row[0]}
    paths = describe_api(max_token_ttl_s=86_400)["paths"]
    served = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}

    assert listed == served | {"GET /openapi.json"}


def test_the_query_parameters_are_those_of_the_document() -> None:
    for row in rows(section("3")):
        path, _, query = row[0].strip("`").removeprefix("GET ").partition("?")
        if query:
            described = describe_api(max_token_ttl_s=86_400)["paths"][path]["get"]["parameters"]
            assert set(re.findall(r"(\w+)=", query)) == {one["name"] for one in described if one["in"] == "query"}


def test_every_setting_that_the_document_names_exists() -> None:
    named = {span for span in SPANS if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)} - set(HTTP_STATUS) - {
        close.reason for close in vars(codes).values() if isinstance(close, Close)
    }  # fmt: skip

    assert len(named) >= 15
    assert named <= set(Settings.model_fields)


def test_the_lengths_are_those_of_the_document() -> None:
    assert f"up to {MAX_EVENT_NAME_CHARACTERS} characters" in section("1")
    assert f"up to {MAX_ID_CHARACTERS}\ncharacters" in section("3.1")


def test_a_token_with_the_claims_of_the_document_is_good() -> None:
    claims = set(re.findall(r"`(sub|sid|channels|iat|exp|jti)`", section("8")))
    core = Core(secured=True)

    identity = core.verifier.verify(make_token("SCOTT", "app:*", sid="4711", jti="x"))

    assert claims == {"sub", "sid", "channels", "iat", "exp", "jti"}
    assert (identity.user, identity.session_id) == ("SCOTT", "4711")
