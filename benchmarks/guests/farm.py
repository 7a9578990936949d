"""Guests to reach: real sshd on loopback addresses, addresses that never answer, a WinRM simulator."""

import getpass
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.processes import ROOT

SSHD = "/usr/sbin/sshd"
PER_SERVER = 16  # sshd listens on no more addresses than that
Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Farm:
    """Hosts, and the account with which an engine signs in."""

    hosts: tuple[Host, ...]
    account: dict[str, str]

    def spec(self, dead: tuple[Host, ...], concurrency: int, timeout: float) -> bytes:
        """What an engine is told: these hosts, with as many dead ones in the place of living."""
        hosts = [*self.hosts[: len(self.hosts) - len(dead)], *dead]
        spread = sorted(hosts, key=lambda host: hash(host) % 1009)
        facts = {"hosts": spread, "concurrency": concurrency, "timeout": timeout}
        return orjson.dumps({**self.account, **facts})


@contextmanager
def ssh_farm(folder: Path, count: int) -> Iterator[Farm]:
    """`count` hosts, sixteen to an sshd."""
    _make_keys(folder)
    with ExitStack() as stack:
        hosts: list[Host] = []
        for number in range(-(-count // PER_SERVER)):
            wanted = min(PER_SERVER, count - len(hosts))
            hosts += stack.enter_context(_sshd(folder, number, wanted))
        key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        known = folder / "known_hosts"
        known.write_text("".join(f"[{address}]:{port} {key}\n" for address, port in hosts))
        account = {"user": getpass.getuser(), "key": str(folder / "client_key"), "known_hosts": str(known)}
        yield Farm(tuple(hosts), account)


def _make_keys(folder: Path) -> None:
    for name in ("host_key", "client_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@contextmanager
def _sshd(folder: Path, number: int, count: int) -> Iterator[list[Host]]:
    addresses = [f"127.0.{40 + number}.{last + 1}" for last in range(count)]
    port = _free_port()
    lines = [f"ListenAddress {address}" for address in addresses]
    lines += [f"Port {port}", f"HostKey {folder}/host_key", f"AuthorizedKeysFile {folder}/client_key.pub"]
    lines += ["StrictModes no", "UsePAM no", "PidFile none", "MaxStartups 500", f"SetEnv HOME={folder}"]
    config = folder / f"sshd-{number}.conf"
    config.write_text("\n".join(lines) + "\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-f", str(config)], stdin=subprocess.DEVNULL) as process:
        try:
            _await((addresses[-1], port))
            yield [(address, port) for address in addresses]
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(host: Host) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(host, 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing answers at {host}")


@contextmanager
def black_holes(count: int) -> Iterator[tuple[Host, ...]]:
    """Addresses that never answer: their queues are full, and Linux drops what comes then."""
    with ExitStack() as stack:
        hosts: list[Host] = []
        for number in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind((f"127.0.60.{number + 1}", 0))
            listener.listen(0)
            hosts.append(listener.getsockname())
            for _ in range(2):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(hosts[-1])
        yield tuple(hosts)


@contextmanager
def winrm_farm(count: int) -> Iterator[Farm]:
    """`count` simulated Windows guests in a process of their own: real TLS and NTLM, no Windows."""
    command = [sys.executable, "-m", "benchmarks.guests.winrm_server", str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = orjson.loads(process.stdout.readline())
            yield Farm(tuple((address, told["port"]) for address in told["addresses"]), told["account"])
        finally:
            process.stdin.close()
