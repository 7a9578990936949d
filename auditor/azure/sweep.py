"""Every vault as it is this moment, read for all who have asked: items, schedules, jobs in flight."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from auditor.azure import traffic, wire
from auditor.azure.backup import ItemInVault, of_azure_vms, parse_item, parse_vault
from auditor.azure.client import Arm
from auditor.azure.jobs import JobInVault, is_running, parse_job
from auditor.azure.listing import Listing, read_list
from auditor.azure.schedule import GRACE, Schedule, parse_schedule
from auditor.azure.subscriptions import Subscription, select
from auditor.azure.throttle import LaneKey
from auditor.errors import SourceError, Throttled
from auditor.facts import Job, ProtectedItem, Unseen, Vault
from auditor.inventory.scope import Scope
from auditor.model import Machine

# what is stopped keeps its recovery points and runs no more
_STOPPED = frozenset({"protectionstopped"})


@dataclass(slots=True)
class Sweep:
    """What all vaults hold, and what could not be read; `throttled` is what Azure had no room for."""

    read_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    items: list[ItemInVault] = field(default_factory=list)
    jobs: dict[str, JobInVault] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    schedule_gaps: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    throttled: list[str] = field(default_factory=list)

    @property
    def gap(self) -> str | None:
        """One thing that could not be read, None where everything was.

        It is the same one whichever answer came first; where nothing but a throttle is in the way, it is
        the first, for others may come of it.
        """
        return min(self.gaps, default=None) or next(iter(self.throttled), None)

    def sort(self) -> None:
        """Bring what was read into one order."""
        self.items.sort(key=lambda entry: entry.item.id)
        self.jobs = dict(sorted(self.jobs.items()))

    def items_of(self, machine: Machine) -> list[ProtectedItem]:
        """Its items, in whatever state, in every vault."""
        return [entry.item for entry in self.items if entry.item.vm_id == machine.id]

    def running(self, machine: Machine) -> tuple[Job, ...]:
        """Its jobs in flight.

        Jobs name a VM by its resource group and name alone: those of a VM of the same names in another
        subscription count too.
        """
        own = {entry.container for entry in self.items if entry.item.vm_id == machine.id}
        return tuple(
            entry.job
            for entry in self.jobs.values()
            if entry.container in own or same_vm(entry.container, machine)
        )

    def due_at(self, machine: Machine) -> datetime | Unseen | None:
        """When its next scheduled backup begins: now, where one is due and has not been seen to begin."""
        found = [self._due(item) for item in self.items_of(machine) if scheduled(item)]
        unseen = next((due for due in found if isinstance(due, Unseen)), None)
        return unseen or min((due for due in found if not isinstance(due, Unseen)), default=None)

    def _due(self, item: ProtectedItem) -> datetime | Unseen:
        policy = item.policy.id if item.policy else ""
        schedule = self.schedules.get(policy)
        if schedule is None:
            gap = self.schedule_gaps.get(item.vault.id, "its policy is not among those of the vault")
            return Unseen(f"vault {item.vault.name}: {gap}")
        last = schedule.last_run(self.read_at)
        overdue = last is not None and self.read_at - last <= GRACE
        if overdue and last is not None and (item.last_backup_at is None or item.last_backup_at < last):
            return self.read_at
        return schedule.next_run(self.read_at)


def scheduled(item: ProtectedItem) -> bool:
    """Whether a policy still runs for the item."""
    return not item.deferred_delete and item.protection_state.lower() not in _STOPPED


def same_vm(container: str, machine: Machine) -> bool:
    """Whether a job's container is that of a VM with this resource group and name."""
    _, group, _, name = wire.parts(machine.id)
    return container.split(";")[-2:] == [group, name]


class Sweeper:
    """Reads the vaults anew for every question.

    Questions that wait while the vaults are being read share the next reading: every answer was read
    after its question. A reading begins when Azure has room for as many requests as the one before took;
    those who ask until then share it too.
    """

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._wanted: Counter[LaneKey] = Counter()
        self._current: asyncio.Task[Sweep] | None = None
        self._next: asyncio.Task[Sweep] | None = None

    async def fresh(self) -> Sweep:
        """The vaults, read after this call; raises `Throttled` where Azure has no room for that."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._current))
        # one who gives up must not take the reading from the others
        return await asyncio.shield(self._next)

    async def _after(self, before: "asyncio.Task[Sweep] | None") -> Sweep:
        if before is not None:
            await asyncio.wait({before})
        try:
            await self._arm.room(self._wanted)
        finally:
            self._current, self._next = self._next, None
        arm, used = self._arm.counted()
        sweep = await read_everything(arm)
        # one that was cut short says too little of the next one's needs
        self._wanted = used if sweep.gap is None else used | self._wanted
        return sweep


async def read_everything(arm: Arm) -> Sweep:
    """Every vault of every visible subscription; what could not be read is a gap, never an omission."""
    sweep = Sweep()
    try:
        selection = await select(arm, Scope())
    except SourceError as error:
        sweep.gaps.append(str(error))
        return sweep
    if selection.limits:
        sweep.gaps.append(f"{selection.limits[0].scope}: {selection.limits[0].reason}")
    vaults = await asyncio.gather(*(_vaults(arm, one, sweep) for one in selection.visible))
    found = {vault.id: vault for listed in vaults for vault in listed}
    await asyncio.gather(*(_read_vault(arm, vault, sweep) for vault in found.values()))
    sweep.sort()
    return sweep


async def _vaults(arm: Arm, subscription: Subscription, sweep: Sweep) -> Sequence[Vault]:
    listing = await read_list(arm, traffic.vaults(subscription.id), parse_vault)
    _note(sweep, f"the vaults of {subscription.path}", listing)
    return listing.entries


async def _read_vault(arm: Arm, vault: Vault, sweep: Sweep) -> None:
    await asyncio.gather(_items(arm, vault, sweep), _jobs(arm, vault, sweep))


async def _items(arm: Arm, vault: Vault, sweep: Sweep) -> None:
    items = await read_list(
        arm,
        traffic.protected_items(vault.id, vault.subscription),
        lambda entry: parse_item(entry, vault, {}),
        of_azure_vms,
    )
    _note(sweep, f"the protected items of vault {vault.name}", items)
    sweep.items += items.entries
    if not any(scheduled(entry.item) for entry in items.entries):
        return
    call = traffic.policies(vault.id, vault.subscription)
    policies = await read_list(arm, call, parse_schedule, of_azure_vms)
    sweep.schedules.update(policies.entries)
    if policies.problems:
        sweep.schedule_gaps[vault.id] = str(policies.problems[0])


async def _jobs(arm: Arm, vault: Vault, sweep: Sweep) -> None:
    # in this order: a job that is cancelled between the two is seen at least once
    for status in ("InProgress", "Cancelling"):
        call = traffic.jobs_in_flight(vault.id, vault.subscription, status)
        listing = await read_list(arm, call, parse_job, of_azure_vms)
        _note(sweep, f"the jobs of vault {vault.name}", listing)
        running = [entry for entry in listing.entries if is_running(entry.job)]
        sweep.jobs.update({entry.job.id: entry for entry in running})
        if any(not entry.container for entry in running):
            sweep.gaps.append(f"a job of vault {vault.name} does not say which VM it is about")


def _note(sweep: Sweep, what: str, listing: Listing[Any]) -> None:
    if listing.problems:
        problem = listing.problems[0]
        gaps = sweep.throttled if isinstance(problem, Throttled) else sweep.gaps
        gaps.append(f"{what}: {problem}")
