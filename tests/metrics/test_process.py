"""What the operating system says of a process, on systems that say it in different ways."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apex_rtm.metrics import process
from apex_rtm.metrics.process import count_files, max_files, memory_bytes


def test_memory_is_told_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now = memory_bytes()
    monkeypatch.setattr(process, "_STATM", tmp_path / "missing")

    assert memory_bytes() > 10_000_000
    assert now > 10_000_000


@pytest.mark.parametrize("is_told", [True, False])
async def test_descriptors_are_counted_whether_the_system_tells_or_not(
    monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    if not is_told:
        monkeypatch.setattr(process, "_told", lambda _folder: 0)
    before = await count_files()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    try:
        after = await count_files()
    finally:
        for descriptor in opened:
            os.close(descriptor)

    assert before is not None
    assert after is not None
    assert 45 <= after - before <= 55
    assert after < max_files()


async def test_where_nothing_is_told_there_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "_FILES", None)
    assert await count_files() is None
    monkeypatch.setattr(process, "_FILES", str(tmp_path / "missing"))
    assert await count_files() is None
