"""What the templates become, and what may not get into them."""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from apex_rtm.deploy import render
from apex_rtm.deploy.render import Site
from apex_rtm.errors import ConfigurationError
from apex_rtm.settings import Settings, load_settings

SITE = Site("rtm.example.com", origins=("https://apex.example.com", "https://other.example.com:8443"))
OWN_TLS = Site("rtm.example.com", has_own_tls=True)


@pytest.mark.parametrize("site", [SITE, OWN_TLS], ids=["nginx", "own tls"])
def test_nothing_is_left_to_fill_in(site: Site) -> None:
    texts = [render.service(site), render.listening(site), render.configuration(site), render.nginx(site)]
    for text in [*texts, render.nginx_limits()]:
        assert not re.search(r"\{\{|\}\}", text.replace("${", ""))
        assert text.endswith("\n")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"domain": "rtm.example.com; } server { listen 8080"}, "--domain: "),
        ({"domain": "rtm.example.com\nssl_protocols SSLv3"}, "--domain: "),
        ({"domain": "localhost"}, "--domain: 'localhost' is not a name like rtm.example.com"),
        ({"domain": "$host.example.com"}, "--domain: "),
        ({"domain": ".".join(["a" * 60] * 5)}, "--domain: "),
        ({"domain": "rtm.example.com", "origins": ('https://x", "*',)}, "--origin: "),
        ({"domain": "rtm.example.com", "origins": ("https://apex.example.com/ords",)}, "--origin: "),
        ({"domain": "rtm.example.com", "upstreams": ("127.0.0.1",)}, "--upstream: "),
        ({"domain": "rtm.example.com", "upstreams": ("127.0.0.1:0",)}, "--upstream: "),
        ({"domain": "rtm.example.com", "upstreams": ("127.0.0.1:70000",)}, "--upstream: "),
        ({"domain": "rtm.example.com", "upstreams": ("127.0.0.1:80; include /etc/passwd",)}, "--upstream: "),
        ({"domain": "rtm.example.com", "program": "/bin/sh -c evil"}, "--program: "),
        ({"domain": "rtm.example.com", "webroot": "relative"}, "--webroot: "),
    ],
)
def test_what_is_no_name_does_not_become_configuration(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Site(**values)  # type: ignore[arg-type]
    assert [problem for problem in caught.value.problems if problem.startswith(words)]


def test_every_wrong_option_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Site("x", origins=("y",), upstreams=("z",), program="p", webroot="w")
    assert len(caught.value.problems) == 5


def test_nginx_hands_on_the_client_and_waits_longer_than_the_ping() -> None:
    text = render.nginx(SITE)
    waits_s = int(re.findall(r"proxy_read_timeout (\d+)s;", text)[0])
    assert waits_s > 2 * Settings.model_fields["ping_interval_s"].default
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in text
    assert "$proxy_add_x_forwarded_for" not in text
    largest_mb = int(re.findall(r"client_max_body_size (\d+)m;", text)[0])
    assert largest_mb * 1_048_576 >= Settings.model_fields["max_body_bytes"].default
    assert text.count("server 127.0.0.1:3000;") == 1
    assert "least_conn" not in text


def test_several_servers_share_the_work() -> None:
    text = render.nginx(Site("rtm.example.com", upstreams=("10.0.0.1:3000", "node-2.example.com:3000", "[::1]:3000")))
    names = ("10.0.0.1:3000", "node-2.example.com:3000", "[::1]:3000")
    servers = "".join(f"\n    server {name} fail_timeout=2s;" for name in names)
    assert f"    least_conn;{servers}\n" in text


def test_the_configuration_is_secured_and_never_the_same(tmp_path: Path) -> None:
    first, second = render.configuration(SITE), render.configuration(SITE)
    file = tmp_path / "apex-rtm.toml"
    file.write_text(first)
    settings = load_settings({}, {}, file)
    assert not settings.is_open
    assert settings.allowed_origins == SITE.origins
    assert settings.trusted_proxies == ("127.0.0.1", "::1")
    one, two = tomllib.loads(first), tomllib.loads(second)
    found = {*one["api_keys"], one["jwt_secret"], *two["api_keys"], two["jwt_secret"]}
    assert len(found) == 4
    assert all(len(secret) >= 43 for secret in found)


@pytest.mark.parametrize("site", [SITE, OWN_TLS], ids=["nginx", "own tls"])
def test_what_was_chosen_is_what_the_configuration_says(site: Site) -> None:
    """A kept file is compared with it: a line that is rendered and not compared would be lost in silence."""
    said = tomllib.loads(render.configuration(site))
    rest = {name: value for name, value in said.items() if name not in ("api_keys", "jwt_secret") and value}
    assert render.chosen(site) == rest


@pytest.mark.parametrize("name", ["console_key", "metrics_key"])
def test_keys_that_may_be_added_stand_there_as_comments(name: str, tmp_path: Path) -> None:
    text = render.configuration(SITE)
    assert f'\n# {name} = ""' in text
    file = tmp_path / "apex-rtm.toml"
    secret = render.fresh_secret()
    file.write_text(text.replace(f'# {name} = ""', f'{name} = "{secret}"'))
    assert getattr(load_settings({}, {}, file), name).get_secret_value() == secret


def test_the_example_cannot_be_used_by_mistake(tmp_path: Path) -> None:
    file = tmp_path / "apex-rtm.toml"
    file.write_text(render.configuration(SITE, secret="run: apex-rtm deploy config"))
    with pytest.raises(ConfigurationError, match="jwt_secret: has 27 bytes"):
        load_settings({}, {}, file)


def test_with_its_own_tls_the_service_has_copies_that_a_reload_renews() -> None:
    text = render.service(OWN_TLS)
    copy = "+/bin/sh -c 'umask 0222 && exec cp --no-preserve=mode --remove-destination /etc/letsencrypt/live/"
    assert text.count(f"ExecStartPre={copy}") == text.count(f"ExecReload={copy}") == 1
    assert text.index(f"ExecReload={copy}") < text.index("ExecReload=/bin/kill -HUP $MAINPID")
    config = tomllib.loads(render.configuration(OWN_TLS))
    assert config["tls_cert"] == "/run/apex-rtm/fullchain.pem"
    assert "trusted_proxies" not in config  # nobody speaks for others here
    assert "ListenStream=443" in render.listening(OWN_TLS)
    assert "ListenStream=127.0.0.1:3000" in render.listening(SITE)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_copy_of_the_key_follows_no_link_that_the_service_puts_there(tmp_path: Path) -> None:
    """Root writes into a directory of the service: a mode set by name would be that of what a link points to."""
    line = next(line for line in render.service(OWN_TLS).splitlines() if line.startswith("ExecReload=+"))
    live, run = tmp_path / "live", tmp_path / "run"
    live.mkdir()
    run.mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).write_text(name)
        (live / name).chmod(0o600)
    other = tmp_path / "shadow"
    other.write_text("secret")
    other.chmod(0o600)
    (run / "privkey.pem").symlink_to(other)

    command = line.removeprefix("ExecReload=+").replace("/etc/letsencrypt/live/rtm.example.com", str(live))
    words = shlex.split(command.replace("/run/apex-rtm/", f"{run}/"))
    seen = subprocess.run(["strace", "-f", "-e", "trace=/chmod", *words], capture_output=True, text=True, check=True)

    assert (run / "privkey.pem").read_text() == "privkey.pem"
    assert [stat.S_IMODE((run / name).lstat().st_mode) for name in ("fullchain.pem", "privkey.pem")] == [0o444] * 2
    assert (other.read_text(), stat.S_IMODE(other.stat().st_mode)) == ("secret", 0o600)
    assert "chmod(" not in seen.stderr.replace("fchmod(", "")
    assert "fchmodat" not in seen.stderr


def test_secrets_have_256_bits_and_no_letter_that_needs_quotes() -> None:
    found = {render.fresh_secret() for _ in range(100)}
    assert len(found) == 100
    assert all(re.fullmatch(r"[\w-]{43}", secret) for secret in found)
