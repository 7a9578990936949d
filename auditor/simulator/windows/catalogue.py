"""Windows guests in seeded states, each with the findings that an audit must make of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from uuid import NAMESPACE_DNS, uuid5

from auditor.model import Status, Verdict
from auditor.simulator.windows.state import (
    AGENT_FOLDER,
    DISABLED,
    EXTENSION,
    GIGABYTE,
    MICROSOFT,
    SERVICES,
    SESSION,
    STOPPED,
    VERSIONS,
    WindowsState,
    healthy,
    text,
    winhttp_proxy,
)

Change = Callable[[WindowsState], WindowsState]


@dataclass(frozen=True, slots=True)
class WindowsGuestState:
    """One guest: its state, and what an audit must say of it.

    `azure_vm_id` is the id that Azure has for the machine, where the guest is to be another one; `azure_id`
    is the resource id of the VM whose inside this is, empty outside Azure.
    """

    name: str
    verdict: Verdict
    findings: Mapping[str, Status]
    state: WindowsState
    azure_vm_id: str | None = None
    azure_id: str = ""

    @property
    def machine_id(self) -> str:
        """The id of the machine whose inside this is."""
        return self.azure_id.lower() or f"host/{self.name}"


def vm_id(name: str) -> str:
    """The id of a simulated VM."""
    return str(uuid5(NAMESPACE_DNS, f"{name}.simulated.invalid"))


def _guest(
    name: str,
    verdict: Verdict,
    findings: Mapping[str, Status],
    change: Change | None = None,
    *,
    language: str = "en",
    azure_vm_id: str | None = None,
) -> WindowsGuestState:
    state = healthy(name, vm_id(name), language)
    return WindowsGuestState(name, verdict, findings, change(state) if change else state, azure_vm_id)


def _without_agent(state: WindowsState) -> WindowsState:
    bare = state.with_service("RdAgent", None).with_service("WindowsAzureGuestAgent", None)
    bare = bare.without_files(AGENT_FOLDER).without_files(EXTENSION)
    for key, name in ((rf"{MICROSOFT}\Virtual Machine\Guest", "GuestAgentVersion"),
                      (rf"{MICROSOFT}\Virtual Machine\Guest", "OsVersion"),
                      (rf"{MICROSOFT}\Windows Azure", "VmId")):  # fmt: skip
        bare = bare.with_value(key, name, None)
    return replace(bare, certificate=None)


def _service(name: str, *, start: int, state: int) -> Change:
    return lambda guest: guest.with_service(name, replace(guest.services[name], start=start, state=state))


def _old_agent(guest: WindowsState) -> WindowsState:
    version = "2.6.1198.100"
    key = rf"{MICROSOFT}\Virtual Machine\Guest"
    older = guest.with_value(key, "GuestAgentVersion", text(version))
    return older.with_file(rf"{AGENT_FOLDER}\WaAppAgent.exe", version)


def _failed_writer(guest: WindowsState) -> WindowsState:
    return replace(guest, writers={**guest.writers, "System Writer": (8, "Retryable error")})


def _restart_pending(guest: WindowsState) -> WindowsState:
    key = rf"{VERSIONS}\Component Based Servicing\RebootPending"
    return guest.with_value(key, "SetupPhase", text("1"))


def _proxied(guest: WindowsState) -> WindowsState:
    key = rf"{VERSIONS}\Internet Settings\Connections"
    proxied = guest.with_value(key, "WinHttpSettings", winhttp_proxy("proxy.example:3128", "<local>"))
    name = "http_proxy"
    return proxied.with_value(
        rf"{SESSION}\Environment", name, text("http://azops:hunter2@proxy.example:3128")
    )


def _msi(guest: WindowsState) -> WindowsState:
    key = rf"{VERSIONS}\Uninstall\{{F5B0D4A1-8C54-4E5B-9D0C-0E1C7A7A0001}}"
    return guest.with_value(key, "DisplayName", text("Windows Azure VM Agent - 2.7.41491.1183"))


def _blocked(guest: WindowsState) -> WindowsState:
    key = rf"{SERVICES}\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
    rule = "v2.31|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RA4=168.63.129.16|Name=Deny the host|"
    return replace(guest.with_value(key, "{7C8D}", text(rule)), wire="tcp", imds="tcp")


PASS, WARN, FAIL, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.UNKNOWN

WINDOWS_GUESTS: tuple[WindowsGuestState, ...] = (
    _guest(
        "win-healthy",
        Verdict.READY,
        {
            "vm-agent-installed": PASS,
            "vm-agent-version": PASS,
            "agent-service": PASS,
            "agent-certificate": PASS,
            "wire-server": PASS,
            "internet-connectivity": PASS,
            "guest-dhcp": PASS,
            "guest-proxy": PASS,
            "guest-clock": PASS,
            "guest-disk-space": PASS,
            "windows-vss": PASS,
            "windows-prerequisites": PASS,
        },
    ),
    _guest("win-agent-missing", Verdict.NOT_READY, {"vm-agent-installed": FAIL}, _without_agent),
    _guest(
        "win-service-stopped",
        Verdict.NOT_READY,
        {"vm-agent-installed": PASS, "agent-service": FAIL},
        _service("WindowsAzureGuestAgent", start=2, state=STOPPED),
    ),
    _guest(
        "win-service-disabled",
        Verdict.NOT_READY,
        {"agent-service": FAIL},
        _service("RdAgent", start=DISABLED, state=STOPPED),
    ),
    _guest(
        "win-image-path-gone",
        Verdict.NOT_READY,
        {"agent-service": FAIL},
        lambda guest: guest.without_files(rf"{AGENT_FOLDER}\WaAppAgent.exe"),
    ),
    _guest("win-old-agent", Verdict.NOT_READY, {"vm-agent-version": FAIL, "agent-service": PASS}, _old_agent),
    _guest("win-vss-writer-failed", Verdict.AT_RISK, {"windows-vss": FAIL}, _failed_writer),
    _guest(
        "win-disk-almost-full",
        Verdict.AT_RISK,
        {"guest-disk-space": WARN},
        lambda guest: replace(guest, free=GIGABYTE // 2),
    ),
    _guest(
        "win-dotnet-missing",
        Verdict.AT_RISK,
        {"windows-prerequisites": FAIL},
        lambda guest: guest.with_value(rf"{MICROSOFT}\NET Framework Setup\NDP\v4\Full", "Release", None),
    ),
    _guest("win-pending-reboot", Verdict.AT_RISK, {"windows-prerequisites": WARN}, _restart_pending),
    _guest(
        "win-certificate-expired",
        Verdict.AT_RISK,
        {"agent-certificate": FAIL},
        lambda guest: replace(guest, certificate=(-400, -35)),
    ),
    _guest(
        "win-static-ip",
        Verdict.AT_RISK,
        {"guest-dhcp": WARN},
        lambda guest: replace(guest, dhcp=False),
    ),
    _guest("win-proxy-set", Verdict.AT_RISK, {"guest-proxy": WARN}, _proxied),
    _guest(
        "win-clock-skewed",
        Verdict.AT_RISK,
        {"guest-clock": WARN},
        lambda guest: replace(guest, clock_skew=-1800),
    ),
    _guest("win-wire-server-blocked", Verdict.NOT_READY, {"wire-server": FAIL}, _blocked),
    _guest(
        "win-german",
        Verdict.READY,
        {
            "vm-agent-installed": PASS,
            "agent-service": PASS,
            "windows-vss": PASS,
            "windows-prerequisites": PASS,
        },
        _msi,
        language="de",
    ),
    _guest(
        "win-identity-mismatch",
        Verdict.NOT_READY,
        {"guest-identity": FAIL, "vm-agent-installed": UNKNOWN},
        azure_vm_id=vm_id("somebody-else"),
    ),
)
"""Every guest; the one with an `azure_vm_id` shows its fault only where Azure knows it as another VM."""
