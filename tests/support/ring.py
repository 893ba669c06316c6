"""Whether the kernel under the tests has io_uring: containers often forbid it."""

from __future__ import annotations

import ctypes
import os

import pytest


def require_ring() -> None:
    """Skip, and say why, where there is no io_uring. Asks the kernel: a fault of `Ring` must not skip its tests."""
    params = (ctypes.c_uint * 30)(0, 0, 1 << 7)  # SUBMIT_ALL
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(425, 8, params)
    if descriptor < 0:
        pytest.skip(f"not run: no io_uring here, {os.strerror(ctypes.get_errno())}")
    os.close(descriptor)
