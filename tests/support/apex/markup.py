"""A page as HTML: items, regions and buttons, and the dynamic actions as the list that APEX writes into a script."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.apex.page import REFRESH, SERVER_CODE, Action, Button, DynamicAction, Item, Page, Region

_EVENTS = {
    "Page Load": "ready", "Click": "click", "Change": "change", "Key Release": "keyup",
    "After Refresh": "apexafterrefresh",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an action's render function gave for the browser."""

    javascript_function: str
    ajax_identifier: str | None = None
    attributes: tuple[str, ...] = ()
    fires_on_load: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds the components of a page."""

    app_id: int
    session: int
    user: str
    ajax_url: str
    accept_url: str
    scripts: tuple[str, ...]
    nonce: str
    success_message: str = ""


def text_of(value: str | None) -> str:
    """Escaped for HTML, also inside quotes."""
    return html.escape(value or "")


def item_html(item: Item, value: str) -> str:
    """A page item with its value."""
    name, shown = item.name, text_of(value)
    if item.type == "Hidden":
        return f'<input type="hidden" id="{name}" name="{name}" value="{shown}">'
    label = f'<label for="{name}">{text_of(item.label or name)}</label>'
    if item.type == "Display Only":
        return f'<div class="t-Form-field">{label}<span id="{name}" class="display_only">{shown}</span></div>'
    if item.type == "Select List":
        options = "".join(
            f'<option value="{text_of(choice)}"{" selected" if choice == value else ""}>{text_of(choice)}</option>'
            for choice in item.choices
        )
        redirects = " data-redirect" if item.redirects else ""
        return f'<div class="t-Form-field">{label}<select id="{name}" name="{name}"{redirects}>{options}</select></div>'
    if item.type == "Textarea":
        return f'<div class="t-Form-field">{label}<textarea id="{name}" name="{name}">{shown}</textarea></div>'
    field = f'<input type="text" id="{name}" name="{name}" value="{shown}" autocomplete="off">'
    return f'<div class="t-Form-field">{label}{field}</div>'


def button_html(button: Button) -> str:
    """A button."""
    submits = " data-submit-page" if button.action == "Submit Page" else ""
    label = text_of(button.label or button.name)
    return f'<button type="button" id="{button.name}" class="t-Button"{submits}>{label}</button>'


def region_html(region: Region, content: str, ajax_identifier: str) -> str:
    """A region; ``content`` is HTML."""
    refreshes = ""
    if ajax_identifier:
        refreshes = f' data-ajax="{ajax_identifier}" data-submit="{",".join(region.items_to_submit)}"'
    title = f'<h2 class="t-Region-title">{text_of(region.title)}</h2>' if region.title else ""
    body = f'<div class="t-Region-body">{content}</div>'
    return f'<section id="{region.static_id}" class="t-Region"{refreshes}>{title}{body}</section>'


def report_html(rows: list[dict[str, object]]) -> str:
    """A classic report with the rows of a query."""
    if not rows:
        return "<p>no data found</p>"
    heads = "".join(f"<th>{text_of(name.replace('_', ' ').title())}</th>" for name in rows[0])
    lines = "".join(
        f"<tr>{''.join(f'<td>{text_of(None if value is None else str(value))}</td>' for value in row.values())}</tr>"
        for row in rows
    )
    return f'<table class="t-Report"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>'


def _trigger(action: DynamicAction, plugin_events: dict[str, str]) -> tuple[str, str]:
    """Event and selector of a dynamic action."""
    event = action.custom_event if action.event == "Custom" else _EVENTS.get(action.event)
    event = event or plugin_events[action.event]
    if event == "ready":
        return event, ""
    if action.javascript_expression:
        assert action.javascript_expression == "document", "APEX would run it; this page knows only document"
        return event, "document"
    single = action.button or action.region
    names = [single] if single else [name.strip() for name in action.items.split(",")]
    assert all(names), f"{action.name}: no triggering element"
    return event, ",".join(f"#{name}" for name in names)


def _action_js(event: str, action: Action, rendered: Rendered) -> str:
    fires = {"On": True, "Off": False}.get(action.settings.get("Fire on Initialization", ""), rendered.fires_on_load)
    members = {
        "action": f"PLUGIN_{action.type}",
        "executeOnPageInit": event == "ready" or fires,
        "stopExecutionOnError": action.stops_on_error,
        "waitForResult": action.waits_for_result or action.type == SERVER_CODE,
        "ajaxIdentifier": rendered.ajax_identifier or "",
    }
    members |= {f"attribute{number:02d}": value for number, value in enumerate(rendered.attributes, start=1)}
    if action.type == REFRESH:
        members["attribute01"] = action.settings["Region"]
    fields = ",".join(f"{json.dumps(key)}:{_literal(value)}" for key, value in members.items())
    return f'{{{fields},"javascriptFunction":{rendered.javascript_function}}}'


def _literal(value: object) -> str:
    return json.dumps(value).replace("<", "\\u003c")


def event_list(page: Page, rendered: dict[tuple[int, int], Rendered], plugin_events: dict[str, str]) -> str:
    """The list that apex.da runs: each function of an action is written as its render function gave it."""
    entries = []
    for number, dynamic_action in enumerate(page.dynamic_actions):
        event, selector = _trigger(dynamic_action, plugin_events)
        actions = ",".join(
            _action_js(event, action, rendered[number, place]) for place, action in enumerate(dynamic_action.actions)
        )
        head = {"name": dynamic_action.name, "bindEventType": event, "triggeringElement": selector}
        fields = ",".join(f"{json.dumps(key)}:{_literal(value)}" for key, value in head.items())
        entries.append(f'{{{fields},"actionList":[{actions}]}}')
    return f"[{','.join(entries)}]"


def page_html(page: Page, frame: Frame, parts: Iterable[str], events: str) -> str:
    """The whole document. Scripts come last, as APEX writes them; the inline one carries the nonce."""
    scripts = "".join(f'<script src="{url}"></script>\n' for url in frame.scripts)
    success = f"<p>{text_of(frame.success_message)}</p>" if frame.success_message else ""
    return f"""<!doctype html>
<html lang="en" data-app-id="{frame.app_id}" data-page-id="{page.number}" data-session="{frame.session}"
 data-user="{text_of(frame.user)}" data-ajax-url="{frame.ajax_url}">
<head><meta charset="utf-8"><title>{text_of(page.title)}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/i/page.css">
<link rel="stylesheet" href="/i/engine.css"></head>
<body>
<header class="t-Header"><span class="t-Header-logo">{text_of(page.title)}</span>
<span class="t-Header-user">{text_of(frame.user)}</span></header>
<form id="wwvFlowForm" method="post" action="{frame.accept_url}" class="t-Body">
<input type="hidden" id="p_request" name="p_request"><input type="hidden" name="p_instance" value="{frame.session}">
<input type="hidden" name="p_flow_step_id" value="{page.number}">
<div id="APEX_SUCCESS_MESSAGE" class="t-Alert t-Alert--success" role="status">{success}</div>
<div id="APEX_ERROR_MESSAGE" class="t-Alert t-Alert--danger" role="alert"></div>
{"".join(parts)}
</form>
{scripts}<script nonce="{frame.nonce}">
apex.jQuery(function(){{ apex.da.gEventList = {events}; apex.da.init(); }});
</script>
</body></html>
"""
