"""Protocol tier: pywinrm, unmodified, against the WS-Man server over every transport."""

import base64
import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from auditor.simulator.wsman import Execution, Faults, Schemes, Tls, WinRmServer
from auditor.simulator.wsman.child import serve_in_child
from tests.simulator.wsman_guest import ACCOUNTS, PASSWORD, USER, Guest, protocol, protocol_at, run, session


@pytest.fixture(scope="module")
def https() -> Iterator[WinRmServer]:
    """A guest that does TLS."""
    with WinRmServer(Guest(), accounts=ACCOUNTS) as server:
        yield server


@pytest.fixture(scope="module")
def http() -> Iterator[WinRmServer]:
    """A guest that does not."""
    with WinRmServer(Guest(), accounts=ACCOUNTS, tls=None) as server:
        yield server


@pytest.mark.parametrize("transport", ["basic", "ntlm", "certificate"])
def test_commands_over_https(https: WinRmServer, transport: str) -> None:
    client = https.client_certificate(USER)
    options = {"cert_pem": str(client.certificate), "cert_key_pem": str(client.key)}
    spoken = session(https, transport, **(options if transport == "certificate" else {}))
    said = spoken.run_cmd("say", ["hello", "there"])
    failed = spoken.run_cmd("exit", ["3221225477"])
    assert (said.status_code, said.std_out, said.std_err) == (0, b"hello there\r\n", b"")
    assert (failed.status_code, failed.std_out, failed.std_err) == (3221225477, b"", b"went wrong\r\n")
    assert https.open_shells == 0
    assert (https.requests[-1].user, https.requests[-1].scheme) == (USER, transport)


def test_ntlm_seals_every_message_over_http(http: WinRmServer) -> None:
    with Tap(http.port) as tap:
        spoken = session(http, "ntlm", endpoint=f"http://127.0.0.1:{tap.port}/wsman")
        assert spoken.run_cmd("say", ["canary-7f3a"]).std_out == b"canary-7f3a\r\n"
    operations = [seen for seen in http.requests if seen.operation]
    assert [seen.operation for seen in operations[-5:]] == [
        "Create",
        "Command",
        "Receive",
        "Signal",
        "Delete",
    ]
    assert all(seen.sealed and seen.answer_sealed and seen.scheme == "ntlm" for seen in operations)
    assert len(tap.passed) > 10_000
    assert tap.passed.count(b"HTTP-SPNEGO-session-encrypted") >= 20
    for readable in (b"Envelope", b"canary", b"CommandLine", PASSWORD.encode()):
        assert readable not in tap.passed


def test_a_script_arrives_as_an_encoded_command(https: WinRmServer) -> None:
    encoded = base64.b64encode("Get-Ding -Ä".encode("utf-16-le")).decode()
    with WinRmServer(Guest(), accounts=ACCOUNTS) as server:
        with pytest.raises(WSManFaultError, match="InternalError"):
            session(server).run_ps("Get-Ding -Ä")  # the guest does not know the word
        assert [error.args for error in server.errors] == [(f"powershell -encodedcommand {encoded}",)]


@pytest.mark.parametrize("spelling", [USER, "backupadmin", "sim\\BackupAdmin"])
@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_an_account_has_several_spellings(https: WinRmServer, transport: str, spelling: str) -> None:
    out, _, code = run(protocol(https, transport, username=spelling), "set")
    assert code == 0
    assert b'"user": "SIM\\\\backupadmin"' in out


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
@pytest.mark.parametrize(
    "wrong", [{"password": "other"}, {"username": "SIM\\nobody"}, {"username": "ELSEWHERE\\backupadmin"}]
)
def test_a_wrong_credential_is_refused(https: WinRmServer, transport: str, wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidCredentialsError):
        protocol(https, transport, **wrong).open_shell()
    assert (https.requests[-1].user, https.requests[-1].status) == (None, 401)


def test_a_certificate_of_nobody_is_refused(https: WinRmServer) -> None:
    client = https.client_certificate("SIM\\nobody")
    spoken = protocol(https, "certificate", cert_pem=str(client.certificate), cert_key_pem=str(client.key))
    with pytest.raises(InvalidCredentialsError):
        spoken.open_shell()


def test_no_certificate_is_refused(https: WinRmServer) -> None:
    header = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
    answer = requests.post(
        https.url, data=b"x", headers={"Authorization": header}, verify=str(https.ca_file), timeout=10
    )
    assert answer.status_code == 401


def test_ntlm_must_name_the_certificate(https: WinRmServer) -> None:
    with pytest.raises(InvalidCredentialsError):
        protocol(https, "ntlm", send_cbt=False).open_shell()
    with WinRmServer(Guest(), accounts=ACCOUNTS, tls=Tls(bindings=False)) as lax:
        assert run(protocol(lax, "ntlm", send_cbt=False), "say x")[2] == 0


def test_basic_is_no_way_in_over_http(http: WinRmServer) -> None:
    answer = requests.post(http.url, data=b"x", auth=("backupadmin", PASSWORD), timeout=10)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Negotiate")
    with WinRmServer(Guest(), accounts=ACCOUNTS, tls=None, unencrypted=True) as lax:
        assert run(protocol(lax, "basic"), "say x")[2] == 0


def test_ntlm_without_sealing_is_no_way_in_over_http(http: WinRmServer) -> None:
    with pytest.raises(WinRMTransportError, match="500"):
        protocol(http, "ntlm", message_encryption="never").open_shell()


