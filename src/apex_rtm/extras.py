"""Libraries that are not installed with the server, and the command that installs them.

The library is named itself, never `apex-rtm[oracle]`: this project is in no package registry, so anybody could take its
name there, and what they put under it would be installed, often by root.
"""

from __future__ import annotations

import shlex
import sys
from typing import Final

# As in pyproject.toml; a test compares them.
LIBRARIES: Final = {
    "demo": ("XStatic-jQuery>=3.7",),
    "metrics": ("prometheus-client>=0.22",),
    "otel": ("opentelemetry-api>=1.30", "opentelemetry-sdk>=1.30", "opentelemetry-exporter-otlp-proto-http>=1.30"),
    "oracle": ("oracledb>=3.1",),
    "redis": ("redis[hiredis]>=8",),
}


def install_line(extra: str, python: str | None = None) -> str:
    """The shell command that installs what `extra` needs, into the Python that runs this unless another is given.

    Raises KeyError where there is no such extra.
    """
    return shlex.join([python or sys.executable or "python", "-m", "pip", "install", *LIBRARIES[extra]])
