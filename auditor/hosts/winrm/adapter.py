"""HTTP to one guest below requests: dialled, secured, bounded and cut here."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from auditor.errors import HostError
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm.account import Account
from auditor.hosts.winrm.tls import TlsWire, secure
from auditor.hosts.wire import Wire, dial
from auditor.text import one_line

ANSWER_LIMIT = 4 * 1024 * 1024
"""Bytes that one answer may have; a guest is asked for far less."""

_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z]+)(?=\s|,|$)")


class Line:
    """The way to one guest: opens connections to it, within a time, until it is cut."""

    def __init__(self, account: Account, options: GuestOptions, left: Callable[[], float]) -> None:
        self.opened = 0
        self.single = False
        self._account, self._options, self._left = account, options, left
        self._wire: Wire | TlsWire | None = None
        self._over = False

    @property
    def overdrawn(self) -> bool:
        """Whether the guest sent more than one answer may have."""
        return self._wire is not None and self._wire.budget <= 0

    def open(self) -> Wire | TlsWire:
        """A new connection; raises `HostError` with what is wrong with the guest's port or certificate.

        Where the sign-in holds for one connection only (`single`), another is as good as a lost one.
        """
        if self.single and self.opened:
            raise ConnectionResetError("the connection that was signed in is gone")
        timeout = min(self._options.connect_timeout, self._left())
        wire = dial(self._account.address, self._account.port, timeout, self._adopt)
        made: Wire | TlsWire = wire
        if self._account.trust is not None:
            timeout = min(self._options.auth_timeout, self._left())
            made = secure(wire, self._account.trust, self._account.names, timeout, self._adopt)
        self.opened += 1
        return made

    def allow(self) -> None:
        """Let the next answer come."""
        if self._wire is not None:
            self._wire.budget = ANSWER_LIMIT

    def cut(self) -> None:
        """End the connection for whoever uses it, and let no new one come up."""
        self._over = True
        if self._wire is not None:
            self._wire.cut()

    def close(self) -> None:
        """Let the connection go, also one that was left in the middle of an answer."""
        if self._wire is not None:
            self._wire.close()

    def _adopt(self, wire: Wire | TlsWire) -> None:
        self._wire = wire
        wire.budget = ANSWER_LIMIT
        if self._over:
            wire.cut()
            raise HostError(f"the connection to {self._account.place} was cut")


class _Connection(HTTPConnection):
    """urllib3's connection over our line; a request goes out in one piece, not as head and body."""

    def __init__(self, *args: Any, line: Line, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line = line
        self._pieces: list[bytes] | None = None

    def connect(self) -> None:
        """Connect where the line leads."""
        self.sock = self._line.open()

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request."""
        self._pieces = []
        try:
            super().request(*args, **options)
            whole = b"".join(self._pieces)
        finally:
            self._pieces = None
        self.send(whole)

    def send(self, data: Any) -> None:
        """Send a piece, now or with the rest of its request."""
        if self._pieces is None:
            super().send(data)
        else:
            self._pieces.append(data)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class GuestAdapter(HTTPAdapter):
    """Sends every request of a session to one guest, and looks at each answer before anybody reads it."""

    def __init__(self, line: Line, account: Account) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self.line = line
        self._place = account.place
        self.sealed = False
        self.offered: tuple[str, ...] = ()
        self.refusals = 0
        self._pool = _Pool(account.host, account.port, maxsize=1, line=line)

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,  # noqa: ARG002 - requests' signature
        verify: Any,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
    ) -> HTTPConnectionPool:
        """The one pool, whatever the request says."""
        self.line.allow()
        return self._pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The line has verified the guest; requests would read the trust anew for each one."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """The answer; raises `HostError` for one that nobody may follow, unpack or believe."""
        response = super().build_response(req, resp)
        try:
            self._judge(response.status_code, response.headers)
        except HostError:
            response.close()
            raise
        return response

    def _judge(self, status: int, headers: Mapping[str, str]) -> None:
        if status == 401:
            self.refusals += 1
            self.offered = self.offered or tuple(_SCHEME.findall(headers.get("WWW-Authenticate", "")))
        if 300 <= status < 400:
            target = one_line(headers.get("Location", ""))
            raise HostError(f"{self._place} redirects to {target!r}, which is not followed")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise HostError(f"{self._place} packs its answers, which nobody asked for")
        if self.sealed and status != 401 and not _is_sealed(headers):
            raise HostError(f"{self._place} answered HTTP {status} without the encryption agreed on")

    def close(self) -> None:
        """Let the connections go."""
        self._pool.close()
        super().close()


def _is_sealed(headers: Mapping[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith("multipart/encrypted")
