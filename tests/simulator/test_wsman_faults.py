"""Protocol tier: each fault of the WS-Man server shows in pywinrm as it does with a real host."""

import socket
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from auditor.simulator.wsman import Fault, Faults, Kind, WinRmServer
from tests.simulator.wsman_guest import ACCOUNTS, Guest, protocol, run

FAULTY, SOUND = "127.0.10.1", "127.0.10.2"


@dataclass
class Pair:
    """Two guests, one of which the faults strike."""

    server: WinRmServer
    faults: Faults
    clients: list[Protocol] = field(default_factory=list)

    def client(self, address: str = FAULTY, **options: object) -> Protocol:
        """A client that waits a second for an operation and two for an answer."""
        given = {"operation_timeout_sec": 1, "read_timeout_sec": 2} | options
        self.clients.append(protocol(self.server, endpoint=self.server.url_of(address), **given))
        return self.clients[-1]

    def strike(self, kind: Kind, **details: object) -> None:
        """Let a fault strike the faulty guest."""
        self.faults.add(Fault(kind, **details), FAULTY)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def served() -> Iterator[Pair]:
    """Two guests for all tests here."""
    faults = Faults()
    with WinRmServer({FAULTY: Guest(), SOUND: Guest()}, accounts=ACCOUNTS, faults=faults) as server:
        yield Pair(server, faults)


@pytest.fixture
def pair(served: Pair) -> Iterator[Pair]:
    """The guests; afterwards both are sound, whatever struck."""
    assert run(served.client(SOUND), "say x")[2] == 0
    yield served
    assert run(served.client(SOUND), "say x")[2] == 0
    served.faults.clear()
    assert run(served.client(), "say x")[2] == 0
    while served.clients:
        served.clients.pop().transport.close_session()


def test_nobody_listens(pair: Pair) -> None:
    pair.strike(Kind.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((FAULTY, pair.server.port))
    with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
        pair.client().open_shell()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.EXPIRED, "certificate has expired"),
        (Kind.WRONG_NAME, "IP address mismatch"),
        (Kind.UNTRUSTED, "unable to get local issuer|self-signed|unknown ca"),
    ],
)
def test_a_certificate_is_not_trusted(pair: Pair, kind: Kind, text: str) -> None:
    pair.strike(kind)
    with pytest.raises(requests.exceptions.SSLError, match=text):
        pair.client().open_shell()


def test_tls_starts_late(pair: Pair) -> None:
    pair.strike(Kind.SLOW_HANDSHAKE, seconds=0.5, times=1)
    start = time.monotonic()
    assert run(pair.client(), "say x")[2] == 0
    assert time.monotonic() - start > 0.5


def test_tls_never_starts(pair: Pair) -> None:
    pair.strike(Kind.SLOW_HANDSHAKE)
    with pytest.raises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError)):
        pair.client().open_shell()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.STALL, requests.exceptions.ReadTimeout),
        (Kind.DROP, requests.exceptions.ConnectionError),
        (Kind.REJECT, InvalidCredentialsError),
        (Kind.SERVER_ERROR, WinRMTransportError),
        (Kind.MALFORMED, ET.ParseError),
    ],
)
@pytest.mark.parametrize("operation", ["", "Receive"])
def test_an_answer_goes_wrong(pair: Pair, kind: Kind, error: type[Exception], operation: str) -> None:
    before = pair.server.shells_of(FAULTY)
    pair.strike(kind, operation=operation)
    with pytest.raises(error):
        run(pair.client(), "say x")
    leaked = pair.server.shells_of(FAULTY) - before
    assert leaked == (0 if operation == "" else 1)  # what was opened stays open, as on a real host


def test_a_connection_drops_in_the_middle_and_a_new_one_goes_on(pair: Pair) -> None:
    pair.strike(Kind.DROP, operation="Receive", after=1, times=1)
    client = pair.client()
    shell = client.open_shell()
    command = client.run_command(shell, "big 400000")
    first = client.get_command_output_raw(shell, command)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.get_command_output_raw(shell, command)
    client.transport.close_session()
    rest = client.get_command_output(shell, command)
    assert first[3] is False
    assert (rest[2], len(first[0]) + len(rest[0]) < 400_000) == (0, True)  # what the wire lost is lost
    client.close_shell(shell)


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.SERVER_ERROR])
def test_faults_strike_sealed_messages_too(kind: Kind) -> None:
    faults = Faults()
    with WinRmServer(Guest(), accounts=ACCOUNTS, tls=None, faults=faults) as server:
        client = protocol(server, "ntlm")
        faults.add(Fault(kind, operation="Command"))
        with pytest.raises((requests.exceptions.ConnectionError, WinRMTransportError)):
            run(client, "say x")
        faults.clear()
        client.transport.close_session()


def test_a_command_hangs(pair: Pair) -> None:
    pair.strike(Kind.HANG, times=1)
    client = pair.client(read_timeout_sec=20)
    shell = client.open_shell()
    command = client.run_command(shell, "say x")
    with pytest.raises(WinRMOperationTimeoutError):
        client.get_command_output_raw(shell, command)
    client.cleanup_command(shell, command)
    client.close_shell(shell)


def test_a_command_prints_four_megabytes(pair: Pair) -> None:
    pair.strike(Kind.HUGE_OUTPUT)
    out, _, code = run(pair.client(), "say x")
    assert (len(out), code) == (4_000_000, 0)


def test_a_command_prints_slowly(pair: Pair) -> None:
    pair.strike(Kind.SLOW_OUTPUT, size=4, seconds=0.1)
    start = time.monotonic()
    assert run(pair.client(), "say 0123456789")[0] == b"0123456789\r\n"
    assert time.monotonic() - start > 0.3


def test_output_slower_than_an_operation_may_take(pair: Pair) -> None:
    pair.strike(Kind.SLOW_OUTPUT, size=4, seconds=3)
    client = pair.client(read_timeout_sec=20)
    shell = client.open_shell()
    command = client.run_command(shell, "say x")
    with pytest.raises(WinRMOperationTimeoutError):
        client.get_command_output_raw(shell, command)
    client.close_shell(shell)


def test_the_quota_is_used_up(pair: Pair) -> None:
    pair.strike(Kind.QUOTA)
    with pytest.raises(WSManFaultError) as fault:
        pair.client().open_shell()
    assert fault.value.wsman_fault_code == 2150859173


@pytest.mark.parametrize("operation", ["Receive", "Command", "Delete"])
def test_the_shell_is_gone(pair: Pair, operation: str) -> None:
    pair.strike(Kind.SHELL_GONE, operation=operation, times=1)
    with pytest.raises(WSManFaultError) as fault:
        run(pair.client(), "say x")
    assert fault.value.wsman_fault_code == 2150858843


def test_a_fault_of_every_guest(pair: Pair) -> None:
    pair.faults.add(Fault(Kind.REJECT, times=2))
    for address in (FAULTY, SOUND):
        with pytest.raises(InvalidCredentialsError):
            pair.client(address).open_shell()
