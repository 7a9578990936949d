"""The server: one listener for each guest's loopback address, one thread for each connection."""

import contextlib
import ipaddress
import selectors
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from auditor.simulator.wsman.accounts import NTLM_STORE, Accounts
from auditor.simulator.wsman.certificates import Certificates, ClientCertificate, Tls
from auditor.simulator.wsman.connection import Connection, Seen
from auditor.simulator.wsman.faults import Faults, Kind
from auditor.simulator.wsman.guest import Executor
from auditor.simulator.wsman.login import Schemes
from auditor.simulator.wsman.operations import Limits, Operations
from auditor.simulator.wsman.shells import Shells

_REMEMBERED = 100_000  # requests and errors
_SETTLING = 5.0  # seconds
_TRIES = 20


class WinRmServer:
    """Windows guests behind WinRM, one at each loopback address; a context manager.

    `guests` maps addresses to executors; a lone executor is the guest at 127.0.0.1. `accounts` maps user
    names to passwords. `tls` None serves plain HTTP, where only NTLM and Kerberos with sealed messages get
    in, unless `unencrypted`. Executors have `patience` seconds to obey `stop`. Raises ValueError for an
    address that is not of 127.0.0.0/8 and OSError when a port cannot be had.
    """

    def __init__(
        self,
        guests: Mapping[str, Executor] | Executor,
        *,
        accounts: Mapping[str, str],
        port: int = 0,
        tls: Tls | None = Tls(),  # noqa: B008 - frozen
        faults: Faults | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        schemes: Schemes = Schemes(),  # noqa: B008 - frozen
        unencrypted: bool = False,
        patience: float = 5.0,
    ) -> None:
        executors = guests if isinstance(guests, Mapping) else {"127.0.0.1": guests}
        for address in executors:
            if not ipaddress.IPv4Address(address).is_loopback:
                raise ValueError(f"{address} is no loopback address")
        basic = schemes.basic and (tls is not None or unencrypted)
        self.accounts = Accounts(accounts)
        self.schemes = replace(schemes, basic=basic)
        self.faults = faults if faults is not None else Faults()
        self.bindings = tls is not None and tls.bindings
        self.largest = limits.envelope
        self.closing = threading.Event()
        self.certificates: Certificates | None = None
        self.requests: deque[Seen] = deque(maxlen=_REMEMBERED)
        self.errors: deque[Exception] = deque(maxlen=_REMEMBERED)
        self.port = port
        self._tls = tls
        self._patience = patience
        self._shells = {
            address: Shells(executor, limits.shells_per_user) for address, executor in executors.items()
        }
        self._operations = {
            address: Operations(
                address,
                shells,
                limits=limits,
                faults=self.faults,
                spawn=self._spawn,
                report=self.errors.append,
            )
            for address, shells in self._shells.items()
        }
        self._threads: set[threading.Thread] = set()
        self._starting = threading.Lock()
        self._connections: set[Connection] = set()
        self._listeners: _Listeners | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="auditor-wsman-")
        try:
            if self._tls is not None:
                self.certificates = Certificates(self._tls, Path(self._folder.name))
            self._listeners = _Listeners(tuple(self._shells), self.port, self.faults, self._accepted)
        except BaseException:
            self._folder.cleanup()
            raise
        self.port = self._listeners.port
        NTLM_STORE.open()
        self._listeners.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The address of the first guest."""
        return next(iter(self._shells))

    @property
    def url(self) -> str:
        """Where the first guest answers."""
        return self.url_of(self.address)

    def url_of(self, address: str) -> str:
        """Where a guest answers; `address` may be a name in its certificate that the client can resolve."""
        return f"{'http' if self._tls is None else 'https'}://{address}:{self.port}/wsman"

    @property
    def ca_file(self) -> Path:
        """PEM of the private authority that signed the guests' certificates."""
        return self._issuer().ca_file

    def client_certificate(self, user: str) -> ClientCertificate:
        """A client certificate whose common name is the user."""
        return self._issuer().client(user)

    @property
    def open_shells(self) -> int:
        """How many shells are open now, of all guests."""
        return sum(len(shells) for shells in self._shells.values())

    def shells_of(self, address: str) -> int:
        """How many shells are open now at one guest."""
        return len(self._shells[address])

    def log(self, seen: Seen) -> None:
        """Take note of a request."""
        self.requests.append(seen)

    def close(self) -> None:
        """Stop serving; raises RuntimeError when an executor does not let go of its thread."""
        if self._listeners is None or self.closing.is_set():
            return
        self.closing.set()
        self._listeners.close()
        for connection in tuple(self._connections):
            connection.hang_up()
        for shells in self._shells.values():
            shells.close()
        left = self._wait()
        NTLM_STORE.close()
        if self._folder is not None:
            self._folder.cleanup()
        if left:
            raise RuntimeError(f"{left} threads of the server did not end in {self._patience} s")

    def _wait(self) -> int:
        """Wait for the threads, also those that start meanwhile; how many did not end."""
        end = time.monotonic() + self._patience
        while (alive := self._alive()) and (seconds := end - time.monotonic()) > 0:
            alive[0].join(seconds)
        return len(alive)

    def _alive(self) -> list[threading.Thread]:
        with self._starting:
            return [thread for thread in tuple(self._threads) if thread.is_alive()]

    def _issuer(self) -> Certificates:
        if self.certificates is None:
            raise ValueError("this server does not do TLS, or is not running")
        return self.certificates

    def _accepted(self, address: str, plain: socket.socket) -> None:
        connection = Connection(self, address, self._operations[address], plain)
        self._connections.add(connection)

        def serve() -> None:
            try:
                connection.serve()
            finally:
                self._connections.discard(connection)

        self._spawn(serve)

    def _spawn(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="wsman", daemon=True)
        with self._starting:
            self._threads.add(thread)
            thread.start()


