"""The secrets that machines need before their guests can be asked."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from auditor.errors import SecretError
from auditor.inventory.fields import SECRETS
from auditor.model import Machine

logger = logging.getLogger(__name__)


def references(machines: Iterable[Machine]) -> tuple[str, ...]:
    """Every reference in the connections of the machines that will be asked, each once."""
    return tuple(dict.fromkeys(reference for machine in machines for _, reference in _needed(machine)))


def without(machines: Iterable[Machine], failures: Mapping[str, SecretError]) -> tuple[Machine, ...]:
    """The machines, those that miss a secret marked as out of reach; every failure is warned of once."""
    found = tuple(_marked(machine, failures) for machine in machines)
    for reference, error in failures.items():
        needing = [machine.name for machine in found if any(reference == one for _, one in _secrets(machine))]
        more = f" and {len(needing) - 1} more" if len(needing) > 1 else ""
        logger.warning("%s: %s; %s%s cannot be asked", reference, error, needing[0], more)
    return found


def _marked(machine: Machine, failures: Mapping[str, SecretError]) -> Machine:
    for field, reference in _needed(machine):
        if reference in failures:
            return replace(machine, unreachable=f"its {field.replace('_', ' ')}: {failures[reference]}")
    return machine


def _needed(machine: Machine) -> list[tuple[str, str]]:
    return [] if machine.left_out or machine.unreachable else _secrets(machine)


def _secrets(machine: Machine) -> list[tuple[str, str]]:
    pairs = ((name, getattr(machine.connection, name, None)) for name in SECRETS)
    return [(name, reference) for name, reference in pairs if reference]
