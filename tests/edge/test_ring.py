"""io_uring against real sockets: what is taken, what is not, where the ring begins again, and kernels that refuse."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from apex_rtm.edge.ring import Ring
from tests.support.ring import require_ring

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ring() -> Iterator[Ring]:
    require_ring()
    made = Ring()
    yield made
    made.close()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    made = [socket.socketpair() for _ in range(40)]
    yield made
    for near, far in made:
        near.close()
        far.close()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_everybody_gets_the_same_bytes(ring: Ring, pairs: list[Pair]) -> None:
    assert ring.send(array("i", [near.fileno() for near, _ in pairs]), b"hello") == []
    assert [far.recv(100) for _, far in pairs] == [b"hello"] * len(pairs)


def test_where_everything_was_taken_no_result_is_looked_at(
    ring: Ring, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is what makes a burst cheap: one comparison for all, whatever the size before was."""
    monkeypatch.setattr("apex_rtm.edge.ring._RESULT", None)
    for data in (b"hello", b"more than that", b"hello"):
        assert ring.send(array("i", [near.fileno() for near, _ in pairs]), data) == []


def test_it_goes_round_many_times_and_keeps_the_order(ring: Ring, pairs: list[Pair]) -> None:
    descriptors = (
        array("i", [near.fileno() for near, _ in pairs]) * 60
    )  # more than fit in at once, each socket sixty times
    for number in range(3):
        assert ring.send(descriptors, b"%d" % number) == []
    assert [far.recv(1000) for _, far in pairs] == [b"0" * 60 + b"1" * 60 + b"2" * 60] * len(pairs)


def test_the_counters_of_32_bits_go_round_too(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """After four thousand million deliveries: half a day at full load. The kernel's part is played here."""
    ring._count = 2**32 - 100
    ring._sq_tail[0] = ring._cq_head[0] = ring._cq_tail[0] = 2**32 - 100
    seen: list[int] = []

    def kernel(_number: int, _descriptor: int, count: int, *_rest: int) -> int:
        for _ in range(count):
            at = ring._cq_tail[0]
            slot = at % 1024
            seen.append(ring._descriptors[slot])
            taken = 3 if ring._descriptors[slot] != 150 else -errno.EPIPE
            struct.pack_into("=QiI", ring._results, 16 * (at % 2048), slot, taken, 0)
            ring._cq_tail[0] = (at + 1) & 0xFFFF_FFFF
        assert ring._cq_tail[0] == ring._sq_tail[0]
        return count

    monkeypatch.setattr(ring, "_syscall", kernel)
    assert ring.send(array("i", range(300)), b"abc") == [(150, -errno.EPIPE)]
    assert seen == list(range(300))
    assert ring._cq_head[0] == ring._sq_tail[0] == 200


def test_what_is_not_taken_is_told_of_each(ring: Ring, pairs: list[Pair]) -> None:
    (whole, reader), (full, _), (gone, left), (partly, _), *_rest = pairs
    large = bytes(4_000_000)
    while ring.send(array("i", [full.fileno()]), large) != [(0, -errno.EAGAIN)]:
        pass
    left.close()
    taken = partly.send(bytes(1000))

    numbers = array("i", [whole.fileno(), full.fileno(), 1 << 20, gone.fileno(), whole.fileno()])
    assert ring.send(numbers, b"x") == [
        (1, -errno.EAGAIN), (2, -errno.EBADF), (3, -errno.EPIPE),
    ]  # fmt: skip
    assert reader.recv(10) == b"xx"
    ((place, taken),) = ring.send(array("i", [partly.fileno()]), large)
    assert (place, 0 < taken < len(large)) == (0, True)
    assert not ring.is_broken


def test_a_kernel_that_takes_only_some_breaks_the_ring(
    ring: Ring, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short of memory it stops early. What was sent and what was not is known of each."""
    whole = ring._syscall

    def takes_three(number: int, descriptor: int, count: int, wanted: int, *rest: int) -> int:
        return int(whole(number, descriptor, min(count, 3), min(wanted, 3), *rest))

    monkeypatch.setattr(ring, "_syscall", takes_three)
    left = ring.send(array("i", [near.fileno() for near, _ in pairs]), b"hello")

    assert ring.is_broken
    assert left == [(place, 0) for place in range(3, len(pairs))]
    assert [far.recv(100) for _, far in pairs[:3]] == [b"hello"] * 3
    assert ring.send(array("i", [pairs[0][0].fileno()]), b"more") == [(0, 0)]
    for _, far in pairs[3:]:
        far.setblocking(False)
        with pytest.raises(BlockingIOError):
            far.recv(1)


def test_descriptors_and_memory_are_given_back() -> None:
    require_ring()
    before = open_files()
    for _ in range(3):
        made = Ring()
        made.close()
        made.close()
    assert open_files() == before


@pytest.mark.parametrize(
    ("code", "words"), [(errno.EPERM, "io_uring_disabled"), (errno.ENOSYS, "has none"), (errno.EINVAL, "5.18")]
)
def test_a_kernel_that_refuses_is_named(code: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: int) -> int:
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_options: SimpleNamespace(syscall=refuse))
    with pytest.raises(OSError, match=words) as raised:
        Ring()
    assert raised.value.errno == code


def test_a_kernel_that_takes_the_ring_and_nothing_in_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_ring()
    whole = Ring._run

    def refuse(ring: Ring, count: int, *, wait: bool) -> int:
        made = ring._syscall

        def enter(*_args: int) -> int:
            ctypes.set_errno(errno.EPERM)
            return -1

        monkeypatch.setattr(ring, "_syscall", enter)
        try:
            return whole(ring, count, wait=wait)
        finally:
            monkeypatch.setattr(ring, "_syscall", made)

    monkeypatch.setattr(Ring, "_run", refuse)
    with pytest.raises(OSError, match="io_uring_enter: Operation not permitted"):
        Ring()


def test_every_request_is_waited_for(ring: Ring, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    """Were one to outlive the call, the kernel would read memory that Python has given to somebody else."""
    whole, calls = ring._syscall, []

    def note(number: int, descriptor: int, count: int, wanted: int, *rest: int) -> int:
        calls.append((count, wanted))
        return int(whole(number, descriptor, count, wanted, *rest))

    monkeypatch.setattr(ring, "_syscall", note)
    ring.send(array("i", [near.fileno() for near, _ in pairs]), b"hello")
    assert calls == [(len(pairs), len(pairs))]


def test_a_kernel_that_keeps_requests_for_later_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MSG_DONTWAIT this one does: the ring must notice by itself."""
    require_ring()
    monkeypatch.setattr(socket, "MSG_DONTWAIT", 0)
    before = open_files()
    with pytest.raises(OSError, match="keeps what it cannot send"):
        Ring()
    assert open_files() == before


def test_it_works_where_memory_is_never_writable_and_executable(tmp_path: Path) -> None:
    """The service that we ship forbids that, and some ways of calling C from Python need it."""
    require_ring()
    script = (
        "import ctypes, sys\n"
        "if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0): sys.exit(f'prctl {ctypes.get_errno()}')\n"
        "import mmap\n"
        "try: mmap.mmap(-1, 4096, prot=7)\n"
        "except PermissionError: pass\n"
        "else: sys.exit('memory may be both')\n"
        "from apex_rtm.edge.ring import Ring\n"
        "Ring().close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    if "prctl" in done.stderr:
        pytest.skip("not run: this kernel has no PR_SET_MDWE")
    assert (done.returncode, done.stderr) == (0, "")
