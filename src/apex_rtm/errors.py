"""Every error the product raises on purpose.

RtmError
├── Refused             the caller did something wrong; `code` says what (HTTP 4xx, or an error frame)
├── Unavailable         the log cannot take a publication now; nothing was published (HTTP 503)
└── ConfigurationError  the server cannot start; `problems` lists every reason
"""

from __future__ import annotations

from apex_rtm.codes import HTTP_STATUS


class RtmError(Exception):
    """The root of the tree. `code` is a key of `codes.HTTP_STATUS`, the text is safe to show to the caller."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The HTTP status that belongs to the code."""
        return HTTP_STATUS[self.code]


class Refused(RtmError):
    """The request is understood and refused; repeating it unchanged will not help."""


class Unavailable(RtmError):
    """The server is at fault for now: the log cannot be written, or it is about to stop."""

    def __init__(self, message: str) -> None:
        super().__init__("unavailable", message)


class ConfigurationError(Exception):
    """The configuration is wrong. `problems` has one sentence for each fault, never only the first."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
