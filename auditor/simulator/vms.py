"""Virtual machines as Microsoft.Compute describes them: the model, the instance view, the extensions."""

from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from auditor.model import Platform
from auditor.simulator.scenarios import ExtensionSpec, Heartbeat, Power, Scenario
from auditor.simulator.wire import ago, vm_id

WINDOWS_VERSIONS = ("2.7.41491.1095", "2.7.41491.1172", "2.7.41491.1010")
LINUX_VERSIONS = ("2.11.1.12", "2.13.0.2", "2.9.1.1", "2.12.0.4", "2.2.53.1")
_POWER_DISPLAY = {
    Power.RUNNING: "VM running",
    Power.STOPPED: "VM stopped",
    Power.DEALLOCATED: "VM deallocated",
}


@dataclass(frozen=True, slots=True)
class Vm:
    """One virtual machine; `model`, `view` and `extensions` are wire documents, never changed in place.

    `listed_id` is how lists spell the id, which may differ in case from `id`.
    """

    id: str
    listed_id: str
    name: str
    subscription: str
    group: str
    location: str
    platform: Platform
    scenario: Scenario
    model: dict[str, Any]
    view: dict[str, Any]
    extensions: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """The id in lower case, by which ids compare."""
        return self.id.lower()

    @property
    def power(self) -> str:
        """The power state, as the segment after `PowerState/`."""
        return self.scenario.power.value


@dataclass(frozen=True, slots=True)
class Seed:
    """What is decided about a VM before it is made."""

    subscription: str
    group: str
    name: str
    location: str
    platform: Platform
    scenario: Scenario
    managed: bool
    image: "Image"
    disk: str


def make_vm(rng: Random, seed: Seed) -> Vm:
    """A virtual machine in the state that its scenario asks for."""
    identity = vm_id(seed.subscription, seed.group, seed.name)
    shouted = vm_id(seed.subscription, seed.group.upper(), seed.name)
    listed = shouted if rng.random() < 0.2 else identity
    return Vm(
        id=identity,
        listed_id=listed,
        name=seed.name,
        subscription=seed.subscription,
        group=seed.group,
        location=seed.location,
        platform=seed.platform,
        scenario=seed.scenario,
        model=_model(rng, seed, listed),
        view=_view(rng, seed),
        extensions=tuple(_extension(identity, seed.location, spec) for spec in seed.scenario.extensions),
    )


def _model(rng: Random, seed: Seed, identity: str) -> dict[str, Any]:
    nic = f"/subscriptions/{seed.subscription}/resourceGroups/{seed.group}/providers/Microsoft.Network"
    created = f"2024-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T07:20:09.3474392+00:00"
    return {
        "name": seed.name,
        "id": identity,
        "type": "Microsoft.Compute/virtualMachines",
        "location": seed.location,
        "tags": _tags(rng),
        "properties": {
            "hardwareProfile": {"vmSize": rng.choice(("Standard_D2s_v5", "Standard_DS1_v2"))},
            "provisioningState": seed.scenario.provisioning,
            "vmId": str(UUID(int=rng.getrandbits(128), version=4)),
            "storageProfile": _storage(seed),
            "osProfile": _os_profile(seed.name, seed.platform),
            "networkProfile": {"networkInterfaces": [{"id": f"{nic}/networkInterfaces/{seed.name}VMNic"}]},
            "timeCreated": created,
        },
        "etag": f'"{rng.randint(1, 40)}"',
    }


def extension_document(
    vm_identity: str, location: str, name: str, properties: dict[str, Any]
) -> dict[str, Any]:
    """The ARM resource of an extension."""
    return {
        "name": name,
        "id": f"{vm_identity}/extensions/{name}",
        "type": "Microsoft.Compute/virtualMachines/extensions",
        "location": location,
        "properties": properties,
    }


def power_status(power: str) -> dict[str, Any]:
    """The instance-view status that tells the power state; it carries no time."""
    return {"code": f"PowerState/{power}", "level": "Info", "displayStatus": _POWER_DISPLAY[Power(power)]}


