"""Write the examples in deploy/ from the templates of `apex-rtm deploy`.

python -m tools.deploy_files            write them
python -m tools.deploy_files --check    fail when one is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from apex_rtm.deploy import render
from apex_rtm.deploy.render import Site

FOLDER: Final = Path(__file__).resolve().parent.parent / "deploy"
SITE: Final = Site("rtm.example.com", origins=("https://apex.example.com",))


def files() -> dict[str, str]:
    """Name in deploy/ and contents."""
    return {
        "nginx-rtm.conf.example": render.nginx(SITE),
        "nginx-limits.conf": render.nginx_limits(),
        "apex-rtm.service": render.service(SITE),
        "apex-rtm.socket": render.listening(SITE),
        "apex-rtm.toml.example": render.configuration(SITE, secret="run: apex-rtm deploy config"),  # noqa: S106 - a hint, too short to be taken
    }


def main() -> int:
    """Write or check; return a process exit code."""
    stale = [
        name
        for name, text in files().items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"deploy/{name} is not up to date: python -m tools.deploy_files", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(files()[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
