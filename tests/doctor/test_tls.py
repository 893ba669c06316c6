"""What the doctor says of certificates, each presented by a real server in a real handshake."""

from __future__ import annotations

import hashlib
import shlex
import socket
import ssl
import threading
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from tests.doctor.authority import Party, TlsServer, make, serve_tls
from tests.doctor.conftest import MakePatient
from tests.doctor.shown import bad, breaks, good, run
from tests.support.clock import FakeClock

HOSTS = ["localhost", "127.0.0.1"]


class Bench:
    """A root that is trusted, an intermediate below it, and servers that present what a test wants."""

    def __init__(self, directory: Path, make_patient: MakePatient, stack: ExitStack) -> None:
        self.root = make("Test Root")
        self.middle = make("Test Intermediate", self.root)
        self._directory = directory
        self._make_patient = make_patient
        self._stack = stack
        (directory / "root.pem").write_text(self.root.pem)

    def start(self, leaf: Party, presented: Sequence[Party]) -> TlsServer:
        context: AbstractContextManager[TlsServer] = serve_tls(self._directory, leaf, presented)
        return self._stack.enter_context(context)

    def patient(self, server: TlsServer, host: str = "localhost", **about: object) -> Patient:
        return self._make_patient(
            {"url": f"https://{host}:{server.port}", "ca_file": self._directory / "root.pem", **about}
        )

    def visit(self, leaf: Party, *more: Party, host: str = "localhost") -> Patient:
        return self.patient(self.start(leaf, [leaf, *more]), host)


@pytest.fixture
def bench(tmp_path: Path, make_patient: MakePatient) -> object:
    with ExitStack() as stack:
        yield Bench(tmp_path, make_patient, stack)


def test_a_complete_chain_is_good(bench: Bench) -> None:
    patient = bench.visit(make("rtm", bench.middle, hosts=HOSTS), bench.middle)
    assert "TLSv1.3" in good("tls.reachable", patient)
    assert good("tls.chain", patient) == "complete: rtm → Test Intermediate → Test Root"
    assert good("tls.name", patient) == "made for localhost, 127.0.0.1"
    assert "89 days left" in good("tls.expiry", patient) or "90 days" in good("tls.expiry", patient)
    assert good("tls.version", patient) == "TLS 1.2 and 1.3"


def test_a_root_that_is_sent_as_well_does_no_harm(bench: Bench) -> None:
    patient = bench.visit(make("rtm", bench.middle, hosts=HOSTS), bench.middle, bench.root)
    assert good("tls.chain", patient)
    assert good("tls.wallet", patient)


@breaks("tls.chain")
def test_a_missing_intermediate_is_a_failure(bench: Bench) -> None:
    """The classic: browsers have it in store, UTL_HTTP does not."""
    patient = bench.visit(make("rtm", bench.middle, hosts=HOSTS))
    told = bad("tls.chain", patient)
    assert "1 certificate(s) presented" in told
    assert "CN=Test Intermediate, is missing" in told
    assert "ORA-29024" in told
    assert "ssl_certificate /etc/letsencrypt/live/localhost/fullchain.pem;" in told
    assert "curl -s http://ca.example/issuer.der | openssl x509 -inform der >> chain.pem" in told
    assert good("tls.name", patient), "one fault must not hide or cause another"


@breaks("tls.chain")
@pytest.mark.parametrize("url", ["http://ca.example/$(id)", "http://ca.example/;id", "http://ca.example/'|id;'"])
def test_an_address_in_a_certificate_is_no_command(bench: Bench, url: str) -> None:
    """Whoever answers chooses it, and the remedy is pasted into a shell."""
    told = bad("tls.chain", bench.visit(make("rtm", bench.middle, hosts=HOSTS, issuer_url=url)))
    (line,) = [line for line in told.splitlines() if line.startswith("curl")]
    assert shlex.split(line)[:4] == ["curl", "-s", url, "|"]


@breaks("tls.chain")
def test_an_address_that_is_an_option_of_curl_is_left_out(bench: Bench) -> None:
    told = bad("tls.chain", bench.visit(make("rtm", bench.middle, hosts=HOSTS, issuer_url="-o/etc/profile")))
    assert "curl" not in told


