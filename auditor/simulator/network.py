"""Microsoft.Network: the interfaces of the machines and their public addresses, as far as lists show them."""

from typing import Any
from zlib import crc32

import orjson

from auditor.simulator.replies import Call, Reply, paged
from auditor.simulator.routes import Router
from auditor.simulator.state import VmState
from auditor.simulator.world import World

_SUB = "/subscriptions/{sub}/providers/Microsoft.Network"


class Network:
    """Handlers of the network service; every fourth machine has a public address."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, router: Router) -> None:
        """Bind the paths."""
        for kind, handle in (
            ("networkInterfaces", self.interfaces),
            ("publicIPAddresses", self.publics),
        ):
            action = f"Microsoft.Network/{kind}/read"
            router.add("GET", f"{_SUB}/{kind}", handle, kind="network.list", action=action)

    def interfaces(self, call: Call) -> Reply:
        """The network interfaces of a subscription."""
        return paged(call, [orjson.dumps(self._interface(state)) for state in self._world.vms_of(call)])

    def publics(self, call: Call) -> Reply:
        """The public addresses of a subscription."""
        states = [state for state in self._world.vms_of(call) if _number(state) % 4 == 0]
        return paged(call, [orjson.dumps(_public(state)) for state in states])

    def _interface(self, state: VmState) -> dict[str, Any]:
        vm = state.vm
        settings: dict[str, Any] = {
            "primary": True,
            "privateIPAddress": self._world.options.addresses.get(vm.key, _private(state)),
            "privateIPAllocationMethod": "Dynamic",
            "subnet": {"id": f"{_group(state)}/virtualNetworks/vnet-{vm.location}/subnets/{_subnet(state)}"},
        }
        if _number(state) % 4 == 0:
            settings["publicIPAddress"] = {"id": _public_id(state)}
        return {
            "name": f"{vm.name}VMNic",
            "id": f"{_group(state)}/networkInterfaces/{vm.name}VMNic",
            "type": "Microsoft.Network/networkInterfaces",
            "location": vm.location,
            "properties": {
                "primary": True,
                "virtualMachine": {"id": vm.listed_id},
                "ipConfigurations": [{"name": "ipconfig1", "properties": settings}],
            },
        }


def _public(state: VmState) -> dict[str, Any]:
    number = _number(state)
    return {
        "name": f"{state.vm.name}PublicIP",
        "id": _public_id(state),
        "type": "Microsoft.Network/publicIPAddresses",
        "location": state.vm.location,
        # 203.0.113.0/24 is for documentation: nothing answers there
        "properties": {"ipAddress": f"203.0.113.{number % 250 + 1}"},
    }


def _public_id(state: VmState) -> str:
    return f"{_group(state)}/publicIPAddresses/{state.vm.name}PublicIP"


def _group(state: VmState) -> str:
    vm = state.vm
    return f"/subscriptions/{vm.subscription}/resourceGroups/{vm.group}/providers/Microsoft.Network"


def _subnet(state: VmState) -> str:
    return ("front", "back")[_number(state) % 2]


def _private(state: VmState) -> str:
    number = _number(state)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number % 250 + 4}"


def _number(state: VmState) -> int:
    return crc32(state.vm.key.encode())
