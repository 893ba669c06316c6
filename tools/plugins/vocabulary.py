"""What the import calls of APEX 23.1 take.

The names are those that exports of 22.2 and 23.1 carry; types and lengths are those of the columns behind them (APEX
24.2). A parameter of a later release stops the import with PLS-00306 in an older one, so later ones are listed with the
release that brought them: a file may only use what its date stamp promises.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.plugins.statement import BLOB, BOOLEAN, ID, NUMERIC, TEXT

STAMPS = {
    "2022.04.12": "22.1",
    "2022.10.07": "22.2",
    "2023.04.28": "23.1",
    "2023.10.31": "23.2",
    "2024.05.31": "24.1",
    "2024.11.30": "24.2",
    "2026.03.30": "26.1",
}
"""Date stamp of an export by release."""

MAX_ATTRIBUTES = 15
"""T_DYNAMIC_ACTION, T_PROCESS and T_PLUGIN have ATTRIBUTE_01 to ATTRIBUTE_15 and no more."""

PLUGIN_TYPES = ("DYNAMIC ACTION", "PROCESS TYPE")
"""The types that this project exports; for others the rules below would have to be read up first."""

CATEGORIES = ("COMPONENT", "EFFECT", "EXECUTE", "INIT", "MISC", "NAVIGATION", "NOTIFICATION")
COMPONENT_TYPES = ("APEX_APPLICATION_PAGE_PROC", "APEX_APPL_AUTOMATION_ACTIONS")
"""What 23.1 is known to have; task and workflow actions came later or are not proved for it."""

STANDARD_ATTRIBUTES = (
    "ITEM",
    "BUTTON",
    "REGION",
    "JQUERY_SELECTOR",
    "JAVASCRIPT_EXPRESSION",
    "TRIGGERING_ELEMENT",
    "EVENT_SOURCE",
    "REQUIRED",
    "ONLOAD",
    "STOP_EXECUTION_ON_ERROR",
    "WAIT_FOR_RESULT",
    "INIT_JAVASCRIPT_CODE",
)
SCOPES = ("APPLICATION", "COMPONENT")
ATTRIBUTE_TYPES = (
    "TEXT",
    "TEXTAREA",
    "SELECT LIST",
    "CHECKBOX",
    "CHECKBOXES",
    "NUMBER",
    "INTEGER",
    "PAGE ITEM",
    "PAGE ITEMS",
    "PAGE NUMBER",
    "COLOR",
    "ICON",
    "LINK",
    "SQL",
    "PLSQL",
    "PLSQL EXPRESSION",
    "PLSQL EXPRESSION BOOLEAN",
    "PLSQL FUNCTION BODY",
    "PLSQL FUNCTION BODY BOOLEAN",
    "HTML",
    "JAVASCRIPT",
    "XML",
)
LIST_TYPES = ("SELECT LIST", "CHECKBOXES")
CONDITIONS_WITH_VALUE = ("EQUALS", "NOT_EQUALS", "IN_LIST", "NOT_IN_LIST")
CONDITIONS = (*CONDITIONS_WITH_VALUE, "NULL", "NOT_NULL")
MIME_TYPES = ("text/javascript", "text/css", "application/json")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: kinds of value it takes, longest text in bytes."""

    kind: str
    max_bytes: int | None = None
    required: bool = False


def _text(max_bytes: int | None = None, *, required: bool = False) -> Parameter:
    return Parameter(TEXT, max_bytes, required)


def _plain(kind: str, *, required: bool = False) -> Parameter:
    return Parameter(kind, required=required)


_NUMBER, _BOOLEAN, _ID = _plain(NUMERIC), _plain(BOOLEAN), _plain(ID)
_OWN_ID = _plain(ID, required=True)

