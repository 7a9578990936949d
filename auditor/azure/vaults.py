"""All vaults that can be seen, read once, and an index from VM to what they say of it.

Vaults of every visible subscription are read, also when a run is about a few: a VM may be protected
from another subscription, and (after a move) from another region.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from auditor.azure import traffic
from auditor.azure.backup import ItemInVault, of_azure_vms, parse_item, parse_policy, parse_vault
from auditor.azure.client import Arm
from auditor.azure.jobs import lacks_reason, last_ended, parse_job, running, window
from auditor.azure.listing import Listing, read_list
from auditor.azure.subscriptions import Subscription
from auditor.azure.vm import CLASSIC, is_classic
from auditor.errors import SourceError
from auditor.facts import Backup, Job, Jobs, ProtectedItem, Unseen, Vault
from auditor.model import Limit, Machine, Plane

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_DETAILS = 100

T = TypeVar("T")


class VaultReader:
    """Reads vaults, items, policies and jobs, and answers for one VM at a time."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._read_at = datetime.now(UTC)
        self._vaults: list[Vault] = []
        self._items: dict[str, list[ProtectedItem]] = defaultdict(list)
        self._jobs: dict[str, list[Job]] = defaultdict(list)
        self._last: dict[str, Job] = {}
        self._gaps: list[str] = []
        self._job_gaps: dict[str, str] = {}
        self._limits: list[Limit] = []

    async def read(
        self, subscriptions: Sequence[Subscription], machines: Sequence[Machine], *, jobs: bool
    ) -> tuple[Limit, ...]:
        """Read everything; returns what could not be read."""
        await asyncio.gather(*(self._read_vaults(subscription) for subscription in subscriptions))
        await asyncio.gather(*(self._read_vault(vault, jobs=jobs) for vault in self._vaults))
        self._sort()
        if jobs:
            await self._explain_failures(machines)
        return tuple(self._limits)

    async def target(self, subscriptions: Sequence[Subscription], region: str) -> Backup:
        """The vaults of a region that a machine is to move to; their items are not read."""
        await asyncio.gather(*(self._read_vaults(subscription) for subscription in subscriptions))
        self._sort()
        regional = tuple(vault for vault in self._vaults if vault.location == region)
        return Backup((), regional, tuple(self._gaps), self._read_at)

    def backup(self, machine: Machine) -> Backup:
        """What the vaults say of a VM."""
        return Backup(
            items=tuple(self._items.get(machine.id, ())),
            regional_vaults=tuple(vault for vault in self._vaults if vault.location == machine.location),
            gaps=tuple(self._gaps),
            observed_at=self._read_at,
        )

    def jobs(self, machine: Machine) -> Jobs | Unseen:
        """The jobs of a VM; unseen where a vault that holds it, or may hold it, could not be read."""
        items = self._items.get(machine.id, [])
        unread = [self._job_gaps[item.vault.id] for item in items if item.vault.id in self._job_gaps]
        if unread:
            return Unseen(unread[0])
        if not items and self._gaps:
            return Unseen(f"no protected item was seen, and not every vault could be read: {self._gaps[0]}")
        jobs = self._jobs.get(machine.id, [])
        return Jobs(running(jobs), self._last.get(machine.id) or last_ended(jobs), self._read_at)

    def _sort(self) -> None:
        """Bring what was read into one order, whichever answer came first."""
        self._vaults.sort(key=lambda vault: vault.id)
        self._gaps.sort()
        self._limits.sort(key=lambda limit: (limit.scope, limit.plane, limit.reason))
        for items in self._items.values():
            items.sort(key=lambda item: item.id)
        for jobs in self._jobs.values():
            jobs.sort(key=lambda job: job.id)

    async def _read_vaults(self, subscription: Subscription) -> None:
        listing = await self._slot(read_list(self._arm, traffic.vaults(subscription.id), parse_vault))
        known = {vault.id for vault in self._vaults}
        self._vaults += [vault for vault in listing.entries if vault.id not in known]
        for problem in listing.problems:
            self._gap(subscription.path, f"vaults: {problem}")

    async def _read_vault(self, vault: Vault, *, jobs: bool) -> None:
        policies = await self._slot(
            read_list(self._arm, traffic.policies(vault.id, vault.subscription), parse_policy, of_azure_vms)
        )
        by_id = {policy.id: policy for policy in policies.entries}
        items = await self._slot(
            read_list(
                self._arm,
                traffic.protected_items(vault.id, vault.subscription),
                lambda entry: parse_item(entry, vault, by_id),
                of_azure_vms,
            )
        )
        containers = self._index_items(items.entries)
        self._limits += [Limit(vault.id, Plane.BACKUP, f"policies: {error}") for error in policies.problems]
        self._note_items(vault, items)
        if jobs and items.entries:
            await self._read_jobs(vault, containers)

    async def _read_jobs(self, vault: Vault, containers: dict[str, set[str]]) -> None:
        call = traffic.jobs(vault.id, vault.subscription, window(datetime.now(UTC)))
        listing = await self._slot(read_list(self._arm, call, parse_job, of_azure_vms))
        for found in {entry.job.id: entry for entry in listing.entries}.values():
            for vm in containers.get(found.container, ()):
                self._jobs[vm].append(found.job)
        problems = [str(problem) for problem in listing.problems]
        nameless = sum(1 for entry in listing.entries if not entry.container)
        if nameless:
            problems.append(f"{nameless} jobs do not say which VM they are about")
        if problems:
            self._job_gaps[vault.id] = f"the jobs of vault {vault.name}: {problems[0]}"
            self._limits += [Limit(vault.id, Plane.JOBS, problem) for problem in problems]

    def _index_items(self, entries: Iterable[ItemInVault]) -> dict[str, set[str]]:
        containers: dict[str, set[str]] = defaultdict(set)
        for entry in {found.item.id: found for found in entries}.values():
            self._items[entry.item.vm_id].append(entry.item)
            containers[entry.container].add(entry.item.vm_id)
        return containers

    def _note_items(self, vault: Vault, items: Listing[ItemInVault]) -> None:
        """Classic items are named; what could not be read may hide a VM."""
        for vm in dict.fromkeys(entry.item.vm_id for entry in items.entries):
            if is_classic(vm):
                reason = f"in vault {vault.name}: {CLASSIC}"
                self._limits.append(Limit(vm, Plane.BACKUP, reason, expected=False))
        for problem in items.problems:
            self._gap(vault.id, f"protected items: {problem}")

    async def _explain_failures(self, machines: Sequence[Machine]) -> None:
        """Error details of the last jobs that failed, where the quota has room for asking."""
        lasts = ((machine.id, last_ended(self._jobs.get(machine.id, ()))) for machine in machines)
        silent = [(vm, job) for vm, job in lasts if job is not None and lacks_reason(job)]
        await asyncio.gather(*(self._explain(vm, job) for vm, job in silent[:_DETAILS]))

    async def _explain(self, vm: str, job: Job) -> None:
        subscription = job.id.split("/")[2]
        try:
            body = await self._slot(self._arm.get(traffic.job(job.id, subscription), max_wait=0.0))
            self._last[vm] = parse_job(body).job
        except SourceError as error:
            logger.info("no details of job %s: %s", job.id, error)

    def _gap(self, scope: str, reason: str) -> None:
        self._gaps.append(f"{scope}: {reason}")
        self._limits.append(Limit(scope, Plane.BACKUP, reason))

    async def _slot(self, work: Awaitable[T]) -> T:
        async with self._slots:
            return await work
