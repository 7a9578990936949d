"""Vaults, policies, protected items and jobs as Microsoft.RecoveryServices describes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from auditor.simulator.scenarios import DAY, HEALTH, HOUR, ItemSpec
from auditor.simulator.vms import Vm
from auditor.simulator.wire import NEVER, SENTINEL, ago_z, duration, instant, vault_id, vm_id

COMPUTE = "Microsoft.Compute/virtualMachines"
CLASSIC = "Microsoft.ClassicCompute/virtualMachines"


@dataclass(frozen=True, slots=True)
class Job:
    """A backup job; `age` is in seconds before now, unless `started` (seconds since the epoch) is given.

    `takes` is how long it runs, None for one that is still running.
    """

    id: str
    container: str
    friendly_name: str
    operation: str
    status: str
    age: float
    takes: float | None
    error: int = 0
    started: float | None = None
    policy: str = "DefaultPolicy"

    def start(self, now: float) -> float:
        """When it started, in seconds since the epoch."""
        return now - self.age if self.started is None else self.started

    def status_at(self, now: float) -> str:
        """The status at `now`: a job that was started here completes when its time is over."""
        running = self.started is not None and now < self.started + (self.takes or 0)
        return "InProgress" if running else self.status


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault with what it holds; the documents are never changed in place."""

    id: str
    name: str
    subscription: str
    group: str
    location: str
    document: dict[str, Any]
    policies: tuple[dict[str, Any], ...]
    items: tuple[dict[str, Any], ...] = ()
    jobs: tuple[Job, ...] = ()
    redundancy: str = "GeoRedundant"

    @property
    def key(self) -> str:
        """The id in lower case."""
        return self.id.lower()


def make_vault(rng: Random, *, subscription: str, group: str, name: str, location: str) -> Vault:
    """An empty vault."""
    identity = vault_id(subscription, group, name)
    redundancy = rng.choice(("GeoRedundant", "LocallyRedundant", "ZoneRedundant"))
    document = {
        "location": location,
        "name": name,
        "etag": f"W/\"datetime'2024-04-28T06%3A35%3A0{rng.randint(0, 9)}.4268655Z'\"",
        "tags": {},
        "properties": {
            "provisioningState": "Succeeded",
            "privateEndpointStateForBackup": "None",
            "privateEndpointStateForSiteRecovery": "None",
            "redundancySettings": {
                "standardTierStorageRedundancy": redundancy,
                "crossRegionRestore": "Disabled",
            },
            "securitySettings": {
                "immutabilitySettings": None,
                "softDeleteSettings": {
                    "softDeleteRetentionPeriodInDays": 14,
                    "softDeleteState": rng.choice(("Enabled", "AlwaysON", "Disabled")),
                },
            },
            "backupStorageVersion": "V2",
            "secureScore": "None",
            "bcdrSecurityLevel": "Poor",
            "publicNetworkAccess": "Enabled",
        },
        "id": identity,
        "type": "Microsoft.RecoveryServices/vaults",
        "sku": {"name": "Standard"},
    }
    policies = tuple(
        {
            "id": f"{identity}/backupPolicies/{policy}",
            "name": policy,
            "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
            "properties": properties,
        }
        for policy, properties in _POLICIES.items()
    )
    return Vault(identity, name, subscription, group, location, document, policies, redundancy=redundancy)


