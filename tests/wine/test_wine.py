"""The Windows probe's command line on Wine, over the tool's own WinRM (the Wine tier: no PowerShell)."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from auditor import facts
from auditor.facts import GuestAgent, Unseen, Vss, WindowsSetup
from auditor.guests import Guests
from auditor.hosts import Script, Shell
from auditor.hosts.winrm import WinRmHost
from auditor.model import Machine, Platform
from auditor.probe import windows_probe
from auditor.rules import load_rules
from auditor.simulator.windows.state import winhttp_proxy
from tests.wine.conftest import REFUSED, Guest

pytestmark = [pytest.mark.wine, pytest.mark.timeout(300)]

VERSION = "2.7.41491.1183"
FOLDER = "C:\\WindowsAzure\\Packages"
SOFTWARE = "HKLM\\SOFTWARE\\Microsoft"


def probe(guest: Guest) -> facts.Guest:
    """Ask Wine all that a Windows guest is asked."""

    async def ask() -> facts.Guest | Unseen:
        machine = Machine("host/wine", "wine", Platform.WINDOWS, "hosts-file", connection=guest.connection)
        async with Guests(load_rules().endpoints, guest.options, secrets=guest.secrets) as guests:
            return await guests.probe(machine)

    seen = asyncio.run(ask())
    assert isinstance(seen, facts.Guest), seen
    return seen


def done(guest: Guest, *lines: str) -> None:
    for line in lines:
        result = guest.cmd(line)
        assert result.exit_status == 0, (line, result)


@pytest.fixture
def installed(guest: Guest, msi: Mapping[str, str]) -> Iterator[Guest]:
    """The x64 installer's agent with both services, as a real machine would have it."""
    done(
        guest,
        f"msiexec /i {msi['x64']} /qn",
        f'sc create RdAgent binPath= "{FOLDER}\\WaAppAgent.exe" start= auto',
        f'sc create WindowsAzureGuestAgent binPath= "{FOLDER}\\GuestAgent.exe" start= disabled',
    )
    yield guest
    done(guest, "sc delete RdAgent", "sc delete WindowsAzureGuestAgent", f"msiexec /x {msi['x64']} /qn")


@pytest.fixture(scope="module")
def bare(guest: Guest) -> facts.Guest:
    """The machine as it is before anything is installed."""
    return probe(guest)


def test_a_machine_without_an_agent(bare: facts.Guest) -> None:
    seen = bare
    assert seen.agent is None
    assert seen.snapshot_extension == ()
    assert (seen.os_version, seen.architecture, seen.bits) == ("6.1.7601", "AMD64", 64)
    assert seen.hostname
    assert (seen.proxies, seen.firewall) == ((), ())
    assert isinstance(seen.windows, WindowsSetup)
    assert (seen.windows.dotnet, seen.windows.pending_reboot) == (None, ())
    assert isinstance(seen.windows.services, tuple)
    states = {service.name: (service.state, service.start) for service in seen.windows.services}
    assert states == {"msiserver": ("stopped", "manual"), "Winmgmt": ("stopped", "manual")}


def test_what_only_powershell_tells_is_unseen(bare: facts.Guest) -> None:
    seen = bare
    assert not seen.privileged
    for fact in (seen.wire_server, seen.imds, seen.disk, seen.interfaces, seen.endpoints, seen.on_azure_host):
        assert isinstance(fact, Unseen)
        assert f"exit status {REFUSED}" in fact.reason
    assert isinstance(seen.vss, Vss)
    assert isinstance(seen.vss.writers, Unseen)


def test_an_installed_agent(installed: Guest) -> None:
    seen = probe(installed)
    assert isinstance(seen.agent, GuestAgent)
    assert seen.agent.path == f"{FOLDER}\\WaAppAgent.exe"
    assert seen.agent.goal_state_version == VERSION
    assert seen.agent.origin == "msi"
    states = {service.name: (service.state, service.start) for service in seen.agent.services}
    assert states == {
        "RdAgent": ("stopped", "automatic"),
        "WindowsAzureGuestAgent": ("stopped", "disabled"),
    }


