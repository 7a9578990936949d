"""A plan applied: canary and waves, gates before every touch, every intent on disk before the act."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

from auditor.errors import StoreError
from auditor.remedy import MachinePlan, MachineRecord, Plan, RepairRun, Result
from auditor.repair.gates import Limits
from auditor.repair.look import Looker
from auditor.repair.machine import Mender, Outcome
from auditor.repair.seams import Journal
from auditor.repair.send import Sender
from auditor.repair.waves import Share, spread, waves

logger = logging.getLogger(__name__)

FAILURES = frozenset({Result.FAILED, Result.ROLLED_BACK, Result.NOT_CONFIRMED})

TOGETHER = ("/availabilitysets/", "/virtualmachinescalesets/")
"""What Azure itself takes care not to stop as a whole."""
SIGN_OF_LIFE = 600.0
"""Seconds between the signs of life of a run that has nothing else to note."""

Told = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and when to stop.

    `shares` are the waves after `canary` machines; the run stops once more than `max_failures` machines did
    not come out verified. `at_once`, `per_availability_set` and `per_subnet` bound the machines in work.
    """

    shares: tuple[Share, ...] = (Share(5, False), Share(25, True), Share(100, True))
    canary: int = 1
    max_failures: int = 3
    max_machines: int | None = None
    at_once: int = 10
    per_availability_set: int = 1
    per_subnet: int = 5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an effect is waited for, in seconds: in the guest, and in Azure's view of it."""

    settle: float = 30.0
    confirm: float = 900.0
    pause: float = 2.0


INTERRUPTED = "interrupted by hand"


