"""The task of a step on Wine: the batches are run by Wine's own cmd, reg, sc and msiexec.

Stood in for, because Wine has none: PowerShell's step.ps1 (this class makes the folder, starts the task's
batch detached, and answers from the same files), the scheduled task, the folder's ACL, and windows_agent.ps1,
whose verdict rests on the installer's real SHA-256 and a signature status that the test gives. `ping` waits
for a process at most; vssadmin is a batch that the test gives; msiexec's 1618 is told by a batch before
the real one runs. Wine's sc knows no config.
"""

import hashlib
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from auditor.hosts import Script, Shell
from auditor.hosts.commands import command_line
from auditor.repair.windows import arguments, pieces
from auditor.simulator.wsman import Execution
from tests.wine.conftest import POLL, Prefix, WineGuest

HOME = "ProgramData/FleetAuditor"
SHARE = "\\\\files.example\\agent\\"
PING = "@C:\\windows\\system32\\cmd.exe /d /c exit 0\n"
STEP = command_line(Script(pieces()[0].text, Shell.POWERSHELL))


class RepairingWine(WineGuest):
    """Wine that does steps; what the next one finds is set before it."""

    def __init__(self, prefix: Prefix) -> None:
        super().__init__(prefix)
        self._home = prefix.drive / HOME
        self._begin = threading.Lock()
        self.tasks: list[subprocess.Popen[bytes]] = []
        self.executions: Counter[str] = Counter()
        self.signature = "Valid"
        self.how = "install"
        self.busy = 0
        self.writers = ""
        self.powershell = True

    def run(
        self, command: str, stdin: bytes, environment: Mapping[str, str], user: str, stop: threading.Event
    ) -> Execution:
        """The step's script is stood in for; whatever else Wine runs."""
        if command != STEP:
            return super().run(command, stdin, environment, user, stop)
        asked = json.loads(stdin)
        place = self._home / asked["id"]
        with self._begin:
            if not (place / "run.cmd").exists():
                self._start(place, {file["name"]: file["text"] for file in asked["files"]})
        return Execution(0, self._told(place, asked["patience"], stop))

    def _start(self, place: Path, contents: Mapping[str, str]) -> None:
        place.mkdir(parents=True)
        given = arguments(contents)
        assert given is not None
        self.executions[place.name] += 1
        stand_ins = {"ping.cmd": self._ping(given), **(self._powershell(given) if self.powershell else {})}
        stand_ins |= {"msiexec.cmd": self._msiexec()} if self.busy else {}
        stand_ins |= {"vssadmin.cmd": self.writers} if self.writers else {}
        for name, text in {**contents, **stand_ins}.items():
            (place / name).write_text(text, encoding="ascii", newline="\r\n" if name in stand_ins else "")
        for number in range(self.busy):
            (place / f"busy{number}").touch()
        batch = f"C:\\{HOME}\\{place.name}\\run.cmd".replace("/", "\\")
        self.tasks.append(self._prefix.start("cmd", "/d", "/c", batch, output=place / "task.log"))

    def _ping(self, given: tuple[str, ...]) -> str:
        """One that waits for a process where the batch waits for another: while it lists writers."""
        return PING if len(given) < 2 else "@exit /b 0\n"

    def _powershell(self, given: tuple[str, ...]) -> dict[str, str]:
        if len(given) < 2:
            return {}
        name = given[0].removeprefix(SHARE)
        found = hashlib.sha256((self._prefix.drive / "installers" / name).read_bytes()).hexdigest()
        if found != given[1]:
            verdict = f"AUDITOR-REFUSED the installer: its SHA-256 is {found}"
        elif self.signature != "Valid":
            verdict = f"AUDITOR-REFUSED the installer: its signature is {self.signature}"
        else:
            verdict = f"AUDITOR-READY {found} {self.how}"
        fetch = f"@copy /y C:\\installers\\{name} agent.msi >nul\n@type told\n@exit /b 0\n"
        return {"powershell.cmd": fetch, "told": f"{verdict}\n"}

    def _msiexec(self) -> str:
        turns = "".join(
            f"if not exist busy{number} goto after{number}\ndel busy{number}\nexit /b 1618\n:after{number}\n"
            for number in range(self.busy)
        )
        return f"@echo off\n{turns}C:\\windows\\system32\\msiexec.exe %*\nexit /b %errorlevel%\n"

    def _told(self, place: Path, patience: float, stop: threading.Event) -> bytes:
        end = time.monotonic() + patience
        while not (ended := [path.name for path in place.glob("ended-*")]):
            if time.monotonic() > end or stop.wait(POLL):
                return _frame(place, b"running 0")
        return _frame(place, f"done {ended[0].removeprefix('ended-')}".encode())


def _frame(place: Path, word: bytes) -> bytes:
    output = place / "output"
    said = output.read_bytes()[-16000:].splitlines() if output.exists() else []
    return b"\nAUDITOR-STEP-BEGIN %s\n%sAUDITOR-STEP-END\n" % (
        word,
        b"".join(b"|%s\n" % line for line in said),
    )
