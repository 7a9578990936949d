"""The connections file: rules that say how machines are reached, the first that fits counting."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from auditor.inventory.addresses import NicAddresses
from auditor.inventory.fields import PLACEHOLDER, is_address
from auditor.inventory.host import Host
from auditor.inventory.scope import normal_location
from auditor.model import RUN_COMMAND, Machine

PRIVATE, PUBLIC, NAME = "private-ip", "public-ip", "name"


@dataclass(frozen=True, slots=True)
class Addresses:
    """What Azure says of where its VMs can be reached.

    `known` is by machine id; `gaps` says, by subscription, why addresses could not be read.
    """

    known: Mapping[str, NicAddresses] = field(default_factory=dict)
    gaps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One table of the file: which machines it is for, and how they are reached.

    `conditions` hold alternatives, written as they compare: names are patterns, the rest is whole; so do
    `tags`, by key in lower case. `address` is "private-ip", "public-ip", "name", or a host name in which
    {name} stands for the machine's.
    """

    where: str
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    address: str | None = None
    skip: bool = False

    def fits(self, machine: Machine) -> bool:
        """Whether the rule is for a machine."""
        shown = {
            "subscription": machine.subscription.lower(),
            "resource_group": machine.resource_group.lower(),
            "location": normal_location(machine.location),
            "platform": machine.platform.value,
            "id": machine.id,
        }
        names = self.conditions.get("name", ("*",))
        tags = {key.lower(): value for key, value in machine.tags.items()}
        return (
            any(fnmatch.fnmatchcase(machine.name.lower(), name) for name in names)
            and all(value in self.conditions.get(key, (value,)) for key, value in shown.items())
            and all(tags.get(key) in values for key, values in self.tags.items())
        )

    @property
    def asks_azure(self) -> bool:
        """Whether the rule's address is one that Azure has to name."""
        if self.skip or self.fields.get("transport") == RUN_COMMAND:
            return False
        return self.address in {None, PRIVATE, PUBLIC}

    def address_of(self, machine: Machine, addresses: Addresses) -> str:
        """The address of a machine; raises `LookupError` saying why there is none."""
        if self.asks_azure:
            return self._in_azure(machine, addresses)
        found = _filled(PLACEHOLDER if self.address in {None, NAME} else str(self.address), machine)
        if self.fields.get("transport") != RUN_COMMAND and not is_address(found):
            raise LookupError(f"{found!r} is no host name ({self.where})")
        return found

    def offers(self, machine: Machine) -> dict[str, Any]:
        """The fields of a connection that the rule gives to a machine, besides the address."""
        name = self.fields.get("server_name")
        return {**self.fields, **({"server_name": _filled(name, machine)} if name else {})}

    def _in_azure(self, machine: Machine, addresses: Addresses) -> str:
        kind = "public" if self.address == PUBLIC else "private"
        if not machine.in_azure:
            raise LookupError(f"only Azure VMs have a {kind} address that Azure knows ({self.where})")
        seen = addresses.known.get(machine.id, NicAddresses())
        found = seen.public if kind == "public" else seen.private
        if not found:
            gap = addresses.gaps.get(machine.subscription)
            raise LookupError(
                f"its addresses could not be read: {gap}"
                if gap
                else f"Azure shows no {kind} address of this VM ({self.where} wants it)"
            )
        return found[0]


class Connections:
    """The rules of a connections file."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple(rules)

    def rule_for(self, machine: Machine) -> Rule | None:
        """The first rule that is for a machine."""
        return next((rule for rule in self._rules if rule.fits(machine)), None)

    def asking_azure(self, machines: Iterable[Machine], hosts: Mapping[str, Host]) -> list[Machine]:
        """The machines whose addresses Azure has to name; `hosts` are those of files, by id."""
        return [
            machine
            for machine in machines
            if machine.in_azure
            and "address" not in _given(hosts.get(machine.id))
            and (rule := self.rule_for(machine)) is not None
            and rule.asks_azure
        ]

    def connect(self, machine: Machine, host: Host | None, addresses: Addresses) -> Machine:
        """The machine with its connection: what its file says comes before what its rule says."""
        rule = self.rule_for(machine)
        host = host or (Host(machine) if rule else None)
        if host is None:
            return machine
        if rule is None:
            return host.connected({}, machine)
        if rule.skip:
            return replace(machine, left_out=True)
        offered = rule.offers(machine)
        if "address" not in host.given and (rule.address or "address" not in host.unusable):
            try:
                offered["address"] = rule.address_of(machine, addresses)
            except LookupError as error:
                return replace(machine, unreachable=str(error))
        return host.connected(offered, machine)


def _given(host: Host | None) -> Mapping[str, Any]:
    return host.given if host else {}


def _filled(pattern: str, machine: Machine) -> str:
    return pattern.replace(PLACEHOLDER, machine.name)
