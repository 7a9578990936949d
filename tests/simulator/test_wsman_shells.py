"""Protocol tier: shells, input and output, limits and quotas of the WS-Man server, through pywinrm."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from winrm.exceptions import WinRMOperationTimeoutError, WSManFaultError
from winrm.protocol import Protocol

from auditor.simulator.wsman import Limits, WinRmServer
from tests.simulator.wsman_guest import ACCOUNTS, Guest, protocol, run

NO_SHELL, TOO_MANY, TOO_LARGE = 2150858843, 2150859173, 2150858790

RSP = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CTRL_C = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header>'
    f"<w:ResourceURI>{RSP}/cmd</w:ResourceURI><a:Action>{RSP}/Signal</a:Action>"
    '<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet></s:Header><s:Body>'
    f'<r:Signal xmlns:r="{RSP}" CommandId="{{command}}"><r:Code>{RSP}/signal/ctrl_c</r:Code></r:Signal>'
    "</s:Body></s:Envelope>"
)


@pytest.fixture(scope="module")
def server() -> Iterator[WinRmServer]:
    """A guest over HTTPS."""
    with WinRmServer(Guest(), accounts=ACCOUNTS) as running:
        yield running


@pytest.fixture
def spoken(server: WinRmServer) -> Iterator[Protocol]:
    """A client that gives each operation a second."""
    client = protocol(server, operation_timeout_sec=1, read_timeout_sec=20)
    yield client
    client.transport.close_session()
    assert server.open_shells == 0


@pytest.fixture
def shell(spoken: Protocol) -> Iterator[str]:
    """An open shell."""
    shell_id = spoken.open_shell()
    yield shell_id
    spoken.close_shell(shell_id, close_session=False)


@pytest.mark.parametrize(
    ("page", "expected"),
    [(437, b"Gr\x94\xe1e ?"), (65001, "Größe €".encode()), (1252, b"Gr\xf6\xdfe \x80"), (20127, b"Gr??e ?")],
)
def test_the_executor_learns_the_code_page(spoken: Protocol, page: int, expected: bytes) -> None:
    assert run(spoken, "say Größe €", codepage=page)[0] == expected + b"\r\n"


def test_a_code_page_that_does_not_exist_opens_no_shell(spoken: Protocol) -> None:
    with pytest.raises(WSManFaultError, match="UnsupportedFeature"):
        spoken.open_shell(codepage=99999)


def test_variables_reach_the_executor(spoken: Protocol) -> None:
    out, _, _ = run(spoken, "set", env_vars={"A": "x & <y> \"z\" 'ü'", "B": ""})
    assert json.loads(out) == {
        "A": "x & <y> \"z\" 'ü'",
        "B": "",
        "WINRS_CODEPAGE": "437",
        "user": "SIM\\backupadmin",
    }


def test_a_working_directory_is_not_silently_ignored(spoken: Protocol) -> None:
    with pytest.raises(WSManFaultError, match="UnsupportedFeature"):
        spoken.open_shell(working_directory="C:\\")


def test_input_arrives_in_pieces_up_to_its_end(spoken: Protocol, shell: str) -> None:
    script = bytes(range(256)) * 1200
    command = spoken.run_command(shell, "count")
    pieces = [script[start : start + 100_000] for start in range(0, len(script), 100_000)]
    for piece in pieces[:-1]:
        spoken.send_command_input(shell, command, piece)
    with pytest.raises(WinRMOperationTimeoutError):
        spoken.get_command_output_raw(shell, command)  # the command still waits for input
    spoken.send_command_input(shell, command, pieces[-1], end=True)
    assert spoken.get_command_output(shell, command) == (f"{len(script)} {sum(script)}".encode(), b"", 0)


def test_output_comes_in_pieces_that_fit(spoken: Protocol, shell: str) -> None:
    command = spoken.run_command(shell, "big 400000")
    sizes, done = [], False
    while not done:
        out, err, code, done = spoken.get_command_output_raw(shell, command)
        sizes.append((len(out), len(err)))
    assert sum(out for out, _ in sizes) == 400_000
    assert sum(err for _, err in sizes) == 1000
    assert code == 0
    assert 3 < len(sizes) < 6
    assert max(out + err for out, err in sizes) <= 150_000


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_four_megabytes(transport: str) -> None:
    tls_less = WinRmServer(Guest(), accounts=ACCOUNTS, tls=None, unencrypted=True)
    with tls_less as server:
        out, err, code = run(protocol(server, transport), "big 4000000")
        assert (out, err, code) == (b"o" * 4_000_000, b"e" * 1000, 0)


def test_a_receive_waits_as_long_as_it_is_told(spoken: Protocol, shell: str) -> None:
    command = spoken.run_command(shell, "wait")
    start = time.monotonic()
    with pytest.raises(WinRMOperationTimeoutError):
        spoken.get_command_output_raw(shell, command)
    assert 0.9 < time.monotonic() - start < 3


def test_terminate_stops_the_command_and_forgets_it() -> None:
    guest = Guest()
    with WinRmServer(guest, accounts=ACCOUNTS) as other:
        client = protocol(other, operation_timeout_sec=1, read_timeout_sec=20)
        shell = client.open_shell()
        command = client.run_command(shell, "wait")
        with pytest.raises(WinRMOperationTimeoutError):
            client.get_command_output_raw(shell, command)
        client.cleanup_command(shell, command)
        assert guest.stopped.wait(5)
        with pytest.raises(WSManFaultError) as gone:
            client.get_command_output_raw(shell, command)
        assert gone.value.wsman_fault_code == NO_SHELL
        client.cleanup_command(shell, command)  # once more is no error
        client.close_shell(shell)


def test_deleting_the_shell_stops_its_commands() -> None:
    guest = Guest()
    with WinRmServer(guest, accounts=ACCOUNTS) as other:
        client = protocol(other, operation_timeout_sec=1, read_timeout_sec=20)
        shell = client.open_shell()
        command = client.run_command(shell, "wait")
        with pytest.raises(WinRMOperationTimeoutError):
            client.get_command_output_raw(shell, command)
        client.close_shell(shell)
        assert guest.stopped.wait(5)
        assert other.open_shells == 0


def test_ctrl_c_ends_a_command_with_its_own_code(spoken: Protocol, shell: str) -> None:
    command = spoken.run_command(shell, "wait")
    with pytest.raises(WinRMOperationTimeoutError):
        spoken.get_command_output_raw(shell, command)
    spoken.send_message(CTRL_C.format(shell=shell, command=command))
    assert spoken.get_command_output(shell, command) == (b"", b"", 3221225786)


@pytest.mark.parametrize("length", [8191, 8192])
def test_a_command_line_has_a_longest_length(spoken: Protocol, length: int) -> None:
    line = "say " + "x" * (length - 4)
    out, err, code = run(spoken, line)
    if length > 8191:
        assert (out, err, code) == (b"The command line is too long.\r\n", b"", 1)
    else:
        assert (len(out), err, code) == (length - 4 + 2, b"", 0)


def test_unknown_ids_are_faults(spoken: Protocol, shell: str) -> None:
    for ids in (("0000", "0000"), (shell, "0000")):
        with pytest.raises(WSManFaultError) as fault:
            spoken.get_command_output_raw(*ids)
        assert fault.value.wsman_fault_code == NO_SHELL


def test_a_shell_belongs_to_its_user(shell: str) -> None:
    with WinRmServer(Guest(), accounts={"a": "1", "b": "2"}) as server:
        first = protocol(server, username="a", password="1")
        second = protocol(server, username="b", password="2")
        opened = first.open_shell()
        with pytest.raises(WSManFaultError) as fault:
            second.close_shell(opened)
        assert fault.value.wsman_fault_code == NO_SHELL
        first.close_shell(opened)


def test_a_user_may_open_thirty_shells() -> None:
    with WinRmServer(Guest(), accounts={"a": "1", "b": "2"}) as server:
        first = protocol(server, username="a", password="1")
        shells = [first.open_shell() for _ in range(30)]
        with pytest.raises(WSManFaultError) as fault:
            first.open_shell()
        assert fault.value.wsman_fault_code == TOO_MANY
        assert server.open_shells == 30
        assert run(protocol(server, username="b", password="2"), "say x")[2] == 0
        first.close_shell(shells[0], close_session=False)
        first.open_shell()
        first.transport.close_session()


def test_an_envelope_may_be_half_a_megabyte(spoken: Protocol, shell: str) -> None:
    command = spoken.run_command(shell, "count")
    with pytest.raises(WSManFaultError) as fault:
        spoken.send_command_input(shell, command, b"x" * 400_000)
    assert fault.value.wsman_fault_code == TOO_LARGE
    spoken.send_command_input(shell, command, b"x" * 380_000, end=True)
    assert spoken.get_command_output(shell, command)[0] == f"380000 {380_000 * ord('x')}".encode()


def test_two_hundred_shells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # with `proxy=None` requests changes the environment for a moment, which threads do not stand
    monkeypatch.setenv("NO_PROXY", "*")
    addresses = [f"127.0.10.{index}" for index in range(1, 201)]
    guests = {address: Guest() for address in addresses}
    ready = threading.Barrier(64, timeout=30)

    estate = WinRmServer(guests, accounts=ACCOUNTS, tls=None, limits=Limits(shells_per_user=1))

    def converse(index: int) -> tuple[bytes, bytes, int]:
        client = protocol(estate, "ntlm", endpoint=estate.url_of(addresses[index]), proxy="legacy_requests")
        shell = client.open_shell()
        if index < 64:
            ready.wait()  # so many are served at the same moment
        command = client.run_command(shell, f"say {index}")
        result = client.get_command_output(shell, command)
        client.transport.close_session()
        return result

    with estate:
        with ThreadPoolExecutor(64) as pool:
            results = list(pool.map(converse, range(200)))
        assert estate.open_shells == 200
        assert {estate.shells_of(address) for address in addresses} == {1}
    assert results == [(f"{index}\r\n".encode(), b"", 0) for index in range(200)]
    assert estate.open_shells == 0
