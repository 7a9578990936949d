"""The VMs of the chosen subscriptions, or those that were named by their ids."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from auditor.azure import traffic, wire
from auditor.azure.client import Arm
from auditor.azure.listing import Listing, read_list
from auditor.azure.subscriptions import Selection, Subscription
from auditor.azure.vm import ClassicItem, parse_vm, vm_id
from auditor.engine import Inventory
from auditor.errors import SourceError
from auditor.facts import VmModel
from auditor.inventory.scope import Scope
from auditor.model import Limit, Lost, Machine, Plane

logger = logging.getLogger(__name__)

_AT_ONCE = 16

Vm = tuple[Machine, VmModel]


async def list_machines(arm: Arm, selection: Selection, scope: Scope) -> Inventory:
    """The machines in scope; every subscription or entry that could not be read is named."""
    full_ids = [name for name in scope.vms if name.startswith("/")]
    if full_ids and len(full_ids) == len(scope.vms):
        return await _by_id(arm, full_ids, scope, selection)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(subscription: Subscription) -> Listing[Vm]:
        async with slots:
            return await _of_subscription(arm, subscription)

    listings = await asyncio.gather(*(one(subscription) for subscription in selection.chosen))
    found: dict[str, Vm] = {}
    for listing in listings:
        found.update((vm[0].id, vm) for vm in listing.entries if vm[0].id not in found)
    limits = _gaps(selection.chosen, listings)
    machines = tuple(machine for machine, _ in found.values() if scope.includes(machine))
    return Inventory(
        machines,
        {machine.id: found[machine.id][1] for machine in machines},
        (*selection.limits, *limits),
    )


async def _of_subscription(arm: Arm, subscription: Subscription) -> Listing[Vm]:
    listing = await read_list(
        arm, traffic.virtual_machines(subscription.id), lambda entry: parse_vm(entry, datetime.now(UTC))
    )
    logger.info("%s: %d VMs", subscription.path, len(listing.entries))
    return listing


def _gaps(subscriptions: Sequence[Subscription], listings: Sequence[Listing[Vm]]) -> list[Limit]:
    limits: list[Limit] = []
    for subscription, listing in zip(subscriptions, listings, strict=True):
        state = "" if subscription.enabled else f"the subscription is {subscription.state}"
        for problem in listing.problems:
            if isinstance(problem, ClassicItem):
                limits.append(Limit(problem.id, Plane.INVENTORY, str(problem), expected=False))
            else:
                reason = f"{state}: {problem}" if state else str(problem)
                limits.append(Limit(subscription.path, Plane.INVENTORY, reason))
        if state and not listing.entries and not listing.problems:
            limits.append(Limit(subscription.path, Plane.INVENTORY, f"{state} and lists no machine"))
    return limits


async def _by_id(arm: Arm, ids: Sequence[str], scope: Scope, selection: Selection) -> Inventory:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(identifier: str) -> Vm | Lost:
        async with slots:
            return await _read_one(arm, identifier)

    unique = dict.fromkeys(identifier.strip().rstrip("/").lower() for identifier in ids)
    answers = await asyncio.gather(*(one(identifier) for identifier in unique))
    vms = [answer for answer in answers if not isinstance(answer, Lost) and scope.includes(answer[0])]
    return Inventory(
        tuple(machine for machine, _ in vms),
        {machine.id: model for machine, model in vms},
        selection.limits,
        tuple(answer for answer in answers if isinstance(answer, Lost)),
    )


async def _read_one(arm: Arm, identifier: str) -> Vm | Lost:
    try:
        subscription = wire.parts(vm_id(identifier))[0]
        call = traffic.virtual_machine(identifier, subscription, "", instance_view=False)
        return parse_vm(await arm.get(call), datetime.now(UTC))
    except SourceError as error:
        return Lost(identifier, str(error))
