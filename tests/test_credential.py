"""Keys and tokens in files: what is taken for one, and that the wrong file never shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from apex_rtm.credential import read_credential
from apex_rtm.errors import ConfigurationError

SECRET = "c0ffee5ecre7c0ffee5ecre7"


def refusal(path: Path, noun: str = "key") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_credential(path, f"--{noun}-file", noun)
    (problem,) = caught.value.problems
    assert SECRET not in problem
    assert caught.value.__cause__ is None
    return problem


@pytest.mark.parametrize(
    "raw", [b"the-key", b"the-key\n", b" the-key \r\n\r\n", b"\xef\xbb\xbfthe-key\r\n"],
    ids=["bare", "line", "spaces", "byte order mark"],
)  # fmt: skip
def test_the_one_line_is_taken(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "key").write_bytes(raw)

    assert read_credential(tmp_path / "key", "--key-file", "key") == "the-key"


def test_a_key_in_base64_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("b3BlbnNzbCByYW5kIC1iYXNlNjQ==\n")

    assert read_credential(tmp_path / "key", "--key-file", "key").endswith("==")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", f"{SECRET}\n{SECRET}".encode(), f"{SECRET}\x07".encode(), f"{SECRET}ü".encode(),
     SECRET.encode() * 4000],
    ids=["empty", "blank", "two lines", "control", "not ascii", "endless"],
)  # fmt: skip
def test_anything_else_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "key").write_bytes(raw)

    assert refusal(tmp_path / "key") == f"--key-file {tmp_path / 'key'}: must hold one line, the key alone"


@pytest.mark.parametrize(
    "text",
    [f'host = "127.0.0.1"\napi_keys = ["{SECRET}"]\n', f'api_keys = ["{SECRET}"]', f"APEX_RTM_API_KEYS={SECRET}",
     f"export APEX_RTM_API_KEY={SECRET}", f"[server]\nx = '{SECRET}'"],
)  # fmt: skip
def test_a_configuration_is_known_as_one_even_of_one_line(tmp_path: Path, text: str) -> None:
    """A line like api_keys = […] would fit into the header, and go to whatever server --url names."""
    path = tmp_path / "rtm.toml"
    path.write_text(text)

    assert "write one of its api_keys, without the quotes, into a file of its own" in refusal(path)
    assert f"apex-rtm token mint USER CHANNEL --config {path} > token" in refusal(path, "token")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_what_is_not_utf_8_is_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "key").write_bytes(f"{SECRET}ä\r\n".encode(encoding))

    assert "is not UTF-8 text; PowerShell writes it with -Encoding ascii" in refusal(tmp_path / "key")


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"--key-file {tmp_path}: cannot be read: Is a directory"
    assert refusal(tmp_path / "gone").endswith("cannot be read: No such file or directory")
