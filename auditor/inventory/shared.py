"""Addresses that several machines share: one guest would be audited under all their names."""

import logging
from collections import defaultdict
from collections.abc import Iterable

from auditor.model import RUN_COMMAND, WINRM, Connection, Limit, Machine, Plane

logger = logging.getLogger(__name__)

MOST_NAMES = 3


def shared(machines: Iterable[Machine]) -> tuple[Limit, ...]:
    """One limit for each address and port, behind the same jump hosts, of several machines; each is logged.

    Nothing is missing from such a run, and none of the machines is left out: whether it is meant, only
    whoever wrote the entries knows.
    """
    found: dict[tuple[str, int, tuple[str, ...]], list[str]] = defaultdict(list)
    for machine in machines:
        way = machine.connection
        if (
            way is not None
            and way.transport != RUN_COMMAND
            and not machine.unreachable
            and not machine.left_out
        ):
            found[way.address.lower().removesuffix("."), _port(way), way.jump].append(machine.name)
    return tuple(
        _noted(_place(address, port), names) for (address, port, _), names in found.items() if len(names) > 1
    )


def _port(way: Connection) -> int:
    if way.transport != WINRM:
        return way.port or 22
    return way.port or (5985 if way.plain_http else 5986)


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _noted(where: str, names: list[str]) -> Limit:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    reason = (
        f"{len(names)} machines have this address and port ({', '.join(names[:MOST_NAMES])}{more}): "
        "one guest may answer for them all"
    )
    logger.warning("%s: %s", where, reason)
    return Limit(where, Plane.GUEST, reason, expected=False)
