"""All rules for import files."""

from __future__ import annotations

from pathlib import Path

from tools.plsql.finding import Finding
from tools.plugins.lint_attribute import check_attributes
from tools.plugins.lint_file import check_calls, check_frame, check_stamp, check_text
from tools.plugins.lint_plugin import check_events, check_files, check_ids, check_order, check_plugin
from tools.plugins.model import read_export

CHECKS = (
    check_text,
    check_frame,
    check_stamp,
    check_calls,
    check_plugin,
    check_ids,
    check_order,
    check_events,
    check_files,
    check_attributes,
)


def lint(path: Path) -> list[Finding]:
    """Everything that is wrong with an import file, sorted by line; empty when APEX 23.1 should take it."""
    export = read_export(path)
    found = list(export.source.findings)
    for check in CHECKS:
        found.extend(Finding(export.source.path, *fault) for fault in check(export))
    return sorted(set(found))
