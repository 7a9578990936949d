"""The catalogue of seeded faults: what is wrong with a machine, and what an audit must say about it.

The expected statuses are data, written down with the fault; nothing here runs a check.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auditor.model import Platform, Status, Verdict

WINDOWS, LINUX = Platform.WINDOWS, Platform.LINUX
PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN

HOUR = 3600
DAY = 24 * HOUR


class Power(StrEnum):
    """The power states that occur, as the segment after `PowerState/`."""

    RUNNING = "running"
    STOPPED = "stopped"
    DEALLOCATED = "deallocated"


class Heartbeat(StrEnum):
    """What the instance view says of the agent."""

    READY = "ready"
    SILENT = "silent"
    NOT_READY = "not-ready"
    ABSENT = "absent"


class Where(StrEnum):
    """Which vault holds the item of a machine."""

    HOME = "home"
    SECOND = "second"
    ELSEWHERE = "elsewhere"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class ItemSpec:
    """One protected item as it will stand in a vault; `health_code` 0 sends no health details."""

    state: str = "Protected"
    status: str = "Healthy"
    health: str = "Passed"
    health_code: int = 400239
    last: str = "Completed"
    where: Where = Where.HOME
    policy: str = "DefaultPolicy"
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class ExtensionSpec:
    """One extension: how ARM, the handler and the extension itself report it."""

    publisher: str
    type: str
    version: str
    provisioning: str = "Succeeded"
    handler_code: str = "ProvisioningState/succeeded"
    handler_display: str = "Ready"
    code: str = "ProvisioningState/succeeded"
    display: str = "Provisioning succeeded"
    message: str = "Enable succeeded."
    in_view: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault, or none: the seeds of a machine and the verdict that they must lead to.

    `versions` are agent versions to choose from; `heartbeat_age` is in seconds.
    """

    name: str
    verdict: Verdict
    findings: Mapping[str, Status]
    platform: Platform | None = None
    power: Power = Power.RUNNING
    heartbeat: Heartbeat = Heartbeat.READY
    heartbeat_age: int = 20
    versions: tuple[str, ...] = ()
    extensions: tuple[ExtensionSpec, ...] = ()
    items: tuple[ItemSpec, ...] = (ItemSpec(),)
    provisioning: str = "Succeeded"
    job_error: int = 0
    job_running: bool = False
    region: str | None = None
    notes: str = field(default="")


READY_FINDINGS: Mapping[str, Status] = {
    "vm-agent-installed": PASS,
    "vm-agent-ready": PASS,
    "vm-agent-version": PASS,
    "extension-health": PASS,
    "vault-in-region": PASS,
    "backup-protection": PASS,
    "backup-health": PASS,
}

_SCRIPT = ExtensionSpec("Microsoft.Azure.Extensions", "CustomScript", "2.1.10")
_SNAPSHOT_FAILED = ExtensionSpec(
    "Microsoft.Azure.RecoveryServices",
    "VMSnapshot",
    "1.0.91.0",
    provisioning="Failed",
    code="ProvisioningState/failed/16",
    display="Provisioning failed",
    message="Snapshot failed: the VSS writers are in a bad state.",
)

HEALTHY = Scenario("healthy", Verdict.READY, READY_FINDINGS)
HEALTHY_SHARED = Scenario(
    "healthy-vault-in-other-subscription",
    Verdict.READY,
    READY_FINDINGS,
    items=(ItemSpec(where=Where.SHARED),),
)

