"""The listening socket, and how many connections there may be."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket

from apex_rtm.errors import ConfigurationError
from apex_rtm.settings import Settings, is_loopback
from apex_rtm.systemd import take_listener

_RESERVED_FILES = 128  # the log, the listening socket, standard streams, a spare for everything else
_ENOUGH_FILES = 1_048_576  # where the system sets no limit
# The kernel would let each socket that is not read grow to megabytes, beyond outbox_max_bytes and out of our sight.
_SEND_BUFFER_BYTES = 262_144


def share_descriptors(settings: Settings) -> tuple[int, int]:
    """Share what the system gives among WebSockets and other sockets; return how many there may be of each.

    The settings are upper bounds. Were more sockets accepted than there are descriptors, the log and the health checks
    would fail with them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = _ENOUGH_FILES
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    free = hard - min(_RESERVED_FILES, hard // 4)
    http_sockets = min(settings.max_http_connections, free // 2)
    websockets = free - http_sockets
    return min(settings.max_connections or websockets, websockets), http_sockets


def bind(settings: Settings) -> socket.socket:
    """Take the port before anything else is started, or what a socket unit hands over. Raises ConfigurationError."""
    given = take_listener(os.environ)
    if given is not None:
        return _take_over(settings, given)
    try:
        info = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(info[0], socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if settings.workers > 1:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # accepted sockets inherit it
            listener.bind(info[4])
            listener.listen(4096)
            on_failure.pop_all()
    except socket.gaierror as error:
        raise ConfigurationError([f"host: {settings.host} is not an address of this machine: {error}"]) from error
    except OSError as error:
        raise ConfigurationError([_explain_bind(settings, error)]) from error
    listener.setblocking(False)
    return listener


def _take_over(settings: Settings, given: socket.socket) -> socket.socket:
    """Serve a socket that systemd listens on; `host` and `port` say nothing then, but open mode is no wider for it."""
    host = given.getsockname()[0]
    if settings.is_open and not is_loopback(host):
        given.close()
        raise ConfigurationError(
            [f"host: the socket unit listens on {host}, and open mode on loopback only; set api_keys and jwt_secret"]
        )
    given.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    given.setblocking(False)
    return given


def _explain_bind(settings: Settings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port: {settings.port} on {settings.host} is in use already; stop that program or set another port"
    if error.errno == errno.EACCES:
        return f"port: {settings.port} may not be used by this user; ports below 1024 need a reverse proxy"
    return f"host: cannot listen on {settings.host}:{settings.port}: {error.strerror}"
