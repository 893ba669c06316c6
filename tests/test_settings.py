"""Settings: four sources, one order, and every problem at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apex_rtm.errors import ConfigurationError
from apex_rtm.settings import PREFIX, Namespace, Settings, is_loopback, load_settings

SECRET = "s" * 32
KEYS = {"APEX_RTM_API_KEYS": "k", "APEX_RTM_JWT_SECRET": SECRET}


def load(environ: dict[str, str] | None = None, toml: str | None = None, **flags: Any) -> Settings:
    return load_settings(flags, environ or {}, None if toml is None else written(toml))


def written(toml: str) -> Path:
    path = Path("settings.toml")
    path.write_text(toml, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(environ: dict[str, str] | None = None, toml: str | None = None, **flags: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(environ, toml, **flags)
    return caught.value.problems


# ── where settings come from ──


def test_the_defaults_are_open_mode_on_loopback() -> None:
    settings = load()

    assert (settings.host, settings.port, settings.engine, settings.is_open) == ("127.0.0.1", 3000, "sqlite", True)
    assert settings.allowed_origins == settings.trusted_proxies == settings.api_keys == ()


def test_a_flag_goes_before_a_variable_before_the_file_before_the_default() -> None:
    toml = "port = 1\nhistory_size = 1\nping_interval_s = 1\n"
    environ = {"APEX_RTM_PORT": "2", "APEX_RTM_HISTORY_SIZE": "2"}

    settings = load(environ, toml, port="3", host=None)

    assert (settings.port, settings.history_size, settings.ping_interval_s, settings.max_headers) == (3, 2, 1, 100)
    assert settings.host == "127.0.0.1"  # a flag that was not given


def test_port_is_read_as_many_platforms_set_it() -> None:
    assert load({"PORT": "8080"}).port == 8080
    assert load({"PORT": "8080", "APEX_RTM_PORT": "9090"}).port == 9090
    assert load({"APEX_RTM_PORT": "9090", "PORT": "8080"}).port == 9090
    assert load({"PORT": ""}).port == 3000
    assert load({"PORT": "8080"}, "port = 1").port == 8080


def test_other_variables_are_not_ours() -> None:
    assert load({"HOST": "0.0.0.0", "APEX_OTHER": "x", "APEX_RTM_CONFIG": "x", "PATH": "/bin"}).host == "127.0.0.1"


def test_lists_are_comma_separated_in_variables_and_lists_in_the_file() -> None:
    environ = {
        "APEX_RTM_API_KEYS": " one , two ,,", "APEX_RTM_JWT_SECRET": SECRET,
        "APEX_RTM_ALLOWED_ORIGINS": "https://a.example,https://b.example:8443",
    }  # fmt: skip
    toml = 'trusted_proxies = ["10.0.0.0/8", "::1"]\nallowed_origins = ["*"]'

    settings = load(environ, toml)

    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")


def test_namespaces_are_tables_of_the_file() -> None:
    toml = '[[namespaces]]\nprefix = "chat:"\npresence = true\n[[namespaces]]\nprefix = "x"\nhistory_size = 5\n'

    assert load({}, toml).namespaces == (
        Namespace(prefix="chat:", presence=True), Namespace(prefix="x", history_size=5),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"STATE_DIRECTORY": "/var/lib/apex-rtm:/var/lib/other"}, "/var/lib/apex-rtm"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "/x"}, "/x/apex-rtm"),
        ({"STATE_DIRECTORY": "", "XDG_STATE_HOME": "", "HOME": "/home/scott"}, "/home/scott/.local/state/apex-rtm"),
    ],
)
def test_the_directory_of_the_log(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], directory: str) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert load().data_dir == Path(directory)
    assert load({"APEX_RTM_DATA_DIR": "elsewhere"}).data_dir == Path("elsewhere")


# ── problems ──


@pytest.mark.parametrize(
    ("environ", "toml", "flags", "problem"),
    [
        ({"APEX_RTM_PORT": "x"}, None, {}, "APEX_RTM_PORT: 'x' is no whole number"),
        ({"PORT": "x"}, None, {}, "PORT: 'x' is no whole number"),
        ({}, "port = 70000", {}, "settings.toml: port: Input should be less than or equal to 65535"),
        ({}, None, {"port": "-1"}, "--port: Input should be greater than or equal to 0"),
        ({}, None, {"history_size": "-1"}, "--history-size: Input should be greater than or equal to 0"),
        ({"APEX_RTM_ENGINE": "redis"}, None, {}, "APEX_RTM_ENGINE: it must be sqlite, memory or a URL like redis://host:6379/0"),
        ({}, None, {"history_ttl_s": "1h"}, "--history-ttl-s: '1h' is no number of seconds"),
        ({"APEX_RTM_IO_URING": "perhaps"}, None, {}, "APEX_RTM_IO_URING: 'perhaps' is neither true nor false"),
        ({}, "max_body_bytes = '8M'", {}, "settings.toml: max_body_bytes: '8M' is no number of bytes"),
        ({}, "command_rate = []", {}, "settings.toml: command_rate: '[]' is no number"),
        ({}, "max_conections = 5", {},
         "settings.toml: max_conections: there is no such setting; you may mean max_connections"),
        ({"APEX_RTM_MAX_CONECTIONS": "5"}, None, {},
         "APEX_RTM_MAX_CONECTIONS: there is no such setting; you may mean APEX_RTM_MAX_CONNECTIONS"),
        ({"APEX_RTM_COLOUR": "red"}, None, {}, "APEX_RTM_COLOUR: there is no such setting"),
        ({"APEX_RTM_NAMESPACES": "x"}, None, {}, "APEX_RTM_NAMESPACES: namespaces can only be set in the TOML file"),
        ({}, "colour = 1", {}, "settings.toml: colour: there is no such setting"),
        ({}, "[[namespaces]]\nprefix = 'a'\nx = 1", {}, "settings.toml: namespaces.0.x: there is no such setting"),
        ({}, "[[namespaces]]\npresence = true", {}, "settings.toml: namespaces.0.prefix: Field required"),
        ({}, "ping_interval_s = inf", {}, "settings.toml: ping_interval_s: Input should be a finite number"),
        ({"APEX_RTM_DRAIN_TIMEOUT_S": "inf"}, None, {}, "APEX_RTM_DRAIN_TIMEOUT_S: Input should be a finite number"),
        ({}, "history_ttl_s = nan", {}, "settings.toml: history_ttl_s: Input should be a finite number"),
        ({}, "[[namespaces]]\nprefix = 'a'\nhistory_ttl_s = nan", {},
         "settings.toml: namespaces.0.history_ttl_s: Input should be a finite number"),
        ({}, "port = ", {}, "settings.toml: not TOML: Invalid value (at end of document)"),
    ],
)  # fmt: skip
def test_a_problem_says_where_a_person_finds_the_setting(
    environ: dict[str, str], toml: str | None, flags: dict[str, str], problem: str
) -> None:
    (found,) = problems(environ, toml, **flags)

    assert found.startswith(problem)


def test_a_file_that_cannot_be_read_is_a_problem() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, {}, Path("missing.toml"))
    (problem,) = caught.value.problems
    assert problem.startswith("--config: missing.toml cannot be read: ")

    Path("latin.toml").write_bytes(b'host = "\xe4"')
    with pytest.raises(ConfigurationError, match=r"latin\.toml cannot be read"):
        load_settings({}, {}, Path("latin.toml"))


def test_a_byte_order_mark_as_windows_writes_it_is_no_problem() -> None:
    Path("windows.toml").write_bytes(b"\xef\xbb\xbfport = 5\r\n")

    assert load_settings({}, {}, Path("windows.toml")).port == 5


def test_every_problem_is_named_and_not_only_the_first() -> None:
    found = problems(
        {"APEX_RTM_PORT": "x", "APEX_RTM_COLOUR": "red", "APEX_RTM_API_KEYS": "k"},
        'max_headers = 1\ntrusted_proxies = ["nowhere"]',
        engine="redis", allowed_origins="apex.example.com",
    )  # fmt: skip

    assert sorted(problem.split(": ")[0] for problem in found) == [
        "--engine", "APEX_RTM_COLOUR", "APEX_RTM_PORT", "allowed_origins", "jwt_secret", "settings.toml",
        "trusted_proxies",
    ]  # fmt: skip


def test_a_setting_that_is_wrong_by_itself_is_not_complained_about_twice() -> None:
    assert len(problems({"APEX_RTM_JWT_SECRET": SECRET}, "api_keys = 5")) == 1
    assert len(problems({"APEX_RTM_HOST": "0.0.0.0", "APEX_RTM_PORT": "x"})) == 2


# ── settings that depend on each other ──


def test_one_secret_without_the_other_is_a_problem() -> None:
    (problem,) = problems({"APEX_RTM_API_KEYS": "k"})
    assert problem.startswith("jwt_secret: api_keys are set, so a token secret is needed too")

    (problem,) = problems({"APEX_RTM_JWT_SECRET": SECRET})
    assert problem.startswith("api_keys: jwt_secret is set, so at least one API key is needed too")

    assert not load(KEYS).is_open


@pytest.mark.parametrize("secret", ["s", "s" * 31, "ü" * 15])
def test_a_short_secret_is_a_problem(secret: str) -> None:
    (problem,) = problems({**KEYS, "APEX_RTM_JWT_SECRET": secret})

    assert problem == f"jwt_secret: has {len(secret.encode())} bytes, at least 32 are needed: openssl rand -hex 32"
    assert load({**KEYS, "APEX_RTM_JWT_SECRET": "ü" * 16}).jwt_secret is not None


def test_a_secret_that_is_set_to_nothing_is_not_set() -> None:
    """An empty secret signs for everybody; `APEX_RTM_JWT_SECRET=` in a file of variables must not turn it on."""
    empty = {"APEX_RTM_API_KEYS": "", "APEX_RTM_JWT_SECRET": ""}

    assert load(empty).is_open
    assert problems({**empty, "APEX_RTM_HOST": "0.0.0.0"})[0].startswith("host: 0.0.0.0 is not loopback")
    assert problems({**KEYS, "APEX_RTM_JWT_SECRET": ""})[0].startswith("jwt_secret: api_keys are set")
    assert load({}, 'jwt_secret = ""').is_open


def test_the_keys_of_operators_are_long_and_no_publishers() -> None:
    """An API key lies in the database, where many can read it; what it opens must not grow by accident."""
    same = "a-key-of-more-than-16-characters"

    found = problems({**KEYS, "APEX_RTM_CONSOLE_KEY": "short", "APEX_RTM_METRICS_KEY": "x" * 15})
    assert [problem.split(":")[0] for problem in found] == ["console_key", "metrics_key"]
    assert "needs at least 16 characters" in found[0]
    (problem,) = problems({**KEYS, "APEX_RTM_API_KEYS": f"k,{same}", "APEX_RTM_CONSOLE_KEY": same})
    assert problem == "console_key: must not be one of api_keys, which every publisher has"
    (problem,) = problems({**KEYS, "APEX_RTM_CONSOLE_KEY": same, "APEX_RTM_METRICS_KEY": same})
    assert problem == "metrics_key: must not be the console_key, which may do more"
    for name in ("console_key", "metrics_key"):
        (problem,) = problems({**KEYS, f"APEX_RTM_{name.upper()}": KEYS["APEX_RTM_JWT_SECRET"]})
        assert problem == f"{name}: must not be the jwt_secret, which the database has"
    assert load({"APEX_RTM_CONSOLE_KEY": ""}).console_key is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "apex.example.com", "", "localhost.example.com"])
def test_open_mode_listens_on_loopback_only(host: str) -> None:
    (problem,) = problems({"APEX_RTM_HOST": host})

    assert problem.startswith(f"host: {host} is not loopback")
    assert "set api_keys and jwt_secret" in problem
    assert load({**KEYS, "APEX_RTM_HOST": host}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST", "localhost."])
def test_every_name_of_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)
    assert load({"APEX_RTM_HOST": host}).is_open


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"outbox_max_bytes": "65536", "max_message_bytes": "65537"}, "outbox_max_bytes: must not be below"),
        ({"max_body_bytes": "1024", "max_message_bytes": "1025"}, "max_body_bytes: must not be below"),
        ({"tls_cert": "fullchain.pem"}, "tls_key: tls_cert is set, and one is of no use without the other"),
        ({"tls_key": "privkey.pem", "tls_cert": ""}, "tls_cert: tls_key is set, and one is of no use"),
        ({"trusted_proxies": "10.0.0.0/99"}, "trusted_proxies: '10.0.0.0/99' is neither an address nor a network"),
        ({"trusted_proxies": "proxy.example.com"}, "trusted_proxies: 'proxy.example.com' is neither"),
        ({"allowed_origins": "apex.example.com"}, "allowed_origins: 'apex.example.com' must look like https://"),
        ({"allowed_origins": "https://apex.example.com/"}, "allowed_origins: 'https://apex.example.com/' must look"),
        ({"allowed_origins": "https://apex.example.com/ords"},
         "allowed_origins: 'https://apex.example.com/ords' must look like https://apex.example.com, without the / and "
         "path at the end"),
        ({"allowed_origins": "ftp://apex.example.com"}, "allowed_origins: 'ftp://apex.example.com' must look"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other(settings: dict[str, str], problem: str) -> None:
    (found,) = problems({f"{PREFIX}{name.upper()}": value for name, value in settings.items()})

    assert found.startswith(problem)


def test_the_demo_needs_open_mode() -> None:
    assert load(demo=True).demo
    (problem,) = problems(KEYS, demo=True)
    assert problem.startswith("demo: the demo needs open mode")


# ── secrets and descriptions ──


def test_no_secret_is_printed() -> None:
    settings = load({"APEX_RTM_API_KEYS": "my-key", "APEX_RTM_JWT_SECRET": SECRET})

    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump(mode="json"))):
        assert "my-key" not in text
        assert SECRET not in text


def test_no_problem_repeats_a_secret() -> None:
    found = problems({"APEX_RTM_JWT_SECRET": "short-secret"}, 'api_keys = [5, "my-key"]\nport = "x"')

    assert len(found) >= 3
    assert not any("short-secret" in problem or "my-key" in problem for problem in found)


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_redis_is_an_engine_and_its_password_is_never_shown() -> None:
    settings = load_settings({}, {"APEX_RTM_ENGINE": "rediss://apexrtm:top%2Fsecret@cache.example.com:6380/1"})

    assert settings.engine == "rediss://apexrtm@cache.example.com:6380/1"
    assert settings.redis_password is not None
    assert settings.redis_password.get_secret_value() == "top/secret"
    assert settings.is_shared
    assert "top" not in settings.model_dump_json() + repr(settings)
    other = load_settings({}, {"APEX_RTM_ENGINE": "redis://u@cache", "APEX_RTM_REDIS_PASSWORD": "p"})
    assert other.redis_password is not None
    assert not load_settings({}, {}).is_shared


@pytest.mark.parametrize(
    "engine", ["redis://u:top-secret@a,b", "rediss+sentinel://:top-secret@a", "redis://:top-secret@"]
)
def test_a_wrong_redis_url_is_refused_without_its_password(engine: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, {"APEX_RTM_ENGINE": engine})

    assert "APEX_RTM_ENGINE: " in str(caught.value)
    assert "secret" not in str(caught.value)
