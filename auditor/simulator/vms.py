"""Virtual machines as Microsoft.Compute describes them: the model and the extensions."""

from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from auditor.model import Platform
from auditor.simulator.scenarios import ExtensionSpec, Scenario
from auditor.simulator.seeds import Seed
from auditor.simulator.views import make_view
from auditor.simulator.wire import vm_id


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
        view=make_view(rng, seed),
        extensions=tuple(_extension(identity, seed.location, spec) for spec in seed.extensions),
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


def _tags(rng: Random) -> dict[str, str]:
    tags = {"environment": rng.choice(("prod", "dev", "test")), "owner": rng.choice(("ops", "data", "web"))}
    if rng.random() < 0.3:
        tags["Cost Center"] = str(rng.randint(1000, 9999))
    return tags if rng.random() < 0.9 else {}


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
