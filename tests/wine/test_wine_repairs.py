"""Repairs of the Windows agent on Wine: our batches, run by its real cmd, reg, sc and msiexec, over WinRM.

What is stood in for is said in `repairing`. The installers are built here; their services are Wine's own
spooler under other names.
"""

import asyncio
import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from auditor.guests import Guests
from auditor.model import Machine, Platform
from auditor.remedy import Command, StepResult, Work
from auditor.repair.send import Sender
from auditor.repair.work import command
from auditor.rules import load_rules
from auditor.simulator.wsman import Fault, Kind, WinRmServer
from remediations.windows_guest import work
from tests.wine.conftest import Guest, Prefix
from tests.wine.repairing import SHARE, RepairingWine

pytestmark = [pytest.mark.wine, pytest.mark.timeout(300)]

OLD, NEW = "2.7.41491", "2.7.41500"
AGENT = '"HKLM\\SOFTWARE\\Microsoft\\Virtual Machine\\Guest" /v GuestAgentVersion /reg:64'
RUNNING = {"RdAgent": (2, 4), "WindowsAzureGuestAgent": (2, 4)}
STOPPED = 1
STOPPING = 60.0
NUMBERS = count(1)


@dataclass
class Repaired:
    """Wine with our installers, behind WinRM."""

    guest: Guest
    wine: RepairingWine
    place: Path
    tried: set[str] = field(default_factory=set)

    def do(self, act: Work) -> tuple[str, StepResult]:
        """Do a step as an application of a plan does it; its id and its end."""
        step = f"wine-step-{next(NUMBERS)}"
        script = command(step, act)
        machine = Machine("host/w", "w", Platform.WINDOWS, "hosts-file", connection=self.guest.connection)

        async def sent() -> StepResult:
            async with Guests(
                load_rules().endpoints, self.guest.options, secrets=self.guest.secrets
            ) as guests:
                sender = Sender(guests, None, pause=0.2)
                commands = (Command(script.text, script.shell, script.data.decode()),)
                return await sender.work(machine, step, act, commands)

        return step, asyncio.run(sent())

    def install(self, name: str, sha256: str = "", way: str = "over") -> tuple[str, StepResult]:
        """The remediation's work for one of the installers."""
        self.tried.add(name)
        found = hashlib.sha256((self.place / f"{name}.msi").read_bytes()).hexdigest()
        given = (f"{SHARE}{name}.msi", sha256 or found, "Microsoft Corporation", "100", "stay", way)
        return self.do(work("windows_agent", *given, scripts=("windows_agent",), limit=120))

    def start(self, way: str = "start") -> StepResult:
        """The work of agent-restart."""
        return self.do(work("windows_restart", way, limit=120))[1]

    def stop(self, *names: str) -> None:
        """Stop services, and wait until they have: `sc stop` only asks them to."""
        for name in names:
            assert self.guest.cmd(f"sc stop {name}").exit_status == 0
        end = time.monotonic() + STOPPING
        while {self.services()[name][1] for name in names} != {STOPPED}:
            assert time.monotonic() < end, self.services()

    def version(self) -> str | None:
        """What the installed agent wrote to the registry."""
        words = self.guest.cmd(f"reg query {AGENT}").stdout.decode().split()
        return words[-1] if "REG_SZ" in words else None

    def services(self) -> dict[str, tuple[int, int]]:
        """Start type and state of the services that exist."""
        found = {}
        for name in RUNNING:
            state = self.guest.cmd(f"sc query {name}").stdout.decode().partition("STATE")[2].split()
            if state:
                key = f"HKLM\\SYSTEM\\CurrentControlSet\\Services\\{name}"
                start = self.guest.cmd(f"reg query {key} /v Start /reg:64").stdout.split()[-1]
                found[name] = (int(start, 16), int(state[1]))
        return found


@pytest.fixture(scope="module")
def installers(prefix: Prefix) -> Path:
    """MSIs of two versions, one that wants a restart, and one whose services cannot run."""
    place = prefix.drive / "installers"
    place.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("service.wxs"), place)
    shutil.copy(prefix.drive / "windows/system32/spoolsv.exe", place / "service.exe")
    (place / "broken.exe").write_bytes(b"MZ no program")
    for name, version, program in (
        ("old", OLD, "service"), ("new", NEW, "service"),
        ("reboot", NEW, "service"), ("broken", NEW, "broken"),
    ):  # fmt: skip
        options = ["-D", f"Version={version}", "-D", f"Program={program}.exe", "-o", f"{name}.msi"]
        subprocess.run(
            ["wixl", "--arch", "x64", *options, "service.wxs"], check=True, cwd=place, capture_output=True
        )
    asked = "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('ScheduleReboot', 6550)"
    subprocess.run(["msibuild", "reboot.msi", "-q", asked], check=True, cwd=place, capture_output=True)
    return place


