"""The catalogue of seeded faults: what is wrong with a machine, and what an audit must say about it.

The expected statuses are data, written down with the fault; nothing here runs a check.
"""

from collections.abc import Mapping

from auditor.model import Platform, Status, Verdict
from auditor.simulator.scenarios import DAY, HOUR, ExtensionSpec, Heartbeat, ItemSpec, Power, Scenario, Where

WINDOWS, LINUX = Platform.WINDOWS, Platform.LINUX
PASS, WARN, FAIL, SKIP, UNKNOWN = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.UNKNOWN

READY_FINDINGS: Mapping[str, Status] = {
    "vm-agent-installed": PASS,
    "vm-agent-ready": PASS,
    "vm-agent-version": PASS,
    "extension-health": PASS,
    "vault-in-region": PASS,
    "backup-protection": PASS,
    "backup-health": PASS,
}

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
        Verdict.AT_RISK,
        {"vm-agent-version": WARN},
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
