"""Vaults, policies and protected items as Microsoft.RecoveryServices describes them."""

from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from auditor.simulator.health import HEALTH
from auditor.simulator.jobs import Job
from auditor.simulator.scenarios import DAY, HOUR, ItemSpec
from auditor.simulator.vms import Vm
from auditor.simulator.wire import SENTINEL, ago_z, vault_id, vm_id

COMPUTE = "Microsoft.Compute/virtualMachines"
CLASSIC = "Microsoft.ClassicCompute/virtualMachines"


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
    "hourlySchedule": {"interval": 4, "scheduleWindowStartTime": _TIME, "scheduleWindowDuration": 4},
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


def scheduled(policies: tuple[dict[str, Any], ...], time: str) -> tuple[dict[str, Any], ...]:
    """The policies with all their runs at this time of day."""
    moved: list[dict[str, Any]] = orjson.loads(orjson.dumps(policies).replace(_TIME.encode(), time.encode()))
    return tuple(moved)


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
