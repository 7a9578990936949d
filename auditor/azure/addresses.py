"""Where the VMs can be reached: the addresses of their network interfaces."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.client import Arm
from auditor.azure.listing import read_list
from auditor.inventory.addresses import NicAddresses
from auditor.model import Limit, Machine, Plane


@dataclass(frozen=True, slots=True)
class _Interface:
    vm: str
    primary: bool
    private: tuple[str, ...]
    public_ids: tuple[str, ...]
    subnets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Public:
    id: str
    address: str | None
    name: str | None


async def read_addresses(
    arm: Arm, machines: Iterable[Machine]
) -> tuple[Mapping[str, NicAddresses], tuple[Limit, ...]]:
    """The addresses of VMs by machine id, primary first, and what could not be read."""
    subscriptions = sorted({machine.subscription for machine in machines if machine.in_azure})
    parts = await asyncio.gather(*(_of_subscription(arm, subscription) for subscription in subscriptions))
    found: dict[str, NicAddresses] = {}
    limits: list[Limit] = []
    for addresses, gaps in parts:
        found.update(addresses)
        limits += gaps
    return found, tuple(limits)


async def _of_subscription(arm: Arm, subscription: str) -> tuple[dict[str, NicAddresses], list[Limit]]:
    nics, publics = await asyncio.gather(
        read_list(arm, traffic.network_interfaces(subscription), _interface, _attached),
        read_list(arm, traffic.public_addresses(subscription), _public),
    )
    limits = [
        Limit(f"/subscriptions/{subscription}", Plane.GUEST, f"{what}: {problem}")
        for what, listing in (("network interfaces", nics), ("public addresses", publics))
        for problem in listing.problems
    ]
    return _joined(nics.entries, {public.id: public for public in publics.entries}), limits


def _joined(nics: Sequence[_Interface], publics: Mapping[str, _Public]) -> dict[str, NicAddresses]:
    by_vm: dict[str, list[_Interface]] = defaultdict(list)
    for nic in sorted(nics, key=lambda nic: not nic.primary):
        by_vm[nic.vm].append(nic)
    return {vm: _addresses(entries, publics) for vm, entries in by_vm.items()}


def _addresses(nics: Sequence[_Interface], publics: Mapping[str, _Public]) -> NicAddresses:
    seen = [publics[key] for nic in nics for key in nic.public_ids if key in publics]
    return NicAddresses(
        private=tuple(address for nic in nics for address in nic.private),
        public=tuple(public.address for public in seen if public.address),
        fqdn=next((public.name for public in seen if public.name), None),
        subnets=tuple(dict.fromkeys(subnet for nic in nics for subnet in nic.subnets)),
    )


def _attached(entry: Any) -> bool:
    properties = entry.get("properties") if isinstance(entry, dict) else None
    return isinstance(properties, dict) and isinstance(properties.get("virtualMachine"), dict)


def _interface(entry: Any) -> _Interface:
    properties = wire.mapping(wire.mapping(entry, "the interface").get("properties"), "properties")
    vm = wire.mapping(properties.get("virtualMachine"), "virtualMachine")
    settings = [
        wire.mapping(wire.mapping(item, "a configuration").get("properties"), "properties")
        for item in wire.sequence(properties.get("ipConfigurations"), "ipConfigurations")
    ]
    settings.sort(key=lambda item: item.get("primary") is not True)
    subnets = [wire.mapping(item.get("subnet"), "subnet") for item in settings]
    publics = [wire.mapping(item.get("publicIPAddress"), "publicIPAddress") for item in settings]
    return _Interface(
        vm=wire.identifier(vm.get("id"), "the interface's VM"),
        primary=properties.get("primary") is True,
        private=tuple(found for item in settings if (found := wire.text(item.get("privateIPAddress")))),
        public_ids=tuple((wire.text(item.get("id")) or "").lower() for item in publics if item),
        subnets=tuple(found.lower() for item in subnets if (found := wire.text(item.get("id")))),
    )


def _public(entry: Any) -> _Public:
    body = wire.mapping(entry, "the public address")
    properties = wire.mapping(body.get("properties"), "properties")
    names = wire.mapping(properties.get("dnsSettings"), "dnsSettings")
    return _Public(
        id=wire.identifier(body.get("id"), "the public address's id"),
        address=wire.text(properties.get("ipAddress")),
        name=wire.text(names.get("fqdn")),
    )