def test_a_host_offers_what_it_is_told_to_offer() -> None:
    with WinRmServer(Guest(), accounts=ACCOUNTS, schemes=Schemes(basic=False)) as server:
        with pytest.raises(InvalidCredentialsError):
            protocol(server, "basic").open_shell()
        assert run(protocol(server, "ntlm"), "say x")[2] == 0


def test_a_certificate_holds_the_address_and_the_name() -> None:
    tls = Tls(names={"127.0.0.1": "localhost"})
    with WinRmServer(Guest(), accounts=ACCOUNTS, tls=tls) as server:
        for name in ("127.0.0.1", "localhost"):
            assert run(protocol(server, endpoint=server.url_of(name)), "say x")[2] == 0


def test_two_servers_may_give_one_user_different_passwords(http: WinRmServer) -> None:
    with WinRmServer(Guest(), accounts={USER: "other"}, tls=None) as second:
        for server, password in ((second, "other"), (http, PASSWORD), (second, "other")):
            assert run(protocol(server, "ntlm", password=password), "say x")[2] == 0
        with pytest.raises(InvalidCredentialsError):
            protocol(second, "ntlm").open_shell()


def test_passwords_are_nowhere_to_be_found(http: WinRmServer) -> None:
    assert run(protocol(http, "ntlm"), "say x")[2] == 0
    store = Path(os.environ["NTLM_USER_FILE"])
    assert "backupadmin" in store.read_text(encoding="utf-8")
    assert PASSWORD not in store.read_text(encoding="utf-8")
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700
    assert PASSWORD not in repr((http, http.accounts, list(http.requests), list(http.errors)))


def test_the_environment_is_as_before_once_nobody_serves() -> None:
    program = (
        "import os; from auditor.simulator.wsman import WinRmServer\n"
        "with WinRmServer(None, accounts={'a': 'b'}): print('NTLM_USER_FILE' in os.environ)\n"
        "print('NTLM_USER_FILE' in os.environ)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NTLM_USER_FILE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"True", b"False"]


def test_only_loopback_is_served() -> None:
    for address in ("0.0.0.0", "192.0.2.1", "::", "localhost"):
        with pytest.raises(ValueError, match=address):
            WinRmServer({address: Guest()}, accounts=ACCOUNTS)


def test_nothing_is_left_after_close() -> None:
    threads = set(threading.enumerate())
    guest, faults = Guest(), Faults()
    with WinRmServer({"127.0.10.1": guest, "127.0.10.2": guest}, accounts=ACCOUNTS, faults=faults) as server:
        spoken = protocol(server, operation_timeout_sec=1, read_timeout_sec=5)
        shell_id = spoken.open_shell()
        command_id = spoken.run_command(shell_id, "wait")
        waiting = threading.Thread(target=_receive, args=(spoken, shell_id, command_id))
        waiting.start()
        with socket.create_connection(("127.0.10.2", server.port)):
            assert guest.started.wait(10)
            port = server.port
            server.close()
    waiting.join()
    spoken.transport.close_session()
    assert guest.stopped.is_set()
    end = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.05)  # a thread ends a moment after it did its last
    assert set(threading.enumerate()) - threads == set()
    assert [held for held in psutil.Process().net_connections() if held.laddr.port == port] == []
    assert server.open_shells == 0


def _receive(spoken: object, shell_id: str, command_id: str) -> None:
    with pytest.raises(requests.exceptions.ConnectionError):
        spoken.get_command_output(shell_id, command_id)  # type: ignore[attr-defined]


@dataclass
class Stubborn:
    """A guest whose commands end when it likes, whatever they are told."""

    started: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """Wait."""
        self.started.set()
        self.end.wait(30)
        return Execution(0)


def test_an_executor_that_does_not_stop_is_named() -> None:
    guest = Stubborn()
    with WinRmServer(guest, accounts=ACCOUNTS, patience=0.5) as server:
        spoken = protocol(server, operation_timeout_sec=1, read_timeout_sec=5)
        shell_id = spoken.open_shell()
        with pytest.raises(WinRMOperationTimeoutError):
            spoken.get_command_output_raw(shell_id, spoken.run_command(shell_id, "any"))
        spoken.transport.close_session()
        with pytest.raises(RuntimeError, match="1 threads"):
            server.close()
    assert guest.started.is_set()
    guest.end.set()


def test_guests_in_a_process_of_their_own() -> None:
    with serve_in_child(3, ACCOUNTS, tls=False, faults={"refuse": 1}) as served:
        assert served.addresses == ("127.0.10.1", "127.0.10.2", "127.0.10.3")
        for address in served.addresses[:2]:
            spoken = protocol_at(f"http://{address}:{served.port}/wsman", "ntlm", ca_trust_path=None)
            assert run(spoken, "any") == (b"{}\r\n", b"", 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((served.addresses[2], served.port)).close()
    assert not psutil.pid_exists(served.pid)


class Tap:
    """A relay on loopback that keeps every byte in both directions."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._kept: list[bytes] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = []

    @property
    def passed(self) -> bytes:
        """Everything that went through."""
        return b"".join(self._kept)

    def __enter__(self) -> "Tap":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for held in self._sockets:  # closing alone does not wake whoever waits for bytes
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for held in (*self._sockets, self._listener):
            held.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pump, args=(source, target))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                self._kept.append(piece)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return
