"""Machines times checks: collect the planes that the checks need, in bounded parallel, and judge."""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from auditor.errors import PluginError
from auditor.facts import (
    AZURE_NOT_ASKED,
    NOT_COLLECTED,
    OUTSIDE_AZURE,
    Backup,
    Facts,
    Guest,
    InstanceView,
    Jobs,
    Unseen,
    VmModel,
    identity_mismatch,
)
from auditor.judge import judge
from auditor.model import AuditRun, Coverage, Limit, Lost, Machine, MachineResult, Plane
from auditor.plugin import Check
from auditor.rules import Rules

logger = logging.getLogger(__name__)

WORKERS = 64

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]
"""Told the stage of the run, the machines done, and the machines in all (None: not known yet)."""
Witness = Callable[[Facts, MachineResult], None]
"""Shown the facts behind every result."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The machines to audit, what the list said of each, and what could not be listed."""

    machines: tuple[Machine, ...] = field(repr=False)
    models: Mapping[str, VmModel] = field(default_factory=dict, repr=False)
    limits: tuple[Limit, ...] = ()
    lost: tuple[Lost, ...] = ()


class ControlPlane(Protocol):
    """Azure, as the engine sees it: every answer is a fact or `Unseen`."""

    async def instance_view(self, machine: Machine) -> InstanceView | Unseen:
        """The run-time view of one VM."""

    async def read_vaults(self, machines: Sequence[Machine], *, jobs: bool) -> tuple[Limit, ...]:
        """Read every visible vault once, before `backup` and `jobs` are asked; returns the gaps."""

    def backup(self, machine: Machine) -> Backup | Unseen:
        """What the vaults say of one VM."""

    def jobs(self, machine: Machine) -> Jobs | Unseen:
        """The backup jobs of one VM."""


class GuestPlane(Protocol):
    """The guests, asked one by one."""

    async def probe(self, machine: Machine, view: Awaitable[InstanceView | Unseen]) -> Guest | Unseen:
        """Ask one guest, within its deadline; `view` is what Azure says of it, once that is known."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that one audit needs; `run()` does it.

    `target` is the region that machines outside Azure are to move to, `target_backup` what is known of its
    vaults.
    """

    checks: Sequence[Check]
    rules: Rules
    control: ControlPlane | None
    guests: GuestPlane | None
    cloud: str
    scope: Mapping[str, tuple[str, ...]]
    workers: int = WORKERS
    progress: Progress | None = None
    target: str = ""
    target_backup: Backup | Unseen = OUTSIDE_AZURE
    witness: Witness | None = None

    @property
    def planes(self) -> frozenset[Plane]:
        """The planes that the chosen checks need."""
        return frozenset[Plane]().union(*(check.planes for check in self.checks))

    async def run(self, inventory: Inventory, started_at: datetime | None = None) -> AuditRun:
        """Audit every machine of the inventory; raises `PluginError` when there is no check.

        `started_at` is when the run began to list machines (default: now).
        """
        if not self.checks:
            raise PluginError("no check is left to run; see `auditor checks`")
        started = started_at or datetime.now(UTC)
        logger.info(
            "%d machines, %d checks, rules %s", len(inventory.machines), len(self.checks), self.rules.name
        )
        self._tell("Reading vaults", 0, None)
        vault_limits = await self.read_vaults(inventory.machines)
        results, limits = await self._results(inventory)
        run = AuditRun(
            id=str(uuid.uuid4()),
            started_at=started,
            finished_at=datetime.now(UTC),
            cloud=self.cloud,
            rule_set=self.rules.name,
            scope=self.scope,
            coverage=Coverage(
                expected=len(inventory.machines) + len(inventory.lost),
                audited=len(results),
                lost=inventory.lost,
                limits=(*inventory.limits, *vault_limits, *limits),
            ),
            machines=results,
        )
        _note(run)
        return run

    def _tell(self, stage: str, done: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress(stage, done, total)

    async def read_vaults(self, machines: Sequence[Machine]) -> tuple[Limit, ...]:
        """Read the vaults that these machines may be in; returns what could not be read."""
        azure = [machine for machine in machines if machine.in_azure]
        if not azure or self.control is None or not self.planes & {Plane.BACKUP, Plane.JOBS}:
            return ()
        return await self.control.read_vaults(azure, jobs=Plane.JOBS in self.planes)

    async def _results(self, inventory: Inventory) -> tuple[tuple[MachineResult, ...], list[Limit]]:
        total = len(inventory.machines)
        results: list[tuple[int, MachineResult, tuple[Limit, ...]]] = []
        queue = iter(enumerate(inventory.machines))
        self._tell("Auditing", 0, total)

        async def worker() -> None:
            for index, machine in queue:
                facts = await self.collect(machine, inventory.models.get(machine.id))
                result = judge(facts, self.checks, self.rules)
                results.append((index, result, tuple(_limits(facts))))
                logger.debug("%s: %s", machine.id, result.verdict)
                if self.witness is not None:
                    self.witness(facts, result)
                self._tell("Auditing", len(results), total)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.workers, total)):
                group.create_task(worker())
        results.sort(key=lambda one: one[0])
        limits = [limit for _, _, found in results for limit in found]
        return tuple(result for _, result, _ in results), limits

    async def collect(self, machine: Machine, model: VmModel | None) -> Facts:
        """Everything known of one machine now; the vaults are as they were when they were read."""
        view = asyncio.ensure_future(self._instance(machine))
        instance, guest = await asyncio.gather(view, self._guest(machine, view))
        return Facts(
            machine=machine,
            now=datetime.now(UTC),
            model=model or _not_asked(machine),
            instance=instance,
            backup=self._backup(machine),
            jobs=self._jobs(machine),
            guest=_identified(guest, model),
            target="" if machine.in_azure else self.target,
        )

    async def _instance(self, machine: Machine) -> InstanceView | Unseen:
        if self.control is None or not machine.in_azure:
            return _not_asked(machine)
        if Plane.INSTANCE_VIEW not in self.planes:
            return NOT_COLLECTED
        return await _contained(machine, self.control.instance_view(machine))

    def _backup(self, machine: Machine) -> Backup | Unseen:
        if self.target and not machine.in_azure:
            return self.target_backup
        if self.control is None or not machine.in_azure:
            return _not_asked(machine)
        if Plane.BACKUP not in self.planes:
            return NOT_COLLECTED
        return _contained_now(machine, self.control.backup)

    def _jobs(self, machine: Machine) -> Jobs | Unseen:
        if self.control is None or not machine.in_azure:
            return _not_asked(machine)
        if Plane.JOBS not in self.planes:
            return NOT_COLLECTED
        return _contained_now(machine, self.control.jobs)

    async def _guest(self, machine: Machine, view: Awaitable[InstanceView | Unseen]) -> Guest | Unseen:
        if Plane.GUEST not in self.planes:
            return NOT_COLLECTED
        if self.guests is None:
            return Unseen("no guest connection is configured for this machine", expected=False)
        return await _contained(machine, self.guests.probe(machine, view))


