"""Files are written whole, closed from the first moment, and never over somebody's edits."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from apex_rtm.deploy.render import Site
from apex_rtm.deploy.write import Outcome, write, write_all, write_config

SITE = Site("rtm.example.com", origins=("https://apex.example.com",))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_written_and_a_second_time_left(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file"
    assert write(path, "text", 0o644, may_replace=False).outcome is Outcome.WRITTEN
    before = path.stat().st_ino
    assert write(path, "text", 0o644, may_replace=True).outcome is Outcome.SAME
    assert (path.read_text(), path.stat().st_ino) == ("text", before)


def test_edits_stay_unless_they_may_go(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("edited")
    placed = write(path, "new", 0o644, may_replace=False)
    assert (placed.outcome, placed.path, path.read_text()) == (Outcome.BESIDE, tmp_path / "file.new", "edited")
    assert placed.path.read_text() == "new"
    assert write(path, "new", 0o644, may_replace=True).outcome is Outcome.WRITTEN
    assert path.read_text() == "new"


def test_a_secret_is_never_readable_by_others_not_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    open_file = os.open

    def watch(path: str, flags: int, given: int = 0o777) -> int:
        descriptor = open_file(path, flags, given)
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watch)
    old = os.umask(0)
    try:
        placed = write_config(tmp_path / "apex-rtm.toml", SITE, may_replace=False)
    finally:
        os.umask(old)
    assert seen == [0o600]
    assert mode(placed.path) == 0o600


def test_secrets_that_are_there_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "apex-rtm.toml"
    write_config(path, SITE, may_replace=False)
    before = path.read_text()
    assert write_config(path, SITE, may_replace=False).outcome is Outcome.KEPT
    assert path.read_text() == before
    assert write_config(path, SITE, may_replace=True).outcome is Outcome.WRITTEN
    assert path.read_text() != before


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(path, "new", 0o644, may_replace=True)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("has_own_tls", [False, True])
def test_all_files_have_their_places(tmp_path: Path, has_own_tls: bool) -> None:
    site = Site("rtm.example.com", has_own_tls=has_own_tls)
    placed = write_all(tmp_path, site, may_replace=False)
    found = {str(one.path.relative_to(tmp_path)): mode(one.path) for one in placed}
    expected = {
        "etc/apex-rtm/apex-rtm.toml": 0o600,
        "etc/systemd/system/apex-rtm.service": 0o644,
        "etc/systemd/system/apex-rtm.socket": 0o644,
    }
    if not has_own_tls:
        expected |= {"etc/nginx/conf.d/apex-rtm.conf": 0o644, "etc/systemd/system/nginx.service.d/apex-rtm.conf": 0o644}
    assert found == expected
    again = {one.outcome for one in write_all(tmp_path, site, may_replace=False)}
    assert again == {Outcome.SAME, Outcome.KEPT}
