"""What is decided about a machine before it is made: its place, its image, its scenario."""

from dataclasses import dataclass
from random import Random

from auditor.model import Platform
from auditor.simulator.scenarios import ExtensionSpec, Scenario


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
    image: Image
    disk: str

    @property
    def extensions(self) -> tuple[ExtensionSpec, ...]:
        """Those of the scenario; Azure shows the backup extension for unmanaged disks after a backup."""
        backed_up = any(item.last == "Completed" for item in self.scenario.items)
        if self.managed or not backed_up or self.scenario.extensions:
            return self.scenario.extensions
        kind = "VMSnapshot" if self.platform is Platform.WINDOWS else "VMSnapshotLinux"
        return (ExtensionSpec("Microsoft.Azure.RecoveryServices", kind, "1.0.9220.0"),)
