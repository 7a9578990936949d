"""Facts about one machine, by plane.

A fact is a value, `None` (looked for and known to be absent) or `Unseen(reason)` (could not be
seen). `known()` turns an `Unseen` into the exception that the engine reports as UNKNOWN.
"""

from dataclasses import dataclass
from datetime import datetime

from auditor.facts.azure import (
    Agent,
    Backup,
    Extension,
    Handler,
    HealthDetail,
    InstanceView,
    Job,
    JobError,
    Jobs,
    Policy,
    ProtectedItem,
    StatusCode,
    Vault,
    VmModel,
)
from auditor.facts.base import Mismatch, Unseen, known
from auditor.facts.guest import (
    NOT_ASKED,
    Attempt,
    Certificate,
    Disk,
    Freeze,
    Guest,
    GuestAgent,
    Interface,
    LogTail,
    Mount,
    Package,
    Python,
    Service,
    Vss,
    WindowsSetup,
    Writer,
    identity_mismatch,
    same_id,
)
from auditor.model import Machine

__all__ = [
    "AZURE_NOT_ASKED",
    "NOT_ASKED",
    "NOT_COLLECTED",
    "OUTSIDE_AZURE",
    "Agent",
    "Attempt",
    "Backup",
    "Certificate",
    "Disk",
    "Extension",
    "Facts",
    "Freeze",
    "Guest",
    "GuestAgent",
    "Handler",
    "HealthDetail",
    "InstanceView",
    "Interface",
    "Job",
    "JobError",
    "Jobs",
    "LogTail",
    "Mismatch",
    "Mount",
    "Package",
    "Policy",
    "ProtectedItem",
    "Python",
    "Service",
    "StatusCode",
    "Unseen",
    "Vault",
    "VmModel",
    "Vss",
    "WindowsSetup",
    "Writer",
    "identity_mismatch",
    "known",
    "same_id",
]

OUTSIDE_AZURE = Unseen("not an Azure machine", expected=False)
AZURE_NOT_ASKED = Unseen("Azure was not asked in this run", expected=False)
NOT_COLLECTED = Unseen("not collected: no chosen check needs it", expected=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything known about one machine when the checks run; `now` is the run's clock (UTC).

    `target` is the region that a machine outside Azure is to move to, empty where none was named;
    `backup` then holds the vaults of that region and no item.
    """

    machine: Machine
    now: datetime
    model: VmModel | Unseen = OUTSIDE_AZURE
    instance: InstanceView | Unseen = OUTSIDE_AZURE
    backup: Backup | Unseen = OUTSIDE_AZURE
    jobs: Jobs | Unseen = OUTSIDE_AZURE
    guest: Guest | Unseen = NOT_COLLECTED
    target: str = ""
