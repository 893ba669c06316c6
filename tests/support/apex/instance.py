"""The page engine: sessions, session state, rendering, AJAX callbacks and page submits of one application."""

from __future__ import annotations

import html
import itertools
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.db.sandbox.values import OracleError
from tests.support.apex.database import ApexSession, Database, message_of
from tests.support.apex.markup import (
    Frame,
    Rendered,
    button_html,
    event_list,
    item_html,
    page_html,
    region_html,
    report_html,
)
from tests.support.apex.page import EXECUTE_CODE, JAVASCRIPT, REFRESH, SERVER_CODE, Action, Item, Page, Process, Region
from tests.support.apex.plugin import ImportedPlugin, imported_plugins

APP_ID = 100
_SUBSTITUTION = re.compile(r"&([A-Z][A-Z0-9_$#]*)(!RAW)?\.")
_NATIVE = {REFRESH: "apexNative.refresh", SERVER_CODE: "apexNative.serverCode"}

Handler = Callable[[ApexSession, dict[str, str]], dict[str, Any]]


class RefusedError(Exception):
    """APEX would answer with an error page: no such session, or a value that Session State Protection guards."""


@dataclass(slots=True)
class Call:
    """What an AJAX identifier stands for."""

    page: Page
    handler: Handler
    name: str


