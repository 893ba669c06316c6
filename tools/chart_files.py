"""Put the console's chart library into the wheel: from npm's registry, by way of node_modules.

A build hook (see pyproject.toml). Without `npm ci` the wheel is complete but for the charts, and the console shows
tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES: Final = ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE")


class ChartFiles(BuildHookInterface):  # type: ignore[type-arg]  # of a configuration that it does not read
    """Called by hatchling before a wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files, or say that they are missing. An editable install reads node_modules itself."""
        if version == "editable":
            return
        package = Path(self.root) / "node_modules" / "uplot"
        missing = [name for name in FILES if not (package / name).is_file()]
        if missing:
            self.app.display_warning("uplot is not installed (npm ci), so this wheel's console has tables, not charts")
            return
        for name in FILES:
            build_data["force_include"][str(package / name)] = f"apex_rtm/console/charts/{Path(name).name}"