class _Listeners:
    """The listening sockets: those of refusing guests stay bound, so that nobody else takes the port."""

    def __init__(
        self,
        addresses: tuple[str, ...],
        port: int,
        faults: Faults,
        accepted: Callable[[str, socket.socket], None],
    ) -> None:
        self._faults = faults
        self._accepted = accepted
        self._sockets = _bound(addresses, port)
        self.port: int = next(iter(self._sockets.values())).getsockname()[1]
        self._listening: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, "")
        self._turn = threading.Lock()
        self._settled = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="wsman-accept", daemon=True)

    def start(self) -> None:
        self._settle()
        self._thread.start()
        self._faults.watch(self._changed)

    def close(self) -> None:
        self._faults.unwatch(self._changed)
        self._ended = True
        self._wake.send(b".")
        self._thread.join()
        for listener in (*self._sockets.values(), self._wake, self._woken):
            listener.close()
        self._selector.close()

    def _changed(self) -> None:
        with self._turn:
            self._settled.clear()
            self._wake.send(b".")
            self._settled.wait(_SETTLING)

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select():
                if key.data:
                    self._accept(key.data)
                else:
                    self._woken.recv(4096)
                    self._settle()
                    self._settled.set()

    def _accept(self, address: str) -> None:
        with contextlib.suppress(OSError):
            plain, _ = self._sockets[address].accept()
            plain.setblocking(True)
            self._accepted(address, plain)

    def _settle(self) -> None:
        for address in self._sockets:
            refuses = self._faults.has(address, Kind.REFUSE)
            if refuses and address in self._listening:
                self._selector.unregister(self._sockets[address])
                self._sockets[address].close()
                self._sockets[address] = _bind(address, self.port)
                self._listening.discard(address)
            elif not refuses and address not in self._listening:
                self._sockets[address].listen(1024)
                self._selector.register(self._sockets[address], selectors.EVENT_READ, address)
                self._listening.add(address)


def _bound(addresses: tuple[str, ...], port: int) -> dict[str, socket.socket]:
    for attempt in range(_TRIES):
        sockets: dict[str, socket.socket] = {}
        try:
            for address in addresses:
                taken = next(iter(sockets.values())).getsockname()[1] if sockets else port
                sockets[address] = _bind(address, taken)
        except OSError:
            for listener in sockets.values():
                listener.close()
            if port or attempt == _TRIES - 1:
                raise
        else:
            return sockets
    raise OSError("no port is free at every address")


def _bind(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener
