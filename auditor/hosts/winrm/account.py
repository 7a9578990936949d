"""Who signs in to a guest, how, and where: a connection made whole, or refused with the way out."""

import importlib
import ipaddress
import logging
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from requests.auth import AuthBase, HTTPBasicAuth
from requests_ntlm import HttpNtlmAuth

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm.tls import context
from auditor.model import Connection
from auditor.text import one_line, place

BASIC, CERTIFICATE, KERBEROS, NTLM = "basic", "certificate", "kerberos", "ntlm"
METHODS = (NTLM, KERBEROS, CERTIFICATE, BASIC)
HTTPS_PORT, HTTP_PORT = 5986, 5985
NAME_LIMIT = 253

_NAME = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*\.?")
_KERBEROS = "winrm.vendor.requests_kerberos"


@dataclass(frozen=True, slots=True)
class Account:
    """What signing in to one guest takes; `trust` of None means plain HTTP with encrypted messages."""

    address: str
    port: int
    method: str
    user: str | None
    password: str | None = field(repr=False)
    trust: ssl.SSLContext | None = field(repr=False)
    server_name: str | None
    certificate: str | None = None
    key: str | None = None

    @property
    def plain(self) -> bool:
        """Whether the messages go without TLS, and so are encrypted themselves."""
        return self.trust is None

    @property
    def place(self) -> str:
        """The guest as reasons name it."""
        return place(self.address, self.port)

    @property
    def host(self) -> str:
        """The address as an URL and a certificate have it: without a zone."""
        return self.address.partition("%")[0]

    @property
    def names(self) -> tuple[str, str]:
        """The name that the guest's certificate must carry, and the place."""
        return (self.server_name or self.host).rstrip("."), self.place

    @property
    def endpoint(self) -> str:
        """The URL of the guest's WS-Man service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.plain else 'https'}://{host}:{self.port}/wsman"

    def authentication(self) -> AuthBase | None:
        """What requests signs in with; raises `HostError` where Kerberos is not installed."""
        if self.method == NTLM:
            return HttpNtlmAuth(self.user, self.password)
        if self.method == BASIC:
            return HTTPBasicAuth(_octets(self.user or ""), _octets(self.password or ""))
        return self._kerberos() if self.method == KERBEROS else None

    def _kerberos(self) -> Any:
        try:
            vendored = importlib.import_module(_KERBEROS)
        except ImportError as error:
            raise HostError(
                "Kerberos is not installed with the auditor: pip install 'fleet-auditor[kerberos]' "
                "(on Linux that takes a compiler and the krb5 headers)"
            ) from error
        # it prints a traceback for every ticket that is not to be had; the reason is in the report
        logging.getLogger(f"{_KERBEROS}.kerberos_").setLevel(logging.CRITICAL + 1)
        return vendored.HTTPKerberosAuth(
            mutual_authentication=vendored.REQUIRED,
            force_preemptive=True,
            principal=self.user,
            hostname_override=self.server_name,
            sanitize_mutual_error_response=False,
            service="HTTP",
        )


def _octets(text: str) -> bytes:
    """The bytes that other clients send; beyond Latin-1 they send none."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def account(connection: Connection, options: GuestOptions, secrets: Secrets) -> Account:
    """How this connection signs in; raises `HostError` or `SecretError` for one that cannot."""
    method = connection.auth or NTLM
    _check(connection, method)
    certificate = _expanded(connection.certificate) if method == CERTIFICATE else None
    key = _expanded(connection.key) if method == CERTIFICATE else None
    trust = None
    if not connection.plain_http:
        passphrase = _passphrase(connection, secrets) if method == CERTIFICATE else None
        trust = context(_expanded(connection.ca), certificate, key, passphrase)
    return Account(
        address=connection.address,
        port=connection.port or (HTTP_PORT if connection.plain_http else HTTPS_PORT),
        method=method,
        user=_user(connection, options, method),
        password=_password(connection, secrets, method),
        trust=trust,
        server_name=connection.server_name,
        certificate=certificate,
        key=key,
    )


def _check(connection: Connection, method: str) -> None:
    if method not in METHODS:
        raise HostError(f"the WinRM sign-in {method!r} is not known; `auth` is one of {', '.join(METHODS)}")
    if connection.plain_http and method not in (NTLM, KERBEROS):
        raise HostError(f"sign-in by {method} wants HTTPS: `plain_http` is for ntlm and kerberos only")
    if method == CERTIFICATE and connection.certificate is None:
        raise HostError("no client certificate is named; set `certificate` and `key` (PEM files)")
    for name in (connection.address, connection.server_name):
        if name is not None and not _is_host(name):
            raise HostError(f"{one_line(name)!r} is no host name and no address")


def _is_host(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
            return False
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def _user(connection: Connection, options: GuestOptions, method: str) -> str | None:
    user = connection.user or options.user
    if method in (NTLM, BASIC) and not user:
        raise HostError(f"no user is named for the WinRM sign-in by {method}; set `user`")
    if method == KERBEROS and user and "@" not in user:
        raise HostError(f"Kerberos knows users as user@REALM, not {user!r}; no `user` means the ticket's")
    return user


def _password(connection: Connection, secrets: Secrets, method: str) -> str | None:
    if method not in (NTLM, BASIC):
        return None
    if connection.password is None:
        raise HostError(f"no password is named for the WinRM sign-in by {method}; set `password: env:NAME`")
    return secrets.resolve(connection.password).reveal()


def _passphrase(connection: Connection, secrets: Secrets) -> str | None:
    return secrets.resolve(connection.passphrase).reveal() if connection.passphrase else None


def _expanded(path: str | None) -> str | None:
    return str(Path(path).expanduser()) if path else None