@breaks("tls.chain", "tls.expiry")
def test_without_nginx_the_lines_are_those_of_the_server(bench: Bench) -> None:
    server = bench.start(leaf := make("rtm", bench.middle, hosts=HOSTS, days=(-9, 1)), [leaf])
    patient = bench.patient(server)
    patient.settings = patient.known.model_copy(update={"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")})
    told = bad("tls.chain", patient) + bad("tls.expiry", patient, State.WARNING)
    assert 'tls_cert = "/etc/letsencrypt/live/localhost/fullchain.pem"' in told
    assert "certbot renew && systemctl reload apex-rtm" in told
    assert "nginx" not in told


@breaks("tls.chain")
def test_a_self_signed_certificate_is_a_failure(bench: Bench) -> None:
    told = bad("tls.chain", bench.visit(make("rtm", hosts=HOSTS)))
    assert "self-signed" in told
    assert "certbot certonly --webroot --webroot-path /usr/share/nginx/html --domain localhost --deploy-hook" in told


@breaks("tls.chain")
def test_a_private_root_is_a_failure_until_it_is_given(bench: Bench) -> None:
    private = make("Private Root")
    told = bad("tls.chain", bench.visit(make("rtm", private, hosts=HOSTS), private))
    assert "CN=Private Root, which this machine does not trust" in told
    assert "--ca-file root.pem" in told


@breaks("tls.chain")
def test_a_chain_that_no_rule_allows_is_a_failure_with_openssls_words(bench: Bench) -> None:
    """A certificate of a server may not sign others."""
    server_only = make("Not An Authority", bench.root, hosts=["ca.example.com"])
    told = bad("tls.chain", bench.visit(make("rtm", server_only, hosts=HOSTS), server_only))
    assert "the chain is refused: " in told
    assert "openssl s_client -connect localhost:" in told


@breaks("tls.chain")
def test_a_chain_in_the_wrong_order_is_warned_of(bench: Bench) -> None:
    lower = make("Lower Intermediate", bench.middle)
    patient = bench.visit(make("rtm", lower, hosts=HOSTS), bench.middle, lower)
    assert "wrong order" in bad("tls.chain", patient, State.WARNING)


@breaks("tls.name")
@pytest.mark.parametrize("hosts", [["rtm.example.com"], ["*.localhost"], ["127.0.0.2"]])
def test_a_certificate_for_another_name_is_a_failure(bench: Bench, hosts: list[str]) -> None:
    patient = bench.visit(make("rtm", bench.middle, hosts=hosts), bench.middle)
    told = bad("tls.name", patient)
    assert f"made for {hosts[0]} and not for localhost" in told
    assert "ORA-24263" in told
    assert "server_name localhost;" in told
    assert good("tls.chain", patient)


def test_addresses_and_wildcards_are_names(bench: Bench) -> None:
    assert good("tls.name", bench.visit(make("rtm", bench.middle, hosts=HOSTS), bench.middle, host="127.0.0.1"))


@breaks("tls.expiry")
@pytest.mark.parametrize(
    ("days", "state", "words"),
    [
        ((-90, -3), State.FAILURE, "rtm expired on"),
        ((-80, 9.5), State.WARNING, "rtm expires in 9 days"),
        ((2, 90), State.FAILURE, "is this machine's clock right?"),
    ],
)
def test_dates_are_looked_at(bench: Bench, days: tuple[float, float], state: State, words: str) -> None:
    patient = bench.visit(make("rtm", bench.middle, hosts=HOSTS, days=days), bench.middle)
    told = bad("tls.expiry", patient, state)
    assert words in told or words.replace("9 days", "10 days") in told
    assert "certbot renew" in told or "timedatectl" in told
    assert good("tls.chain", patient), "an expired chain is still complete"


@breaks("tls.expiry")
def test_an_intermediate_expires_too(bench: Bench) -> None:
    middle = make("Old Intermediate", bench.root, days=(-900, -1))
    patient = bench.visit(make("rtm", middle, hosts=HOSTS), middle)
    assert "Old Intermediate expired on" in bad("tls.expiry", patient)


@breaks("tls.expiry")
def test_dates_are_compared_with_the_clock_that_is_given(bench: Bench) -> None:
    server = bench.start(leaf := make("rtm", bench.middle, hosts=HOSTS), [leaf, bench.middle])
    patient = bench.patient(server)
    patient.clock = FakeClock(leaf.certificate.not_valid_after_utc.timestamp() - 3 * 86_400)
    assert "expires in 3 days" in bad("tls.expiry", patient, State.WARNING)


@breaks("tls.version")
def test_a_server_without_tls_1_2_shuts_old_databases_out(bench: Bench) -> None:
    server = bench.start(leaf := make("rtm", bench.middle, hosts=HOSTS), [leaf, bench.middle])
    server.context.minimum_version = ssl.TLSVersion.TLSv1_3
    told = bad("tls.version", bench.patient(server))
    assert "speaks TLS 1.3 only" in told
    assert "ORA-28860" in told
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in told


@breaks("tls.version")
def test_a_server_with_outdated_versions_is_warned_of(bench: Bench) -> None:
    server = bench.start(leaf := make("rtm", bench.middle, hosts=HOSTS), [leaf, bench.middle])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.context.minimum_version = ssl.TLSVersion.TLSv1
    server.context.set_ciphers("DEFAULT@SECLEVEL=0")
    assert "still speaks TLS 1.0 and 1.1" in bad("tls.version", bench.patient(server), State.WARNING)


@breaks("tls.reachable")
def test_a_port_without_tls_is_a_failure(make_patient: MakePatient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            plain, _ = listener.accept()
            with plain:
                plain.recv(100)
                plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        told = bad("tls.reachable", make_patient({"url": f"https://localhost:{port}"}))
        thread.join()
    assert "does not speak TLS" in told
    assert f"listen {port} ssl;" in told


@breaks("tls.reachable")
def test_nobody_there_is_a_failure(make_patient: MakePatient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    told = bad("tls.reachable", make_patient({"url": f"https://localhost:{port}"}))
    assert "cannot be reached: Connection refused" in told
    assert "--add-service=https" in told
    assert "getent hosts localhost" in told


@breaks("tls.reachable")
def test_a_public_address_without_tls_is_a_failure(make_patient: MakePatient) -> None:
    assert "in clear" in bad("tls.reachable", make_patient({"url": "http://rtm.example.com"}))
    assert run("tls.reachable", make_patient({"url": "http://localhost:80"})).state is State.SKIPPED
    assert run("tls.reachable", make_patient()).state is State.SKIPPED


def test_the_root_for_the_wallet_is_named_and_written(bench: Bench, tmp_path: Path) -> None:
    server = bench.start(leaf := make("rtm", bench.middle, hosts=HOSTS), [leaf, bench.middle])
    patient = bench.patient(server, root_file=tmp_path / "wallet.pem")
    saw = good("tls.wallet", patient)
    written = (tmp_path / "wallet.pem").read_text()
    assert "CN=Test Root" in saw
    assert written.split() == bench.root.pem.split()
    assert (
        hashlib.sha256(ssl.PEM_cert_to_DER_cert(written)).hexdigest().upper().startswith(saw.split("SHA-256 ")[1][:16])
    )
    patient = bench.patient(server)
    assert "--save-root" in good("tls.wallet", patient)


@breaks("tls.wallet")
def test_a_cross_signed_root_is_warned_of(bench: Bench) -> None:
    """What this machine trusts is not what the chain ends with: the database may stop elsewhere."""
    older = make("Older Root")
    crossed = make("Test Root", older, key=bench.root.key)
    patient = bench.visit(make("rtm", bench.middle, hosts=HOSTS), bench.middle, crossed)
    assert good("tls.chain", patient)
    told = bad("tls.wallet", patient, State.WARNING)
    assert "goes on to CN=Older Root" in told
    assert "orapki wallet add -wallet /opt/oracle/wallets/rtm -trusted_cert" in told
