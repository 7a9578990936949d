"""The lab's network: namespaces only, no interface on the machine that carries it, no way out."""

from dataclasses import dataclass
from pathlib import Path

from tests.lab.system import run

OPERATOR = "192.0.2.1"
WIRE = "168.63.129.16"
IMDS = "169.254.169.254"
NOBODY = "192.0.254.250"
LEASE = "valid_lft 86400 preferred_lft 86400"
NAMESPACES = Path("/run/netns")


def address(number: int) -> str:
    """A guest's address."""
    return f"192.0.{2 + (number >> 8)}.{number & 255}"


@dataclass(frozen=True, slots=True)
class Network:
    """A namespace where the operator and all services sit, and one for each guest; `name` starts them all."""

    name: str

    @property
    def operator(self) -> Path:
        """The namespace from which the auditor looks at the guests."""
        return NAMESPACES / self.name

    def guest(self, number: int) -> Path:
        """A guest's namespace."""
        return NAMESPACES / f"{self.name}-{number}"

    def create(self) -> None:
        """The operator's namespace, with Azure's own addresses on its loopback."""
        run("ip", "netns", "add", self.name)
        self._inside(
            self.name,
            "link set lo up",
            # without an address of its own a bridge takes one of its ports', another one as guests come
            "link add lab address 02:00:00:01:00:00 type bridge",
            f"addr add {OPERATOR}/16 dev lab",
            "link set lab up",
            f"addr add {WIRE}/32 dev lo",
            f"addr add {IMDS}/32 dev lo",
        )

    def attach(self, number: int) -> None:
        """A namespace for one guest, configured as a DHCP client would have left it."""
        name = self.guest(number).name
        run("ip", "netns", "add", name)
        # the same address always with the same MAC: nobody's neighbour table is ever wrong
        mac = f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        self._inside(
            self.name,
            f"link add g{number} type veth peer name eth0 address {mac} netns {name}",
            f"link set g{number} master lab up",
        )
        self._inside(
            name,
            "link set lo up",
            f"addr add {address(number)}/16 dev eth0 {LEASE}",
            "link set eth0 up",
            f"route add default via {OPERATOR}",
            f"route add {WIRE} via {OPERATOR}",
        )

    def remove(self) -> None:
        """Every namespace of this network, whether or not it came to be."""
        if not NAMESPACES.is_dir():
            return
        for path in NAMESPACES.iterdir():
            if path.name == self.name or path.name.startswith(f"{self.name}-"):
                run("ip", "netns", "delete", path.name)

    @staticmethod
    def _inside(name: str, *commands: str) -> None:
        run("ip", "-n", name, "-batch", "-", text="".join(f"{command}\n" for command in commands))