@dataclass(slots=True)
class Instance:
    """An application with the three plug-ins. ``component_settings`` are theirs by internal name and prompt."""

    database: Database
    app_id: int = APP_ID
    pages: dict[int, Page] = field(default_factory=dict)
    component_settings: dict[str, dict[str, str]] = field(default_factory=dict)
    sessions: dict[int, ApexSession] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    identifiers: dict[tuple[object, ...], str] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(4711))
    requests: list[dict[str, str]] = field(default_factory=list)
    """Forms of all AJAX calls, in the order of their coming."""
    answers: list[dict[str, Any]] = field(default_factory=list)

    # --- who is there

    def login(self, user: str) -> int:
        """A new APEX session; gives its number."""
        number = next(self.numbers)
        self.sessions[number] = ApexSession(number, user)
        return number

    def logout(self, number: int) -> None:
        """End an APEX session, as its timeout does."""
        del self.sessions[number]

    def session(self, number: str) -> ApexSession:
        """The session of a request.

        Raises:
            RefusedError: it has ended or never was.
        """
        try:
            return self.sessions[int(number)]
        except (KeyError, ValueError):
            raise RefusedError("Your session has ended.") from None

    # --- a page

    def render(self, page: Page, caller: ApexSession, frame: Callable[[tuple[str, ...], str], Frame]) -> str:
        """The page as HTML. ``frame`` gets the URLs of plug-in files and a nonce."""

        def work() -> str:
            self.database.enter(caller, self.app_id, page.number)
            for process in page.processes:
                if process.point == "Before Header":
                    self._process(caller, process)
            rendered = {
                (number, place): self._render_action(page, number, place, action)
                for number, dynamic_action in enumerate(page.dynamic_actions)
                for place, action in enumerate(dynamic_action.actions)
            }
            parts = [*self._regions(page), *self._items(page), *map(button_html, page.buttons)]
            used = [self._plugin(item.type) for each in page.dynamic_actions for item in each.actions]
            scripts = [f"{item.name}/{name}" for item in used if item is not None for name in item.scripts]
            events = event_list(page, rendered, self._plugin_events())
            self.database.commit()
            return page_html(page, frame(tuple(dict.fromkeys(scripts)), secrets.token_urlsafe(12)), parts, events)

        return self.database.run(work)

    def set_items(self, page: Page, caller: ApexSession, values: dict[str, str]) -> None:
        """Put what a browser sent into session state.

        Raises:
            RefusedError: an item is protected, and the value another one than it has.
        """
        for name, value in values.items():
            item = page.item(name)
            if item is None and name in caller.items:
                raise RefusedError(f"Session state protection violation: {name}.")  # an application item
            if item is None or item.type == "Display Only":
                continue
            if item.is_protected and value != self._value(item, caller):
                raise RefusedError(f"Session state protection violation: {name}.")
            caller.items[name] = value

    def _value(self, item: Item, caller: ApexSession) -> str:
        return caller.items.get(item.name) or self.substituted(item.default)

    def _items(self, page: Page) -> list[str]:
        return [item_html(item, self.database.item(item.name) or self.substituted(item.default)) for item in page.items]

    def _regions(self, page: Page) -> list[str]:
        found = []
        for region in page.regions:
            identifier = ""
            if region.type == "Classic Report":
                identifier = self._identifier(
                    page, ("region", region.static_id), self._region_call(region), region.title
                )
            found.append(region_html(region, self._content(region), identifier))
        return found

    def _content(self, region: Region) -> str:
        if region.type == "Classic Report":
            return report_html(self.database.query(region.source))
        return self.substituted(region.source)

    def substituted(self, text: str) -> str:
        """``&ITEM.`` replaced, escaped unless ``!RAW``: the harder case where it is not known what APEX does."""

        def value(found: re.Match[str]) -> str:
            given = self.database.item(found[1]) or ""
            return given if found[2] else html.escape(given)

        return _SUBSTITUTION.sub(value, text)

    # --- actions

    def _plugin(self, display_name: str) -> ImportedPlugin | None:
        return imported_plugins().get(display_name)

    def _plugin_events(self) -> dict[str, str]:
        """Event names by what Page Designer shows."""
        return {
            f"{shown} [{plugin.display_name}]": name
            for plugin in imported_plugins().values()
            for shown, name in plugin.events.items()
        }

    def _render_action(self, page: Page, number: int, place: int, action: Action) -> Rendered:
        plugin = self._plugin(action.type)
        key, name = ("action", number, place), page.dynamic_actions[number].name
        if action.type == JAVASCRIPT:
            return Rendered(f"function(){{\n{action.code}\n}}")
        if action.type == SERVER_CODE:
            items = action.settings.get("Items to Submit", "").replace(" ", "")
            identifier = self._identifier(page, key, self._code_call(action), name)
            return Rendered(_NATIVE[SERVER_CODE], identifier, (items,))
        if plugin is None:
            return Rendered(_NATIVE[action.type])
        assert not action.waits_for_result or "WAIT_FOR_RESULT" in plugin.standard_attributes
        identifier = self._identifier(page, key, self._plugin_call(page, plugin, action), name)
        result = self.database.callback(plugin.functions["render"], identifier, **self._records(page, plugin, action))
        function, on_load = str(result.fields["javascript_function"]), "ONLOAD" in plugin.standard_attributes
        return Rendered(function, result.fields["ajax_identifier"], fires_on_load=on_load)

    def _records(self, page: Page, plugin: ImportedPlugin, action: Action) -> dict[str, Any]:
        settings = {name: value for name, value in action.settings.items() if name != "Fire on Initialization"}
        return {
            "p_dynamic_action": self.database.record("t_dynamic_action", self._filled(plugin.values(settings))),
            "p_plugin": self._plugin_record(plugin),
        }

    def _plugin_record(self, plugin: ImportedPlugin) -> Any:
        settings = self.component_settings.get(plugin.name, {})
        return self.database.record("t_plugin", self._filled(plugin.values(settings, "APPLICATION")))

    def _filled(self, values: dict[str, str | None]) -> dict[str, str | None]:
        return {name: value and (self.substituted(value) or None) for name, value in values.items()}

    # --- AJAX

    def _identifier(self, page: Page, key: tuple[object, ...], handler: Handler, name: str) -> str:
        full_key = (page.number, *key)
        identifier = self.identifiers.setdefault(full_key, secrets.token_urlsafe(24))
        self.calls[identifier] = Call(page, handler, name)
        return identifier

    def ajax(self, form: dict[str, str]) -> dict[str, Any]:
        """Answer an AJAX call: session state first, then the callback, then the commit."""
        self.requests.append(form)
        call = self.calls.get(form.get("p_request", "").removeprefix("PLUGIN="))
        if call is None:
            return {"error": "There is no such component."}

        def work() -> dict[str, Any]:
            try:
                caller = self.session(form.get("p_instance", ""))
                self.database.enter(caller, self.app_id, call.page.number)
                sent = json.loads(form.get("p_json") or "{}").get("pageItems", {}).get("itemsToSubmit", [])
                self.set_items(call.page, caller, {item["n"]: str(item["v"]) for item in sent})
                answer = call.handler(caller, form)
                self.database.commit()
            except RefusedError as error:
                return {"error": str(error)}
            except OracleError as error:
                self.database.rollback()
                return {"error": message_of(error)}
            return answer

        answer = self.database.run(work)
        self.answers.append(answer)
        return answer

    def _plugin_call(self, page: Page, plugin: ImportedPlugin, action: Action) -> Handler:
        def handler(_caller: ApexSession, form: dict[str, str]) -> dict[str, Any]:
            self.database.post(form.get("x01"), form.get("p_clob_01"))
            self.database.callback(plugin.functions["ajax"], None, **self._records(page, plugin, action))
            return dict(self.database.session.apex.answer)

        return handler

    def _code_call(self, action: Action) -> Handler:
        returned = [name.strip() for name in action.settings.get("Items to Return", "").split(",") if name.strip()]

        def handler(caller: ApexSession, _form: dict[str, str]) -> dict[str, Any]:
            self._keep(caller, self.database.plsql(action.code))
            return {"items": [{"name": name, "value": caller.items.get(name, "")} for name in returned]}

        return handler

    def _keep(self, caller: ApexSession, after: dict[str, str | None]) -> None:
        """Put what a block left in its bind variables into session state."""
        caller.items.update({name: value or "" for name, value in after.items() if re.match(r"P\d", name)})

    def _region_call(self, region: Region) -> Handler:
        return lambda _caller, _form: {"html": self._content(region)}

    # --- page submit

    def accept(self, form: dict[str, str]) -> tuple[str, str]:
        """Run the processes of a submitted page in one transaction; gives success message and error message."""

        def work() -> tuple[str, str]:
            caller, page = self.session(form.get("p_instance", "")), self.pages[int(form["p_flow_step_id"])]
            self.database.enter(caller, self.app_id, page.number)
            self.set_items(page, caller, {name: value for name, value in form.items() if page.item(name)})
            try:
                messages = [
                    self._process(caller, process) for process in page.processes if process.point == "Processing"
                ]
                self.database.commit()
            except OracleError as error:
                self.database.rollback()
                return "", message_of(error)
            return " ".join(filter(None, messages)), ""

        return self.database.run(work)

    def _process(self, caller: ApexSession, process: Process) -> str | None:
        plugin = self._plugin(process.type)
        if plugin is None:
            assert process.type == EXECUTE_CODE, process.type
            self._keep(caller, self.database.plsql(process.code))
            return process.success_message
        fields = self._filled(plugin.values(process.settings)) | {"success_message": process.success_message}
        records = {
            "p_process": self.database.record("t_process", fields),
            "p_plugin": self._plugin_record(plugin),
        }
        result = self.database.callback(plugin.functions["execution"], None, **records)
        skipped = result.fields["execution_skipped"]
        return None if skipped else result.fields["success_message"] or process.success_message
