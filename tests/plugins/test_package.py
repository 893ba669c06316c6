"""RTM_PLUGIN and the import files agree: functions, attributes, settings of the page, values of lists."""

from __future__ import annotations

import re

import pytest
from tools.plsql.tree import Subprogram, Unit
from tools.plsql.world import World, read_world
from tools.plugins.manifest import ROOT, Attribute, Plugin, read_plugins

SCRIPT = ROOT / "db" / "07_rtm_plugin.sql"
BODY = (ROOT / "db" / "packages" / "rtm_plugin.pkb").read_text(encoding="utf-8")
PLUGINS = {plugin.name: plugin for plugin in read_plugins()}

ACTION = ["p_dynamic_action in apex_plugin.t_dynamic_action", "p_plugin in apex_plugin.t_plugin"]
INTERFACES = {
    "render": (ACTION, "apex_plugin.t_dynamic_action_render_result"),
    "ajax": (ACTION, "apex_plugin.t_dynamic_action_ajax_result"),
    "execution": (
        ["p_process in apex_plugin.t_process", "p_plugin in apex_plugin.t_plugin"],
        "apex_plugin.t_process_exec_result",
    ),
}
"""The functions that APEX 23.1 to 26 call (App Builder's own help for the three callbacks)."""


@pytest.fixture(scope="module")
def world() -> World:
    return read_world([SCRIPT], ROOT)


@pytest.fixture(scope="module")
def specification(world: World) -> Unit:
    unit = world.unit("package", "rtm_plugin")
    assert unit is not None
    return unit


def body_of(name: str) -> str:
    """The text of every subprogram of this name."""
    found = re.findall(rf"^  (?:function|procedure) {name}\(.*?^  end {name};", BODY, re.DOTALL | re.MULTILINE)
    assert found, f"RTM_PLUGIN has no {name}"
    return "\n".join(found)


@pytest.mark.parametrize("plugin", PLUGINS.values(), ids=lambda plugin: plugin.name)
def test_every_function_that_an_import_file_names_exists(plugin: Plugin, specification: Unit) -> None:
    public = {item.name: item for item in specification.declarations if isinstance(item, Subprogram)}
    for callback, (parameters, returns) in INTERFACES.items():
        function = getattr(plugin, callback)
        if function is None:
            continue
        package, _, name = function.lower().partition(".")
        assert package == "rtm_plugin"
        assert [f"{one.name} {one.mode} {one.type}" for one in public[name].parameters] == parameters
        assert (public[name].kind, public[name].returns) == ("function", returns)


def test_no_public_function_is_without_a_plugin(specification: Unit) -> None:
    public = {item.name for item in specification.declarations if isinstance(item, Subprogram)}
    named = {
        getattr(plugin, callback).lower().removeprefix("rtm_plugin.")
        for plugin in PLUGINS.values()
        for callback in INTERFACES
        if getattr(plugin, callback)
    }

    assert public == named


def read_numbers(text: str, record: str) -> set[int]:
    return {int(number) for number in re.findall(rf"\b{record}\.attribute_(\d\d)\b", text)}


def declared(plugin: Plugin, scope: str) -> set[int]:
    return {attribute.sequence for attribute in plugin.attributes if attribute.scope == scope}


def test_every_attribute_of_the_listener_is_read() -> None:
    text = body_of("listener_config") + body_of("url_of") + body_of("token_of")

    assert read_numbers(text, "p_action") == declared(PLUGINS["RTM_LISTENER_DA"], "COMPONENT")
    assert read_numbers(text, "p_plugin") == declared(PLUGINS["RTM_LISTENER_DA"], "APPLICATION")


def test_every_attribute_of_the_broadcast_plugins_is_read() -> None:
    text = body_of("broadcast_of")

    assert read_numbers(text, "p_action") == declared(PLUGINS["RTM_BROADCAST_DA"], "COMPONENT")
    assert read_numbers(text, "p_process") == declared(PLUGINS["RTM_BROADCAST_PROCESS"], "COMPONENT")


@pytest.mark.parametrize(
    ("plugin", "function"), [("RTM_LISTENER_DA", "listener_config"), ("RTM_BROADCAST_DA", "render_broadcast")]
)
def test_the_page_gets_the_settings_that_the_source_describes(plugin: str, function: str) -> None:
    keys = re.findall(r"(?:p_key|\bkey) => '(\w+)'", body_of(function))

    assert sorted(keys) == sorted(one.key for one in PLUGINS[plugin].config)
    assert len(set(keys)) == len(keys)


