"""A machine that a file lists, with what the file says of the way to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from auditor.inventory.fields import STRANGE, conflict, is_address, no_address
from auditor.model import RUN_COMMAND, SSH, WINRM, Connection, Machine, Platform

_OF_THE_USER = frozenset({"key", "password", "passphrase", "sudo_password", "certificate"})


@dataclass(frozen=True, slots=True)
class Host:
    """One host of an inventory.

    `machine` has no connection yet; `given` holds the connection's fields that the file gives, `unusable` why
    a field cannot be what the file says.
    """

    machine: Machine
    given: Mapping[str, Any] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)

    def connected(self, offered: Mapping[str, Any] | None = None, machine: Machine | None = None) -> Machine:
        """The machine with its connection: what the file gives, then what is offered.

        `machine` stands in for the host's own, where Azure knows more of it.
        """
        return connected(machine or self.machine, self.given, offered or {}, self.unusable)


def connected(
    machine: Machine, given: Mapping[str, Any], offered: Mapping[str, Any], unusable: Mapping[str, str]
) -> Machine:
    """The machine with a connection of the fields given, filled up with those offered."""
    transport = given.get("transport") or offered.get("transport") or default_transport(machine.platform)
    merged = {**_fitting(offered, given, transport), **given}
    missing = [reason for name, reason in unusable.items() if name not in merged]
    problem = missing[0] if missing else conflict(merged, transport)
    merged = {"address": machine.name, **merged, "transport": transport}
    if transport != RUN_COMMAND and not is_address(merged["address"]):
        problem = problem or no_address(merged["address"])
    return replace(machine, connection=Connection(**merged), unreachable=problem or "")


def default_transport(platform: Platform) -> str:
    """How a machine is reached where nobody says it."""
    return WINRM if platform is Platform.WINDOWS else SSH


def _fitting(offered: Mapping[str, Any], given: Mapping[str, Any], transport: str) -> dict[str, Any]:
    """What may fill up the fields given: nothing for another transport, no key or secret of another user."""
    if offered.get("transport", transport) != transport:
        return {}
    strange = set(STRANGE[transport])
    if _differ("user", offered, given):
        strange |= _OF_THE_USER
    if _differ("key", offered, given):
        strange |= {"passphrase", "certificate"}
    return {name: value for name, value in offered.items() if name not in strange}


def _differ(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return name in one and name in other and one[name] != other[name]
