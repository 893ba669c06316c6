"""io_uring, as far as a burst needs it: the same bytes to many sockets in one system call.

The kernel takes a list of requests and carries out each within that call, since none of them may wait
(MSG_DONTWAIT): when it returns, all results are there and the ring is empty again. What is saved is entering the kernel
for each connection. Offsets and numbers are those of <linux/io_uring.h>, the same on x86-64 and arm64; what they mean
is in io_uring_setup(2), io_uring_enter(2) and io_uring_prep_send(3).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from array import array
from contextlib import ExitStack
from typing import Final

_SYS_IO_URING_SETUP: Final = 425
_SYS_IO_URING_ENTER: Final = 426
_SETUP_SUBMIT_ALL: Final = 1 << 7  # Linux 5.18: a request that fails does not hold up those behind it
_ENTER_GETEVENTS: Final = 1
_FEATURES_NEEDED: Final = 0b11  # SINGLE_MMAP, NODROP
_OP_SEND: Final = 26
_OFFSET_OF_REQUESTS: Final = 0x1000_0000  # IORING_OFF_SQES

_PARAMS_BYTES: Final = 120  # struct io_uring_params: ten numbers, then ten for each queue
_REQUEST_BYTES: Final = 64  # struct io_uring_sqe
_RESULT: Final = struct.Struct("=QiI")  # struct io_uring_cqe: user_data, res, flags
_RESULT_BYTES: Final = _RESULT.size
_REQUEST: Final = struct.Struct("=BBHiQQIIQ24x")  # opcode flags ioprio fd offset address length msg_flags user_data

_REQUESTS: Final = 1024  # 100 KB in all, and some 7 ms of sending: more at once would save nothing that shows
_FULL_AFTER: Final = 100  # sends to a socket with the smallest buffer


class Ring:
    """A ring of requests, and their results. Use it from one thread.

    Raises OSError with the reason where the kernel has none, forbids it, or does not keep to what `send` needs.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError(errno.ENOSYS, "it is part of Linux")
        self.is_broken = False
        """The kernel did not take all requests: nothing may be sent with it any more."""
        self.error_code = 0
        """What the kernel said when it took none, as in errno."""
        self._count = 0  # requests so far: where both queues stand
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._syscall.argtypes = [ctypes.c_long] * 7
        with ExitStack() as opened:
            self._open(opened)
            self._check_kernel()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Give the memory and the descriptors back. May be called again."""
        self._opened.close()

    def _open(self, opened: ExitStack) -> None:
        params = bytearray(_PARAMS_BYTES)
        struct.pack_into("=8xI", params, 0, _SETUP_SUBMIT_ALL)
        address = ctypes.addressof(ctypes.c_char.from_buffer(params))
        self._number = self._syscall(_SYS_IO_URING_SETUP, _REQUESTS, address, 0, 0, 0, 0)
        if self._number < 0:
            code = ctypes.get_errno()
            raise OSError(code, _REASONS.get(code, f"io_uring_setup: {os.strerror(code)}"))
        opened.callback(os.close, self._number)
        values = struct.unpack("=30I", params)
        requests, results, features = values[0], values[1], values[5]
        sq_tail, sq_order = values[11], values[16]  # struct io_sqring_offsets
        cq_head, cq_tail, cq_results = values[20], values[21], values[25]  # struct io_cqring_offsets
        if features & _FEATURES_NEEDED != _FEATURES_NEEDED or requests != _REQUESTS:
            raise OSError(errno.ENOSYS, "this kernel's is too old")

        queues_bytes = max(sq_order + 4 * requests, cq_results + _RESULT_BYTES * results)
        queues = memoryview(opened.enter_context(_map(self._number, queues_bytes, 0)))
        table = memoryview(opened.enter_context(_map(self._number, _REQUEST_BYTES * requests, _OFFSET_OF_REQUESTS)))
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        for slot in range(requests):
            _REQUEST.pack_into(table, _REQUEST_BYTES * slot, _OP_SEND, 0, 0, -1, 0, 0, 0, flags, slot)
        words, longs = table.cast("i"), table.cast("Q")
        self._descriptors, self._lengths, self._addresses = words[1::16], words[6::16], longs[2::8]
        numbers = queues.cast("I")
        numbers[sq_order // 4 : sq_order // 4 + requests] = array("I", range(requests))  # request n is in slot n
        self._sq_tail, self._cq_head, self._cq_tail = (
            numbers[at // 4 : at // 4 + 1] for at in (sq_tail, cq_head, cq_tail)
        )
        self._results = queues[cq_results : cq_results + _RESULT_BYTES * results]
        self._results_mask = results - 1
        # What the results of a whole table look like when everything was taken: looked at in one comparison.
        self._all_taken = bytearray(b"".join(_RESULT.pack(slot, 0, 0) for slot in range(requests)))
        self._all_taken_bytes = 0
        # Memory that is still looked at cannot be given back.
        for view in (
            queues, table, words, longs, numbers, self._descriptors, self._lengths, self._addresses, self._sq_tail,
            self._cq_head, self._cq_tail, self._results,
        ):  # fmt: skip
            opened.enter_context(view)

    def _check_kernel(self) -> None:
        """Fill a socket that nobody reads: a request that is kept for later would make the server wait for it."""
        near, far = socket.socketpair()
        data = bytes(1024)
        with near, far:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel makes it the least that it allows
            for _ in range(_FULL_AFTER):
                left = self.send(array("i", [near.fileno()]), data, wait=False)
                if self.is_broken:
                    break
                if left == [(0, -errno.EAGAIN)]:
                    return
        if self.error_code:
            raise OSError(self.error_code, f"io_uring_enter: {os.strerror(self.error_code)}")
        raise OSError(errno.ENOSYS, "this kernel's keeps what it cannot send at once")

    def send(self, descriptors: array[int], data: bytes, *, wait: bool = True) -> list[tuple[int, int]]:
        """Send `data` to each of the sockets `descriptors` (of type i), as much as they take now.

        Return where that was not all of it: (place in `descriptors`, bytes taken or a negative errno).
        After a failure of the ring itself `is_broken` is true, and what was not tried is returned with 0 bytes.
        """
        left: list[tuple[int, int]] = []
        if len(data) != self._all_taken_bytes:
            self._all_taken_bytes = len(data)
            memoryview(self._all_taken).cast("i")[2::4] = array("i", [len(data)]) * _REQUESTS
        address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        begin, total = 0, len(descriptors)
        while begin < total and not self.is_broken:
            first = self._count % _REQUESTS
            count = min(total - begin, _REQUESTS - first)  # up to the end of the table, and then from its beginning
            end = first + count
            self._descriptors[first:end] = descriptors[begin : begin + count]
            self._addresses[first:end] = array("Q", [address]) * count
            self._lengths[first:end] = array("i", [len(data)]) * count
            done = self._run(count, wait=wait)
            at = self._count & self._results_mask
            results = self._results[_RESULT_BYTES * at : _RESULT_BYTES * (at + done)].tobytes()
            if results != self._all_taken[_RESULT_BYTES * first : _RESULT_BYTES * (first + done)]:
                taken = _RESULT.iter_unpack(results)  # in no order that is promised
                left += [(begin + slot - first, size) for slot, size, _flags in taken if size != len(data)]
            self._count += done
            self._cq_head[0] = self._count & 0xFFFF_FFFF
            self.is_broken = done < count
            begin += done
        return left + [(place, 0) for place in range(begin, total)]

    def _run(self, count: int, *, wait: bool) -> int:
        """Have the kernel carry out the next `count` requests; return how many it has done."""
        before = self._count & 0xFFFF_FFFF
        self._sq_tail[0] = (self._count + count) & 0xFFFF_FFFF
        # No request may outlive the call, for `data` may not: it waits for all, though there is nothing to wait for.
        wanted = count if wait else 0
        if self._syscall(_SYS_IO_URING_ENTER, self._number, count, wanted, _ENTER_GETEVENTS, 0, 0) < 0:
            self.error_code = ctypes.get_errno()
        return (self._cq_tail[0] - before) & 0xFFFF_FFFF


_REASONS: Final = {
    errno.ENOSYS: "this kernel has none, or a container hides it",
    errno.EPERM: "it is forbidden here, by kernel.io_uring_disabled or by a seccomp filter, as of a container",
    errno.EINVAL: "it needs Linux 5.18 or newer",
}


def _map(descriptor: int, size: int, offset: int) -> mmap.mmap:
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    return mmap.mmap(descriptor, size, flags, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