_TIME = "2024-04-28T16:30:00Z"
_RETENTION = {
    "retentionPolicyType": "LongTermRetentionPolicy",
    "dailySchedule": {
        "retentionTimes": [_TIME],
        "retentionDuration": {"count": 30, "durationType": "Days"},
    },
}
_DAILY = {
    "schedulePolicyType": "SimpleSchedulePolicy",
    "scheduleRunFrequency": "Daily",
    "scheduleRunTimes": [_TIME],
    "scheduleWeeklyFrequency": 0,
}
_HOURLY = {
    "schedulePolicyType": "SimpleSchedulePolicyV2",
    "scheduleRunFrequency": "Hourly",
    "hourlySchedule": {"interval": 4, "scheduleWindowStartTime": _TIME, "scheduleWindowDuration": 12},
}
_VM_POLICY: dict[str, Any] = {
    "backupManagementType": "AzureIaasVM",
    "instantRPDetails": {},
    "schedulePolicy": _DAILY,
    "retentionPolicy": _RETENTION,
    "instantRpRetentionRangeInDays": 2,
    "timeZone": "UTC",
    "protectedItemsCount": 0,
}
_POLICIES: dict[str, dict[str, Any]] = {
    "HourlyLogBackup": {
        "backupManagementType": "AzureWorkload",
        "workLoadType": "SQLDataBase",
        "settings": {"timeZone": "UTC", "issqlcompression": False, "isCompression": False},
        "subProtectionPolicy": [
            {"policyType": "Full", "schedulePolicy": _DAILY, "retentionPolicy": _RETENTION},
        ],
        "protectedItemsCount": 0,
    },
    "DefaultPolicy": _VM_POLICY,
    "EnhancedPolicy": {**_VM_POLICY, "policyType": "V2", "schedulePolicy": _HOURLY},
    "CrashConsistentPolicy": {
        **_VM_POLICY,
        "policyType": "V2",
        "schedulePolicy": _HOURLY,
        "snapshotConsistencyType": "OnlyCrashConsistent",
    },
}


@dataclass(frozen=True, slots=True)
class Source:
    """What an item protects; `container` is the container's name without its leading type."""

    id: str
    container: str
    name: str
    kind: str = COMPUTE


def container_of(group: str, name: str, kind: str = "iaasvmcontainerv2") -> str:
    """The name of a VM's container without its leading type."""
    return f"{kind};{group};{name}"


def make_item(rng: Random, vault: Vault, vm: Vm, spec: ItemSpec) -> dict[str, Any]:
    """The protected item of a VM in a vault, with the casing that the service mixes."""
    group = vm.group if rng.random() < 0.2 else vm.group.lower()
    source = vm.id if rng.random() < 0.8 else vm_id(vm.subscription, vm.group.upper(), vm.name)
    return item_document(rng, vault, Source(source, container_of(group, vm.name.lower()), vm.name), spec)


def item_document(rng: Random, vault: Vault, source: Source, spec: ItemSpec) -> dict[str, Any]:
    """A protected item; ids start with `/Subscriptions` as the service mostly sends them."""
    base = vault.id if rng.random() < 0.1 else vault.id.replace("/subscriptions/", "/Subscriptions/", 1)
    policy = f"{base}/backupPolicies/{spec.policy}" if spec.policy else ""
    first_pending = spec.last == ""
    age = rng.randint(2 * HOUR, 20 * HOUR)
    properties: dict[str, Any] = {
        "friendlyName": source.name,
        "virtualMachineId": source.id,
        "protectionStatus": spec.status,
        "protectionState": spec.state,
        "healthStatus": spec.health,
        **_health(spec),
        "lastBackupStatus": spec.last,
        "lastBackupTime": SENTINEL if first_pending else ago_z(age),
        "protectedItemDataId": str(rng.getrandbits(48)),
        "sourceSideScanning": 0,
        "protectedItemType": source.kind,
        "backupManagementType": "AzureIaasVM",
        "workloadType": "VM",
        "containerName": source.container,
        "sourceResourceId": source.id,
        "policyId": policy,
        "policyName": spec.policy,
        "vaultId": f"https://management.azure.com{vault.id}",
        "isArchiveEnabled": False,
        "softDeleteRetentionPeriod": 0,
    }
    if not first_pending:
        properties["lastRecoveryPoint"] = ago_z(age + (3 * DAY if spec.last == "Failed" else -60))
    if spec.deleted:
        properties |= {"isScheduledForDeferredDelete": True, "deferredDeleteTimeInUTC": ago_z(2 * DAY)}
    path = f"{base}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{source.container}"
    return {
        "id": f"{path}/protectedItems/VM;{source.container}",
        "name": f"VM;{source.container}",
        "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
        "properties": properties,
    }


def _health(spec: ItemSpec) -> dict[str, Any]:
    if not spec.health_code:
        return {}
    title, message, recommendations = HEALTH[spec.health_code]
    detail = {
        "code": spec.health_code,
        "title": title,
        "message": message,
        "recommendations": list(recommendations),
    }
    good = {"code": 0, "title": "Success", "message": "", "recommendations": []}
    healthy = spec.health == "Passed"
    return {
        "healthDetails": [detail],
        "kpisHealths": {
            "BackupOperationStatusKPI": {
                "resourceHealthStatus": "Healthy" if healthy else "PersistentDegraded",
                "resourceHealthDetails": [good if healthy else detail],
            }
        },
    }


