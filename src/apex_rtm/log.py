"""Structured logging: one line an event, named `noun.verb`, in which no key, token or payload appears."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import structlog

_SECRET_WORDS: Final = ("token", "secret", "api_key", "password", "authorization")


def configure_logging(level: str, log_format: str, stream: TextIO = sys.stderr) -> None:
    """Send everything, the libraries' lines too, to `stream` as text or JSON."""
    as_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
    ]
    # Either default would print the locals of every frame of a traceback: tokens, keys, payloads.
    plain = structlog.dev.plain_traceback
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)
    )
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([tracebacks] if as_json else []),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Neither library logs anything that our own events do not say better, and websockets' debug lines hold frames.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)


def hide_secrets(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blank every field whose name says that it is a secret: the last line of defence, not the first."""
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "[hidden]"
    return event


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Give a module its logger."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
