"""The readable source of a plug-in: ``plugin.toml`` and ``help.md``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "apex-plugins" / "src"
EXPORTS = ROOT / "apex-plugins"
CLIENT = ROOT / "client-js"


class ManifestError(Exception):
    """A source cannot be used; the text names file, place and fault."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a list. ``display`` is what Page Designer shows, ``value`` what pages store."""

    display: str
    value: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Shows an attribute only while attribute ``on`` of the same scope meets the condition."""

    on: int
    condition: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; ``sequence`` is its number for ever, its place in the list its place in Page Designer."""

    sequence: int
    prompt: str
    type: str
    help: str
    examples: str
    scope: str = "COMPONENT"
    required: bool = False
    default: str | None = None
    common: bool = True
    wizard: bool = True
    translatable: bool = False
    max_length: int | None = None
    unit: str | None = None
    depends: Dependency | None = None
    values: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An event that dynamic actions can react to."""

    name: str
    display_name: str
    help: str


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """A member of the settings object that the browser gets."""

    key: str
    type: str
    origin: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in; ``files`` maps embedded names to their content, in loading order."""

    folder: str
    name: str
    type: str
    display_name: str
    export: str
    help: str
    category: str | None = None
    render: str | None = None
    ajax: str | None = None
    execution: str | None = None
    component_types: tuple[str, ...] = ()
    standard_attributes: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    events: tuple[Event, ...] = ()
    config: tuple[ConfigKey, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)


def read_plugins(sources: Path = SOURCES, client: Path = CLIENT) -> list[Plugin]:
    """Read every plug-in under ``sources``, by folder name; embedded files come from ``client``.

    Raises:
        ManifestError: a member is missing, unknown or of the wrong type, or a file is not there.
    """
    return [read_plugin(path.parent, client) for path in sorted(sources.glob("*/plugin.toml"))]


def read_plugin(folder: Path, client: Path = CLIENT) -> Plugin:
    """Read one plug-in.

    Raises:
        ManifestError: as ``read_plugins``.
    """
    path = folder / "plugin.toml"
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        content["attributes"] = tuple(_attribute(item) for item in content.get("attributes", []))
        content["events"] = tuple(Event(**item) for item in content.get("events", []))
        content["config"] = tuple(_config_key(key, item) for key, item in content.get("config", {}).items())
        content["files"] = {name: (client / name).read_bytes() for name in content.get("files", [])}
        for key in ("component_types", "standard_attributes"):
            content[key] = tuple(content.get(key, []))
        return Plugin(folder=folder.name, help=(folder / "help.md").read_text(encoding="utf-8"), **content)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"{folder.name}/plugin.toml: {error}") from error


def _attribute(item: dict[str, Any]) -> Attribute:
    depends = item.pop("depends", None)
    values = tuple(Choice(**value) for value in item.pop("values", []))
    try:
        return Attribute(**item, depends=Dependency(**depends) if depends else None, values=values)
    except TypeError as error:
        raise ManifestError(f"attribute {item.get('prompt', '?')}: {error}") from error


def _config_key(key: str, item: dict[str, str]) -> ConfigKey:
    return ConfigKey(key, item["type"], item["from"], item["meaning"])
