"""Which process listens on a port, on this machine and on a small one made of files."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

from apex_rtm.doctor.process import Process, descriptor_limit, listener_on, state_directory


def test_the_process_that_listens_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = listener_on(port)
        assert found is not None
        assert found.pid == os.getpid()
    assert listener_on(port) is None


def test_a_process_of_somebody_else_is_not_found(tmp_path: Path) -> None:
    """The table names the socket; the directory with its owner is closed."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4711 1\n"
    )
    assert listener_on(3000, tmp_path) is None
    (tmp_path / "77" / "fd").mkdir(parents=True)
    (tmp_path / "77" / "fd" / "3").symlink_to("socket:[4711]")
    (tmp_path / "77" / "comm").write_text("node\n")
    assert listener_on(3000, tmp_path) == Process(77, "node")
    assert listener_on(3001, tmp_path) is None


def test_systemd_is_not_taken_for_the_service_that_it_hands_the_socket_to(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp6").write_text("header\n 0: 0:0BB8 0:0 0A 0:0 0:0 0 0 0 4711 1\n")
    for pid, name in ((1, "systemd"), (812, "apex-rtm")):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "3").symlink_to("socket:[4711]")
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    assert listener_on(3000, tmp_path) == Process(812, "apex-rtm")


def test_the_directory_of_a_service_is_read_from_its_process(tmp_path: Path) -> None:
    (tmp_path / "812").mkdir()
    (tmp_path / "812" / "environ").write_bytes(b"LANG=C\0STATE_DIRECTORY=/var/lib/apex-rtm:/var/lib/b\0X=1\0")
    assert state_directory(Process(812, "apex-rtm"), tmp_path) == Path("/var/lib/apex-rtm")
    (tmp_path / "812" / "environ").write_bytes(b"LANG=C\0")
    assert state_directory(Process(812, "apex-rtm"), tmp_path) is None
    assert state_directory(Process(813, "gone"), tmp_path) is None


def test_the_limit_of_a_process_is_its_own() -> None:
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert descriptor_limit(None) == own
    assert descriptor_limit(Process(os.getpid(), "python")) == own
    assert descriptor_limit(Process(2**22 - 1, "gone")) == own
