"""A certificate authority of the simulator's own, and a certificate for each guest's address and name."""

import hashlib
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import trustme
from spnego.channel_bindings import GssChannelBindings

from auditor.simulator.wsman.faults import Kind

_WRONG_NAME = "somebody-else.invalid"


@dataclass(frozen=True, slots=True)
class Tls:
    """How the guests do TLS: host names besides the address, and whether client certificates are taken.

    With `bindings` a client that signs in by NTLM or Kerberos must name the certificate it sees (channel
    binding); Windows' default is not to insist.
    """

    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    client_certificates: bool = True
    bindings: bool = True


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """PEM files of a client's certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Offered:
    """What a guest shows: the context, and the channel binding that goes with its certificate."""

    context: ssl.SSLContext
    bindings: GssChannelBindings


class Certificates:
    """Issues what is asked for, once."""

    def __init__(self, tls: Tls, folder: Path) -> None:
        self._tls = tls
        self._folder = folder
        self._lock = threading.Lock()
        self._authority = trustme.CA(organization_name="Simulated guests")
        self._offered: dict[tuple[str, Kind | None], Offered] = {}
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def offered(self, address: str, flaw: Kind | None) -> Offered:
        """The TLS side of one guest, with the flaw that it shall have."""
        with self._lock:
            if (address, flaw) not in self._offered:
                self._offered[address, flaw] = self._issue(address, flaw)
            return self._offered[address, flaw]

    def client(self, name: str) -> ClientCertificate:
        """A client certificate with this common name."""
        leaf = self._authority.issue_cert("client@simulated.invalid", common_name=name)
        stem = hashlib.sha256(name.encode()).hexdigest()[:16]
        files = ClientCertificate(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        leaf.cert_chain_pems[0].write_to_path(str(files.certificate))
        leaf.private_key_pem.write_to_path(str(files.key))
        return files

    def _issue(self, address: str, flaw: Kind | None) -> Offered:
        names = [_WRONG_NAME] if flaw is Kind.WRONG_NAME else [address]
        if flaw is not Kind.WRONG_NAME and address in self._tls.names:
            names.append(self._tls.names[address])
        authority = trustme.CA(organization_name="Nobody") if flaw is Kind.UNTRUSTED else self._authority
        now = datetime.now(UTC)
        end = now - timedelta(days=1) if flaw is Kind.EXPIRED else now + timedelta(days=30)
        leaf = authority.issue_cert(*names, not_before=now - timedelta(days=60), not_after=end)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        if self._tls.client_certificates:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_OPTIONAL
        der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
        digest = hashlib.sha256(der).digest()
        return Offered(context, GssChannelBindings(application_data=b"tls-server-end-point:" + digest))


def common_name(connection: ssl.SSLSocket) -> str | None:
    """The common name of the client's certificate, None without one."""
    certificate = connection.getpeercert() or {}
    subject: tuple[tuple[tuple[str, str], ...], ...] = certificate.get("subject", ())  # type: ignore[assignment]
    return next((value for part in subject for key, value in part if key == "commonName"), None)
