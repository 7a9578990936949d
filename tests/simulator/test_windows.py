"""Windows guests: scripts recognised exactly, real WinRM with TLS and NTLM before a model of Windows."""

import asyncio
import base64
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from auditor.facts import Facts, Guest, Unseen, VmModel, identity_mismatch
from auditor.guests import Guests
from auditor.hosts.commands import POWERSHELL, command_line
from auditor.inventory.file import read_hosts
from auditor.judge import judge
from auditor.model import Machine, MachineResult, Platform
from auditor.probe import windows_probe
from auditor.probe.windows import pieces
from auditor.rules import load_rules
from auditor.simulator.windows import WINDOWS_GUESTS, WindowsGuest, WindowsGuestState, WinRmGuests, healthy
from auditor.simulator.windows.guests import OUTSIDE_AZURE
from auditor.simulator.windows.scripts import MODELS
from checks import CHECKS

RULES = load_rules()
NAMES = [state.name for state in WINDOWS_GUESTS]


@pytest.fixture(scope="module")
def asked() -> Iterator[Mapping[str, Guest | Unseen]]:
    """Every guest of the catalogue, asked over WinRM from its hosts file."""
    with WinRmGuests(WINDOWS_GUESTS) as running:
        machines = [host.connected() for host in read_hosts(running.hosts_file)]
        yield {
            machine.name: guest for machine, guest in zip(machines, asyncio.run(probe(machines)), strict=True)
        }
        assert running.refused == []
        assert [error for server in running.servers.values() for error in server.errors] == []
        assert sum(server.open_shells for server in running.servers.values()) == 0


async def probe(machines: list[Machine]) -> list[Guest | Unseen]:
    async with Guests(RULES.endpoints) as guests:
        return await asyncio.gather(*(guests.probe(machine) for machine in machines))


def judged(state: WindowsGuestState, guest: Guest | Unseen) -> MachineResult:
    """What the checks say of the guest; as a VM where the catalogue names the id that Azure has."""
    now = datetime.now(UTC)
    if state.azure_vm_id is None or not isinstance(guest, Guest):
        machine = Machine(f"host/{state.name}", state.name, Platform.WINDOWS, "hosts-file")
        return judge(Facts(machine, now, guest=guest), CHECKS, RULES)
    model = VmModel(state.azure_vm_id, "Succeeded", True, True, True, None, now)
    machine = Machine(f"/subscriptions/s/{state.name}", state.name, Platform.WINDOWS, "azure")
    seen = identity_mismatch(guest, model.vm_id) or guest
    return judge(Facts(machine, now, model=model, guest=seen), CHECKS, RULES)


@pytest.mark.parametrize("state", WINDOWS_GUESTS, ids=NAMES)
def test_each_guest_has_its_findings(state: WindowsGuestState, asked: Mapping[str, Guest | Unseen]) -> None:
    guest = asked[state.name]
    assert isinstance(guest, Guest), guest
    assert (guest.transport, guest.hostname) == ("winrm", state.name)
    result = judged(state, guest)
    statuses = {finding.check: finding.status for finding in result.findings}
    assert {check: statuses[check] for check in state.findings} == dict(state.findings)
    assert result.verdict is state.verdict


def test_faults_are_told_apart() -> None:
    findings = [tuple(state.findings.items()) for state in WINDOWS_GUESTS]
    assert len(NAMES) == len(set(NAMES))
    assert len({check for found in findings for check, _ in found}) >= 13


def test_every_script_has_a_model() -> None:
    assert {(piece.name, piece.version) for piece in pieces()[1:]} == set(MODELS)


def test_the_truth_of_those_outside_azure() -> None:
    with WinRmGuests(OUTSIDE_AZURE[:2]) as guests:
        assert set(guests.truth()) == {"host/win-healthy", "host/win-agent-missing"}
        hosts = read_hosts(guests.hosts_file)
    assert {host.machine.id for host in hosts} == {"host/win-healthy", "host/win-agent-missing"}
    assert {state.name for state in WINDOWS_GUESTS} - {state.name for state in OUTSIDE_AZURE} == {
        "win-identity-mismatch"
    }


# ---- nothing but the tool's own scripts ----------------------------------------------------------

LINES = {
    piece.name: command_line(script)
    for piece, script in zip(pieces(), windows_probe(()).scripts, strict=True)
}


def encoded(text: str) -> str:
    return POWERSHELL.format(encoded=base64.b64encode(text.encode("utf-16-le")).decode())


@pytest.mark.parametrize(
    "command",
    [
        "ver",
        "hostname",
        LINES["registry"] + " ",
        LINES["registry"].replace("RdAgent", "RdAgant"),
        f"{LINES['registry']} & del C:\\x",
        LINES["registry"].partition(" & ")[0],
        pieces()[1].text,
        encoded(pieces()[1].text + "\n"),
        encoded(pieces()[1].text.replace("-eq 0", "-eq 1")),
        encoded(pieces()[0].text),
        encoded("Get-ChildItem"),
        LINES["machine"].replace("-NoProfile ", ""),
        LINES["machine"].replace("-EncodedCommand ", "-EncodedCommand !"),
        LINES["machine"] + "==",
        "powershell.exe -Command exit",
        "",
    ],
)
def test_anything_else_is_refused_and_remembered(command: str) -> None:
    guest = WindowsGuest(healthy("web1", "1"))
    run = guest.run(command, b"", {}, "ann", threading.Event())
    assert (run.exit_code, run.stdout) == (97, b"")
    assert guest.refused == [command]


def test_the_own_scripts_are_not() -> None:
    guest = WindowsGuest(healthy("web1", "1"))
    for script in windows_probe(RULES.endpoints).scripts:
        assert guest.run(command_line(script), script.data, {}, "ann", threading.Event()).exit_code == 0
    assert guest.refused == []


def test_german_words_come_in_the_code_page_of_the_shell() -> None:
    guest = WindowsGuest(healthy("web1", "1", "de"))
    for page, name in (("65001", "utf-8"), ("850", "cp850")):
        said = guest.run(LINES["registry"], b"", {"WINRS_CODEPAGE": page}, "ann", threading.Event()).stdout
        assert "Registrierungsschlüssel" in said.decode(name)
