"""What a repair needs of other rooms, as it sees them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from auditor.facts import InstanceView, Job, Unseen, VmModel
from auditor.model import Machine
from auditor.remedy import Plan, RepairRun, Request, Result, Standing, StepResult


@dataclass(frozen=True, slots=True)
class VmNow:
    """A VM as Azure has it at this moment: the machine with its present tags, its model, its state."""

    machine: Machine
    model: VmModel
    instance: InstanceView


@dataclass(frozen=True, slots=True)
class BackupsNow:
    """What the backup service does with one VM at this moment, in every vault that can be seen.

    `running` are backups and restores in flight. `due_at` is when the next scheduled backup begins: None
    where the VM is in no vault, `Unseen` where a policy that holds it could not be read or understood.
    """

    running: tuple[Job, ...]
    due_at: datetime | Unseen | None
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class BackupProof:
    """An on-demand backup that has ended: its job's status and the consistency of its recovery point."""

    status: str
    consistency: str | None = None
    detail: str = ""


class AzureRepairs(Protocol):
    """Azure, as repairs see it: nothing here is remembered from an earlier call."""

    async def now(self, machine: Machine) -> VmNow | Unseen:
        """One VM, read this moment."""

    async def backups(self, machine: Machine) -> BackupsNow | Unseen:
        """Its jobs in all vaults, every page, read this moment; `Unseen` when one vault could not be read."""

    async def perform(self, request: Request) -> StepResult:
        """Send one write and follow it to its end; raises `SourceError` when that is not known."""

    async def performed(self, request: Request, since: datetime) -> bool | Unseen:
        """Whether Azure already is as a request wants it, or did it since then."""

    async def back_up(self, machine: Machine, since: datetime | None = None) -> BackupProof | Unseen:
        """Start an on-demand backup and follow it to its end; one begun `since` then is followed instead."""


class Journal(Protocol):
    """Every intent before the act, every result after it, each on disk before the call returns.

    Raises `StoreError` where that cannot be.
    """

    def begin(self, plan: Plan, options: Mapping[str, str]) -> str:
        """Note a new run of a plan, and take it; returns its id. A plan that was begun before is refused."""

    def attach(self, run: str) -> None:
        """Take over a run that nobody works on; raises `StoreError` where somebody does."""

    def load(self, run: str) -> RepairRun:
        """A run as it stands; raises `StoreError` naming the known ones for an id that is none."""

    def options(self, run: str) -> Mapping[str, str]:
        """What a run was begun with."""

    def unfinished(self) -> tuple[str, ...]:
        """The ids of the runs that did not end, the newest first."""

    def lease(self, run: str, machine: str) -> str | None:
        """Take a machine for a run; None, or who has it: another run that is alive."""

    def release(self, run: str, machine: str) -> None:
        """Let go of a machine."""

    def look(self, run: str, machine: str, gates: tuple[str, ...], before: Mapping[str, Standing]) -> None:
        """Note what stood before a machine is touched: its gates, and how its checks stand."""

    def intend(self, run: str, machine: str, step: str) -> datetime:
        """Note that a step is about to be sent; a second time keeps the first time."""

    def record(self, run: str, machine: str, step: str, result: StepResult) -> None:
        """Note what came of a step."""

    def settle(
        self,
        run: str,
        machine: str,
        result: Result,
        reason: str,
        *,
        after: Mapping[str, Standing],
        backup: str = "",
    ) -> None:
        """Note how a machine ended, and let go of it."""

    def leave(self, run: str, machine: str, reason: str) -> None:
        """Note why a machine is not settled, and let go of it; a resume goes on with it."""

    def renew(self, run: str) -> None:
        """Show that this process still works on a run."""

    def finish(self, run: str) -> None:
        """Note that a run has ended."""