FAULTS: tuple[Scenario, ...] = (
    Scenario(
        "agent-missing",
        Verdict.NOT_READY,
        {"vm-agent-installed": FAIL},
        heartbeat=Heartbeat.ABSENT,
    ),
    Scenario("agent-silent", Verdict.NOT_READY, {"vm-agent-ready": FAIL}, heartbeat=Heartbeat.SILENT),
    Scenario(
        "agent-not-ready",
        Verdict.NOT_READY,
        {"vm-agent-installed": PASS, "vm-agent-ready": FAIL},
        heartbeat=Heartbeat.NOT_READY,
    ),
    Scenario(
        "agent-stale",
        Verdict.NOT_READY,
        {"vm-agent-installed": PASS, "vm-agent-ready": FAIL},
        heartbeat_age=3 * HOUR,
    ),
    Scenario(
        "windows-agent-below-floor",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "vm-agent-version": FAIL},
        platform=WINDOWS,
        versions=("2.6.1198.717", "2.5.1198.709"),
    ),
    Scenario(
        "windows-agent-between-floors",
        Verdict.AT_RISK,
        {"vm-agent-version": WARN},
        platform=WINDOWS,
        versions=("2.7.41491.971", "2.7.1198.911", "2.6.1198.718"),
    ),
    Scenario(
        "linux-agent-ancient",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "vm-agent-version": FAIL},
        platform=LINUX,
        versions=("2.2.19", "2.1.5"),
    ),
    Scenario(
        "linux-agent-below-floor",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "vm-agent-version": FAIL},
        platform=LINUX,
        versions=("2.2.45", "2.2.53"),
    ),
    Scenario(
        "extension-failed",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "extension-health": FAIL},
        extensions=(
            ExtensionSpec(
                "Microsoft.Azure.Extensions",
                "CustomScript",
                "2.1.10",
                provisioning="Failed",
                code="ProvisioningState/failed/1",
                display="Provisioning failed",
                message="Enable failed: the script ended with exit code 1.",
            ),
        ),
    ),
    Scenario(
        "handler-not-ready",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "extension-health": FAIL},
        extensions=(
            ExtensionSpec(
                "Microsoft.Azure.Monitor",
                "AzureMonitorAgent",
                "1.33.1",
                handler_code="ProvisioningState/NotReady/21",
                handler_display="Not Ready",
            ),
        ),
    ),
    Scenario(
        "snapshot-extension-failed",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "extension-health": FAIL},
        platform=WINDOWS,
        extensions=(_SNAPSHOT_FAILED,),
    ),
    Scenario(
        "provisioning-failed",
        Verdict.NOT_READY,
        {"vm-agent-ready": PASS, "extension-health": FAIL},
        provisioning="Failed",
        extensions=(
            ExtensionSpec(
                "Microsoft.Azure.Security",
                "IaaSAntimalware",
                "1.5",
                provisioning="Failed",
                in_view=False,
            ),
        ),
    ),
    Scenario(
        "unprotected", Verdict.NOT_READY, {"vault-in-region": PASS, "backup-protection": FAIL}, items=()
    ),
    Scenario(
        "no-vault-in-region",
        Verdict.NOT_READY,
        {"vault-in-region": FAIL, "backup-protection": FAIL},
        items=(),
        region="germanywestcentral",
    ),
    Scenario(
        "vault-elsewhere",
        Verdict.NOT_READY,
        {"vault-in-region": FAIL},
        items=(ItemSpec(where=Where.ELSEWHERE),),
    ),
    Scenario(
        "protection-stopped",
        Verdict.NOT_READY,
        {"backup-protection": FAIL},
        items=(ItemSpec(state="ProtectionStopped", policy=""),),
    ),
    Scenario(
        "protection-error",
        Verdict.NOT_READY,
        {"backup-protection": FAIL},
        items=(
            ItemSpec(
                state="ProtectionError",
                status="Unhealthy",
                health="ActionRequired",
                health_code=400136,
                last="Failed",
            ),
        ),
        job_error=400136,
    ),
    Scenario(
        "soft-deleted",
        Verdict.NOT_READY,
        {"backup-protection": FAIL},
        items=(ItemSpec(state="ProtectionStopped", policy="", deleted=True),),
    ),
    Scenario(
        "first-backup-pending",
        Verdict.AT_RISK,
        {"vm-agent-ready": PASS, "backup-protection": WARN},
        items=(ItemSpec(state="IRPending", health_code=0, last=""),),
    ),
    Scenario(
        "protected-twice",
        Verdict.AT_RISK,
        {"backup-protection": WARN},
        items=(ItemSpec(), ItemSpec(where=Where.SECOND)),
    ),
    Scenario(
        "health-agent-version",
        Verdict.AT_RISK,
        {"backup-protection": PASS, "backup-health": WARN},
        items=(ItemSpec(health="ActionSuggested", health_code=380016),),
    ),
    Scenario(
        "health-agent-status",
        Verdict.AT_RISK,
        {"vm-agent-ready": PASS, "backup-health": WARN},
        items=(ItemSpec(status="Unhealthy", health="ActionSuggested", health_code=400196, last="Failed"),),
        job_error=400196,
    ),
    Scenario(
        "health-no-network",
        Verdict.AT_RISK,
        {"vm-agent-ready": PASS, "backup-health": FAIL},
        items=(ItemSpec(status="Unhealthy", health="ActionRequired", health_code=400206, last="Failed"),),
        job_error=400206,
    ),
    Scenario(
        "last-job-failed",
        Verdict.AT_RISK,
        {"vm-agent-ready": PASS, "backup-health": FAIL},
        items=(ItemSpec(status="Unhealthy", health="ActionRequired", health_code=400349, last="Failed"),),
        job_error=400349,
    ),
    Scenario(
        "deallocated",
        Verdict.UNKNOWN,
        {"vm-agent-installed": UNKNOWN, "vm-agent-ready": UNKNOWN, "backup-protection": PASS},
        power=Power.DEALLOCATED,
        heartbeat=Heartbeat.ABSENT,
    ),
    Scenario(
        "stopped-stale-ready",
        Verdict.UNKNOWN,
        {"vm-agent-ready": UNKNOWN, "backup-protection": PASS},
        power=Power.STOPPED,
        heartbeat_age=2 * DAY,
    ),
    Scenario(
        "agentless-policy",
        Verdict.READY,
        {"vm-agent-installed": SKIP, "vm-agent-ready": SKIP, "vm-agent-version": SKIP},
        heartbeat=Heartbeat.ABSENT,
        items=(ItemSpec(policy="CrashConsistentPolicy"),),
    ),
)

HEALTH: Mapping[int, tuple[str, str, tuple[str, ...]]] = {
    400239: ("IaasVmHealthGreenDefault", "The pre-check of this virtual machine found nothing.", ()),
    380016: (
        "UserErrorGuestAgentVersionUnsupported",
        "The agent is not the latest one.",
        ("Bring the agent to the latest version.",),
    ),
    400196: (
        "UserErrorGuestAgentStatusUnavailable",
        "The VM agent cannot talk to the backup service.",
        ("See that the agent is current and runs, and that 168.63.129.16 can be reached.\r\n  ",),
    ),
    400206: (
        "ExtensionSnapshotFailedNoNetwork",
        "The snapshot failed because the virtual machine has no network.",
        ("See that the virtual machine has network access, or set up a proxy.",),
    ),
    400136: (
        "UserErrorVmNotFoundV2",
        "The virtual machine does not exist.",
        ("See that the virtual machine exists or choose another.",),
    ),
    400349: (
        "UserErrorCrpReportedUserError",
        "The compute service reported an error for this virtual machine.",
        ("Repair the state of the virtual machine and try again.",),
    ),
}
