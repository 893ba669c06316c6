"""Small files for browsers, made by terser of the readable ones and committed beside the import files.

A checkout without Node.js can still build and check everything else: each small file says in its first line of which
sources it is made. That it is just what terser makes of them is compared by the tests of the client (``make client``).
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "client-js" / "minify.mjs"


def head_of(readable: bytes) -> bytes:
    """The first line of the small file of ``readable``."""
    return b"/* apex-rtm, MIT License, " + hashlib.sha256(readable).hexdigest()[:16].encode() + b" */\n"


def is_current(path: Path, readable: bytes) -> bool:
    """Whether the small file ``path`` is made of ``readable``."""
    return path.is_file() and path.read_bytes().startswith(head_of(readable))


def minify(readable: bytes) -> bytes:
    """The small file of ``readable``.

    Raises:
        OSError: there is no Node.js.
        ValueError: terser is not installed, or the source is not JavaScript.
    """
    done = subprocess.run(["node", SCRIPT], input=readable, capture_output=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"client-js/minify.mjs: {done.stderr.decode(errors='replace').strip()} (npm ci?)")
    return head_of(readable) + done.stdout
