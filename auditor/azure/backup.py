"""Recovery Services as Azure writes it: wire JSON to `Vault`, `Policy` and `ProtectedItem`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.azure import wire
from auditor.azure.vm import ClassicItem, vm_id
from auditor.facts import HealthDetail, Policy, ProtectedItem, Vault
from auditor.inventory.scope import normal_location

_CONTAINER_PREFIX = "iaasvmcontainer;"


@dataclass(frozen=True, slots=True)
class ItemInVault:
    """A protected item with the name of its container, by which jobs refer to it."""

    item: ProtectedItem
    container: str


def of_azure_vms(entry: Any) -> bool:
    """Whether an item, policy or job is one of Azure VMs; one that does not say counts as such."""
    properties = entry.get("properties") if isinstance(entry, dict) else None
    kind = properties.get("backupManagementType") if isinstance(properties, dict) else None
    return not isinstance(kind, str) or kind.lower() == "azureiaasvm"


def parse_vault(entry: Any) -> Vault:
    """A vault of the list; raises `WireError` where it has no id."""
    body = wire.mapping(entry, "the vault")
    written = wire.required(body.get("id"), "the vault's id").strip().rstrip("/")
    subscription, _, _, name = wire.parts(written)
    properties = wire.mapping(body.get("properties"), "properties")
    redundancy = wire.mapping(properties.get("redundancySettings"), "redundancySettings")
    security = wire.mapping(properties.get("securitySettings"), "securitySettings")
    soft_delete = wire.mapping(security.get("softDeleteSettings"), "softDeleteSettings")
    return Vault(
        id=written.lower(),
        name=wire.text(body.get("name")) or name,
        location=normal_location(wire.text(body.get("location")) or ""),
        subscription=subscription.lower(),
        redundancy=wire.text(redundancy.get("standardTierStorageRedundancy")),
        soft_delete=wire.text(soft_delete.get("softDeleteState")),
    )


def parse_policy(entry: Any) -> Policy:
    """A backup policy of the list; one without a version is of the first kind (V1)."""
    body = wire.mapping(entry, "the policy")
    properties = wire.mapping(body.get("properties"), "properties")
    consistency = wire.text(properties.get("snapshotConsistencyType")) or ""
    return Policy(
        id=wire.identifier(body.get("id"), "the policy's id"),
        name=wire.required(body.get("name"), "the policy's name"),
        type=wire.text(properties.get("policyType")) or "V1",
        crash_consistent_only=consistency.lower() == "onlycrashconsistent",
        schedule=_schedule(properties),
    )


def parse_item(entry: Any, vault: Vault, policies: Mapping[str, Policy]) -> ItemInVault:
    """A protected VM of a vault's list, a classic one too; raises `WireError` where it is neither."""
    body = wire.mapping(entry, "the protected item")
    properties = wire.mapping(body.get("properties"), "properties")
    identifier = wire.identifier(body.get("id"), "the protected item's id")
    item = ProtectedItem(
        id=identifier,
        vault=vault,
        vm_id=_vm_of(properties),
        protection_state=wire.text(properties.get("protectionState")) or "Invalid",
        protection_status=wire.text(properties.get("protectionStatus")),
        health_status=wire.text(properties.get("healthStatus")),
        health=tuple(_health(properties)),
        last_backup_status=wire.text(properties.get("lastBackupStatus")),
        last_backup_at=wire.moment(properties.get("lastBackupTime")),
        last_recovery_point=wire.moment(properties.get("lastRecoveryPoint")),
        policy=_policy_of(properties, policies),
        deferred_delete=_deleted(properties),
    )
    return ItemInVault(item, container_of(properties.get("containerName"), identifier))


def container_of(name: Any, item_id: str = "") -> str:
    """The name of a container as items and jobs share it: lower-cased, without its leading type."""
    found = wire.text(name)
    if found is None:
        found = item_id.partition("/protectioncontainers/")[2].partition("/")[0]
    found = found.lower()
    # the path writes the type in front, and a classic container's own name begins with the same word
    return found.removeprefix(_CONTAINER_PREFIX) if found.count(";") > 2 else found


def _vm_of(properties: Mapping[str, Any]) -> str:
    written = properties.get("virtualMachineId") or properties.get("sourceResourceId")
    try:
        return vm_id(written, "the item's VM")
    except ClassicItem as classic:
        return classic.id


def _policy_of(properties: Mapping[str, Any], policies: Mapping[str, Policy]) -> Policy | None:
    written = wire.text(properties.get("policyId"))
    if written is None:
        return None
    identifier = written.strip().lower()
    name = wire.text(properties.get("policyName")) or written.rpartition("/")[2]
    return policies.get(identifier) or Policy(identifier, name)


def _deleted(properties: Mapping[str, Any]) -> bool:
    if wire.flag(properties.get("isScheduledForDeferredDelete")):
        return True
    return wire.moment(properties.get("deferredDeleteTimeInUTC")) is not None


def _health(properties: Mapping[str, Any]) -> Iterator[HealthDetail]:
    """Azure's health details, and what its indicators add: success (code 0) adds nothing."""
    for entry in wire.sequence(properties.get("healthDetails"), "healthDetails"):
        yield _health_detail(entry)
    indicators = wire.mapping(properties.get("kpisHealths"), "kpisHealths")
    for indicator in indicators.values():
        details = wire.mapping(indicator, "a health indicator").get("resourceHealthDetails")
        for entry in wire.sequence(details, "resourceHealthDetails"):
            detail = _health_detail(entry)
            if detail.code:
                yield detail


def _health_detail(entry: Any) -> HealthDetail:
    detail = wire.mapping(entry, "a health detail")
    return HealthDetail(
        code=wire.number(detail.get("code")),
        title=wire.text(detail.get("title")) or "",
        message=wire.text(detail.get("message")) or "",
        recommendations=wire.texts(detail.get("recommendations"), "recommendations"),
    )


def _schedule(properties: Mapping[str, Any]) -> str | None:
    plan = wire.mapping(properties.get("schedulePolicy"), "schedulePolicy")
    frequency = wire.text(plan.get("scheduleRunFrequency"))
    if frequency is None:
        return None
    hourly = wire.mapping(plan.get("hourlySchedule"), "hourlySchedule")
    if interval := wire.number(hourly.get("interval")):
        return f"{frequency}, every {interval} h"
    daily = wire.mapping(plan.get("dailySchedule") or plan.get("weeklySchedule"), "the schedule")
    when = wire.texts(plan.get("scheduleRunTimes") or daily.get("scheduleRunTimes"), "scheduleRunTimes")
    days = wire.texts(plan.get("scheduleRunDays") or daily.get("scheduleRunDays"), "scheduleRunDays")
    times = [at.strftime("%H:%M") for at in map(wire.moment, when) if at]
    zone = wire.text(properties.get("timeZone")) or "UTC"
    return " ".join((frequency, *days, *times, zone) if times else (frequency, *days))
