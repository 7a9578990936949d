"""One client's connection: TLS, signing in, opening and sealing messages, and the faults on the way."""

import socket
import ssl
import threading
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from auditor.simulator.wsman import http, sealing
from auditor.simulator.wsman.accounts import Accounts
from auditor.simulator.wsman.certificates import Certificates, common_name
from auditor.simulator.wsman.faults import ANSWERING, CERTIFICATES, Fault, Faults, Kind
from auditor.simulator.wsman.login import Login, Schemes, Verdict
from auditor.simulator.wsman.operations import Answer, Operations

_HANDSHAKE = 30.0
_SEALING_ADDS = 1024
_PATH = "/wsman"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request in the server's log; `sealed` and `answer_sealed` tell of message encryption."""

    guest: str
    operation: str
    user: str | None
    scheme: str
    sealed: bool
    answer_sealed: bool
    status: int


class Host(Protocol):
    """What a connection needs of its server."""

    accounts: Accounts
    schemes: Schemes
    faults: Faults
    certificates: Certificates | None
    bindings: bool
    largest: int
    closing: threading.Event

    def log(self, seen: Seen) -> None:
        """Take note of a request."""


class HungUp(Exception):
    """The connection is over."""


class Connection:
    """Serves one connection to one guest in the calling thread."""

    def __init__(self, host: Host, guest: str, operations: Operations, plain: socket.socket) -> None:
        self._host = host
        self._guest = guest
        self._operations = operations
        self._socket = plain
        self._login = Login(host.accounts, host.schemes)

    def serve(self) -> None:
        """Answer requests until either side has enough."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._host.certificates is not None:
                self._secure(self._host.certificates)
            with cast(BinaryIO, self._socket.makefile("rb", 65536)) as stream:
                while self._once(stream):
                    pass
        except (OSError, HungUp, http.BadRequest, ValueError):
            return
        finally:
            self._socket.close()

    def hang_up(self) -> None:
        """Cut the connection from another thread."""
        try:
            # not SSLSocket's own: that would take the TLS object from under the serving thread
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return

    def _secure(self, certificates: Certificates) -> None:
        slow = self._host.faults.take(self._guest, {Kind.SLOW_HANDSHAKE})
        if slow is not None and self._host.closing.wait(slow.seconds):
            raise HungUp
        flaw = self._host.faults.take(self._guest, CERTIFICATES)
        offered = certificates.offered(self._guest, flaw.kind if flaw is not None else None)
        self._socket.settimeout(_HANDSHAKE)
        secured = offered.context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = secured
        if self._host.closing.is_set():
            raise HungUp
        secured.do_handshake()
        secured.settimeout(None)
        self._login.certificate_name = common_name(secured)
        self._login.bindings = offered.bindings if self._host.bindings else None

    def _once(self, stream: BinaryIO) -> bool:
        request = http.read_request(stream, self._host.largest + _SEALING_ADDS)
        if request is None:
            return False
        fault = self._host.faults.take(self._guest, ANSWERING)
        if fault is not None:
            self._spoil(fault)
        elif request.method != "POST" or not request.path.startswith(_PATH):
            self._socket.sendall(http.response(404))
        else:
            self._answer(request)
        return request.keep_alive

    def _answer(self, request: http.Request) -> None:
        is_sealed = sealing.is_sealed(request.headers.get("content-type", ""))
        verdict = self._login.check(request.headers.get("authorization"))
        if verdict.user is None:
            self._note("", verdict, is_sealed, False, 401)
            self._socket.sendall(http.response(401, headers=verdict.headers))
        elif request.body == b"":
            self._note("", verdict, False, False, 200)
            self._socket.sendall(http.response(200, headers=verdict.headers))
        else:
            self._carry_out(request, verdict, is_sealed)

    def _carry_out(self, request: http.Request, verdict: Verdict, is_sealed: bool) -> None:
        context = self._login.context if is_sealed else None
        if not self._fit(verdict, is_sealed):
            self._note("", verdict, is_sealed, False, 500)
            self._socket.sendall(http.response(500))
            return
        text = request.body
        if text is not None and context is not None:
            try:
                text = sealing.opened(text, context)
            except sealing.Unsealable:
                self._note("", verdict, True, False, 400)
                self._socket.sendall(http.response(400))
                raise HungUp from None
        answer = self._operations.answer(text, verdict.user or "")
        self._note(answer.operation, verdict, is_sealed, context is not None, answer.status)
        fault = self._host.faults.take(self._guest, ANSWERING, answer.operation) if answer.operation else None
        if fault is not None:
            self._spoil(fault, answer)
            return
        body, content_type = answer.body, http.SOAP
        if context is not None:
            body, content_type = sealing.sealed(body, context), sealing.CONTENT_TYPE
        self._socket.sendall(http.response(answer.status, body, content_type, verdict.headers))

    def _fit(self, verdict: Verdict, is_sealed: bool) -> bool:
        if is_sealed:
            return self._login.context is not None
        return isinstance(self._socket, ssl.SSLSocket) or verdict.scheme == "basic"

    def _spoil(self, fault: Fault, answer: Answer | None = None) -> None:
        operation = answer.operation if answer is not None else ""
        match fault.kind:
            case Kind.REJECT:
                self._socket.sendall(http.response(401, headers=Login.check(self._login, "").headers))
                self._note(operation, Verdict(None), False, False, 401)
            case Kind.SERVER_ERROR:
                self._socket.sendall(http.response(500, b"the service is unavailable", "text/plain"))
                self._note(operation, Verdict(None), False, False, 500)
            case Kind.MALFORMED:
                self._socket.sendall(http.response(200, b"<s:Envelope><s:Body", http.SOAP))
                self._note(operation, Verdict(None), False, False, 200)
            case Kind.STALL:
                while self._socket.recv(65536):
                    pass
                raise HungUp
            case _:
                raise HungUp

    def _note(
        self, operation: str, verdict: Verdict, is_sealed: bool, answer_sealed: bool, status: int
    ) -> None:
        self._host.log(
            Seen(self._guest, operation, verdict.user, verdict.scheme, is_sealed, answer_sealed, status)
        )
