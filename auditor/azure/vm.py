"""A VM as the list and the model have it: wire JSON to `Machine` and `VmModel`."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from auditor.azure import wire
from auditor.facts import VmModel
from auditor.inventory.scope import normal_location
from auditor.model import Machine, Platform

SOURCE = "azure"
_VM_TYPE = "microsoft.compute/virtualmachines"
_CLASSIC_TYPE = "microsoft.classiccompute/virtualmachines"
CLASSIC = "a classic VM, which Azure Resource Manager cannot describe; it is not audited"


class ClassicItem(wire.WireError):
    """A classic (pre-ARM) resource: it can be named, and nothing more."""

    def __init__(self, id: str) -> None:
        super().__init__(CLASSIC)
        self.id = id


def vm_id(value: Any, what: str = "the VM's id") -> str:
    """The id of a VM, lower-cased whole; raises `WireError`, or `ClassicItem` for a classic one."""
    found = wire.identifier(value, what)
    if is_classic(found):
        raise ClassicItem(found)
    if wire.parts(found)[2] != _VM_TYPE:
        raise wire.WireError(f"{what} is {found[:200]!r}, not a VM's")
    return found


def is_classic(identifier: str) -> bool:
    """Whether a lower-cased resource id is a classic VM's; raises `WireError` for no resource id."""
    return wire.parts(identifier)[2] == _CLASSIC_TYPE


def parse_vm(item: Any, observed_at: datetime) -> tuple[Machine, VmModel]:
    """A VM of a list or of a GET; raises `WireError` where it cannot be told which VM it is."""
    body = wire.mapping(item, "the VM")
    written = wire.required(body.get("id"), "the VM's id").strip().rstrip("/")
    identifier = vm_id(written)
    subscription, group, _, name = wire.parts(written)
    properties = wire.mapping(body.get("properties"), "properties")
    os_profile = wire.mapping(properties.get("osProfile"), "osProfile")
    os_disk = wire.mapping(
        wire.mapping(properties.get("storageProfile"), "storageProfile").get("osDisk"), "osDisk"
    )
    machine = Machine(
        id=identifier,
        name=wire.text(body.get("name")) or name,
        platform=_platform(os_disk, os_profile),
        source=SOURCE,
        location=normal_location(wire.text(body.get("location")) or ""),
        subscription=subscription.lower(),
        resource_group=group,
        tags=_tags(body.get("tags")),
    )
    model = _model(properties, os_profile, os_disk, observed_at)
    return machine, replace(
        model,
        availability_set=_reference(properties.get("availabilitySet")),
        scale_set=_reference(properties.get("virtualMachineScaleSet")),
        zone=next(iter(wire.texts(body.get("zones"), "zones")), None),
    )


def _model(
    properties: Mapping[str, Any],
    os_profile: Mapping[str, Any],
    os_disk: Mapping[str, Any],
    observed_at: datetime,
) -> VmModel:
    configuration = wire.mapping(
        os_profile.get("windowsConfiguration") or os_profile.get("linuxConfiguration"), "the OS configuration"
    )
    return VmModel(
        vm_id=wire.text(properties.get("vmId")),
        provisioning_state=wire.text(properties.get("provisioningState")),
        provision_vm_agent=wire.flag(configuration.get("provisionVMAgent")),
        allow_extension_operations=wire.flag(os_profile.get("allowExtensionOperations")),
        managed_disks=_managed(os_disk),
        created_at=wire.moment(properties.get("timeCreated")),
        observed_at=observed_at,
    )


def _reference(value: Any) -> str | None:
    """The id of another resource, lower-cased; None where there is none."""
    found = wire.text(wire.mapping(value, "a reference").get("id"))
    return found.strip().lower() if found else None


def _platform(os_disk: Mapping[str, Any], os_profile: Mapping[str, Any]) -> Platform:
    named = (wire.text(os_disk.get("osType")) or "").lower()
    if named in (Platform.WINDOWS, Platform.LINUX):
        return Platform(named)
    if os_profile.get("windowsConfiguration") is not None:
        return Platform.WINDOWS
    return Platform.LINUX if os_profile.get("linuxConfiguration") is not None else Platform.UNKNOWN


def _managed(os_disk: Mapping[str, Any]) -> bool | None:
    if os_disk.get("managedDisk") is not None:
        return True
    return False if os_disk.get("vhd") is not None else None


def _tags(value: Any) -> dict[str, str]:
    return {key: wire.text(content) or "" for key, content in wire.mapping(value, "tags").items()}
