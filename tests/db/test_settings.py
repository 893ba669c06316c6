"""RTM_CONFIG_API: what is stored is sound, secrets go in and never come out, and the checks hold for every name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.db.conftest import refused
from tests.db.sandbox.session import Session, open_session

SECRETS = ("api_key", "proxy", "token_secret", "wallet_password")
"""A proxy's address may carry its password."""

GOOD = {
    "base_url": "https://rtm.example.com:8443/rtm",
    "allowed_base_urls": "https://a.example.com http://localhost:3000",
    "allow_http": "Y",
    "api_key": "k",
    "transport": "MLE",
    "timeout_s": "60",
    "wallet_path": "file:/opt/oracle/wallets/rtm",
    "wallet_password": "anything at all",
    "proxy": "proxy.example.com:3128",
    "token_secret": "s" * 32,
    "token_lifetime_s": "86400",
    "delivery": "NOW",
    "drain_by": "RELAY",
    "drain_poll_s": "60",
    "batch_size": "1000",
    "max_attempts": "100",
    "sent_keep_h": "8760",
    "wake": "QUEUE",
    "log_level": "ERRORS",
    "log_payload": "Y",
    "log_keep_days": "3650",
}
BAD = [
    ("allow_http", "yes"),
    ("api_key", "a b"),
    ("api_key", "k" * 4001),
    ("transport", "CURL"),
    ("timeout_s", "0"),
    ("timeout_s", "61"),
    ("timeout_s", "1.5"),
    ("timeout_s", "-1"),
    ("timeout_s", "1e1"),
    ("wallet_path", "/opt/oracle"),
    ("proxy", "a\nb"),
    ("token_secret", "s" * 31),
    ("token_lifetime_s", "59"),
    ("delivery", "now"),
    ("drain_by", "CRON"),
    ("batch_size", "1001"),
    ("max_attempts", "0"),
    ("log_level", "DEBUG"),
    ("log_payload", "y"),
    ("log_keep_days", "3651"),
]


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Session]:
    """A session of a fresh installation."""
    with open_session(tmp_path) as opened:
        yield opened


def names(session: Session) -> set[str]:
    """Every setting that the specification names."""
    frame = session.machine.package("rtm_config_api").outer
    assert frame is not None
    return {str(item.value) for item in frame.variables.values() if item.type == "t_name"}


def test_every_setting_is_tried_here(bare: Session) -> None:
    assert set(GOOD) == names(bare)


@pytest.mark.parametrize("name", GOOD)
def test_sound_value_is_stored_and_read_back(bare: Session, name: str) -> None:
    bare.configure(**{name: GOOD[name]})

    (row,) = bare.rows("select * from rtm_config")
    assert (row["name"], row["value"], row["is_secret"]) == (name, GOOD[name], "Y" if name in SECRETS else "N")
    if name in SECRETS:
        with refused(bare, "secret_not_readable"):
            bare.call("rtm_config_api.get_value", p_name=name)
        assert bare.call("rtm_secret.stored_value", p_name=name) == GOOD[name]
    else:
        assert bare.call("rtm_config_api.get_value", p_name=name) == GOOD[name]
        assert bare.call("rtm_secret.stored_value", p_name=name) is None


@pytest.mark.parametrize(("name", "value"), BAD)
def test_unsound_value_is_refused_and_nothing_stored(bare: Session, name: str, value: str) -> None:
    with refused(bare, "invalid_setting"):
        bare.configure(**{name: value})

    assert bare.rows("select * from rtm_config") == []


def test_setting_without_a_value_has_its_default_again(bare: Session) -> None:
    bare.configure(timeout_s="9")
    bare.configure(timeout_s=None)

    assert bare.rows("select * from rtm_config") == []
    assert bare.call("rtm_config_api.get_number", p_name="timeout_s") == 5


def test_setting_is_replaced_and_not_doubled(bare: Session) -> None:
    bare.configure(timeout_s="9")
    bare.configure(timeout_s="10")

    assert [row["value"] for row in bare.rows("select value from rtm_config")] == ["10"]


def test_unknown_setting_is_refused(bare: Session) -> None:
    for name in ("no_such_setting", None):
        with refused(bare, "unknown_setting"):
            bare.call("rtm_config_api.set_value", p_name=name, p_value="x")
    with refused(bare, "unknown_setting"):
        bare.call("rtm_config_api.get_value", p_name="API_KEY")


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://rtm.example.com/", "https://rtm.example.com"),
        ("https://rtm.example.com///", "https://rtm.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:3000/x/", "http://127.0.0.1:3000/x"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_url_is_stored_in_one_form(bare: Session, url: str, clean: str) -> None:
    bare.configure(base_url=url)

    assert bare.call("rtm_config_api.get_value", p_name="base_url") == clean


def test_key_crosses_the_network_in_clear_only_where_somebody_said_so(bare: Session) -> None:
    with refused(bare, "url_not_allowed"):
        bare.configure(base_url="http://rtm.example.com")
    bare.configure(allow_http="Y")
    bare.configure(base_url="http://rtm.example.com")

    assert bare.call("rtm_config_api.get_value", p_name="base_url") == "http://rtm.example.com"


def test_only_whole_urls_are_allowed(bare: Session) -> None:
    """Half of an allowed URL is another server: https://a.example.co."""
    bare.configure(
        base_url="https://rtm.example.com", allowed_base_urls="https://a.example.com https://b.example.com/x"
    )

    def allowed(url: str) -> bool:
        return bare.call("rtm_config_api.is_allowed", p_url=url) is True

    assert allowed("https://rtm.example.com/")
    assert allowed("https://a.example.com")
    assert allowed("https://b.example.com/x/")
    assert not allowed("https://a.example.co")
    assert not allowed("https://b.example.com")
    assert not allowed("https://c.example.com")


def test_nothing_is_allowed_before_anything_is_stored(bare: Session) -> None:
    assert bare.call("rtm_config_api.is_allowed", p_url="https://rtm.example.com") is not True


@pytest.mark.parametrize(
    ("text", "is_safe"),
    [("a-Key_1~", True), (None, False), ("a b", False), ("a\n", False), ("ü", False), ("\u007f", False)],
)
def test_only_visible_ascii_goes_into_a_header(bare: Session, text: str | None, is_safe: bool) -> None:
    assert bare.call("rtm_config_api.is_header_safe", p_text=text) is is_safe
