"""What one probe saw inside a machine (plane: guest)."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from auditor.facts.base import Mismatch, Unseen


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection attempt from inside a guest.

    `stage` is where it ended: "ok", or the step that failed ("dns", "tcp", "tls", "http").
    """

    target: str
    stage: str
    detail: str = ""
    milliseconds: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the attempt reached its goal."""
        return self.stage == "ok"


@dataclass(frozen=True, slots=True)
class Service:
    """A Windows service; None where that was not seen.

    `state` is "running", "stopped", "paused", "start-pending" or "stop-pending"; `start` is
    "automatic", "delayed", "manual" or "disabled"; `present` tells whether the program of its
    ImagePath exists.
    """

    name: str
    state: str | None = None
    start: str | None = None
    path: str | None = None
    present: bool | None = None


@dataclass(frozen=True, slots=True)
class GuestAgent:
    """The Azure agent as found in the guest.

    On Linux `daemon_version` is the package's and `goal_state_version` the one that runs. On Windows
    `daemon_version` is the version of WaAppAgent.exe and `goal_state_version` what the agent wrote to the
    registry; `unit`, `active` and `enabled` speak of the service RdAgent, `services` holds every one of the
    agent's services that exists. Versions stand as the guest printed them; `problem` says why an agent that
    is there printed none, and `timed_out` that it was not waited for any longer, or not readable by whoever
    asked: neither is a fault of its own. `origin` is "msi", "provisioned", "package" or "source".
    """

    path: str | None
    daemon_version: str | None
    goal_state_version: str | None
    package: str | None = None
    package_version: str | None = None
    unit: str | None = None
    active: str | None = None
    enabled: str | None = None
    problem: str | None = None
    origin: str | None = None
    services: tuple[Service, ...] = ()
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds the agent's state (Windows: the system drive); sizes in bytes."""

    path: str
    free: int
    total: int
    noexec: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface that is up; `dhcp` is None where the guest does not tell."""

    name: str
    dhcp: bool | None
    addresses: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter that starts the Linux agent.

    `imports_agent` tells whether it can import azurelinuxagent; None where there is no agent to import.
    """

    path: str
    version: str | None
    imports_agent: bool | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system: where, what kind, from what."""

    path: str
    type: str
    source: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """What decides whether the file systems can be frozen for a snapshot.

    `settings` are the keys of /etc/azure/vmbackup.conf, None where there is no such file; `problem`
    says why the file cannot be read as the extension reads it (it takes ASCII only).
    """

    mounts: tuple[Mount, ...]
    settings: tuple[tuple[str, str], ...] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class LogTail:
    """The last lines of a log that speak of a failure; `changed_at` is when the log last grew."""

    path: str
    lines: tuple[str, ...]
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """The agent package that the guest's package manager would install ("apt", "dnf", "zypper")."""

    manager: str
    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Writer:
    """A VSS writer by the numbers that every language prints: 1 is stable, 0 is no error."""

    name: str
    state: int
    error: int | None = None


@dataclass(frozen=True, slots=True)
class Vss:
    """Volume shadow copies: the services they rest on, and the writers."""

    services: tuple[Service, ...]
    writers: tuple[Writer, ...] | Unseen = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the machine's store."""

    subject: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class WindowsSetup:
    """What agent and backup extension want of Windows.

    `dotnet` is the Release number of .NET 4 (378389 is 4.5), None where it is not installed;
    `pending_reboot` names the registry marks; `certificate` is the newest TenantEncryptionCert;
    `strong_crypto` is SchUseStrongCrypto of .NET 4, None where it is not set.
    """

    dotnet: int | Unseen | None = None
    std_reg_prov: bool | Unseen = field(default_factory=lambda: Unseen("not asked"))
    services: tuple[Service, ...] | Unseen = ()
    pending_reboot: tuple[str, ...] | Unseen = ()
    certificate: Certificate | Unseen | None = None
    strong_crypto: bool | Unseen | None = None


NOT_ASKED = Unseen("the probe did not ask for it")


@dataclass(frozen=True, slots=True)
class Guest:
    """Everything one probe saw; `agent` is None when the guest was searched and has none.

    `clock` is the guest's own time when the probe ended; `firewall` holds the rules of the guest that drop
    or refuse traffic to the wire server; `firmware_id` is the id that the (virtual) board shows, which on
    Azure is the VM's own; `installable` is None where the package manager offers no agent. `bits` is the
    word size of the guest's programs, which may be half of the kernel's (`architecture`).
    """

    platform: str
    observed_at: datetime
    transport: str
    privileged: bool
    os_name: str | None = None
    os_version: str | None = None
    kernel: str | None = None
    hostname: str | None = None
    architecture: str | None = None
    bits: int | None = None
    agent: GuestAgent | Unseen | None = None
    extensions_enabled: bool | Unseen | None = None
    auto_update: bool | Unseen | None = None
    snapshot_extension: tuple[str, ...] | Unseen = ()
    snapshot_log: LogTail | Unseen | None = None
    wire_server: tuple[Attempt, ...] | Unseen = ()
    firewall: tuple[str, ...] | Unseen = NOT_ASKED
    imds: Attempt | Unseen = NOT_ASKED
    vm_id: str | Unseen | None = None
    firmware_id: str | Unseen | None = None
    on_azure_host: bool | Unseen | None = None
    endpoints: tuple[Attempt, ...] | Unseen = ()
    disk: Disk | Unseen | None = None
    interfaces: tuple[Interface, ...] | Unseen = NOT_ASKED
    proxies: tuple[tuple[str, str], ...] | Unseen = ()
    clock: datetime | None = None
    python: Python | Unseen | None = NOT_ASKED
    freeze: Freeze | Unseen | None = NOT_ASKED
    installable: Package | Unseen | None = NOT_ASKED
    vss: Vss | Unseen | None = NOT_ASKED
    windows: WindowsSetup | Unseen | None = NOT_ASKED


def same_id(firmware: str, vm_id: str) -> bool:
    """Whether the board's id is the VM's; some boards show its first three groups in reverse byte order.

    SMBIOS keeps these groups little-endian since 2.6; older boards and kernels print them as they lie there.
    """
    shown, wanted = firmware.strip().lower(), vm_id.strip().lower()
    return shown in (wanted, _swapped(wanted))


def _swapped(text: str) -> str:
    try:
        return str(UUID(bytes=UUID(text).bytes_le))
    except ValueError:
        return text


def identity_mismatch(guest: Guest, vm_id: str | None) -> Mismatch | None:
    """Why this guest cannot be the VM with that id, or None; an id not seen proves nothing.

    Either id is enough, the guest's own or its board's: what an agent wrote down may stem from a copied disk.
    """
    shown = [one for one in (_given(guest.vm_id), _board_id(guest)) if one is not None]
    if not shown or vm_id is None or any(same_id(one, vm_id) for one in shown):
        return None
    return Mismatch(
        f"identity mismatch: the guest says it is VM {shown[0]}, Azure says {vm_id}; nothing it said is used",
        shown=shown[0],
        wanted=vm_id,
    )


def _board_id(guest: Guest) -> str | None:
    """The id on the board; boards without one show zeros, ones or words."""
    shown = _given(guest.firmware_id)
    return shown if shown and _uuid(shown) else None


def _given(fact: str | Unseen | None) -> str | None:
    """An id that was given: neither all zeros nor all ones."""
    found = _uuid(fact) if isinstance(fact, str) else None
    return fact if isinstance(fact, str) and not (found and found.int in (0, 2**128 - 1)) else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