_BEGIN = {
    "p_version_yyyy_mm_dd": _text(required=True),
    "p_release": _text(required=True),
    "p_default_workspace_id": _plain(NUMERIC, required=True),
    "p_default_application_id": _plain(NUMERIC, required=True),
    "p_default_id_offset": _plain(NUMERIC, required=True),
    "p_default_owner": _text(128),
}
_PLUGIN = {
    "p_id": _OWN_ID,
    "p_plugin_type": _text(required=True),
    "p_name": _text(45, required=True),
    "p_display_name": _text(100, required=True),
    "p_category": _text(),
    "p_supported_component_types": _text(4000),
    "p_javascript_file_urls": _text(4000),
    "p_css_file_urls": _text(4000),
    "p_plsql_code": _text(32767),
    "p_default_escape_mode": _text(),
    "p_api_version": _plain(NUMERIC, required=True),
    "p_render_function": _text(255),
    "p_ajax_function": _text(255),
    "p_execution_function": _text(255),
    "p_standard_attributes": _text(512),
    "p_substitute_attributes": _BOOLEAN,
    "p_subscribe_plugin_settings": _BOOLEAN,
    "p_help_text": _text(4000),
    "p_version_identifier": _text(30),
    "p_about_url": _text(512),
    "p_plugin_comment": _text(4000),
    "p_files_version": _NUMBER,
}
_ATTRIBUTE = {
    "p_id": _OWN_ID,
    "p_plugin_id": _OWN_ID,
    "p_attribute_scope": _text(required=True),
    "p_attribute_sequence": _plain(NUMERIC, required=True),
    "p_display_sequence": _NUMBER,
    "p_prompt": _text(255, required=True),
    "p_attribute_type": _text(required=True),
    "p_is_required": _plain(BOOLEAN, required=True),
    "p_is_common": _BOOLEAN,
    "p_show_in_wizard": _BOOLEAN,
    "p_default_value": _text(4000),
    "p_display_length": _NUMBER,
    "p_max_length": _NUMBER,
    "p_unit": _text(255),
    "p_is_translatable": _plain(BOOLEAN, required=True),
    "p_supported_component_types": _text(4000),
    "p_depending_on_attribute_id": _ID,
    "p_depending_on_has_to_exist": _BOOLEAN,
    "p_depending_on_condition_type": _text(),
    "p_depending_on_expression": _text(4000),
    "p_lov_type": _text(),
    "p_attribute_group_id": _ID,
    "p_text_case": _text(),
    "p_null_text": _text(255),
    "p_examples": _text(4000),
    "p_help_text": _text(4000),
    "p_attribute_comment": _text(4000),
}
_VALUE = {
    "p_id": _OWN_ID,
    "p_plugin_attribute_id": _OWN_ID,
    "p_display_sequence": _plain(NUMERIC, required=True),
    "p_display_value": _text(255, required=True),
    "p_return_value": _text(255, required=True),
    "p_is_quick_pick": _BOOLEAN,
    "p_help_text": _text(4000),
}
_EVENT = {
    "p_id": _OWN_ID,
    "p_plugin_id": _OWN_ID,
    "p_name": _text(45, required=True),
    "p_display_name": _text(100, required=True),
}
_FILE = {
    "p_id": _OWN_ID,
    "p_plugin_id": _OWN_ID,
    "p_file_name": _text(400, required=True),
    "p_mime_type": _text(255, required=True),
    "p_file_charset": _text(128, required=True),
    "p_file_content": _plain(BLOB, required=True),
}

CALLS: dict[str, dict[str, Parameter]] = {
    "wwv_flow_imp.import_begin": _BEGIN,
    "wwv_flow_imp.import_end": {"p_auto_install_sup_obj": _plain("")},
    "wwv_flow_imp_shared.create_plugin": _PLUGIN,
    "wwv_flow_imp_shared.create_plugin_attribute": _ATTRIBUTE,
    "wwv_flow_imp_shared.create_plugin_attr_value": _VALUE,
    "wwv_flow_imp_shared.create_plugin_event": _EVENT,
    "wwv_flow_imp_shared.create_plugin_file": _FILE,
    "commit": {},
}
"""Every call that an import file may make, with its parameters as 23.1 knows them."""

_AUDIT = {"p_created_by": "24.2", "p_created_on": "24.2", "p_updated_by": "24.2", "p_updated_on": "24.2"}

LATER: dict[str, dict[str, str]] = {
    "wwv_flow_imp.import_end": {"p_is_component_import": "24.1"},
    "wwv_flow_imp_shared.create_plugin": {"p_version_scn": "24.1", "p_apexlang_name": "26.1", **_AUDIT},
    "wwv_flow_imp_shared.create_plugin_attribute": {
        "p_static_id": "26.1",
        "p_apexlang_name": "26.1",
        "p_min_value": "26.1",
        "p_max_value": "26.1",
        **_AUDIT,
    },
    "wwv_flow_imp_shared.create_plugin_attr_value": {"p_apexlang_name": "26.1", **_AUDIT},
    "wwv_flow_imp_shared.create_plugin_event": _AUDIT,
    "wwv_flow_imp_shared.create_plugin_file": _AUDIT,
}
"""The release whose exports were the first seen with a parameter, for plug-ins of the types above."""


def release_of(stamp: str) -> str | None:
    """The release of a date stamp, or None."""
    return STAMPS.get(stamp)


def api_version_of(release: str) -> int:
    """The interface version that exports of a release carry for functions: 24.1 renumbered it."""
    return 2 if _order(release) < _order("24.1") else 1


def is_known(release: str, later: str) -> bool:
    """Whether ``release`` has what ``later`` brought."""
    return _order(release) >= _order(later)


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