def test_what_stays_on_the_server_is_not_given_to_the_page() -> None:
    text = body_of("render_broadcast")

    for secret in ("api_key", "base_url", "channel", "event_name", "delivery"):
        assert f"l_broadcast.{secret}" not in text
    assert "p_plugin." not in text
    assert "attribute_" not in text


def test_channel_and_event_of_a_broadcast_never_come_from_the_browser() -> None:
    posted = re.findall(r"apex_application\.\w+", BODY)

    assert set(posted) == {"apex_application.g_x01", "apex_application.g_clob_01"}
    assert BODY.count("apex_application.") == body_of_posted_value().count("apex_application.")
    assert BODY.count("posted_value()") == 1
    assert "p_value => posted_value()" in body_of("ajax_broadcast")


def body_of_posted_value() -> str:
    found = re.search(r"^  function posted_value return clob is.*?^  end posted_value;", BODY, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group()


def test_no_transaction_ends_here_and_nothing_is_substituted_twice() -> None:
    code = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", "", BODY, flags=re.DOTALL).lower()

    assert not re.search(r"\b(commit|rollback|savepoint|autonomous_transaction)\b", code)
    assert "replace_substitutions" not in code


def attribute(plugin: str, prompt: str) -> Attribute:
    return next(one for one in PLUGINS[plugin].attributes if one.prompt == prompt)


def constants() -> dict[str, str]:
    return dict(re.findall(r"(c_\w+)\s+constant varchar2\(\d+\) := '(\w+)'", BODY))


def test_the_values_of_lists_are_those_of_the_package() -> None:
    values = constants()
    actions = {choice.value for choice in attribute("RTM_LISTENER_DA", "Action").values}
    several = {choice.value for choice in attribute("RTM_LISTENER_DA", "Several Actions").values}
    on_error = {choice.value for choice in attribute("RTM_BROADCAST_DA", "On Error").values}
    raised = {choice.value for choice in attribute("RTM_BROADCAST_PROCESS", "On Error").values}

    assert actions == several | {values["c_event_only"], values["c_several"]}
    assert values["c_set_item"] in several
    assert on_error == {values["c_show"], values["c_log"], values["c_ignore"], "STOP"}
    assert raised == {values["c_raise"], values["c_log"], values["c_ignore"]}
    for plugin in ("RTM_BROADCAST_DA", "RTM_BROADCAST_PROCESS"):
        assert {choice.value for choice in attribute(plugin, "Delivery").values} == {"NOW", "ON_COMMIT"}


def test_defaults_in_page_designer_are_those_of_the_package() -> None:
    """A component that was made before an attribute existed has it null and must behave like a new one."""
    values = constants()

    assert attribute("RTM_LISTENER_DA", "Action").default == values["c_set_item"]
    assert attribute("RTM_BROADCAST_DA", "On Error").default == values["c_show"]
    assert attribute("RTM_BROADCAST_PROCESS", "On Error").default == values["c_raise"]
    assert attribute("RTM_BROADCAST_DA", "Delivery").default == "NOW"
    assert "nvl(p_action.attribute_07, websocket_api.c_now)" in BODY
    assert f"'{attribute('RTM_BROADCAST_DA', 'Error Message').default}'" in BODY
    assert "nvl(p_action.attribute_12, 'Y')" in BODY
    assert attribute("RTM_LISTENER_DA", "Wait While Hidden").default == "Y"


def test_the_log_shows_the_names_of_the_plugins() -> None:
    values = constants()

    assert {values["c_listener_source"], values["c_action_source"], values["c_process_source"]} == set(PLUGINS)


def test_a_channel_cannot_break_out_of_the_script_of_the_page() -> None:
    """The settings become part of an inline script: </script> or <!-- in a channel name must not reach it."""
    assert re.search(r"replace\(p_config\.to_string\(\), '<', '\\u003c'\)", body_of("call_of"))
    assert BODY.count("javascript_function := ") == BODY.count("javascript_function := call_of(") + 1
    assert "javascript_function := c_broken_listener" in BODY
