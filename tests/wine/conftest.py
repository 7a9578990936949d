"""Commands run by Wine's own cmd, reg, sc and msiexec, behind the simulator's WinRM.

Wine is not Windows: this proves command lines, exit codes, registry views and MSI handling, and nothing about
WMI, PowerShell, the firewall or the network.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

import pytest

from auditor.credentials import Secrets
from auditor.hosts import CommandResult, Script, Shell
from auditor.hosts.options import GuestOptions
from auditor.hosts.winrm import WinRmHost
from auditor.model import Connection
from auditor.simulator.wsman import Execution, WinRmServer
from tests.conftest import require_lane

NEEDED = ("wine", "wineserver", "wixl")
"""Debian: wine64 wine wixl msitools."""

STUBS = ("powershell", "pwsh", "certutil")
REFUSED = 97
POLL = 0.1
QUIET = MappingProxyType(dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL))


def wine_program(name: str) -> str | None:
    """Where a program of Wine is; Debian keeps the server beside the library."""
    return shutil.which(
        name, path=f"{os.environ.get('PATH', '')}:/usr/lib/wine:/usr/lib/x86_64-linux-gnu/wine"
    )


@dataclass
class Prefix:
    """A Windows folder tree of its own, with what every command in it is started with."""

    folder: Path

    @property
    def drive(self) -> Path:
        """Drive C."""
        return self.folder / "drive_c"

    @property
    def environment(self) -> dict[str, str]:
        """No display, no noise, no downloads."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "WINEPREFIX": str(self.folder),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
        }

    def start(self, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
        """Start Wine; its output goes to a file, because services that it starts would keep a pipe open."""
        with output.open("wb") as file:
            return subprocess.Popen(
                ["wine", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
                env=self.environment,
                cwd=self.folder,
            )


class WineGuest:
    """An executor that has Wine run every command line, one at a time, but none of its stubs."""

    def __init__(self, prefix: Prefix) -> None:
        self._prefix = prefix
        self._turn = threading.Lock()
        self._numbers = count()

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """Run it as the line of a batch file; cmd itself writes the exit code, which Linux would cut."""
        program = command.split(maxsplit=1)[0].lower().removesuffix(".exe") if command.strip() else ""
        if program in STUBS:
            return Execution(
                REFUSED, b"", f"{program} of Wine does nothing and says so to nobody\r\n".encode()
            )
        with self._turn:
            return self._run(command, next(self._numbers), stop)

    def _run(self, command: str, number: int, stop: threading.Event) -> Execution:
        place = self._prefix.drive / "auditor-tests"
        place.mkdir(exist_ok=True)
        line, code, output = (place / f"line{number}.{kind}" for kind in ("cmd", "code", "out"))
        windows = f"C:\\auditor-tests\\line{number}"
        line.write_bytes(f"@echo off\r\n{command}\r\n@echo %errorlevel% >{windows}.code\r\n".encode())
        process = self._prefix.start("cmd", "/d", "/c", f"{windows}.cmd", output=output)
        while process.poll() is None:
            if stop.wait(POLL):
                process.kill()
                process.wait()
        told = code.read_text().strip() if code.exists() else ""
        return Execution(int(told) if told else process.returncode, output.read_bytes())


@pytest.fixture(scope="session")
def prefix() -> Iterator[Prefix]:
    """A new prefix; its processes end with it."""
    require_lane("wine", all(wine_program(name) for name in NEEDED))
    with tempfile.TemporaryDirectory(prefix="auditor-wine-", ignore_cleanup_errors=True) as folder:
        made = Prefix(Path(folder) / "prefix")
        made.folder.mkdir()
        server = str(wine_program("wineserver"))
        try:
            assert made.start("wineboot", "--init", output=Path(folder) / "log").wait(100) == 0
            subprocess.run([server, "-w"], check=False, env=made.environment, timeout=60)
            # Debian's wrapper has it end with the last program, and every service with it: each command would
            # then find a Windows that has just begun to start, or one that is going down
            subprocess.run([server, "-p"], check=True, env=made.environment, timeout=60, **QUIET)
            yield made
        finally:
            subprocess.run([server, "-k"], check=False, env=made.environment, timeout=30)


@dataclass
class Guest:
    """Wine behind WinRM: a session with it, and the server."""

    server: WinRmServer
    prefix: Prefix

    @property
    def connection(self) -> Connection:
        """The way in, by NTLM over TLS."""
        return Connection(
            self.server.address,
            self.server.port,
            "SIM\\auditor",
            transport="winrm",
            password="env:WINE_PASSWORD",
            ca=str(self.server.ca_file),
        )

    @property
    def options(self) -> GuestOptions:
        """Patience: a busy machine starts some seventy programs for one probe."""
        return GuestOptions(command_timeout=80, deadline=100)

    @property
    def secrets(self) -> Secrets:
        """The password of the only account."""
        return Secrets(environment={"WINE_PASSWORD": "wine-only"})

    def cmd(self, line: str, timeout: float = 60) -> CommandResult:
        """Run one command line over a session of its own."""
        session = WinRmHost(self.connection, self.options, self.secrets)
        try:
            return session.run(Script(line, Shell.CMD), timeout)
        finally:
            session.close()


@pytest.fixture(scope="session")
def guest(prefix: Prefix) -> Iterator[Guest]:
    """The guest behind HTTPS."""
    with WinRmServer(WineGuest(prefix), accounts={"SIM\\auditor": "wine-only"}) as server:
        yield Guest(server, prefix)
        assert list(server.errors) == []
        assert server.open_shells == 0


@pytest.fixture(scope="session")
def msi(prefix: Prefix) -> Mapping[str, str]:
    """Installers by architecture, each as a path inside the guest."""
    place = prefix.drive / "installers"
    place.mkdir()
    shutil.copy(Path(__file__).with_name("agent.wxs"), place)
    (place / "WaAppAgent.exe").write_bytes(b"MZ stand-in")
    for name, wide in (("x64", "yes"), ("x86", "no")):
        command = ["wixl", "--arch", name, "-D", f"Wide={wide}", "-o", f"{name}.msi", "agent.wxs"]
        subprocess.run(command, check=True, cwd=place, capture_output=True)
    return {name: f"C:\\installers\\{name}.msi" for name in ("x64", "x86")}