def other_workload_item(rng: Random, vault: Vault) -> dict[str, Any]:
    """A database in the vault: an item of another workload type."""
    container = "VMAppContainer;compute;rg-data;sql-01"
    name = "SQLDataBase;mssqlserver;ledger"
    return {
        "id": f"{vault.id}/backupFabrics/Azure/protectionContainers/{container}/protectedItems/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
        "properties": {
            "friendlyName": "ledger",
            "serverName": "sql-01",
            "parentName": "MSSQLSERVER",
            "protectionStatus": "Healthy",
            "protectionState": "Protected",
            "lastBackupStatus": "Healthy",
            "lastBackupTime": ago_z(rng.randint(HOUR, 4 * HOUR)),
            "protectedItemType": "AzureVmWorkloadSQLDatabase",
            "backupManagementType": "AzureWorkload",
            "workloadType": "SQLDataBase",
            "containerName": container,
            "policyName": "HourlyLogBackup",
        },
    }


def make_jobs(rng: Random, item: dict[str, Any], error: int, running: bool) -> tuple[Job, ...]:
    """The jobs of one item: the one that enabled it, or its last backup, and perhaps one in flight."""
    properties = item["properties"]

    def job(operation: str, status: str, age: float, takes: float | None, code: int = 0) -> Job:
        return Job(
            id=str(UUID(int=rng.getrandbits(128), version=4)),
            container=properties["containerName"],
            friendly_name=properties["friendlyName"],
            operation=operation,
            status=status,
            age=age,
            takes=takes,
            error=code,
        )

    if properties["lastBackupStatus"] == "":
        return (job("ConfigureBackup", "Completed", rng.randint(600, HOUR), 31.01),)
    status = properties["lastBackupStatus"]
    last = job("Backup", status, rng.randint(3 * HOUR, 21 * HOUR), rng.randint(900, 2 * HOUR), error)
    return (job("Backup", "InProgress", rng.randint(60, 900), None), last) if running else (last,)


def job_document(vault_identity: str, job: Job, now: float, detail: bool) -> dict[str, Any]:
    """A job as the list sends it, or with its tasks when `detail` is asked for."""
    start = job.start(now)
    status = job.status_at(now)
    running = status == "InProgress"
    takes = now - start if running else job.takes or 0.0
    properties: dict[str, Any] = {"jobType": "AzureIaaSVMJob"}
    if job.operation == "Backup":
        properties["actionsInfo"] = ["Cancellable"]
    properties |= {
        "containerName": job.container,
        "duration": duration(takes),
        "virtualMachineVersion": "Compute",
        "entityFriendlyName": job.friendly_name,
        "backupManagementType": "AzureIaasVM",
        "operation": job.operation,
        "status": status,
        "startTime": instant(start),
        "activityId": job.id[::-1],
    }
    if not running:
        properties["endTime"] = instant(start + takes)
    if job.error:
        properties["errorDetails"] = [_error(job.error)]
    if detail:
        properties["extendedInfo"] = _tasks(job, start, takes, status)
    return {
        "id": f"{vault_identity}/backupJobs/{job.id}",
        "name": job.id,
        "type": "Microsoft.RecoveryServices/vaults/backupJobs",
        "properties": properties,
    }


def _error(code: int) -> dict[str, Any]:
    title, message, recommendations = HEALTH[code]
    return {
        "errorCode": code,
        "errorTitle": title,
        "errorString": message,
        "recommendations": list(recommendations),
    }


def _tasks(job: Job, start: float, takes: float, status: str) -> dict[str, Any]:
    bag = {"VM Name": job.friendly_name, "Policy Name": job.policy}
    if job.operation != "Backup":
        return {"tasksList": [], "propertyBag": bag}
    running = status == "InProgress"
    names: Sequence[str] = ("Take Snapshot", "Transfer data to vault")
    half = takes / 2
    tasks = [
        {
            "taskId": name,
            "startTime": instant(start + index * half),
            "endTime": NEVER if running else instant(start + (index + 1) * half),
            "duration": duration(half),
            "status": status,
            "taskType": "Normal",
        }
        for index, name in enumerate(names)
    ]
    return {"tasksList": tasks, "propertyBag": bag, "internalPropertyBag": {"IsInstantRpJob": "True"}}
