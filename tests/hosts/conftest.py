"""A private sshd on a loopback address, as whoever runs the tests."""

import contextlib
import gc
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from auditor.credentials import Secrets
from auditor.hosts.known_hosts import KnownHosts
from auditor.hosts.options import NO_SSH_CONFIG, GuestOptions
from auditor.hosts.ssh import Credentials, Network, SshConfig, SshHost
from auditor.model import Connection, Machine, Platform
from tests.conftest import require_lane

SSHD = "/usr/sbin/sshd"


def make_key(path: Path, *options: str) -> Path:
    """A new key pair at `path`."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path), *options]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def free_port(address: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def refused_port() -> Iterator[int]:
    """A port that refuses connections for the whole test: nobody else can take it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def machine(connection: Connection | None, name: str = "host") -> Machine:
    """A Linux machine that is reached so."""
    return Machine(f"host/{name}", name, Platform.LINUX, "hosts-file", connection=connection)


@dataclass
class Sshd:
    """A running sshd and what a client needs for it."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen[bytes]
    known_hosts: Path = field(init=False)

    def __post_init__(self) -> None:
        self.known_hosts = self.folder / "known_hosts"
        self.trust(self.host_key)

    @property
    def host_key(self) -> str:
        """Type and base64 of its host key."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def key(self) -> Path:
        """The private key that it lets in."""
        return self.folder / "client_key"

    @property
    def connection(self) -> Connection:
        """The right way in."""
        return Connection(self.address, self.port, getpass.getuser(), str(self.key))

    def trust(self, *keys: str) -> None:
        """Know the host by these keys, and no others."""
        lines = [f"[{self.address}]:{self.port} {key}\n" for key in keys]
        self.known_hosts.write_text("".join(lines))

    def options(self, **changes: object) -> GuestOptions:
        """Options that know this host, with short limits."""
        usual = {
            "known_hosts": (self.known_hosts,),
            "agent": False,
            "ssh_config": NO_SSH_CONFIG,
            "deadline": 20,
            "command_timeout": 15,
        }
        return GuestOptions(**{**usual, **changes})  # type: ignore[arg-type]

    def stop(self) -> None:
        """End it; sessions end with their connections."""
        self.process.terminate()
        self.process.wait(10)


def _answers(address: str, port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection((address, port), 1)) as link:
        return link.recv(4) == b"SSH-"
    return False


def _serves(server: Sshd) -> bool:
    """Wait until it answers; False where somebody else took its port meanwhile."""
    end = time.monotonic() + 20
    while not _answers(server.address, server.port):
        ended, log = server.process.poll() is not None, (server.folder / "log").read_text()
        if ended and "Address already in use" in log:
            return False
        assert not ended, log
        assert time.monotonic() < end, "sshd does not answer"
        time.sleep(0.02)
    return True


@pytest.fixture
def start_sshd(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Start an sshd: `start_sshd("ForceCommand …", address="127.0.0.5")`, as often as wanted.

    `path` is the PATH of its sessions, `within` a command that starts it.
    """
    require_lane("sshd", os.access(SSHD, os.X_OK))
    running: list[Sshd] = []

    def start(
        *settings: str,
        address: str = "127.0.0.1",
        path: str = "",
        pam: bool = False,
        within: Sequence[str] = (),
    ) -> Sshd:
        folder = tmp_path / f"sshd-{len(running)}"
        folder.mkdir()
        make_key(folder / "host_key")
        make_key(folder / "client_key")
        shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
        lines = [
            f"ListenAddress {address}",
            f"HostKey {folder}/host_key",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "StrictModes no",
            f"UsePAM {'yes' if pam else 'no'}",
            "PidFile none",
            "MaxStartups 100",
            # the login files of whoever runs the tests may print things
            f"SetEnv HOME={folder}" + (f" PATH={path}" if path else ""),
            *settings,
        ]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        command = [*within, SSHD, "-D", "-e", "-f", str(folder / "config")]
        while True:
            port = free_port(address)
            (folder / "config").write_text("\n".join([f"Port {port}", *lines]) + "\n")
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
            server = Sshd(folder, address, port, process)
            running.append(server)
            if _serves(server):
                return server

    yield start
    for server in running:
        server.stop()


@contextlib.contextmanager
def opened(
    connection: Connection,
    options: GuestOptions,
    secrets: Mapping[str, str] | None = None,
    credentials: Credentials | None = None,
) -> Iterator[SshHost]:
    """A session that is closed at the end; `secrets` are what references like env:NAME mean."""
    credentials = credentials or Credentials(options, Secrets(environment=secrets or {}))
    network = Network(SshConfig(options.ssh_config_files))
    known_hosts = KnownHosts(options.known_hosts_files)
    with contextlib.closing(SshHost(connection, options, known_hosts, credentials, network)) as host:
        yield host


@pytest.fixture
def nothing_left_behind() -> Iterator[None]:
    """No thread, no descriptor and no process outlives a test."""

    def here() -> tuple[set[threading.Thread], int, set[int]]:
        gc.collect()
        process = psutil.Process()
        return (
            set(threading.enumerate()),
            process.num_fds(),
            {child.pid for child in process.children(recursive=True)},
        )

    threads, descriptors, children = here()
    yield
    end = time.monotonic() + 5
    while time.monotonic() < end:
        left = here()
        if left[0] <= threads and left[1] <= descriptors and left[2] <= children:
            return
        time.sleep(0.05)
    process = psutil.Process()
    files = process.open_files() + process.net_connections()
    pytest.fail(f"left behind: {left[0] - threads}, {files}, {left[2] - children}")


@pytest.fixture
def sshd(start_sshd: Callable[..., Sshd]) -> Sshd:
    """A good host."""
    return start_sshd()
