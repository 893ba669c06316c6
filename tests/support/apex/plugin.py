"""An import file as an application has it after the import: what Page Designer shows, and what the engine is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tools.plugins.manifest import EXPORTS
from tools.plugins.model import Export, embedded_files, read_export
from tools.plugins.statement import Statement


class NotInPageDesignerError(Exception):
    """A setting that a developer could not make: no such attribute, no such choice, or it is not shown."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Shown only while attribute ``on`` has one of (or, negated, none of) ``values``."""

    on: int
    values: tuple[str, ...]
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a plug-in; ``choices`` are stored values by what is shown."""

    sequence: int
    scope: str
    prompt: str
    type: str
    is_required: bool
    default: str | None
    max_length: int | None
    choices: dict[str, str]
    depends: Dependency | None

    @property
    def field(self) -> str:
        """Its name in the records of APEX_PLUGIN."""
        return f"attribute_{self.sequence:02d}"

    def stored(self, shown: str) -> str | None:
        """The value as the page keeps it.

        Raises:
            NotInPageDesignerError: it is not in the list, no switch, no number, or too long.
        """
        if self.type == "CHECKBOXES":
            return ":".join(self._choice(item.strip()) for item in shown.split(",")) if shown else None
        if self.type == "SELECT LIST":
            return self._choice(shown)
        if self.type == "CHECKBOX":
            return {"On": "Y", "Off": "N"}.get(shown) or self._refuse(shown)
        if self.type == "INTEGER" and not shown.isdecimal():
            self._refuse(shown)
        if self.type == "PAGE ITEM" and not re.fullmatch(r"[A-Z][A-Z0-9_$#]*", shown):
            self._refuse(shown)
        if self.max_length is not None and len(shown) > self.max_length:
            self._refuse(shown)
        return shown or None

    def _choice(self, shown: str) -> str:
        return self.choices.get(shown) or self._refuse(shown)

    def _refuse(self, shown: str) -> str:
        raise NotInPageDesignerError(f"{self.prompt} cannot be '{shown}'")


@dataclass(frozen=True, slots=True)
class ImportedPlugin:
    """A plug-in; ``scripts`` are the names of its JavaScript files in loading order, ``functions`` its callbacks."""

    name: str
    display_name: str
    kind: str
    functions: dict[str, str]
    scripts: tuple[str, ...]
    files: dict[str, bytes]
    attributes: tuple[Attribute, ...]
    standard_attributes: frozenset[str]
    events: dict[str, str] = field(default_factory=dict)

    def values(self, settings: dict[str, str], scope: str = "COMPONENT") -> dict[str, str | None]:
        """``settings`` by prompt as the fields of a record, with the defaults of what is shown and not set.

        Raises:
            NotInPageDesignerError: no developer could have made these settings.
        """
        own = {attribute.prompt: attribute for attribute in self.attributes if attribute.scope == scope}
        unknown = set(settings) - set(own)
        if unknown:
            raise NotInPageDesignerError(f"{self.display_name} has no attribute {', '.join(sorted(unknown))}")
        stored: dict[int, str | None] = {}
        for attribute in sorted(own.values(), key=lambda item: item.depends is not None):
            if _is_shown(attribute.depends, stored):
                given = settings.get(attribute.prompt)
                stored[attribute.sequence] = attribute.default if given is None else attribute.stored(given)
            elif attribute.prompt in settings:
                raise NotInPageDesignerError(f"{attribute.prompt} is not shown with these settings")
            if attribute.is_required and attribute.sequence in stored and not stored[attribute.sequence]:
                raise NotInPageDesignerError(f"{attribute.prompt} is required")
        return {f"attribute_{number:02d}": value for number, value in stored.items()}


def _is_shown(depends: Dependency | None, stored: dict[int, str | None]) -> bool:
    return depends is None or (stored.get(depends.on) in depends.values) != depends.is_negated


@cache
def imported_plugins() -> dict[str, ImportedPlugin]:
    """The three plug-ins by their display names, read from the files that a developer imports."""
    found = [import_plugin(path) for path in sorted(EXPORTS.glob("*.sql"))]
    return {plugin.display_name: plugin for plugin in found}


def import_plugin(path: Path) -> ImportedPlugin:
    """Read one import file."""
    export = read_export(path)
    (call,) = export.plugins
    names = ("render", "ajax", "execution")
    functions = {name: export.text(call, f"p_{name}_function").lower() for name in names}
    urls = export.text(call, "p_javascript_file_urls").split()
    return ImportedPlugin(
        name=export.text(call, "p_name"),
        display_name=export.text(call, "p_display_name"),
        kind=export.text(call, "p_plugin_type"),
        functions={name: function for name, function in functions.items() if function},
        scripts=tuple(url.removeprefix("#PLUGIN_FILES#").replace("#MIN#", ".min") for url in urls),
        files=embedded_files(path),
        attributes=tuple(_attribute(export, item) for item in export.attributes),
        standard_attributes=frozenset(filter(None, export.text(call, "p_standard_attributes").split(":"))),
        events={export.text(item, "p_display_name"): export.text(item, "p_name") for item in export.events},
    )


def _attribute(export: Export, call: Statement) -> Attribute:
    return Attribute(
        sequence=export.number(call, "p_attribute_sequence") or 0,
        scope=export.text(call, "p_attribute_scope"),
        prompt=export.text(call, "p_prompt"),
        type=export.text(call, "p_attribute_type"),
        is_required=bool(export.number(call, "p_is_required")),
        default=export.text(call, "p_default_value") or None,
        max_length=export.number(call, "p_max_length"),
        choices={
            export.text(value, "p_display_value"): export.text(value, "p_return_value")
            for value in export.values_of(call)
        },
        depends=_dependency(export, call),
    )


def _dependency(export: Export, call: Statement) -> Dependency | None:
    parent_id = export.number(call, "p_depending_on_attribute_id")
    if parent_id is None:
        return None
    (parent,) = (item for item in export.attributes if export.number(item, "p_id") == parent_id)
    return Dependency(
        export.number(parent, "p_attribute_sequence") or 0,
        tuple(export.text(call, "p_depending_on_expression").split(",")),
        export.text(call, "p_depending_on_condition_type").startswith("NOT"),
    )
