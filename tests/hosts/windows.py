"""What the tests of WinRM share: a Windows guest with a handful of commands, and a host that asks it."""

import base64
import contextlib
import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import psutil
import pytest

from auditor.credentials import Secrets
from auditor.errors import HostError
from auditor.hosts import CommandResult, Script, Shell
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import WinRmHost
from auditor.model import WINRM, Connection
from auditor.simulator.wsman import Execution, WinRmServer, console

ADMIN, PASSWORD = "SIM\\backupadmin", "canary-Gürkchen-7431"
QUICK = GuestOptions(connect_timeout=2, auth_timeout=2, command_timeout=2, deadline=8, grace=1)
LATE = 3.0
"""Seconds that a busy machine may add to a limit."""


class Windows:
    """A guest that knows a few commands; whatever else it is asked fails the test."""

    def __init__(self, **answers: Execution) -> None:
        self.seen: list[str] = []
        self._answers = answers

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """Run one command line."""
        self.seen.append(command)
        verb, _, rest = command.partition(" ")
        if verb in self._answers:
            return self._answers[verb]
        known: dict[str, Callable[[], Execution]] = {
            "echo": lambda: Execution(0, console(rest + "\n", environment)),
            "exit": lambda: Execution(int(rest)),
            "more": lambda: Execution(0, stdin),
            "whoami": lambda: Execution(0, user.encode()),
            "print": lambda: Execution(0, b"0123456789abcdef" * (int(rest) // 16)),
            "powershell.exe": lambda: Execution(
                0, base64.b64decode(rest.rpartition(" ")[2]).decode("utf-16-le").encode() + stdin
            ),
        }
        return known[verb]()


def cmd(text: str, data: bytes = b"") -> Script:
    """A command line."""
    return Script(text, Shell.CMD, data)


def secrets() -> Secrets:
    """The password of the account."""
    return Secrets(environment={"PASSWORD": PASSWORD, "WRONG": "another-password", "EMPTY": ""})


def connection_to(server: WinRmServer, **changes: Any) -> Connection:
    """How a server's first guest is reached when nothing is wrong."""
    usual = Connection(server.address, port=server.port, user=ADMIN, password="env:PASSWORD", transport=WINRM)
    if server.certificates is None:
        return replace(usual, **{"plain_http": True, **changes})
    return replace(usual, **{"ca": str(server.ca_file), **changes})


@contextlib.contextmanager
def opened(connection: Connection, options: GuestOptions = QUICK) -> Iterator[WinRmHost]:
    """A session that is closed at the end."""
    host = WinRmHost(connection, options, secrets())
    with contextlib.closing(host):
        yield host


def ask(
    connection: Connection, script: Script | None = None, options: GuestOptions = QUICK, timeout: float = 5
) -> CommandResult:
    """The answer of a guest to one script."""
    with opened(connection, options) as host:
        return host.run(script or cmd("echo hello"), timeout)


def reason(connection: Connection, within: float, options: GuestOptions = QUICK, timeout: float = 5) -> str:
    """Why a guest cannot be asked; not later than said, session closed."""
    start = time.monotonic()
    with pytest.raises(HostError) as raised:
        ask(connection, options=options, timeout=timeout)
    assert time.monotonic() - start < within + LATE
    assert PASSWORD not in str(raised.value)
    return str(raised.value)


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """No thread and no descriptor is left afterwards that was not there before."""
    gc.collect()
    threads, descriptors = set(threading.enumerate()), psutil.Process().num_fds()
    yield
    end = time.monotonic() + 5
    while time.monotonic() < end:
        gc.collect()
        left = set(threading.enumerate()) - threads
        if not left and psutil.Process().num_fds() <= descriptors:
            return
        time.sleep(0.05)
    pytest.fail(f"left behind: {left or psutil.Process().net_connections()}")


@contextlib.contextmanager
def raw_guest(serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """A port where `serve` gets every connection, in a thread of its own."""
    threads: list[threading.Thread] = []
    taken: list[socket.socket] = []

    def work(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                taken.append(connection)
                threads.append(threading.Thread(target=work, args=(connection,)))
                threads[-1].start()

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for connection in taken:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
