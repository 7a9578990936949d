"""Whom a Windows guest must be for us (protocol tier, real TLS): trusted, in time, and of the right name."""

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm.account import account
from auditor.hosts.winrm.tls import context
from auditor.model import WINRM, Connection
from auditor.simulator.wsman import Fault, Kind, Tls, WinRmServer
from tests.hosts.windows import (
    ADMIN,
    PASSWORD,
    QUICK,
    Windows,
    ask,
    cmd,
    connection_to,
    nothing_left,
    raw_guest,
    reason,
)

NAMES = Tls(MappingProxyType({"127.0.0.1": "win-1.sim.test"}))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No thread and no descriptor outlives a test."""
    with nothing_left():
        yield


@pytest.fixture
def server() -> Iterator[WinRmServer]:
    """A guest over HTTPS that is also called win-1.sim.test."""
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, tls=NAMES) as running:
        yield running


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Kind.UNTRUSTED, r"is signed by nobody trusted here \(.*\); name its CA, or the certificate itself"),
        (Kind.EXPIRED, "has expired; renew it in the guest"),
        (Kind.WRONG_NAME, "is for somebody-else.invalid, not for 127.0.0.1; set `server_name`"),
    ],
)
def test_a_certificate_that_will_not_do(server: WinRmServer, kind: Kind, said: str) -> None:
    server.faults.add(Fault(kind))
    why = reason(connection_to(server), 0)
    assert re.search(f"^the TLS certificate of 127.0.0.1:{server.port} {said}", why), why
    assert not server.requests


def test_the_system_trusts_no_private_authority(server: WinRmServer) -> None:
    assert "signed by nobody trusted here" in reason(connection_to(server, ca=None), 0)


def test_a_guest_known_by_another_name_than_its_address(server: WinRmServer) -> None:
    assert ask(connection_to(server, server_name="win-1.sim.test")).exit_status == 0
    why = reason(connection_to(server, server_name="win-2.sim.test"), 0)
    assert "is for 127.0.0.1, win-1.sim.test, not for win-2.sim.test" in why


@pytest.mark.parametrize("name", ["..", ".a", "", " ", "x" * 64, "x." * 130, "a\0b", "\u2002", "\U0001f600"])
def test_a_server_name_that_is_none(server: WinRmServer, name: str) -> None:
    assert "is no host name and no address" in reason(connection_to(server, server_name=name), 0)


def self_signed(folder: Path, *, starts_in_days: int = -1) -> tuple[Path, ssl.SSLContext]:
    """A certificate as Windows makes them: for a name, signed by itself, without any basic constraints."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WIN-1")])
    start = datetime.now(UTC) + timedelta(days=starts_in_days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("WIN-1")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "self.pem", folder / "self.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(certificate, private)
    return certificate, offered


def shown(offered: ssl.SSLContext, **settings: str) -> str:
    """What comes of a guest that shows this certificate and says no to everything."""

    def serve(plain: socket.socket) -> None:
        with offered.wrap_socket(plain, server_side=True) as secured:
            while secured.recv(100_000):
                secured.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with raw_guest(serve) as port:
        usual = Connection("127.0.0.1", port, "x", password="env:PASSWORD", transport=WINRM)
        return reason(replace(usual, **settings), 0)  # type: ignore[arg-type]


def test_a_self_signed_certificate_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    certificate, offered = self_signed(tmp_path)
    assert "no WS-Man service" in shown(offered, ca=str(certificate), server_name="win-1")
    assert "is for WIN-1, not for 127.0.0.1" in shown(offered, ca=str(certificate))
    assert "signed by nobody trusted here" in shown(offered, server_name="win-1")


def test_the_guest_s_certificate_alone_is_trusted_without_its_authority(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("127.0.0.1")
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(offered)
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "leaf.pem"))
    assert "no WS-Man service" in shown(offered, ca=str(tmp_path / "leaf.pem"))


