"""TLS with a guest: whom to trust, and in words why that failed."""

import contextlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

import certifi
from urllib3.util.ssl_match_hostname import CertificateError, match_hostname

from auditor.errors import HostError
from auditor.hosts.wire import Wire
from auditor.text import one_line

_EXPIRED, _NOT_YET = 10, 9
_UNTRUSTED = (2, 18, 19, 20, 21)
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
_OLD_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}

_contexts: dict[tuple[Any, ...], ssl.SSLContext] = {}
_lock = threading.Lock()


class TlsWire(ssl.SSLSocket):
    """A TLS socket that takes no more than `budget` bytes, and can be cut from another thread."""

    budget: int = 256 * 1024

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Receive as file objects do; an overdrawn budget looks like the end of the stream."""
        count = super().recv_into(buffer, nbytes, flags)
        self.budget -= count
        return count if self.budget > 0 else 0

    def cut(self) -> None:
        """End the connection for whoever reads or writes it; TLS's own goodbye would wait for them."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self, socket.SHUT_RDWR)


def context(
    ca: str | None, certificate: str | None = None, key: str | None = None, passphrase: str | None = None
) -> ssl.SSLContext:
    """The trust for guests: `ca` or the system's, never a variable of the environment.

    One context serves every guest of the same files: reading the system's takes longer than a probe. Raises
    `HostError` for files that are of no use.
    """
    files = tuple((name, _stamp(name)) for name in (ca, certificate, key) if name)
    wanted = ca, certificate, key, files
    with _lock:
        if wanted not in _contexts:
            _contexts[wanted] = _build(ca, certificate, key, passphrase)
        return _contexts[wanted]


def secure(
    wire: Wire,
    trust: ssl.SSLContext,
    names: tuple[str, str],
    timeout: float,
    adopt: Callable[[TlsWire], None],
) -> TlsWire:
    """The wire with TLS on it, once the guest has shown a trusted certificate.

    `names` are the one that the certificate must carry and the one that reasons call the guest by. Raises
    `HostError` that says what was wrong and the way out.
    """
    name, place = names
    wire.settimeout(timeout)
    try:
        made = trust.wrap_socket(wire, server_hostname=name, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        wire.close()
        raise HostError(f"no TLS with {place} as {name!r}: {one_line(str(error))}") from error
    tls: TlsWire = made  # type: ignore[assignment]
    try:
        adopt(tls)
        tls.do_handshake()
        _check_name(tls.getpeercert() or {}, name, place)
    except (OSError, ValueError) as error:
        tls.close()
        raise HostError(_reason(error, place, timeout)) from error
    except HostError:
        tls.close()
        raise
    return tls


def _stamp(name: str) -> tuple[int, int]:
    try:
        status = os.stat(name)
    except OSError as error:
        raise HostError(f"the TLS file {name} cannot be read: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size


def _build(
    ca: str | None, certificate: str | None, key: str | None, passphrase: str | None
) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = TlsWire
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = False  # compared in `secure`, which can say the names that were shown
    made.verify_mode = ssl.CERT_REQUIRED
    # a certificate that is named as trusted is, whoever signed it and however it was made
    made.verify_flags = (made.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    made.post_handshake_auth = True
    if ca is None:
        _trust_system(made)
    else:
        _trust_file(made, ca)
    if certificate is not None:
        _load_own(made, certificate, key, passphrase)
    return made


def _trust_system(made: ssl.SSLContext) -> None:
    paths = ssl.get_default_verify_paths()
    if sys.platform == "win32":
        made.load_default_certs()
    elif os.path.isfile(paths.openssl_cafile):
        made.load_verify_locations(cafile=paths.openssl_cafile)
    elif os.path.isdir(paths.openssl_capath) and os.listdir(paths.openssl_capath):
        made.load_verify_locations(capath=paths.openssl_capath)
    else:
        made.load_verify_locations(cafile=certifi.where())


def _trust_file(made: ssl.SSLContext, ca: str) -> None:
    try:
        made.load_verify_locations(**{"capath" if os.path.isdir(ca) else "cafile": ca})
    except ssl.SSLError as error:
        raise HostError(f"the CA file {ca} holds no PEM certificate") from error
    except OSError as error:
        raise HostError(f"the CA file {ca} cannot be read: {error.strerror}") from error


def _load_own(made: ssl.SSLContext, certificate: str, key: str | None, passphrase: str | None) -> None:
    try:
        made.load_cert_chain(certificate, key, password=lambda: passphrase or "")
    except ssl.SSLError as error:
        raise HostError(
            f"the client certificate {certificate} and the key {key or certificate} are no pair in PEM, "
            f"or `passphrase` does not open the key ({one_line(error.reason or str(error))})"
        ) from error
    except OSError as error:
        raise HostError(f"the client certificate {certificate} cannot be read: {error.strerror}") from error


def _check_name(shown: Any, name: str, place: str) -> None:
    try:
        match_hostname(shown, name)
    except CertificateError as error:
        names = one_line(", ".join(_names(shown))) or "no name"
        raise HostError(
            f"the TLS certificate of {place} is for {names}, not for {name}; set `server_name` to the name "
            "that the guest is known by"
        ) from error


def _names(shown: Any) -> list[str]:
    alternative = [str(value) for _, value in shown.get("subjectAltName", ())]
    common = [str(value) for entry in shown.get("subject", ()) for key, value in entry if key == "commonName"]
    return alternative or common


def _reason(error: Exception, place: str, timeout: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused(error, place)
    if isinstance(error, TimeoutError):
        return f"{place} did not finish the TLS handshake within {timeout:.3g} s"
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return f"{place} does not speak TLS; WinRM over HTTPS listens on port 5986, plain HTTP on 5985"
    if isinstance(error, ssl.SSLError) and error.reason in _OLD_TLS:
        return f"{place} offers no TLS 1.2 or newer"
    detail = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return (
        f"{place} ended the TLS handshake ({one_line(str(detail))}); WinRM over HTTPS listens on port 5986, "
        "plain HTTP on 5985"
    )


def _refused(error: ssl.SSLCertVerificationError, place: str) -> str:
    said = one_line(error.verify_message)
    if error.verify_code == _EXPIRED:
        return f"the TLS certificate of {place} has expired; renew it in the guest"
    if error.verify_code == _NOT_YET:
        return f"the TLS certificate of {place} is not valid yet; compare the clocks of guest and auditor"
    if error.verify_code in _UNTRUSTED:
        return (
            f"the TLS certificate of {place} is signed by nobody trusted here ({said}); "
            "name its CA, or the certificate itself, as `ca`"
        )
    return f"the TLS certificate of {place} was refused: {said}"
