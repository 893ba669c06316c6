"""The committed import files, to be broken on purpose."""

from __future__ import annotations

from pathlib import Path

from tools.plugins.manifest import EXPORTS

LISTENER = "dynamic_action_plugin_rtm_listener_da.sql"
ACTION = "dynamic_action_plugin_rtm_broadcast_da.sql"
PROCESS = "process_type_plugin_rtm_broadcast_process.sql"


def committed(name: str) -> str:
    """The text of an import file as it stands in the repository."""
    return (EXPORTS / name).read_text(encoding="utf-8")


def broken(folder: Path, name: str, old: str, new: str) -> Path:
    """A copy with the first ``old`` replaced by ``new``; that ``old`` is there is part of the test."""
    text = committed(name)
    assert old in text, f"{name} has no {old!r}: the planted fault would not be one"
    path = folder / name
    path.write_bytes(text.replace(old, new, 1).encode("utf-8"))
    return path


def call_of(name: str, procedure: str, marker: str) -> str:
    """The text of the call of ``procedure`` that holds ``marker``."""
    calls = committed(name).split("wwv_flow_imp_shared.")
    found = [f"wwv_flow_imp_shared.{call}" for call in calls if call.startswith(f"{procedure}(") and marker in call]
    assert found, f"{name} has no {procedure} with {marker!r}"
    return found[0][: found[0].index("\n);\n") + len("\n);\n")]
