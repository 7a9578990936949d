"""Good Windows guests over WinRM: protocol tier, a real client against the WS-Man server of the simulator."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from auditor.errors import HostError
from auditor.hosts import CommandResult, Script, Shell
from auditor.hosts.alarm import THREAD
from auditor.simulator.wsman import Execution, WinRmServer
from tests.hosts.windows import ADMIN, PASSWORD, QUICK, Windows, ask, cmd, connection_to, nothing_left, opened


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No thread and no descriptor outlives a test."""
    with nothing_left():
        yield


@pytest.fixture
def guest() -> Windows:
    """The guest behind the server."""
    return Windows()


@pytest.fixture
def server(guest: Windows) -> Iterator[WinRmServer]:
    """A good guest over HTTPS."""
    with WinRmServer(guest, accounts={ADMIN: PASSWORD}) as running:
        yield running
        assert not running.errors
        assert running.open_shells == 0


@pytest.mark.parametrize("auth", ["ntlm", "basic", None])
def test_each_password_sign_in_over_https(server: WinRmServer, auth: str | None) -> None:
    said = ask(connection_to(server, auth=auth), cmd("whoami"))
    assert said == CommandResult(0, ADMIN.encode())
    assert {seen.scheme for seen in server.requests if seen.status == 200} == {auth or "ntlm"}


def test_ntlm_over_plain_http_seals_every_message() -> None:
    with WinRmServer(Windows(), accounts={ADMIN: PASSWORD}, tls=None) as server:
        said = ask(connection_to(server), cmd("echo Größe"))
        assert said == CommandResult(0, "Größe\r\n".encode())
        messages = [seen for seen in server.requests if seen.operation]
        assert len(messages) == 4
        assert all(seen.sealed and seen.answer_sealed for seen in messages)
        assert server.open_shells == 0


def test_a_client_certificate(server: WinRmServer) -> None:
    files = server.client_certificate(ADMIN)
    connection = connection_to(
        server,
        auth="certificate",
        user=None,
        password=None,
        certificate=str(files.certificate),
        key=str(files.key),
    )
    assert ask(connection, cmd("whoami")).stdout == ADMIN.encode()


@pytest.mark.parametrize("user", ["backupadmin", ADMIN, ADMIN.lower()])
def test_users_with_and_without_their_domain(server: WinRmServer, user: str) -> None:
    assert ask(connection_to(server, user=user), cmd("whoami")).stdout == ADMIN.encode()


def test_a_user_as_active_directory_spells_them() -> None:
    with WinRmServer(Windows(), accounts={"admin@sim.test": PASSWORD}) as server:
        assert ask(connection_to(server, user="admin@sim.test"), cmd("whoami")).stdout == b"admin@sim.test"


def test_the_user_of_all_guests(server: WinRmServer) -> None:
    options = replace(QUICK, user="backupadmin")
    assert ask(connection_to(server, user=None), cmd("whoami"), options).stdout == ADMIN.encode()


@pytest.mark.parametrize("code", [0, 1, 3010, 3221225477, -1])
def test_exit_codes_pass_through(server: WinRmServer, code: int) -> None:
    assert ask(connection_to(server), cmd(f"exit {code}")) == CommandResult(code, b"")


def test_german_text_is_utf_8(server: WinRmServer) -> None:
    assert ask(connection_to(server), cmd("echo Größe & €")).stdout == "Größe & €\r\n".encode()


@pytest.mark.parametrize("size", [1, 99_999, 100_000, 100_001, 300_000])
def test_standard_input_arrives_whole(server: WinRmServer, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert ask(connection_to(server), cmd("more", data[:size])).stdout == data[:size]


def test_powershell_is_sent_encoded_with_its_data(server: WinRmServer, guest: Windows) -> None:
    script = Script("Write-Output 'Größe <&> %PATH%'", Shell.POWERSHELL, b'{"a": 1}')
    assert ask(connection_to(server), script).stdout == (script.text + '{"a": 1}').encode()
    assert len(guest.seen) == 1
    assert "Größe" not in guest.seen[0]


def test_a_command_line_is_text_whatever_it_holds(server: WinRmServer, guest: Windows) -> None:
    line = "echo <a href=\"x\">&amp; ]]> %s {0} 'q' \U0001f600</a>"
    ask(connection_to(server), cmd(line))
    assert guest.seen == [line]


@pytest.mark.parametrize("text", ["echo " + "x" * 8100, "echo a\nb", "echo \x01", "", "echo \udcff"])
def test_what_is_no_command_line_is_never_sent(server: WinRmServer, guest: Windows, text: str) -> None:
    with pytest.raises(HostError, match="cannot be sent"):
        ask(connection_to(server), cmd(text))
    assert guest.seen == []


def test_four_megabytes_of_output(server: WinRmServer) -> None:
    options = replace(QUICK, output_limit=5_000_000, deadline=30)
    said = ask(connection_to(server), cmd("print 4000000"), options, timeout=20)
    assert said == CommandResult(0, b"0123456789abcdef" * 250_000)


def test_more_output_than_is_wanted_is_cut_off(server: WinRmServer) -> None:
    said = ask(connection_to(server), cmd("print 4000000"), replace(QUICK, output_limit=200_000))
    assert said == CommandResult(None, b"0123456789abcdef" * 12_500, truncated=True)
    assert Counter(seen.operation for seen in server.requests)["Receive"] <= 3


def test_powershell_errors_are_read(server: WinRmServer, guest: Windows) -> None:
    clixml = (
        b'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
        b'<Obj S="progress" RefId="0"><MS><PR N="Record"><AV>Loading</AV></PR></MS></Obj>'
        b'<S S="Error">Zugriff verweigert: Gr_x00F6_\xc3\x9fe_x000D__x000A_</S></Objs>'
    )
    guest._answers["fail"] = Execution(1, b"out", clixml)
    said = ask(connection_to(server), cmd("fail"))
    assert said == CommandResult(1, b"out", "Zugriff verweigert: Größe\r\n".encode())


def test_scripts_share_a_shell_and_a_connection(server: WinRmServer) -> None:
    with opened(connection_to(server)) as host:
        assert host.stage == "starting"
        for count in range(3):
            assert host.run(cmd(f"echo {count}"), 5).stdout == f"{count}\r\n".encode()
            assert server.open_shells == 1
        assert host.stage == "running the script"
    operations = Counter(seen.operation for seen in server.requests if seen.operation)
    assert operations == {"Create": 1, "Command": 3, "Receive": 3, "Signal": 2, "Delete": 1}
    assert sum(seen.status == 401 for seen in server.requests) == 2


def test_a_host_that_is_never_asked_leaves_nothing(server: WinRmServer) -> None:
    with opened(connection_to(server)):
        assert not server.requests
    assert not server.requests


def test_many_hosts_at_once() -> None:
    addresses = [f"127.0.30.{number}" for number in range(1, 51)]
    guests = {address: Windows(hostname=Execution(0, address.encode())) for address in addresses}
    with WinRmServer(guests, accounts={ADMIN: PASSWORD}) as server, ThreadPoolExecutor(64) as pool:
        connections = [connection_to(server, address=address) for address in addresses]
        patient = replace(QUICK, auth_timeout=15)
        answers = pool.map(lambda connection: ask(connection, cmd("hostname"), patient), connections)
        assert [answer.stdout.decode() for answer in answers] == addresses
        assert server.open_shells == 0
    assert not [thread for thread in threading.enumerate() if thread.name == THREAD]
