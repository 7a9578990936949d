"""Facts about one machine, by plane.

A fact is a value, `None` (looked for and known to be absent) or `Unseen(reason)` (could not be
seen). `known()` turns an `Unseen` into the exception that the engine reports as UNKNOWN.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from auditor.errors import FactUnavailable
from auditor.model import Machine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unseen:
    """A fact that could not be seen.

    `expected` is false where the run never set out to see it (a plane without a connection):
    such a gap does not make the run incomplete.
    """

    reason: str
    expected: bool = True


def known(fact: T | Unseen) -> T:
    """The fact itself; raises `FactUnavailable` with the reason where it could not be seen."""
    if isinstance(fact, Unseen):
        raise FactUnavailable(fact.reason)
    return fact


# ---- the VM as the resource model has it (plane: inventory) ------------------------------------


@dataclass(frozen=True, slots=True)
class VmModel:
    """What the VM list says; `provision_vm_agent` is an intent set at creation, never evidence."""

    vm_id: str | None
    provisioning_state: str | None
    provision_vm_agent: bool | None
    allow_extension_operations: bool | None
    managed_disks: bool | None
    created_at: datetime | None
    observed_at: datetime


# ---- what Azure last heard from the guest (plane: instance-view) -------------------------------


@dataclass(frozen=True, slots=True)
class StatusCode:
    """An instance-view status: match on `code` (2 or 3 segments), case-insensitively."""

    code: str
    level: str | None = None
    display: str | None = None
    message: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """The `vmAgent` block; `version` is as it stands there and may be "Unknown"."""

    version: str | None
    statuses: tuple[StatusCode, ...] = ()


@dataclass(frozen=True, slots=True)
class Handler:
    """An extension handler as the agent reports it; `type` is "Publisher.Type"."""

    type: str
    version: str | None = None
    status: StatusCode | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension: the ARM resource and its instance view, joined by name.

    `type` is "Publisher.Type", or None while it is in transition.
    """

    name: str
    type: str | None
    version: str | None = None
    provisioning_state: str | None = None
    statuses: tuple[StatusCode, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceView:
    """The run-time view of one VM.

    `power_state` is the segment after `PowerState/`; `agent` is None when the block is absent (a
    deallocated VM); `handlers` is None when the list is absent, empty when nothing is installed.
    `operation` is the VM's own provisioning state, dated by the last operation on it (a start, a change).
    """

    power_state: str | None
    agent: Agent | None
    handlers: tuple[Handler, ...] | None
    extensions: tuple[Extension, ...]
    observed_at: datetime
    os_name: str | None = None
    os_version: str | None = None
    operation: StatusCode | None = None


# ---- Recovery Services (planes: backup, jobs) --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vault:
    """A Recovery Services vault; `location` is normalised ("westeurope")."""

    id: str
    name: str
    location: str
    subscription: str
    redundancy: str | None = None
    soft_delete: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A backup policy; `crash_consistent_only` policies need neither agent nor extension."""

    id: str
    name: str
    type: str | None = None
    crash_consistent_only: bool = False
    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class HealthDetail:
    """One of Azure's own health details; `code` 0 or 400239 mean healthy."""

    code: int | None
    title: str
    message: str
    recommendations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProtectedItem:
    """A VM in a vault; the sentinel 2001-01-01 of a first backup that has not run is None here."""

    id: str
    vault: Vault
    vm_id: str
    protection_state: str
    protection_status: str | None = None
    health_status: str | None = None
    health: tuple[HealthDetail, ...] = ()
    last_backup_status: str | None = None
    last_backup_at: datetime | None = None
    last_recovery_point: datetime | None = None
    policy: Policy | None = None
    deferred_delete: bool = False


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed; `code` is a number, the symbolic name may stand in the title or text."""

    code: int | None
    title: str | None
    message: str
    recommendations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A backup, restore or configuration job of one protected VM."""

    id: str
    operation: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None = None
    errors: tuple[JobError, ...] = ()


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of one VM in every vault that was read: those in flight and the last that ended."""

    running: tuple[Job, ...]
    last: Job | None
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Backup:
    """What Recovery Services says of one VM.

    `regional_vaults` are the visible vaults in the VM's region. `gaps` names every subscription or
    vault that could not be read: while it is not empty, "no item" is not "not protected".
    """

    items: tuple[ProtectedItem, ...]
    regional_vaults: tuple[Vault, ...]
    gaps: tuple[str, ...]
    observed_at: datetime


# ---- inside the machine (plane: guest) ---------------------------------------------------------


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
class GuestAgent:
    """The Azure agent as found in the guest.

    On Linux `daemon_version` is the package's and `goal_state_version` the one that runs; on
    Windows both are the version of WaAppAgent.exe. Versions stand as the guest printed them;
    `problem` says why an agent that is there printed none.
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


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds the agent's state; sizes in bytes."""

    path: str
    free: int
    total: int
    noexec: bool = False


@dataclass(frozen=True, slots=True)
class Guest:
    """Everything one probe saw; `agent` is None when the guest was searched and has none."""

    platform: str
    observed_at: datetime
    transport: str
    privileged: bool
    os_name: str | None = None
    os_version: str | None = None
    kernel: str | None = None
    hostname: str | None = None
    architecture: str | None = None
    agent: GuestAgent | Unseen | None = None
    extensions_enabled: bool | Unseen | None = None
    auto_update: bool | Unseen | None = None
    snapshot_extension: tuple[str, ...] | Unseen = ()
    wire_server: tuple[Attempt, ...] | Unseen = ()
    imds: Attempt | Unseen = field(default_factory=lambda: Unseen("not asked"))
    vm_id: str | Unseen | None = None
    on_azure_host: bool | Unseen | None = None
    endpoints: tuple[Attempt, ...] | Unseen = ()
    disk: Disk | Unseen | None = None
    python: str | Unseen | None = None
    proxies: tuple[tuple[str, str], ...] | Unseen = ()
    clock: datetime | None = None


def identity_mismatch(guest: Guest, vm_id: str | None) -> str | None:
    """Why this guest cannot be the VM with that id, or None; an id not seen proves nothing."""
    seen = guest.vm_id
    if not isinstance(seen, str) or vm_id is None or seen.lower() == vm_id.lower():
        return None
    return f"identity mismatch: the guest says it is VM {seen}, Azure says {vm_id}; nothing it said is used"


# ---- all of it ---------------------------------------------------------------------------------

OUTSIDE_AZURE = Unseen("not an Azure machine", expected=False)
AZURE_NOT_ASKED = Unseen("Azure was not asked in this run", expected=False)
NOT_COLLECTED = Unseen("not collected: no chosen check needs it", expected=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known about one machine when the checks run; `now` is the run's clock (UTC)."""

    machine: Machine
    now: datetime
    model: VmModel | Unseen = OUTSIDE_AZURE
    instance: InstanceView | Unseen = OUTSIDE_AZURE
    backup: Backup | Unseen = OUTSIDE_AZURE
    jobs: Jobs | Unseen = OUTSIDE_AZURE
    guest: Guest | Unseen = NOT_COLLECTED
