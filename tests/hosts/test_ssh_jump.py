"""Jump hosts and ProxyCommand, against real sshds on loopback addresses of their own."""

import contextlib
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from auditor.credentials import Secrets
from auditor.errors import HostError, Unreachable
from auditor.hosts import Script
from auditor.hosts.known_hosts import KnownHosts
from auditor.hosts.options import GuestOptions
from auditor.hosts.ssh import Credentials, Network, SshConfig, SshHost
from auditor.model import Connection
from tests.hosts.conftest import Sshd, free_port, make_key, opened

pytestmark = [pytest.mark.sshd, pytest.mark.usefixtures("nothing_left_behind")]

LATE = 3.0
Start = Callable[..., Sshd]
# asks for a port and connects its standard streams to it, as `nc` does
PIPE = """
import socket, sys, threading
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := sys.stdin.buffer.raw.read(65536):
        link.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := link.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def two(start_sshd: Start) -> tuple[Sshd, Sshd]:
    """A guest, and a jump host that lets the guest's key in; the guest's file knows both."""
    guest, jump = start_sshd(address="127.0.0.2"), start_sshd(address="127.0.0.3")
    introduce(guest, jump)
    return guest, jump


def introduce(guest: Sshd, *others: Sshd) -> None:
    for other in others:
        shutil.copy(guest.folder / "client_key.pub", other.folder / "authorized_keys")
        with guest.known_hosts.open("a") as file:
            file.write(other.known_hosts.read_text())


def config(folder: Path, text: str) -> Path:
    path = folder / "ssh_config"
    path.write_text(text)
    path.chmod(0o600)
    return path


def through(*servers: Sshd) -> tuple[str, ...]:
    return tuple(f"{server.connection.user}@{server.address}:{server.port}" for server in servers)


def why(connection: Connection, options: GuestOptions, within: float = 5) -> HostError:
    start = time.monotonic()
    with opened(connection, options) as host, pytest.raises(HostError) as caught:
        host.run(Script("true"), 10)
    assert time.monotonic() - start < within + LATE
    return caught.value


def accepted(server: Sshd) -> int:
    return (server.folder / "log").read_text().count("Accepted publickey")


# ---- jump hosts -----------------------------------------------------------------------------------


def test_one_jump_host(two: tuple[Sshd, Sshd]) -> None:
    guest, jump = two
    with opened(replace(guest.connection, jump=through(jump)), guest.options()) as host:
        assert host.run(Script('echo "${SSH_CONNECTION%% *}"'), 10).stdout == b"127.0.0.1\n"
        assert host.run(Script("head -c 300000 /dev/zero"), 10).stdout == bytes(300_000)
    assert (accepted(guest), accepted(jump)) == (1, 1)


def test_several_jump_hosts_the_nearest_first(start_sshd: Start, two: tuple[Sshd, Sshd]) -> None:
    guest, near = two
    far = start_sshd(address="127.0.0.4")
    introduce(guest, far)
    near_only = start_sshd("PermitOpen none", address="127.0.0.5")
    introduce(guest, near_only)
    with opened(replace(guest.connection, jump=through(near, far)), guest.options()) as host:
        assert host.run(Script("exit 3"), 10).exit_status == 3
    assert (accepted(near), accepted(far), accepted(guest)) == (1, 1, 1)
    told = why(replace(guest.connection, jump=through(near, near_only, far)), guest.options())
    place = f"{near_only.address}:{near_only.port}"
    assert str(told).startswith(f"jump host {far.address}:{far.port}: jump host {place} has no connection to")


def test_a_jump_host_with_a_changed_key_is_not_used(two: tuple[Sshd, Sshd], tmp_path: Path) -> None:
    guest, jump = two
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    jump.trust(other)
    guest.trust(guest.host_key)
    introduce(guest, jump)
    told = why(replace(guest.connection, jump=through(jump)), guest.options())
    assert str(told).startswith(f"jump host {jump.address}:{jump.port}: host key changed: expected SHA256:")
    assert (accepted(guest), accepted(jump)) == (0, 0)


def test_a_guest_with_a_changed_key_behind_a_jump_host(two: tuple[Sshd, Sshd], tmp_path: Path) -> None:
    guest, jump = two
    guest.trust(" ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]))
    introduce(guest, jump)
    told = why(replace(guest.connection, jump=through(jump)), guest.options())
    assert str(told).startswith("host key changed: expected SHA256:")
    assert (accepted(guest), accepted(jump)) == (0, 1)


def test_a_jump_host_that_does_not_let_us_in(start_sshd: Start, two: tuple[Sshd, Sshd]) -> None:
    guest, jump = two
    shutil.copy(jump.folder / "client_key.pub", jump.folder / "authorized_keys")
    connection = replace(guest.connection, jump=through(jump), password="env:SECRET")
    told = why(connection, guest.options())
    user = guest.connection.user
    assert str(told).startswith(
        f"jump host {jump.address}:{jump.port}: authentication failed for user {user}"
    )
    assert "(publickey): key" in str(told)


@pytest.mark.parametrize(
    ("settings", "said"),
    [([], "Connect failed"), (["AllowTcpForwarding no"], "Administratively prohibited")],
    ids=["refused", "forbidden"],
)
def test_a_guest_that_a_jump_host_does_not_reach(
    start_sshd: Start, sshd: Sshd, settings: list[str], said: str
) -> None:
    jump = start_sshd(*settings, address="127.0.0.3")
    introduce(sshd, jump)
    port = free_port("127.0.0.1")
    told = why(replace(sshd.connection, port=port, jump=through(jump)), sshd.options())
    assert isinstance(told, Unreachable)
    place = f"{jump.address}:{jump.port}"
    assert str(told) == f"jump host {place} has no connection to 127.0.0.1:{port}: {said}"


def test_a_jump_host_that_is_not_there(sshd: Sshd) -> None:
    port = free_port("127.0.0.1")
    told = why(replace(sshd.connection, jump=(f"127.0.0.1:{port}",)), sshd.options())
    assert isinstance(told, Unreachable)
    assert str(told) == f"jump host 127.0.0.1:{port}: connection refused by 127.0.0.1:{port}"


def test_a_silent_guest_behind_a_jump_host(two: tuple[Sshd, Sshd]) -> None:
    guest, jump = two
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = replace(guest.connection, address="127.0.0.1", port=silent.getsockname()[1])
        told = why(replace(connection, jump=through(jump)), guest.options(banner_timeout=0.5), 0.5)
    assert "sent no SSH banner within 0.5 s" in str(told)


@pytest.mark.parametrize("frozen", ["jump", "guest"])
def test_a_frozen_server_on_the_way_costs_the_deadline(two: tuple[Sshd, Sshd], frozen: str) -> None:
    guest, jump = two
    server = jump if frozen == "jump" else guest
    connection = replace(guest.connection, jump=through(jump))
    begun = time.monotonic()
    with opened(connection, guest.options(deadline=6, command_timeout=60)) as host:
        assert host.run(Script("true"), 10).exit_status == 0
        children = psutil.Process(server.process.pid).children(recursive=True)
        for child in children:
            child.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        left = begun + 6 - start
        with pytest.raises(HostError) as caught:
            host.run(Script("true"), 60)
        assert time.monotonic() - start < left + LATE
        host.close()
        assert time.monotonic() - start < left + LATE
        told = re.search(r"no session within ([\d.]+) s|the deadline of 6 s passed", str(caught.value))
        assert told is not None, caught.value
        assert left - 1 < float(told[1] or left) <= left + 0.1
        for child in children:
            child.send_signal(signal.SIGCONT)


def test_an_abort_cuts_the_whole_way(two: tuple[Sshd, Sshd]) -> None:
    guest, jump = two
    with opened(replace(guest.connection, jump=through(jump)), guest.options()) as host:
        timer = threading.Timer(0.7, host.abort, ["enough"])
        timer.start()
        start = time.monotonic()
        with pytest.raises(HostError, match=r"^enough$"):
            host.run(Script("sleep 20"), 30)
        assert time.monotonic() - start < 0.7 + LATE
        timer.join()


def test_a_fleet_behind_one_jump_host_knocks_in_turn(start_sshd: Start, sshd: Sshd) -> None:
    jump = start_sshd("MaxStartups 10:100:10", address="127.0.0.3")
    introduce(sshd, jump)
    # two dozen sessions through one door, as fast as the machine allows
    options = sshd.options(deadline=90, command_timeout=60, auth_timeout=60, banner_timeout=60)
    known, credentials = KnownHosts(options.known_hosts_files), Credentials(options, Secrets())
    network = Network(SshConfig(()))
    connection = replace(sshd.connection, jump=through(jump))

    def ask(_: int) -> int | None:
        with contextlib.closing(SshHost(connection, options, known, credentials, network)) as host:
            return host.run(Script("true"), 60).exit_status

    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(ask, range(24))) == [0] * 24
    assert "drop connection" not in (jump.folder / "log").read_text()


# ---- ssh_config -----------------------------------------------------------------------------------


def test_the_way_stands_in_ssh_config(two: tuple[Sshd, Sshd], tmp_path: Path) -> None:
    guest, jump = two
    (tmp_path / "mine").write_text(f"inside {guest.host_key}\n[{jump.address}]:{jump.port} {jump.host_key}\n")
    path = config(
        tmp_path,
        f"Host web\n HostName {guest.address}\n Port {guest.port}\n ProxyJump door\n HostKeyAlias inside\n"
        f"Host door\n HostName {jump.address}\n Port {jump.port}\n"
        f"Host *\n User {guest.connection.user}\n IdentityFile {guest.key}\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {tmp_path}/mine\n StrictHostKeyChecking no\n",
    )
    options = guest.options(ssh_config=path, known_hosts=None)
    with opened(Connection("web"), options) as host:
        assert host.run(Script("true"), 10).exit_status == 0
    assert (accepted(guest), accepted(jump)) == (1, 1)
    (tmp_path / "mine").write_text(f"inside {guest.host_key}\n")
    told = why(Connection("web"), options)
    assert f"host key of {jump.address}:{jump.port} is not in known_hosts" in str(told)


def test_jump_hosts_in_a_circle(sshd: Sshd, tmp_path: Path) -> None:
    path = config(tmp_path, "Host *\n ProxyJump door\n")
    told = why(Connection("web", user="u"), sshd.options(ssh_config=path), 0)
    assert str(told) == "the way to door:22 takes 8 hops or more, or goes in a circle"


# ---- ProxyCommand ---------------------------------------------------------------------------------


@pytest.fixture
def behind(sshd: Sshd, tmp_path: Path) -> Callable[[str], GuestOptions]:
    """Options under which the sshd is reached through a ProxyCommand."""

    def options(command: str, **changes: object) -> GuestOptions:
        path = config(tmp_path, f"Host *\n ProxyCommand {command}\n")
        return sshd.options(ssh_config=path, **changes)

    return options


Behind = Callable[..., GuestOptions]


def test_a_program_of_the_users(sshd: Sshd, behind: Behind, tmp_path: Path) -> None:
    (tmp_path / "pipe.py").write_text(PIPE)
    options = behind(f"exec {sys.executable} {tmp_path}/pipe.py %h %p 2>/dev/null")
    with opened(sshd.connection, options) as host:
        assert host.run(Script("head -c 300000 /dev/zero"), 10).stdout == bytes(300_000)
        assert host.run(Script("exit 3"), 10).exit_status == 3


def test_openssh_as_the_program(two: tuple[Sshd, Sshd], tmp_path: Path) -> None:
    guest, jump = two
    ssh = f"ssh -F none -i {guest.key} -o UserKnownHostsFile={guest.known_hosts} -o BatchMode=yes"
    path = config(tmp_path, f"ProxyCommand {ssh} -p {jump.port} -W [%h]:%p {jump.address}\n")
    with opened(guest.connection, guest.options(ssh_config=path)) as host:
        assert host.run(Script("true"), 10).exit_status == 0
    assert (accepted(guest), accepted(jump)) == (1, 1)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "sh -c 'echo no route to %h >&2; exit 1'",
            "its banner; the ProxyCommand said: no route to 127.0.0.1",
        ),
        (
            "/nowhere/at-all %h",
            "the ProxyCommand '/nowhere/at-all' cannot be started: No such file or directory",
        ),
        ("nc %h %p | tee log", "needs a shell, and none takes part here"),
        ("nc %h %p > log", "needs a shell, and none takes part here"),
        ("a && b", "needs a shell, and none takes part here"),
        ("nc '%h", "cannot be taken apart"),
        ("nc %i", "ssh_config uses %i for 127.0.0.1 where it means nothing here"),
    ],
)
def test_a_program_that_does_not_lead_there(sshd: Sshd, behind: Behind, command: str, said: str) -> None:
    assert said in str(why(sshd.connection, behind(command)))


@pytest.fixture
def sleepers() -> Iterator[Callable[[], list[psutil.Process]]]:
    """The processes that sleep for as long as no other does."""

    def running() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if process.info["cmdline"] == ["sleep", "3977"]:
                found.append(process)
        return found

    yield running
    for process in running():
        process.kill()


def gone(running: Callable[[], list[psutil.Process]]) -> bool:
    end = time.monotonic() + 3
    while running() and time.monotonic() < end:
        time.sleep(0.02)
    return not running()


def test_a_program_that_hangs_ends_with_its_children(
    sshd: Sshd, behind: Behind, sleepers: Callable[[], list[psutil.Process]]
) -> None:
    options = behind("sh -c 'sleep 3977 & sleep 3977'", banner_timeout=1)
    with opened(sshd.connection, options) as host, pytest.raises(HostError, match="no SSH banner within 1 s"):
        host.run(Script("true"), 10)
    assert gone(sleepers)


def test_an_abort_ends_the_program(
    sshd: Sshd, behind: Behind, sleepers: Callable[[], list[psutil.Process]], tmp_path: Path
) -> None:
    (tmp_path / "pipe.py").write_text(PIPE)
    options = behind(f"sh -c 'sleep 3977 & exec {sys.executable} {tmp_path}/pipe.py %h %p'")
    with opened(sshd.connection, options) as host:
        assert host.run(Script("true"), 10).exit_status == 0
        assert sleepers()
        host.abort("enough")
        assert gone(sleepers)
        with pytest.raises(HostError, match=r"^enough$"):
            host.run(Script("true"), 10)


def test_a_program_with_a_lot_to_complain_about(sshd: Sshd, behind: Behind) -> None:
    options = behind("sh -c 'head -c 300000 /dev/zero >&2; echo the end >&2; exit 1'")
    assert "closed the connection before its banner" in str(why(sshd.connection, options))