def handler_entry(type_name: str, version: str, code: str, display: str) -> dict[str, Any]:
    """A handler of the agent's list; its level says Info also when it is not ready."""
    status = {"code": code, "level": "Info", "displayStatus": display, "message": "Plugin enabled"}
    return {"type": type_name, "typeHandlerVersion": version, "status": status}


def view_entry(name: str, type_name: str, version: str, status: dict[str, Any]) -> dict[str, Any]:
    """An extension of the instance view."""
    return {"name": name, "type": type_name, "typeHandlerVersion": version, "statuses": [status]}


def _tags(rng: Random) -> dict[str, str]:
    tags = {"environment": rng.choice(("prod", "dev", "test")), "owner": rng.choice(("ops", "data", "web"))}
    if rng.random() < 0.3:
        tags["Cost Center"] = str(rng.randint(1000, 9999))
    return tags if rng.random() < 0.9 else {}


@dataclass(frozen=True, slots=True)
class Image:
    """A marketplace image and how a guest made of it names itself."""

    publisher: str
    offer: str
    sku: str
    os_name: str
    os_version: str


_WINDOWS_IMAGES = (
    Image(
        "MicrosoftWindowsServer",
        "WindowsServer",
        "2019-datacenter",
        "Windows Server 2019 Datacenter",
        "10.0.17763.6293",
    ),
    Image(
        "MicrosoftWindowsServer",
        "WindowsServer",
        "2022-datacenter-g2",
        "Windows Server 2022 Datacenter",
        "10.0.20348.2700",
    ),
)
_LINUX_IMAGES = (
    Image("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "ubuntu", "22.04"),
    Image("Debian", "debian-12", "12-gen2", "debian", "12.7"),
    Image("RedHat", "RHEL", "9-lvm-gen2", "redhat", "9.4"),
)


def choose_image(rng: Random, platform: Platform) -> Image:
    """One of the images of a platform."""
    return rng.choice(_WINDOWS_IMAGES if platform is Platform.WINDOWS else _LINUX_IMAGES)


def _storage(seed: Seed) -> dict[str, Any]:
    windows = seed.platform is Platform.WINDOWS
    os_disk: dict[str, Any] = {
        "osType": "Windows" if windows else "Linux",
        "name": seed.disk,
        "createOption": "FromImage",
        "caching": "ReadWrite",
        "deleteOption": "Detach",
        "diskSizeGB": 127 if windows else 30,
    }
    if seed.managed:
        group = f"/subscriptions/{seed.subscription}/resourceGroups/{seed.group}"
        disk = f"{group}/providers/Microsoft.Compute/disks/{seed.disk}"
        os_disk["managedDisk"] = {"storageAccountType": "Premium_LRS", "id": disk}
    else:
        account = f"{seed.name.lower().replace('-', '')}disks"
        os_disk["vhd"] = {"uri": f"https://{account}.blob.core.windows.net/vhds/{seed.disk}.vhd"}
    image = seed.image
    reference = {"publisher": image.publisher, "offer": image.offer, "sku": image.sku}
    return {
        "imageReference": {**reference, "version": "latest", "exactVersion": "1.0.20241004"},
        "osDisk": os_disk,
        "dataDisks": [],
        "diskControllerType": "SCSI",
    }


def _os_profile(name: str, platform: Platform) -> dict[str, Any]:
    patching = {"patchMode": "ImageDefault", "assessmentMode": "ImageDefault"}
    profile: dict[str, Any] = {"computerName": name, "adminUsername": "azureuser"}
    if platform is Platform.WINDOWS:
        profile["windowsConfiguration"] = {
            "provisionVMAgent": True,
            "enableAutomaticUpdates": True,
            "patchSettings": {**patching, "patchMode": "AutomaticByOS"},
            "enableVMAgentPlatformUpdates": False,
        }
    else:
        profile["linuxConfiguration"] = {
            "disablePasswordAuthentication": True,
            "provisionVMAgent": True,
            "patchSettings": patching,
        }
    return {**profile, "secrets": [], "allowExtensionOperations": True, "requireGuestProvisionSignal": True}


def _view(rng: Random, seed: Seed) -> dict[str, Any]:
    scenario, image = seed.scenario, seed.image
    view: dict[str, Any] = {}
    if scenario.heartbeat in (Heartbeat.READY, Heartbeat.NOT_READY):
        view |= {"computerName": seed.name, "osName": image.os_name, "osVersion": image.os_version}
    agent = _agent(rng, seed.platform, scenario)
    if agent is not None:
        view["vmAgent"] = agent
    view["disks"] = [{"name": seed.disk, "statuses": [_succeeded("2024-10-04T07:19:34.7743922+00:00")]}]
    entries = [_seen(spec) for spec in scenario.extensions if spec.in_view and agent is not None]
    if entries:
        view["extensions"] = entries
    view["hyperVGeneration"] = rng.choice(("V1", "V2"))
    view["statuses"] = [_provisioned(scenario), power_status(scenario.power)]
    return view


def _agent(rng: Random, platform: Platform, scenario: Scenario) -> dict[str, Any] | None:
    if scenario.heartbeat is Heartbeat.ABSENT:
        return None
    time = ago(scenario.heartbeat_age + rng.randint(0, 25))
    if scenario.heartbeat is Heartbeat.SILENT:
        message = "VM status blob is found but not yet populated."
        return {"vmAgentVersion": "Unknown", "statuses": [_unavailable(message, time)]}
    versions = scenario.versions or (WINDOWS_VERSIONS if platform is Platform.WINDOWS else LINUX_VERSIONS)
    if scenario.heartbeat is Heartbeat.NOT_READY:
        status = _unavailable("The guest agent does not process the goal state.", time)
    else:
        status = {
            "code": "ProvisioningState/succeeded",
            "level": "Info",
            "displayStatus": "Ready",
            "message": "Guest Agent is running",
            "time": time,
        }
    handlers = [
        handler_entry(_type_of(spec), spec.version, spec.handler_code, spec.handler_display)
        for spec in scenario.extensions
        if spec.in_view
    ]
    return {"vmAgentVersion": rng.choice(versions), "statuses": [status], "extensionHandlers": handlers}


def _unavailable(message: str, time: str) -> dict[str, str]:
    return {
        "code": "ProvisioningState/Unavailable",
        "level": "Warning",
        "displayStatus": "Not Ready",
        "message": message,
        "time": time,
    }


def _succeeded(time: str) -> dict[str, str]:
    return {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": time,
    }


def _provisioned(scenario: Scenario) -> dict[str, str]:
    time = "2024-10-04T07:19:57.8682571+00:00"
    if scenario.provisioning == "Succeeded":
        return _succeeded(time)
    return {
        "code": "ProvisioningState/failed/VMExtensionProvisioningError",
        "level": "Error",
        "displayStatus": "Provisioning failed",
        "message": "An extension of the VM reported a failure.",
        "time": time,
    }


def _type_of(spec: ExtensionSpec) -> str:
    return f"{spec.publisher}.{spec.type}"


def _seen(spec: ExtensionSpec) -> dict[str, Any]:
    level = "Error" if "/failed" in spec.code else "Info"
    status = {"code": spec.code, "level": level, "displayStatus": spec.display, "message": spec.message}
    return view_entry(spec.type, _type_of(spec), spec.version, status)


def _extension(identity: str, location: str, spec: ExtensionSpec) -> dict[str, Any]:
    requested = ".".join(spec.version.split(".")[:2])
    return extension_document(
        identity,
        location,
        spec.type,
        {
            "autoUpgradeMinorVersion": True,
            "provisioningState": spec.provisioning,
            "enableAutomaticUpgrade": False,
            "publisher": spec.publisher,
            "type": spec.type,
            "typeHandlerVersion": requested,
        },
    )
