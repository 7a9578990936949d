"""What Azure says of one machine (planes: inventory, instance-view, backup, jobs)."""

from dataclasses import dataclass
from datetime import datetime

# ---- the VM as the resource model has it (plane: inventory) ------------------------------------


@dataclass(frozen=True, slots=True)
class VmModel:
    """What the VM list says; `provision_vm_agent` is an intent set at creation, never evidence.

    `availability_set` and `scale_set` are lower-cased ids, `zone` is the number of its availability zone.
    `primary_address` is that of its primary network interface, None where interfaces were not read.
    """

    vm_id: str | None
    provisioning_state: str | None
    provision_vm_agent: bool | None
    allow_extension_operations: bool | None
    managed_disks: bool | None
    created_at: datetime | None
    observed_at: datetime
    availability_set: str | None = None
    scale_set: str | None = None
    zone: str | None = None
    primary_address: str | None = None


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