def test_removing_the_agent_leaves_none(guest: Guest, msi: Mapping[str, str]) -> None:
    done(guest, f"msiexec /i {msi['x64']} /qn")
    assert (guest.prefix.drive / "WindowsAzure/Packages/WaAppAgent.exe").is_file()
    agent = probe(guest).agent
    assert isinstance(agent, GuestAgent)
    assert (agent.unit, agent.problem) == (None, "the service RdAgent does not exist")
    done(guest, f"msiexec /x {msi['x64']} /qn")
    assert probe(guest).agent is None


def test_a_32_bit_installer_writes_where_nobody_looks(guest: Guest, msi: Mapping[str, str]) -> None:
    done(guest, f"msiexec /i {msi['x86']} /qn")
    try:
        key = f'"{SOFTWARE}\\Virtual Machine\\Guest" /v GuestAgentVersion'
        assert VERSION.encode() in guest.cmd(f"reg query {key} /reg:32").stdout
        assert guest.cmd(f"reg query {key} /reg:64").exit_status == 1
        agent = probe(guest).agent
        assert isinstance(agent, GuestAgent)
        assert agent.goal_state_version is None
    finally:
        done(guest, f"msiexec /x {msi['x86']} /qn")


REGISTRY = (
    (f'"{SOFTWARE}\\NET Framework Setup\\NDP\\v4\\Full"', "Release", "REG_DWORD", "528449"),
    (f'"{SOFTWARE}\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending"', "x", "REG_SZ", "1"),
    (
        f'"{SOFTWARE}\\Windows\\CurrentVersion\\Internet Settings\\Connections"', "WinHttpSettings",
        "REG_BINARY", winhttp_proxy("proxy.example:3128", "<local>")[1],
    ),
    (
        '"HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment"', "http_proxy", "REG_SZ",
        "http://ann:s3cret@proxy.example:3128",
    ),
    (
        "HKLM\\SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules",
        "deny", "REG_SZ", '"v2.31|Action=Block|Active=TRUE|Dir=Out|RA4=168.63.129.16|Name=Deny|"',
    ),
)  # fmt: skip


def test_what_stands_in_the_registry(guest: Guest) -> None:
    done(guest, *(f"reg add {key} /v {name} /t {kind} /d {data} /f" for key, name, kind, data in REGISTRY))
    try:
        seen = probe(guest)
    finally:
        done(guest, *(f"reg delete {key} /v {name} /f" for key, name, _, _ in REGISTRY))
        done(guest, f"reg delete {REGISTRY[1][0]} /f")
    assert isinstance(seen.windows, WindowsSetup)
    assert (seen.windows.dotnet, seen.windows.pending_reboot) == (528449, ("component servicing",))
    assert seen.proxies == (
        ("WinHTTP proxy", "proxy.example:3128"),
        ("WinHTTP no_proxy", "<local>"),
        ("environment http_proxy", "http://***@proxy.example:3128"),
    )
    assert seen.firewall == ("outbound rule Deny",)


@pytest.mark.parametrize("code", [0, 1, 97, 3010, 1060, -1])
def test_exit_codes_come_through(guest: Guest, code: int) -> None:
    assert guest.cmd(f"cmd /c exit {code}").exit_status in {code, code % 2**32}


def test_an_installer_that_is_not_there(guest: Guest) -> None:
    assert guest.cmd("msiexec /i C:\\nowhere.msi /qn").exit_status not in (0, None)


def test_stubs_that_do_nothing_are_refused(guest: Guest) -> None:
    script = windows_probe(()).scripts[1]
    assert script.shell is Shell.POWERSHELL
    session = WinRmHost(guest.connection, guest.options, guest.secrets)
    try:
        refused = [session.run(one, 20) for one in (script, Script("certutil.exe -hashfile x", Shell.CMD))]
    finally:
        session.close()
    assert [one.exit_status for one in refused] == [REFUSED, REFUSED]
    assert [one.stdout for one in refused] == [b"", b""]
