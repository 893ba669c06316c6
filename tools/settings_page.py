"""Write docs/settings.md from the settings themselves.

python -m tools.settings_page            write it
python -m tools.settings_page --check    fail when it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from apex_rtm.oracle_settings import OracleSettings
from apex_rtm.settings import PREFIX, Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
HEAD = f"""<!-- written by tools/settings_page.py, do not edit -->
# Settings

Each setting can be given as a flag (`--max-frame-bytes`; `--no-io-uring` switches off what is `true`), as a variable
(`{PREFIX}MAX_FRAME_BYTES`) or in the TOML file that `--config` or `{PREFIX}CONFIG` names (`max_frame_bytes = 65536`);
the first of these wins. `api_keys`,
`jwt_secret`, `console_key`, `metrics_key`, `redis_password`, `oracle_password` and `oracle_wallet_password` are never
flags, because every user of the machine can read a command line. Lists are comma separated in variables.

`apex-rtm check-config` prints what is in force, with secrets hidden, and names every mistake at once.

"""
TABLE = """| setting | default | what it is for |
|---|---|---|
"""
ORACLE = """
## Oracle

For `apex-rtm serve` with a relay inside, for `apex-rtm relay` and for `apex-rtm db`; [relay.md](relay.md) says when to
use which. Needs `/opt/apex-rtm/current/bin/python -m pip install 'oracledb>=3.1'`.

"""
TAIL = """
## Namespaces

Options for all channels whose name starts with a prefix; the longest prefix that fits wins. In the TOML file only:

```toml
[[namespaces]]
prefix = "chat:"
history_size = 200        # publications kept per channel; default: history_size above
history_ttl_s = 86400     # seconds they are kept; default: history_ttl_s above
presence = true           # subscribers may see who else is there; default: false
```
"""


def page() -> str:
    """Build the page."""
    rows = {
        name: f"| `{name}` | {_default(field.get_default(call_default_factory=False))} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    }
    own = "".join(row for name, row in rows.items() if name not in OracleSettings.model_fields)
    oracle = "".join(rows[name] for name in OracleSettings.model_fields)
    return HEAD + TABLE + own + TAIL + ORACLE + TABLE + oracle


def _default(value: Any) -> str:
    if value is None or value == () or value is PydanticUndefined:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> int:
    """Write or check; return a process exit code."""
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        print("docs/settings.md is not up to date: python -m tools.settings_page", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