def test_a_certificate_of_tomorrow(tmp_path: Path) -> None:
    certificate, offered = self_signed(tmp_path, starts_in_days=1)
    assert "not valid yet; compare the clocks" in shown(offered, ca=str(certificate), server_name="win-1")


def test_a_guest_of_before_tls_1_2(tmp_path: Path) -> None:
    certificate, offered = self_signed(tmp_path)
    offered.set_ciphers("DEFAULT:@SECLEVEL=0")
    offered.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        offered.maximum_version = ssl.TLSVersion.TLSv1_1
    assert "TLS" in shown(offered, ca=str(certificate), server_name="win-1")


def test_https_at_the_port_of_http() -> None:
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, tls=None) as server:
        why = reason(connection_to(server, plain_http=False), 0)
    assert "WinRM over HTTPS listens on port 5986, plain HTTP on 5985" in why


def test_https_at_a_port_that_answers_in_the_clear() -> None:
    def serve(plain: socket.socket) -> None:
        plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        plain.recv(100_000)

    with raw_guest(serve) as port:
        connection = Connection("127.0.0.1", port, "x", password="env:PASSWORD", transport=WINRM)
        assert "does not speak TLS; WinRM over HTTPS listens on port 5986" in reason(connection, 0)


def test_http_at_the_port_of_https(server: WinRmServer) -> None:
    why = reason(connection_to(server, plain_http=True), 0)
    assert "`plain_http` is set, and that may be its HTTPS port" in why or "does not speak HTTP" in why


# ---- files ------------------------------------------------------------------------------------------


def certified(server: WinRmServer, **changes: str | None) -> Connection:
    """How a client certificate signs in."""
    files = server.client_certificate(ADMIN)
    usual = connection_to(
        server, auth="certificate", certificate=str(files.certificate), key=str(files.key), password=None
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_files_that_are_of_no_use(server: WinRmServer, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    missing = str(tmp_path / "missing.pem")
    cases = {
        f"the TLS file {missing} cannot be read: No such file": connection_to(server, ca=missing),
        f"the CA file {garbage} holds no PEM certificate": connection_to(server, ca=str(garbage)),
        f"the TLS file {missing} cannot": certified(server, certificate=missing),
        "are no pair in PEM": certified(server, key=str(garbage)),
        "no client certificate is named": certified(server, certificate=None),
    }
    for said, connection in cases.items():
        assert said in reason(connection, 0)


def test_the_key_of_a_client_certificate_may_have_a_passphrase(server: WinRmServer, tmp_path: Path) -> None:
    files = server.client_certificate(ADMIN)
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(pem, form, encryption))
    with_it = replace(
        connection_to(server, auth="certificate", password=None),
        certificate=str(files.certificate),
        key=str(locked),
    )
    assert "`passphrase` does not open the key" in reason(with_it, 0)
    assert "`passphrase` does not open the key" in reason(replace(with_it, passphrase="env:WRONG"), 0)
    assert ask(replace(with_it, passphrase="env:PASSWORD"), cmd("whoami")).stdout == ADMIN.encode()


def test_a_certificate_of_nobody_s_account(server: WinRmServer) -> None:
    files = server.client_certificate("somebody")
    connection = certified(server, certificate=str(files.certificate), key=str(files.key))
    assert f"refused the client certificate {files.certificate}" in reason(connection, 0)


def test_trust_is_read_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    connection = Connection("127.0.0.1", user="x", password="env:P", transport=WINRM, ca=str(file))
    secrets = Secrets(environment={"P": PASSWORD})
    first = account(connection, GuestOptions(), secrets).trust
    assert account(replace(connection, address="127.0.0.2"), QUICK, secrets).trust is first
    trustme.CA(organization_name="another").cert_pem.write_to_path(str(file))
    assert account(connection, GuestOptions(), secrets).trust is not first


def test_the_system_s_trust_is_not_empty_and_not_the_environment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA(organization_name="intruder").cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    made = context(None)
    assert "intruder" not in str(made.get_ca_certs())
    assert made.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(HostError):
        context(str(tmp_path / "none"))
