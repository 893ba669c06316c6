"""Every rule of the checker sees the fault that it is for."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path

import pytest
from tools.plugins import lint_attribute, lint_file, lint_plugin
from tools.plugins.lint import lint

from tests.plugins.sample import ACTION, LISTENER, PROCESS, broken, call_of, committed


@dataclass(frozen=True)
class Plant:
    """``new`` in the place of ``old`` must be found by ``rule``."""

    what: str
    rule: str
    file: str
    old: str
    new: str


def _without(call: str) -> tuple[str, str]:
    return call, ""


ON_ERROR = call_of(ACTION, "create_plugin_attribute", "'On Error'")
SHOW = call_of(ACTION, "create_plugin_attr_value", "p_return_value=>'SHOW'")
LOG = call_of(ACTION, "create_plugin_attr_value", "p_return_value=>'LOG'")
NOW = call_of(ACTION, "create_plugin_attr_value", "p_return_value=>'NOW'")
ON_COMMIT = call_of(ACTION, "create_plugin_attr_value", "p_return_value=>'ON_COMMIT'")
ERROR_MESSAGE = call_of(ACTION, "create_plugin_attribute", "'Error Message'")
INTERVAL = call_of(LISTENER, "create_plugin_attribute", "'Refresh Interval'")
HIDDEN = call_of(LISTENER, "create_plugin_attribute", "'Wait While Hidden'")
SEVERAL = call_of(LISTENER, "create_plugin_attribute", "'Several Actions'")
GAP = call_of(LISTENER, "create_plugin_event", "'rtm-gap'")
PLUGIN = call_of(PROCESS, "create_plugin", "'RTM_BROADCAST_PROCESS'")
FIRST_HEX = next(line for line in committed(ACTION).splitlines() if line.startswith("wwv_flow_imp.g_varchar2_table(1)"))
LAST_HEX = [line for line in committed(ACTION).splitlines() if line.startswith("wwv_flow_imp.g_varchar2_table(")][-1]
ALL_HEX = committed(ACTION).split("empty_varchar2_table;\n")[1].partition("\nend;")[0]
RESET = "wwv_flow_imp.g_varchar2_table := wwv_flow_imp.empty_varchar2_table;\n"
STATIC = ",p_lov_type=>'STATIC'\n"
ON_SHOW_OR_STOP = "'IN_LIST'\n,p_depending_on_expression=>'SHOW,STOP'"
ID = ",p_plugin_id=>wwv_flow_imp.id("

PLANTS = [
    # the text
    Plant("a letter that is not ASCII", "ascii", PROCESS, "Shared Components", "Shared Componénts"),
    Plant("a very long line", "line-length", PROCESS, "-- Application Export:", "-- " + "x" * 1000),
    Plant("a carriage return", "line-end", PROCESS, "prompt  ...done", "prompt  ...done\r"),
    Plant("no last line feed", "line-end", PROCESS, "prompt  ...done\n", "prompt  ...done"),
    # the frame
    Plant("define stays on", "frame", PROCESS, "set define off verify off feedback off\n", ""),
    Plant("errors are passed over", "frame", PROCESS, "whenever sqlerror exit sql.sqlcode rollback\n", ""),
    Plant("settings are not put back", "frame", PROCESS, "set verify on feedback on define on\n", ""),
    Plant("the import never begins", "frame", PROCESS, "wwv_flow_imp.import_begin (", "wwv_flow_imp.component_begin ("),
    Plant("the import is not committed", "frame", PROCESS, "commit;\n", ""),
    Plant("a second import fails", "frame", PROCESS, "'REPLACE'", "'CREATE'"),
    Plant("a date of no release", "stamp", PROCESS, "2023.04.28", "2023.04.29"),
    Plant("another release than the date", "stamp", PROCESS, "p_release=>'23.1.0'", "p_release=>'24.2.0'"),
    Plant("a release without its patch", "stamp", PROCESS, "p_release=>'23.1.0'", "p_release=>'23.1'"),
    # the calls
    Plant("a call that does not exist", "call", LISTENER, "create_plugin_event(", "create_plugin_evnt("),
    Plant("a positional argument", "call", LISTENER, "p_name=>'rtm-gap'", "'rtm-gap'"),
    Plant("another variable is set", "call", PROCESS, "wwv_flow_imp.g_mode", "wwv_flow.g_mode"),
    Plant("a parameter that never existed", "parameter", PROCESS, ",p_api_version", ",p_colour=>'red'\n,p_api_version"),
    Plant("a parameter of 24.1", "later", PROCESS, ",p_api_version", ",p_version_scn=>1\n,p_api_version"),
    Plant("a parameter of 26.1", "later", PROCESS, ",p_prompt=>'Channel'", ",p_static_id=>'c'\n,p_prompt=>'Channel'"),
    Plant("no name", "missing", PROCESS, ",p_name=>'RTM_BROADCAST_PROCESS'\n", ""),
    Plant("no translatability", "missing", PROCESS, ",p_is_translatable=>false\n", ""),
    Plant("the same parameter twice", "twice", PROCESS, ",p_api_version=>2", ",p_api_version=>2\n,p_api_version=>2"),
    Plant("a number as a string", "type", PROCESS, "p_api_version=>2", "p_api_version=>'2'"),
    Plant("an id that no offset moves", "type", PROCESS, ID, ",p_plugin_id=>("),
    Plant("a boolean as a string", "type", PROCESS, "p_is_required=>true", "p_is_required=>'Y'"),
    Plant("an expression", "type", PROCESS, "'PROCESS TYPE'", "upper('process type')"),
    Plant("a display name too long", "length", PROCESS, "unistr('Real-Time", "unistr('" + "x" * 90 + "Real-Time"),
    Plant(
        "a help text too long",
        "length",
        PROCESS,
        "'<p>When the message",
        "'" + "x" * 3999 + "'\n||'<p>When the message",
    ),
    Plant(
        "a line too long for its collection",
        "length",
        PROCESS,
        ",p_api_version",
        f",p_plsql_code=>wwv_flow_string.join(wwv_flow_t_varchar2(\n'{'x' * 4001}'))\n,p_api_version",
    ),
    # the plug-in
    Plant("two plug-ins", "one-plugin", PROCESS, PLUGIN, PLUGIN + PLUGIN),
    Plant("a type of another project", "plugin-type", PROCESS, "'PROCESS TYPE'", "'ITEM TYPE'"),
    Plant(
        "a name in lower case", "name", PROCESS, "p_name=>'RTM_BROADCAST_PROCESS'", "p_name=>'rtm_broadcast_process'"
    ),
    Plant("a name that is not the file's", "file-name", PROCESS, "p_name=>'RTM_B", "p_name=>'MY_RTM_B"),
    Plant("no category", "category", ACTION, ",p_category=>'EXECUTE'\n", ""),
    Plant("a category that does not exist", "category", ACTION, "'EXECUTE'", "'MESSAGING'"),
    Plant("a category of a process", "category", PROCESS, ",p_api_version", ",p_category=>'EXECUTE'\n,p_api_version"),
    Plant("a process for nothing", "component-types", PROCESS, "APEX_APPLICATION_PAGE_PROC:", "APEX_PAGES:"),
    Plant(
        "workflows in 23.1", "component-types", PROCESS, "APEX_APPL_AUTOMATION_ACTIONS", "APEX_APPL_WORKFLOW_ACTIVITIES"
    ),
    Plant("a standard attribute misspelt", "standard-attributes", LISTENER, "'ONLOAD'", "'ON_LOAD'"),
    Plant(
        "a standard attribute of a process",
        "standard-attributes",
        PROCESS,
        ",p_api_version",
        ",p_standard_attributes=>'ONLOAD'\n,p_api_version",
    ),
    Plant("the interface version of 24.1", "api-version", PROCESS, "p_api_version=>2", "p_api_version=>1"),
    Plant("code inside the export", "inline-code", PROCESS, ",p_api_version", ",p_plsql_code=>'null;'\n,p_api_version"),
    Plant("a function without its package", "callback", PROCESS, "RTM_PLUGIN.EXECUTE", "EXECUTE"),
    Plant("the wrong kind of function", "callback", PROCESS, "p_execution_function", "p_render_function"),
    Plant("no answer to AJAX", "callback", ACTION, ",p_ajax_function=>'RTM_PLUGIN.AJAX_BROADCAST'\n", ""),
    # ids
    Plant("one id for two attributes", "id", ACTION, ON_ERROR, ON_ERROR + ON_ERROR),
    Plant("a short id", "id", PROCESS, PLUGIN, PLUGIN.replace(PLUGIN.split("id(")[1].split(")")[0], "4711")),
    Plant("an attribute of another plug-in", "reference", PROCESS, ID, ID + "1"),
    Plant("a value before its list", "order", ACTION, ON_ERROR + SHOW, SHOW + ON_ERROR),
    # events
    Plant("an event in upper case", "event", LISTENER, "'rtm-gap'", "'RTM-gap'"),
    Plant("an event twice", "event", LISTENER, "'rtm-gap'", "'rtm-message'"),
    # files
    Plant("one name for two files", "file", LISTENER, "=>'rtm_panel.js'", "=>'rtm_listener.js'"),
    Plant("a file type that browsers refuse", "file", ACTION, "text/javascript", "text/plain"),
    Plant("a file that is not UTF-8", "file", ACTION, FIRST_HEX, FIRST_HEX.replace(":= '2F2A", ":= 'FF2A")),
    Plant("an empty file", "file", ACTION, ALL_HEX, ""),
    Plant("a file loaded and not there", "file-url", LISTENER, "#rtm_listener#MIN#.js", "#rtm_client#MIN#.js"),
    Plant("no small file", "file-url", LISTENER, "p_file_name=>'rtm_listener.min.js'", "p_file_name=>'rtm_l.min.js'"),
    Plant("a file there and not loaded", "file-url", LISTENER, "=>'rtm_panel.js'", "=>'stray.js'"),
    Plant("a file from elsewhere", "file-url", ACTION, "'#PLUGIN_FILES#rtm", "'//cdn.test/rtm"),
    Plant("files without a version", "files-version", ACTION, ",p_files_version=>", ",p_display_sequence=>"),
    Plant("a version without files", "files-version", PROCESS, ",p_api_version", ",p_files_version=>1\n,p_api_version"),
    Plant("the file before it stays in", "hex-reset", ACTION, RESET, ""),
    Plant("a gap in the index", "hex-index", ACTION, "g_varchar2_table(2)", "g_varchar2_table(3)"),
    Plant("half a byte", "hex-line", ACTION, LAST_HEX, LAST_HEX.replace("';", "0';")),
    Plant("lower case", "hex-line", ACTION, FIRST_HEX, FIRST_HEX.replace("2F2A", "2f2a")),
    Plant("a short line in the middle", "hex-line", ACTION, FIRST_HEX, FIRST_HEX.replace("2F2A", "")),
    # attributes
    Plant("a scope that does not exist", "scope", PROCESS, "'COMPONENT'", "'REGION'"),
    Plant("attribute 16", "sequence", ACTION, "p_attribute_sequence=>9", "p_attribute_sequence=>16"),
    Plant("a number taken twice", "sequence", ACTION, "p_attribute_sequence=>9", "p_attribute_sequence=>8"),
    Plant("a type of 24.2", "attribute-type", PROCESS, "'PAGE ITEM'", "'SESSION STATE VALUE'"),
    Plant("a length that no column has", "max-length", PROCESS, "p_max_length=>130", "p_max_length=>4001"),
    Plant("a list without a list", "lov", ACTION, ",p_lov_type=>'STATIC'\n", ""),
    Plant("a list of one", "lov", ACTION, *_without(ON_COMMIT)),
    Plant("values of a text", "lov", ACTION, ON_ERROR, ON_ERROR.replace("SELECT LIST", "TEXT").replace(STATIC, "")),
    Plant("a list type for a text", "lov", PROCESS, ",p_max_length=>130\n", ",p_max_length=>130\n" + STATIC),
    Plant("one value for two choices", "lov", ACTION, LOG, LOG.replace("'LOG'", "'SHOW'")),
    Plant("one text for two choices", "lov", ACTION, LOG, LOG.replace("'Log'", "'Show'")),
    Plant("one place for two choices", "lov", ACTION, LOG, LOG.replace("sequence=>20", "sequence=>10")),
    Plant("a value that is two", "lov", ACTION, LOG, LOG.replace("'LOG'", "'LO:G'")),
    Plant("a required list without a default", "default", ACTION, ",p_default_value=>'SHOW'\n", ""),
    Plant("a default that is no choice", "default", ACTION, ",p_default_value=>'SHOW'", ",p_default_value=>'show'"),
    Plant(
        "defaults that are no choices", "default", LISTENER, SEVERAL, SEVERAL.replace("ITEM:REFRESH", "ITEM,REFRESH")
    ),
    Plant("a switch that is neither on nor off", "default", LISTENER, HIDDEN, HIDDEN.replace("'Y'", "'YES'")),
    Plant("a number that is none", "default", LISTENER, INTERVAL, INTERVAL.replace("'1000'", "'1 s'")),
    Plant(
        "a condition about nothing",
        "dependency",
        ACTION,
        ERROR_MESSAGE,
        "\n".join(line for line in ERROR_MESSAGE.split("\n") if "depending_on_attribute_id" not in line),
    ),
    Plant("a condition that does not exist", "dependency", ACTION, ON_SHOW_OR_STOP, "'CONTAINS'"),
    Plant("a condition without its value", "dependency", ACTION, ",p_depending_on_expression=>'SHOW,STOP'\n", ""),
    Plant("a value that never occurs", "dependency", ACTION, "'SHOW,STOP'", "'SHOW,HALT'"),
    Plant("a parent that need not be there", "dependency", ACTION, "has_to_exist=>true", "has_to_exist=>false"),
    Plant(
        "an attribute that depends on itself",
        "dependency",
        ACTION,
        ERROR_MESSAGE,
        ERROR_MESSAGE.replace(
            ERROR_MESSAGE.split("depending_on_attribute_id=>wwv_flow_imp.id(")[1].split(")")[0],
            ERROR_MESSAGE.split("p_id=>wwv_flow_imp.id(")[1].split(")")[0],
        ),
    ),
    Plant(
        "a parent of another scope", "dependency", ACTION, ON_ERROR, ON_ERROR.replace("'COMPONENT'", "'APPLICATION'")
    ),
    Plant("no example", "help", LISTENER, INTERVAL, INTERVAL.replace("p_examples=>", "p_attribute_comment=>")),
    Plant("no help", "help", LISTENER, INTERVAL, INTERVAL.replace("p_help_text=>", "p_attribute_comment=>")),
    # what the script reader sees
    Plant("a block that is never run", "slash", PROCESS, "commit;\nend;\n/\n", "commit;\nend;\n"),
    Plant("a statement without its end", "syntax", PROCESS, ");\nend;", ")\nend;"),
    Plant("a bracket too many", "syntax", PROCESS, "id(", "id(("),
    Plant("text after the end", "syntax", PROCESS, "commit;\nend;", "commit;\nend; end;"),
    Plant("an end without its semicolon", "syntax", PROCESS, "commit;\nend;", "commit;\nend"),
]


@pytest.mark.parametrize("name", [LISTENER, ACTION, PROCESS])
def test_the_committed_files_have_no_fault(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(committed(name), encoding="utf-8")

    assert lint(path) == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.rule}: {plant.what}")
def test_a_planted_fault_is_found(plant: Plant, tmp_path: Path) -> None:
    path = broken(tmp_path, plant.file, plant.old, plant.new)

    assert plant.rule in {finding.rule for finding in lint(path)}


def test_every_rule_has_a_planted_fault() -> None:
    planted = {plant.rule for plant in PLANTS}

    assert _rules() - planted == set()
    assert planted - _rules() == {"slash", "syntax"}  # those of the script reader


def _rules() -> set[str]:
    """The second member of every triple in the rules' source: (line, rule, message)."""
    found: set[str] = set()
    for module in (lint_file, lint_plugin, lint_attribute):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Tuple) and len(node.elts) == 3 and not isinstance(_text(node.elts[0]), str):
                found.add(str(_text(node.elts[1])))
    return found - {"None"}


def _text(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def test_a_later_vocabulary_is_refused_even_under_its_own_date(tmp_path: Path) -> None:
    text = committed(PROCESS).replace("2023.04.28", "2024.11.30").replace("p_release=>'23.1.0'", "p_release=>'24.2.0'")
    path = tmp_path / PROCESS
    path.write_text(text.replace(",p_api_version=>2", ",p_version_scn=>1\n,p_api_version=>2"), encoding="utf-8")

    found = {(finding.rule, finding.message) for finding in lint(path)}

    assert ("later", "p_version_scn came with 24.1: this project writes the vocabulary of 23.1") in found
    assert ("api-version", "exports of 24.2 say 1 for functions") in found


def test_a_finding_names_file_and_line(tmp_path: Path) -> None:
    path = broken(tmp_path, PROCESS, "p_api_version=>2", "p_api_version=>'2'")
    line = path.read_text(encoding="utf-8").split("\n").index(",p_api_version=>'2'") + 1

    shown = [str(finding) for finding in lint(path) if finding.rule == "type"]

    assert shown == [f"{PROCESS}:{line}: p_api_version takes a number, not a text [type]"]