@pytest.fixture(scope="module")
def server(prefix: Prefix, installers: Path) -> Iterator[Repaired]:
    wine = RepairingWine(prefix)
    with WinRmServer(wine, accounts={"SIM\\auditor": "wine-only"}) as running:
        yield Repaired(Guest(running, prefix), wine, installers)
        for task in wine.tasks:
            task.wait(60)
        assert list(running.errors) == []
        assert running.open_shells == 0


@pytest.fixture
def repaired(server: Repaired) -> Iterator[Repaired]:
    """A guest without an agent, before and after."""
    wine = server.wine
    wine.signature, wine.how, wine.busy, wine.powershell, wine.writers = "Valid", "install", 0, True, ""
    yield server
    server.guest.server.faults.clear()
    if server.version() is not None:
        lines = (f"msiexec /x C:\\installers\\{name}.msi /qn" for name in server.tried)
        server.guest.cmd(" & ".join(lines))
        assert (server.version(), server.services()) == (None, {})
    server.tried.clear()


def test_an_installation(repaired: Repaired) -> None:
    step, result = repaired.install("old")
    assert (result.state, result.exit_status) == ("done", 0), result
    assert (repaired.version(), repaired.services()) == (OLD, RUNNING)
    assert repaired.wine.executions[step] == 1
    left = {path.name for path in (repaired.guest.prefix.drive / "ProgramData/FleetAuditor" / step).iterdir()}
    assert {"ended-0", "started", "install.log", "output"} <= left
    assert "agent.msi" not in left


def test_an_upgrade_stops_the_services_and_starts_them_again(repaired: Repaired) -> None:
    repaired.install("old")
    _, result = repaired.install("new", way="update")
    assert (result.state, repaired.version(), repaired.services()) == ("done", NEW, RUNNING)


def test_an_older_version_is_refused_by_msiexec_too(repaired: Repaired) -> None:
    repaired.install("new")
    _, result = repaired.install("old")
    assert (result.state, result.exit_status) == ("failed", 1)
    assert "FAILED: msiexec ended with 1603" in result.output
    assert (repaired.version(), repaired.services()) == (NEW, RUNNING)


def test_the_same_version_over_itself_brings_a_lost_program_back(repaired: Repaired) -> None:
    repaired.install("new")
    program = repaired.guest.prefix.drive / "WindowsAzure/Packages/WaAppAgent.exe"
    repaired.stop("RdAgent")
    program.unlink()
    repaired.wine.how = "repair"
    _, result = repaired.install("new")
    assert (result.state, program.is_file(), repaired.services()) == ("done", True, RUNNING)
    _, again = repaired.install("new", way="update")
    assert (again.state, again.output) == ("nothing", again.output)
    assert "NOTHING: this version is installed." in again.output


def test_another_file_than_the_one_that_was_named_is_refused(repaired: Repaired) -> None:
    step, result = repaired.install("new", sha256="0" * 64)
    assert result.state == "refused"
    assert "its SHA-256 is" in result.output
    assert (repaired.version(), repaired.services()) == (None, {})
    place = repaired.guest.prefix.drive / "ProgramData/FleetAuditor" / step
    assert not list(place.glob("install.log")) + list(place.glob("agent.msi"))


def test_a_bad_signature_is_refused(repaired: Repaired) -> None:
    repaired.wine.signature = "HashMismatch"
    _, result = repaired.install("new")
    assert result.state == "refused"
    assert "its signature is HashMismatch" in result.output
    assert repaired.version() is None


def test_a_powershell_that_says_nothing_verifies_nothing(repaired: Repaired) -> None:
    repaired.wine.powershell = False  # Wine's own: ends with 0, and did nothing
    _, result = repaired.install("new")
    assert result.state == "refused"
    assert "REFUSED: the installer was not verified." in result.output
    assert repaired.version() is None


def test_another_installation_is_waited_for(repaired: Repaired) -> None:
    repaired.wine.busy = 2
    _, result = repaired.install("new")
    assert (result.state, repaired.version(), repaired.services()) == ("done", NEW, RUNNING)
    assert result.output.count("Another installation is under way.") == 2


def test_an_installation_that_wants_a_restart(repaired: Repaired) -> None:
    _, result = repaired.install("reboot")
    assert (result.state, result.exit_status, result.reboot) == ("done", 12, True)
    assert "msiexec ended with 3010." in result.output
    assert repaired.version() == NEW


def test_a_connection_that_drops_ends_no_installation(repaired: Repaired) -> None:
    for operation in ("Command", "Receive"):
        repaired.guest.server.faults.add(Fault(Kind.DROP, operation, times=1))
    step, result = repaired.install("new")
    assert (result.state, repaired.version(), repaired.services()) == ("done", NEW, RUNNING)
    assert repaired.wine.executions[step] == 1


