"""A signed-in way to a guest's WS-Man service: pywinrm's protocol over a session of our own."""

from collections.abc import Callable
from typing import Any

import requests
from winrm.exceptions import WinRMOperationTimeoutError, WinRMTransportError, WSManFaultError
from winrm.protocol import Protocol

from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm.account import CERTIFICATE, Account
from auditor.hosts.winrm.adapter import GuestAdapter, Line

CONNECTING, SIGNING_IN, OPENING = "connecting", "signing in", "opening a shell"
HEADERS = {
    "Content-Type": "application/soap+xml;charset=UTF-8",
    "User-Agent": "Python WinRM client",
    "Accept-Encoding": "identity",
}
MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"


class Link:
    """One HTTP session with one guest, for one thread; connects with its first message.

    pywinrm would take proxies, CAs and passwords (.netrc) from the environment, and its way to keep proxies
    out changes the environment of all threads: the session that it is given knows none of them.
    """

    def __init__(self, account: Account, options: GuestOptions, left: Callable[[], float]) -> None:
        self.line = Line(account, options, left)
        self.adapter = GuestAdapter(self.line, account)
        self.patience = options.auth_timeout
        self.sound = False
        self._account = account
        self._left = left
        self._protocol = _protocol(account)
        self._session = _session(account, self.adapter)
        self._protocol.transport.session = self._session

    @property
    def stage(self) -> str:
        """How far the first message has come; NTLM challenges first, all others sign in with the message."""
        if not self.line.opened:
            return CONNECTING
        return OPENING if self.adapter.refusals > 1 else SIGNING_IN

    def sign_in(self) -> bool:
        """Agree on message encryption where TLS does not encrypt; elsewhere the first message signs in."""
        if self._account.plain:
            self._wait(self.patience)
            self._protocol.transport.setup_encryption(self._session)
            self.adapter.sealed = self.line.single = True
        return self._account.plain

    def ask(self, message: str, patience: float) -> bytes:
        """Send a message and give the answer, which may be silent for `patience` seconds.

        `sound` says afterwards whether the connection is good for another message.
        """
        self._wait(patience)
        self.sound = False
        try:
            answer: bytes = self._protocol.send_message(message)
        except (WSManFaultError, WinRMOperationTimeoutError, WinRMTransportError):
            self.sound = True
            raise
        self.sound = True
        return answer

    def close(self) -> None:
        """Let the connection go."""
        self._protocol.transport.close_session()
        self.line.close()

    def _wait(self, patience: float) -> None:
        self.patience = min(patience, self._left())
        transport: Any = self._protocol.transport
        transport.read_timeout_sec = self.patience


def _protocol(account: Account) -> Protocol:
    method: Any = account.method
    return Protocol(
        account.endpoint,
        transport=method,
        username=account.user,
        password=account.password,
        cert_pem=account.certificate,
        cert_key_pem=account.key or account.certificate,
        proxy=None,
    )


def _session(account: Account, adapter: GuestAdapter) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.adapters.clear()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers.update(HEADERS)
    if account.method == CERTIFICATE:
        session.headers["Authorization"] = MUTUAL
    session.auth = account.authentication()
    return session
