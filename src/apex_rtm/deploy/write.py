"""Puts the files of a deployment in their places, and never over somebody's own edits."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from apex_rtm.deploy import render
from apex_rtm.deploy.render import Site

SECRET_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
CONFIG: Final = Path("/etc/apex-rtm/apex-rtm.toml")


class Outcome(Enum):
    """What became of a file."""

    WRITTEN = "written"
    SAME = "as it should be already"
    KEPT = "kept: it holds your secrets"
    BESIDE = "differs, so the new one is beside it"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file, where it went, and how. `not_written`: lines that were asked for and that a kept file lacks."""

    path: Path
    outcome: Outcome
    not_written: tuple[str, ...] = ()


def write(path: Path, text: str, mode: int, *, may_replace: bool) -> Placed:
    """Write one file whole or not at all. Raises OSError.

    A file with other contents stays as it is, and the new one is written as `<name>.new`, unless it may be replaced.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.exists():
        if path.read_text(encoding="utf-8", errors="replace") == text:
            return Placed(path, Outcome.SAME)
        if not may_replace:
            beside = path.with_name(f"{path.name}.new")
            _write_whole(beside, text, mode)
            return Placed(beside, Outcome.BESIDE)
    _write_whole(path, text, mode)
    return Placed(path, Outcome.WRITTEN)


def _write_whole(path: Path, text: str, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # Made with its final mode: written first and closed to others afterwards, a secret could be read in between.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_config(path: Path, site: Site, *, may_replace: bool) -> Placed:
    """Write the configuration with fresh secrets; one that is there keeps its own. Raises OSError."""
    if path.exists() and not may_replace:
        return Placed(path, Outcome.KEPT, _lacking(path, site))
    return write(path, render.configuration(site), SECRET_MODE, may_replace=may_replace)


def _lacking(path: Path, site: Site) -> tuple[str, ...]:
    """The lines for what `site` asks for and the file does not say. Names of settings and addresses only, no secret."""
    try:
        said: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        said = {}
    lines = []
    for name, wanted in render.chosen(site).items():
        there = said.get(name)
        if isinstance(wanted, list) and isinstance(there, list):
            # More than is asked for is somebody's choice; what is added goes beside it.
            added = [one for one in wanted if one not in there]
            if added and (name != "trusted_proxies" or not there):
                lines.append(f"{name} = {json.dumps([*there, *added])}")
        elif there != wanted:
            lines.append(f"{name} = {json.dumps(wanted)}")
    return tuple(lines)


def write_all(root: Path, site: Site, *, may_replace: bool) -> list[Placed]:
    """Put every file of a deployment under `root`, / on the machine itself. Raises OSError, ConfigurationError."""
    units = root / "etc/systemd/system"
    files = {units / "apex-rtm.service": render.service(site), units / "apex-rtm.socket": render.listening(site)}
    if not site.has_own_tls:
        files[root / "etc/nginx/conf.d/apex-rtm.conf"] = render.nginx(site)
        files[units / "nginx.service.d/apex-rtm.conf"] = render.nginx_limits()
    config = write_config(root / CONFIG.relative_to("/"), site, may_replace=False)
    return [config, *(write(path, text, PUBLIC_MODE, may_replace=may_replace) for path, text in files.items())]