def test_services_that_do_not_come_up(repaired: Repaired) -> None:
    _, result = repaired.install("broken")
    assert (result.state, result.exit_status) == ("failed", 1)
    assert "did not come up within two minutes" in result.output
    assert repaired.services() == {"RdAgent": (2, 1), "WindowsAzureGuestAgent": (2, 1)}


# ---- what stands in the way ----------------------------------------------------------------------

KEYS = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion"
GATES = (
    (f'"{KEYS}\\Component Based Servicing\\RebootPending"', "x", "REG_SZ", "1", "a restart of Windows"),
    (f'"{KEYS}\\WindowsUpdate\\Auto Update\\RebootRequired"', "x", "REG_SZ", "1", "a restart of Windows"),
    (
        '"HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager"', "PendingFileRenameOperations",
        "REG_MULTI_SZ", "\\??\\C:\\WindowsAzure\\Packages\\a.tmp", "files of the agent wait",
    ),
    ("HKLM\\SYSTEM\\CurrentControlSet\\Services\\msiserver", "Start", "REG_DWORD", "4", "is disabled"),
)  # fmt: skip


@pytest.mark.parametrize(("key", "name", "kind", "data", "why"), GATES)
def test_a_gate_in_the_guest(repaired: Repaired, key: str, name: str, kind: str, data: str, why: str) -> None:
    assert repaired.guest.cmd(f'reg add {key} /v {name} /t {kind} /d "{data}" /f').exit_status == 0
    try:
        _, result = repaired.install("new")
    finally:
        undo = f"reg add {key} /v Start /t REG_DWORD /d 3 /f" if name == "Start" else f"reg delete {key} /f"
        undo = f"reg delete {key} /v {name} /f" if name.startswith("Pending") else undo
        assert repaired.guest.cmd(undo).exit_status == 0
    assert result.state == "refused"
    assert why in result.output
    assert repaired.version() is None


# ---- services, and the clean way -----------------------------------------------------------------


def test_services_are_started_and_restarted(repaired: Repaired) -> None:
    repaired.install("new")
    again = repaired.start()
    assert again.state == "nothing", again.output
    repaired.stop("RdAgent", "WindowsAzureGuestAgent")
    assert repaired.services() == {"RdAgent": (2, 1), "WindowsAzureGuestAgent": (2, 1)}
    assert (repaired.start().state, repaired.services()) == ("done", RUNNING)
    assert (repaired.start("restart").state, repaired.services()) == ("done", RUNNING)


@pytest.mark.parametrize(
    ("state", "expected"), [(1, "done"), (2, "refused"), (3, "refused"), (4, "refused"), (5, "done")]
)
def test_no_service_is_stopped_while_a_snapshot_is_taken(
    repaired: Repaired, state: int, expected: str
) -> None:
    repaired.install("new")
    repaired.wine.writers = f"@echo    Status: [1] Stabil\n@echo    Status: [{state}] Wartet\n"
    result = repaired.start("restart")
    assert (result.state, repaired.services()) == (expected, RUNNING)
    assert ("REFUSED: a snapshot is being taken." in result.output) == (expected == "refused")


def test_no_service_is_stopped_where_vssadmin_says_nothing(repaired: Repaired) -> None:
    repaired.install("new")
    repaired.wine.writers = "@exit 0\n"  # takes its cmd along, so that the listing is never ended
    result = repaired.start("restart")
    assert (result.state, repaired.services()) == ("refused", RUNNING)
    assert "vssadmin did not say within a minute" in result.output


def test_a_service_that_is_not_there_cannot_be_started(repaired: Repaired) -> None:
    result = repaired.start()
    assert result.state == "refused"
    assert "the service RdAgent does not exist" in result.output


def test_the_old_agent_is_put_aside_before_a_clean_installation(repaired: Repaired) -> None:
    repaired.install("old")
    assert "NOTHING: both services run." in repaired.install("new", way="clean")[1].output
    repaired.stop("RdAgent")
    old = repaired.guest.prefix.drive / "WindowsAzure/GuestAgent_2.7.1"
    old.mkdir()
    step, result = repaired.install("new", way="clean")
    assert (result.state, repaired.version(), repaired.services()) == ("done", NEW, RUNNING)
    kept = repaired.guest.prefix.drive / "ProgramData/FleetAuditor" / step
    assert (kept / "GuestAgent_2.7.1").is_dir()
    assert (kept / "Packages/WaAppAgent.exe").is_file()
    assert b"RdAgent" in (kept / "RdAgent.reg").read_bytes().replace(b"\0", b"")
    assert not old.exists()