@dataclass(slots=True)
class Stop:
    """The stop switch: `soon` lets what is in flight finish and begins nothing more.

    What an earlier process began is brought to its end all the same, but after an interruption `by_hand`.
    """

    soon: str = ""
    by_hand: bool = False

    def ask(self, reason: str) -> None:
        """Begin nothing more; the first reason counts."""
        self.soon = self.soon or reason

    def interrupt(self) -> None:
        """Begin nothing more, whatever else there was to stop for."""
        self.by_hand = True
        self.ask(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that applying one plan needs."""

    plan: Plan
    look: Looker
    sender: Sender
    journal: Journal
    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    backup_now: bool = False
    stop: Stop = field(default_factory=Stop)
    told: Told | None = None

    async def run(self, run: str) -> RepairRun:
        """Do what the run has left to do, and return it as it then stands; raises `StoreError`."""
        work = _Run(self, run)
        alive = asyncio.create_task(self._alive(run))
        try:
            await work.go()
        finally:
            alive.cancel()
        return self.journal.load(run)

    async def _alive(self, run: str) -> None:
        """Show that this run is worked on, however long it waits; the next note meets who took it over."""
        while True:
            await asyncio.sleep(SIGN_OF_LIFE)
            with suppress(StoreError):
                await asyncio.to_thread(self.journal.renew, run)


class _Run:
    def __init__(self, application: Application, run: str) -> None:
        self._work = application
        self._id = run
        self._records = {record.machine: record for record in application.journal.load(run).machines}
        self._slots = asyncio.Semaphore(application.pace.at_once)
        self._groups: dict[str, asyncio.Semaphore] = {}
        self._results: dict[str, Result] = {
            record.machine: record.result for record in self._records.values() if record.result
        }
        self._open: set[str] = set()
        self._unproven = False

    async def go(self) -> None:
        """What is half done, canary, then the waves; what a stop leaves is named as skipped or stays open."""
        machines = self._chosen()
        self._tell()
        half_done = [machine for machine in machines if self._half_done(machine.machine.id)]
        await self._wave(half_done, self._interrupted)
        proven = await self._canary(machines)
        rest = machines[proven:]
        for wave in waves(rest, self._work.pace.shares):
            if self._halted():
                break
            await self._wave(wave, self._halted)
        self._end(machines)

    def _half_done(self, machine: str) -> bool:
        """Whether an earlier process began a machine: it is brought to its end whatever others came to."""
        record = self._records.get(machine)
        return record is not None and record.result is None and bool(record.steps)

    def _chosen(self) -> tuple[MachinePlan, ...]:
        """The machines with something to do, spread over their groups; begun ones first."""
        with_steps = [machine for machine in self._work.plan.machines if machine.stages]
        most = self._work.pace.max_machines
        ordered = spread(with_steps)[:most]
        return tuple(sorted(ordered, key=lambda one: one.machine.id not in self._records))

    async def _canary(self, machines: Sequence[MachinePlan]) -> int:
        """Repair machine after machine until enough are verified; returns how many were looked at."""
        wanted, verified = min(self._work.pace.canary, len(machines)), 0
        for number, machine in enumerate(machines):
            if verified >= wanted or self._halted():
                return number
            await self._machine(machine)
            result = self._results.get(machine.machine.id)
            verified += result is Result.VERIFIED
            self._unproven = result is None
            if result in FAILURES:
                self._work.stop.ask(f"the canary {machine.machine.name} ended as {result}")
        return len(machines)

    async def _wave(self, machines: Sequence[MachinePlan], over: Callable[[], bool]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for machine in machines:
                    group.create_task(self._in_turn(machine, over))
        except BaseExceptionGroup as troubles:
            raise _first(troubles) from None

    async def _in_turn(self, machine: MachinePlan, over: Callable[[], bool]) -> None:
        async with AsyncExitStack() as turns:
            for group in machine.groups:
                await turns.enter_async_context(self._group(group))
            await turns.enter_async_context(self._slots)
            if not over():
                await self._machine(machine)

    def _group(self, name: str) -> asyncio.Semaphore:
        pace = self._work.pace
        together = any(kind in name.lower() for kind in TOGETHER)
        most = pace.per_availability_set if together else pace.per_subnet
        return self._groups.setdefault(name, asyncio.Semaphore(most))

    async def _machine(self, planned: MachinePlan) -> None:
        key = planned.machine.id
        if key in self._results or key in self._open:
            return
        journal = self._work.journal
        if owner := await asyncio.to_thread(journal.lease, self._id, key):
            refused = None if self._half_done(key) else Result.REFUSED
            outcome = Outcome(refused, f"another run works on it: {owner}")
        else:
            outcome = await self._mended(planned)
        await self._settle(key, outcome)

    async def _mended(self, planned: MachinePlan) -> Outcome:
        try:
            mender = Mender(self._work, self._id, planned, self._record(planned))
            return await mender.mend()
        except StoreError:
            raise
        except Exception as error:  # one machine's repair may break; the others go on
            logger.exception("the repair of %s broke", planned.machine.id)
            return Outcome(None, f"the repair broke: {type(error).__name__}")

    def _record(self, planned: MachinePlan) -> MachineRecord:
        return self._records.get(planned.machine.id) or MachineRecord(planned.machine.id)

    async def _settle(self, key: str, outcome: Outcome) -> None:
        journal = self._work.journal
        logger.info("%s: %s: %s", key, outcome.result or "not settled", outcome.reason)
        if outcome.result is None:
            self._open.add(key)
            await asyncio.to_thread(journal.leave, self._id, key, outcome.reason)
        else:
            self._results[key] = outcome.result
            settle = journal.settle
            await asyncio.to_thread(
                settle,
                self._id,
                key,
                outcome.result,
                outcome.reason,
                after=outcome.after,
                backup=outcome.backup,
            )
        self._tell()

    def _halted(self) -> bool:
        failed = sum(result in FAILURES for result in self._results.values()) + len(self._open)
        if failed > self._work.pace.max_failures:
            self._work.stop.ask(f"{failed} machines failed, {self._work.pace.max_failures} are allowed")
        return bool(self._work.stop.soon) or self._unproven

    def _interrupted(self) -> bool:
        return self._work.stop.by_hand

    def _end(self, machines: Sequence[MachinePlan]) -> None:
        """Name what was not begun; a run with a machine in an unknown state stays open."""
        journal, reason = self._work.journal, self._work.stop.soon
        if reason and reason != INTERRUPTED:
            for machine in self._untouched(machines):
                journal.settle(self._id, machine, Result.SKIPPED, f"not begun: {reason}", after={})
                self._results[machine] = Result.SKIPPED
        for machine in self._left_out():
            journal.settle(self._id, machine, Result.SKIPPED, "more machines than --max-machines", after={})
            self._results[machine] = Result.SKIPPED
        planned = {machine.machine.id for machine in self._work.plan.machines if machine.stages}
        if planned <= self._results.keys():
            journal.finish(self._id)

    def _untouched(self, machines: Sequence[MachinePlan]) -> Iterator[str]:
        records = self._work.journal.load(self._id).machines
        begun = {record.machine for record in records if record.steps}
        for machine in machines:
            if machine.machine.id not in self._results and machine.machine.id not in begun:
                yield machine.machine.id

    def _left_out(self) -> Iterator[str]:
        most = self._work.pace.max_machines
        if most is not None:
            with_steps = [machine for machine in self._work.plan.machines if machine.stages]
            for machine in spread(with_steps)[most:]:
                if machine.machine.id not in self._results:
                    yield machine.machine.id

    def _tell(self) -> None:
        if self._work.told is not None:
            total = sum(1 for machine in self._work.plan.machines if machine.stages)
            self._work.told("Repairing", len(self._results), total)


def _first(troubles: BaseExceptionGroup) -> BaseException:
    """The one that says most: a store that takes no more ends the run for all."""
    of_store = troubles.subgroup(StoreError) or troubles
    first = of_store.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def options_of(pace: Pace, limits: Limits, patience: Patience, *, backup_now: bool) -> Mapping[str, str]:
    """What a run is begun with, as the journal keeps it for whoever resumes it."""
    return {
        "wave": ",".join(f"{share.amount}{'%' * share.percent}" for share in pace.shares),
        "canary": str(pace.canary),
        "max_failures": str(pace.max_failures),
        "max_machines": "" if pace.max_machines is None else str(pace.max_machines),
        "at_once": str(pace.at_once),
        "per_availability_set": str(pace.per_availability_set),
        "per_subnet": str(pace.per_subnet),
        "window": str(limits.window or "").removesuffix(" UTC"),
        "backup_margin": str(limits.backup_margin.total_seconds() / 60),
        "settle": str(patience.settle),
        "confirm": str(patience.confirm),
        "backup_now": "yes" if backup_now else "",
    }
