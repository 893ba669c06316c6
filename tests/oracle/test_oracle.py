"""Install, contract, job, uninstall: on Oracle itself. Reported as not run where there is no database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import oracledb
import pytest
from tools.plsql.script import PLSQL
from tools.plsql.world import World, read_world, roots

from tests.oracle.database import DB, Schema
from tests.support.server import API_KEY, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire

FOLDER = Path(__file__).with_name("utplsql")
SUITES = [path for spec in sorted(FOLDER.glob("*.pks")) for path in (spec, spec.with_suffix(".pkb"))]
HARD = 'Grüße, 𝄞 \u2028 " \\ \n </script> 日本語'


@pytest.fixture(scope="session")
def scripts() -> World:
    return read_world(roots(DB), DB.parent)


def test_everything_that_is_installed_is_valid(schema: Schema) -> None:
    invalid = sorted(item for item in schema.objects() if item[2] != "VALID")

    assert invalid == []
    assert schema.rows("select name, line, text from user_errors where attribute = 'ERROR'") == []


def test_objects_are_those_that_the_scripts_create(schema: Schema, scripts: World) -> None:
    """What the static checks believe is created is what Oracle has created."""
    created = {(item.kind.upper(), item.name.upper()) for item in scripts.objects if "queue" not in item.kind}
    present = {(kind, name) for kind, name, _ in schema.objects()}

    assert {item for item in created if not item[0].startswith("MLE")} - present == set()


def test_second_installation_keeps_rows_and_settings(schema: Schema) -> None:
    schema.block("begin rtm_config_api.set_value(p_name => 'log_keep_days', p_value => '77'); end;")
    schema.block("begin rtm_log_api.log_event(p_source => 'KEPT', p_channel => 'c', p_event_name => null); end;")

    totals = schema.run("install.sql")

    assert (totals.failed, totals.invalid) == ([], [])
    assert schema.rows("select value from rtm_config where name = 'log_keep_days'") == [("77",)]
    assert schema.rows("select count(*) from rtm_log where source = 'KEPT'") == [(1,)]


@pytest.mark.parametrize("transport", ["UTL_HTTP", "MLE"])
async def test_message_goes_from_the_call_to_the_page(schema: Schema, bridge: ServerProcess, transport: str) -> None:
    if transport == "MLE" and not schema.rows("select 1 from user_objects where object_name = 'RTM_MLE_POST'"):
        pytest.skip("not run: this database has no MLE")
    schema.block(
        "begin rtm_config_api.set_value(p_name => 'transport', p_value => :transport); end;", transport=transport
    )
    payload = json.dumps({"text": HARD, "long": "ü" * 40_000}, ensure_ascii=False)
    async with wire(bridge.ws_url, token=make_token("KING", "oracle:*")) as page:
        await page.subscribe("oracle:1")

        schema.block(
            """
            begin
              websocket_api.broadcast_item(
                p_channel => 'oracle:1', p_event_name => 'grüß', p_payload => :payload, p_delivery => 'NOW'
              );
            end;""",
            payload=payload,
        )

        (publication,) = await page.publications(1)
    assert publication["eventName"] == "grüß"
    assert publication["payload"] == json.loads(payload)


def test_refused_key_has_its_name(schema: Schema) -> None:
    schema.block("begin rtm_config_api.set_value(p_name => 'api_key', p_value => 'wrong'); end;")
    try:
        outs = schema.block(
            """
            begin
              websocket_api.broadcast_item(p_channel => 'c', p_delivery => 'NOW');
            exception
              when rtm_error.e_key_refused then
                :text := sqlerrm;
            end;""",
            text=str,
        )
    finally:
        schema.block("begin rtm_config_api.set_value(p_name => 'api_key', p_value => :k); end;", k=API_KEY)

    assert "401" in outs["text"]
    assert "wrong" not in outs["text"]


async def test_token_of_the_database_opens_its_room(schema: Schema, bridge: ServerProcess) -> None:
    outs = schema.block(
        """
        begin
          websocket_pkg.register(
            p_room => 'oracle:2', p_user_name => 'DEMO', p_session_id => '42', p_token => :token
          );
        end;""",
        token=str,
    )

    async with wire(bridge.ws_url) as page:
        connected = await page.ask(type="connect", token=outs["token"])
        await page.subscribe("oracle:2")
        schema.block(
            "begin websocket_pkg.unregister(p_room => 'oracle:2', p_user_name => 'DEMO', p_session_id => '42'); end;"
        )
        ended = await page.receive()

    assert connected["user"] == "DEMO"
    assert sorted(connected["channels"]) == ["oracle:2", "user:DEMO"]
    assert (ended["type"], ended["code"]) == ("unsubscribed", "revoked")


async def test_message_goes_out_if_and_only_if_the_transaction_commits(schema: Schema, bridge: ServerProcess) -> None:
    async with wire(bridge.ws_url, token=make_token("KING", "oracle:*")) as page:
        await page.subscribe("oracle:3")
        schema.block(
            """
            begin
              websocket_api.broadcast_item(p_channel => 'oracle:3', p_payload => '1', p_delivery => 'ON_COMMIT');
              rollback;
              websocket_api.broadcast_item(p_channel => 'oracle:3', p_payload => '2', p_delivery => 'ON_COMMIT');
              commit;
              rtm_job.drain(p_run_s => 0);
            end;"""
        )

        (publication,) = await page.publications(1)
        await page.nothing_waits()
    assert publication["payload"] == 2
    assert schema.rows("select status, sent_by from rtm_outbox where channel = 'oracle:3'") == [("SENT", "RTM_JOB")]


def test_two_senders_never_take_the_same_row(schema: Schema) -> None:
    """SKIP LOCKED over the one row of RTM_OUTBOX_DRAIN: the second sender goes away instead of waiting."""
    with schema.connect() as first, schema.connect() as second:
        one, other = first.cursor(), second.cursor()
        query = "select id from rtm_outbox_drain where id = 1 for update skip locked"

        assert one.execute(query).fetchall() == [(1,)]
        assert other.execute(query).fetchall() == []
        first.rollback()
        assert other.execute(query).fetchall() == [(1,)]
        second.rollback()


@pytest.fixture(scope="session")
def utplsql(schema: Schema) -> Iterator[Schema]:
    """The schema with the suites compiled; not run where utPLSQL is not installed."""
    if not schema.rows("select 1 from all_synonyms where synonym_name = 'UT' and owner = 'PUBLIC'"):
        pytest.skip("not run: utPLSQL is not installed in this database")
    for path in SUITES:
        for piece in read_world([path], DB.parent).pieces:
            if piece.kind == PLSQL:
                schema.block(piece.text)
    assert schema.rows("select name, line, text from user_errors where name like 'TEST_RTM%'") == []
    yield schema
    for path in SUITES:
        if path.suffix == ".pks":
            schema.block(f"begin execute immediate 'drop package {path.stem}'; end;")


def test_suites_in_the_database_pass(utplsql: Schema) -> None:
    lines = utplsql.rows(
        "select column_value from table(ut.run(sys_context('USERENV', 'CURRENT_SCHEMA'), ut_junit_reporter()))"
    )
    report = ET.fromstring("".join(line or "" for (line,) in lines))

    cases = list(report.iter("testcase"))
    bad = [case.get("name") for case in cases if case.find("failure") is not None or case.find("error") is not None]
    assert len(cases) >= 20
    assert bad == []


def test_uninstall_leaves_nothing_and_may_be_run_twice(spare_schema: Schema) -> None:
    first = spare_schema.run("90_uninstall.sql", rtm_drop_log="Y")
    left = {(kind, name) for kind, name, _ in spare_schema.objects()}
    second = spare_schema.run("90_uninstall.sql", rtm_drop_log="Y")

    assert (first.failed, second.failed) == ([], [])
    assert left == set()


def test_uninstall_keeps_the_log_unless_told(spare_schema: Schema) -> None:
    spare_schema.run("90_uninstall.sql")

    tables = {name for kind, name, _ in spare_schema.objects() if kind == "TABLE"}
    assert tables == {"RTM_LOG"}


def test_driver_speaks_to_this_database(schema: Schema) -> None:
    """The figures for docs/oracle.md: which release has compiled and run this."""
    with schema.connect() as connection:
        print(f"\nrun on Oracle {connection.version}, python-oracledb {oracledb.__version__}")
        assert int(connection.version.split(".")[0]) >= 19