def _note(run: AuditRun) -> None:
    """What the log keeps of a run: what was not seen, and how the machines stand."""
    for limit in run.coverage.limits:
        logger.info("%s: not seen (%s): %s", limit.scope, limit.plane, limit.reason)
    for lost in run.coverage.lost:
        logger.info("%s: not audited: %s", lost.id, lost.reason)
    counts = Counter(result.verdict for result in run.machines)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "no machine"
    audited, expected = run.coverage.audited, run.coverage.expected
    logger.info("run %s: %d of %d machines audited: %s", run.id, audited, expected, told)


def _not_asked(machine: Machine) -> Unseen:
    return AZURE_NOT_ASKED if machine.in_azure else OUTSIDE_AZURE


def _identified(guest: Guest | Unseen, model: VmModel | None) -> Guest | Unseen:
    """The guest, unless it shows that it is another VM: then nothing it said counts."""
    if isinstance(guest, Unseen) or model is None:
        return guest
    return identity_mismatch(guest, model.vm_id) or guest


async def _contained(machine: Machine, answer: Awaitable[T | Unseen]) -> T | Unseen:
    try:
        return await answer
    except Exception as error:  # one machine's collector may break; the others go on
        logger.exception("a collector broke on %s", machine.id)
        return _broken(error)


def _contained_now(machine: Machine, collect: Callable[[Machine], T | Unseen]) -> T | Unseen:
    try:
        return collect(machine)
    except Exception as error:
        logger.exception("a collector broke on %s", machine.id)
        return _broken(error)


def _broken(error: Exception) -> Unseen:
    return Unseen(f"the collector broke: {type(error).__name__}")


def _limits(facts: Facts) -> Iterator[Limit]:
    for plane, fact in ((Plane.INSTANCE_VIEW, facts.instance), (Plane.GUEST, facts.guest)):
        if isinstance(fact, Unseen) and fact.expected:
            yield Limit(facts.machine.id, plane, fact.reason)
