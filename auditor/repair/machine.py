"""One machine repaired: gates, stages, and the proof that its checks hold."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from auditor.facts import Unseen
from auditor.model import Status
from auditor.remedy import (
    MachinePlan,
    MachineRecord,
    Result,
    Stage,
    Standing,
    Step,
    StepRecord,
    StepResult,
    Work,
)
from auditor.repair.gates import Present, backup_gates, closed, gates, stranger
from auditor.repair.look import standings
from auditor.repair.proposals import undo_id
from auditor.repair.seams import BackupProof

if TYPE_CHECKING:
    from auditor.repair.apply import Application

logger = logging.getLogger(__name__)

HEARD = "vm-agent-ready"
READY = "provisioningstate/succeeded"
CONFIRMED_BY_AZURE = frozenset({HEARD, "extension-health", "backup-health"})
"""Checks whose evidence comes from Azure, some minutes after the guest."""
DONE = frozenset({"done", "nothing"})
UNTOUCHED = frozenset({"refused", "nothing"})
LONGEST_PAUSE = 20.0
LONGEST_REASON = 400
_REASON = re.compile(r"(?:AUDITOR-)?(?:REFUSED|FAILED|NOTHING):? ")
"""How the scripts mark the line that says why they ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a machine ended; `result` is None where that is not known yet, and a resume has to look again."""

    result: Result | None
    reason: str
    after: Mapping[str, Standing] = field(default_factory=dict)
    backup: str = ""


class _Ended(Exception):
    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Mender:
    """Repairs one machine, or goes on with it where an earlier process stopped."""

    def __init__(self, work: "Application", run: str, planned: MachinePlan, record: MachineRecord) -> None:
        self._work, self._run, self._planned = work, run, planned
        self._machine = planned.machine
        self._records: dict[str, StepRecord] = {step.id: step for step in record.steps}
        self._targets = tuple(dict.fromkeys(check for stage in planned.stages for check in stage.repairs))
        self._troubles: list[str] = []
        self._undone: list[str] = []
        self._held = {check for check, one in record.before.items() if one.status is Status.PASS}
        self._reboot = False
        self._just_looked = False
        # the first report that was seen after the newest touch: the agent that was replaced may have sent it
        self._old_report: datetime | None = None

    async def mend(self) -> Outcome:
        """Gates, stages, proof; never raises for what a machine does."""
        try:
            present = await self._enter()
            for stage in self._planned.stages:
                if self._wanted(stage, present):
                    present = await self._stage(stage)
            return await self._verdict(present)
        except _Ended as end:
            return end.outcome

    @property
    def _rolled_back(self) -> bool:
        """Whether something was taken back, and everything that could be."""
        return "done" in self._undone and DONE.issuperset(self._undone)

    @property
    def _touched_at(self) -> datetime | None:
        """When the newest step was begun that did anything, or may have."""
        done = [one for one in self._records.values() if not one.result or one.result.state not in UNTOUCHED]
        return max((one.begun_at for one in done or self._records.values()), default=None)

    async def _look(self) -> Present:
        """The machine once more; what is seen in a guest that is another one by now says nothing of it."""
        self._just_looked = False
        present = await self._present()
        if reason := stranger(self._planned, present):
            found = {
                check: replace(finding, status=Status.UNKNOWN, reason=reason)
                for check, finding in present.findings.items()
            }
            return replace(present, findings=found)
        return present

    async def _present(self) -> Present:
        present = await self._work.look.present(self._machine)
        self._old_report = self._old_report or _report(present)
        return present

    # ---- before -----------------------------------------------------------------------------------

    async def _enter(self) -> Present:
        present = await self._present()
        # last: nothing ages faster
        present = replace(present, backups=await self._work.look.backups(self._machine))
        found = gates(self._planned, present, self._work.limits)
        await asyncio.to_thread(
            self._work.journal.look,
            self._run,
            self._machine.id,
            tuple(map(str, found)),
            standings(present.findings),
        )
        if reason := closed(found):
            raise _Ended(self._stopped_by(reason, present))
        if not self._records:
            self._held = {check for check, one in present.findings.items() if one.status is Status.PASS}
        if not self._records and not present.bad(self._targets):
            raise _Ended(self._nothing_wrong(present))
        self._just_looked = True
        return present

    def _nothing_wrong(self, present: Present) -> Outcome:
        """No finding is bad any more; one that cannot be seen now is no reason to touch a machine."""
        after, left = standings(present.findings), self._left(self._targets, present)
        if left:
            return Outcome(Result.REFUSED, f"finding: it can no longer be judged: {', '.join(left)}", after)
        return Outcome(Result.SKIPPED, f"nothing is left to do: {', '.join(self._targets)}", after)

    def _stopped_by(self, reason: str, present: Present) -> Outcome:
        """A machine that was not touched is refused; one half done stays open until it can be looked at."""
        if self._records:
            return Outcome(None, f"half done, and now closed: {reason}")
        return Outcome(Result.REFUSED, reason, standings(present.findings))

    def _wanted(self, stage: Stage, present: Present) -> bool:
        """Whether a stage is needed still, or was begun and has to be brought to its end."""
        begun = any(step.id in self._records for step in stage.steps)
        return begun or bool(present.bad(stage.repairs))

    # ---- stages -----------------------------------------------------------------------------------

    async def _stage(self, stage: Stage) -> Present:
        tried: list[Step] = []
        trouble = ""
        for step in stage.steps:
            result = await self._step(stage, step, tried)
            self._reboot = self._reboot or result.reboot
            tried.append(step)
            if result.state not in DONE:
                trouble = _told(step, result)
                break
        present, left = await self._settled(stage.repairs, waiting=not trouble)
        if left and not trouble:
            trouble = f"still not well: {', '.join(left)}"
        if trouble or self._going_back(stage):
            self._troubles.append(f"{stage.remediation}: {trouble or 'it was being taken back'}")
            if await self._take_back(tried):
                present = await self._look()
        return present

    def _going_back(self, stage: Stage) -> bool:
        """Whether an earlier process had begun to take a stage back."""
        return any(undo_id(step.id) in self._records for step in stage.steps)

    async def _step(self, stage: Stage, step: Step, tried: list[Step]) -> StepResult:
        record = self._records.get(step.id)
        result = record.result if record else None
        if result is None:
            result = await self._sent(step, record)
        if result.state == "refused":
            raise _Ended(await self._refused(f"{stage.remediation}: {_told(step, result)}", tried))
        return result

    async def _sent(self, step: Step, record: StepRecord | None) -> StepResult:
        """Send a step, or ask what became of one that was sent before."""
        await self._backup_closed()
        await self._intend(step.id)
        logger.info("%s: step %s: %s", self._machine.id, step.id, step.what)
        result = await self._work.sender.do(self._machine, step, record.begun_at if record else None)
        if result.state in ("unknown", "running"):
            said = "it is not known what became of" if result.state == "unknown" else "still at work:"
            raise _Ended(Outcome(None, f"{said} {step.what} ({_words(result)}); resume looks again"))
        logger.info("%s: step %s: %s", self._machine.id, step.id, result.state)
        await self._record(step.id, result)
        return result

    async def _intend(self, key: str) -> None:
        """Note that a step is about to be sent: what Azure heard before tells nothing any more."""
        begun = await asyncio.to_thread(self._work.journal.intend, self._run, self._machine.id, key)
        self._records[key], self._old_report = StepRecord(key, begun), None

    async def _record(self, key: str, result: StepResult) -> None:
        await asyncio.to_thread(self._work.journal.record, self._run, self._machine.id, key, result)
        self._records[key] = replace(self._records[key], ended_at=datetime.now(UTC), result=result)

    async def _backup_closed(self) -> None:
        """Look for backups once more: they begin whenever they like, and asking may begin the step.

        Of the first step the gates have just looked.
        """
        just_looked, self._just_looked = self._just_looked, False
        if just_looked or not self._machine.in_azure:
            return
        backups = await self._work.look.backups(self._machine)
        if reason := closed(backup_gates(self._machine, backups, self._work.limits)):
            if self._records:
                raise _Ended(Outcome(None, f"half done, and now closed: {reason}"))
            raise _Ended(Outcome(Result.REFUSED, reason))

    async def _refused(self, reason: str, tried: list[Step]) -> Outcome:
        """A gate in the guest: nothing was done by this step, and nothing before it if it was the first."""
        await self._take_back(tried)
        present = await self._look()
        after = standings(present.findings)
        if any(one.result and one.result.state not in UNTOUCHED for one in self._records.values()):
            ended = Result.ROLLED_BACK if self._rolled_back else Result.FAILED
            return Outcome(ended, f"refused by the guest after earlier steps: {reason}", after)
        return Outcome(Result.REFUSED, reason, after)

    async def _take_back(self, tried: list[Step]) -> bool:
        """Undo the steps that can be undone, the last first; whether that changed anything."""
        states = [await self._undo(step, step.undo) for step in reversed(tried) if step.undo]
        if not DONE.issuperset(states):
            self._troubles.append("not all of it could be taken back")
        self._undone += states
        return not UNTOUCHED.issuperset(states)

    async def _undo(self, step: Step, undo: Work) -> str:
        """What became of taking a step back: the state."""
        key = undo_id(step.id)
        record = self._records.get(key)
        if record is not None and record.result is not None:
            return record.result.state
        await self._backup_closed()
        await self._intend(key)
        logger.info("%s: step %s: taking back: %s", self._machine.id, key, step.what)
        result = await self._work.sender.work(self._machine, key, undo, step.undo_commands)
        if result.state in ("unknown", "running"):
            raise _Ended(Outcome(None, f"it is not known whether this was taken back: {step.what}"))
        await self._record(key, result)
        return result.state

    # ---- after ------------------------------------------------------------------------------------

    async def _settled(self, checks: tuple[str, ...], *, waiting: bool) -> tuple[Present, tuple[str, ...]]:
        """The machine once these checks hold, or once the time for that is over (not waiting: now)."""
        start, pause = time.monotonic(), self._work.patience.pause
        while True:
            present = await self._look()
            left = self._left(checks, present)
            if not left or not waiting or time.monotonic() - start > self._time_for(left):
                return present, left
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _left(self, checks: tuple[str, ...], present: Present) -> tuple[str, ...]:
        """The checks that do not hold; what cannot be seen does not hold.

        One that does not apply any more does, unless a check that held became bad: an agent that is gone has
        no version that could be too old.
        """
        found = {check: present.findings.get(check) for check in checks}
        fine = (Status.PASS,) if present.bad(tuple(self._held)) else (Status.PASS, Status.SKIP)
        left = [check for check, finding in found.items() if finding is None or finding.status not in fine]
        if HEARD in checks and HEARD not in left and not self._heard(present):
            left.append(HEARD)
        return tuple(left)

    def _time_for(self, left: tuple[str, ...]) -> float:
        patience = self._work.patience
        azure = self._machine.in_azure and set(left) <= CONFIRMED_BY_AZURE
        return patience.confirm if azure else patience.settle

    def _heard(self, present: Present) -> bool:
        """Whether Azure heard a ready agent after the machine was touched; true outside Azure.

        Azure's clock and ours may differ, and an agent reports until a step stops it: there has to be a newer
        report than the first one that was seen after the touch.
        """
        if not self._machine.in_azure or self._touched_at is None:
            return True
        report, old = _report(present), self._old_report
        return report is not None and old is not None and report > max(old, self._touched_at)

    @staticmethod
    def _speaks(present: Present) -> bool:
        """Whether this machine's agent is one that Azure hears; some policies do without."""
        found = present.findings.get(HEARD)
        return found is not None and found.status is not Status.SKIP

    async def _verdict(self, present: Present) -> Outcome:
        wanted = self._targets
        if self._machine.in_azure and self._touched_at is not None and self._speaks(present):
            wanted = tuple(dict.fromkeys((*wanted, HEARD)))
        # every stage has waited for its own checks already
        lost = bool(self._troubles) and not set(self._left(wanted, present)) <= CONFIRMED_BY_AZURE
        present, left = await self._settled(wanted, waiting=not lost)
        after = standings(present.findings)
        if left:
            return self._not_well(left, present, after)
        if self._reboot:
            return Outcome(Result.NOT_CONFIRMED, "done but for a reboot of the guest", after)
        if self._work.backup_now and self._machine.in_azure:
            return await self._backed_up(after)
        return Outcome(Result.VERIFIED, f"collected and checked again: {', '.join(self._targets)}", after)

    def _not_well(self, left: tuple[str, ...], present: Present, after: Mapping[str, Standing]) -> Outcome:
        said = "; ".join(self._troubles)
        if self._rolled_back:
            return Outcome(Result.ROLLED_BACK, said, after)
        unseen = not present.bad(left)
        if not self._troubles or unseen or set(left) <= CONFIRMED_BY_AZURE:
            waiting = f"applied, and not confirmed: {', '.join(left)}"
            return Outcome(Result.NOT_CONFIRMED, f"{waiting}; {said}" if said else waiting, after)
        return Outcome(Result.FAILED, said, after)

    async def _backed_up(self, after: Mapping[str, Standing]) -> Outcome:
        azure = self._work.sender.azure
        if azure is None:
            return Outcome(Result.NOT_CONFIRMED, "no backup was begun: Azure was not asked", after)
        proof = await azure.back_up(self._machine, self._touched_at)
        if isinstance(proof, BackupProof) and proof.status.lower() == "completed":
            backup = f"Completed, {proof.consistency or 'consistency not shown'}"
            return Outcome(Result.VERIFIED, "checked again, and backed up", after, backup)
        said = proof.reason if isinstance(proof, Unseen) else f"{proof.status} {proof.detail}".strip()
        return Outcome(Result.NOT_CONFIRMED, f"checked again, but its backup: {said}", after, said)


def _report(present: Present) -> datetime | None:
    """When Azure last heard a ready agent, by its clock."""
    view = present.facts.instance
    if isinstance(view, Unseen) or view.agent is None:
        return None
    ready = [status.at for status in view.agent.statuses if status.code.lower() == READY and status.at]
    return max(ready, default=None)


def _told(step: Step, result: StepResult) -> str:
    return f"{_words(result)}; the step was: {step.what}"


def _words(result: StepResult) -> str:
    """Why a step ended as it did, in one line: the reason first, and of a failure what was said before it."""
    lines = [line.strip() for line in result.output.splitlines() if line.strip()]
    at = max((number for number, line in enumerate(lines) if _REASON.match(line)), default=len(lines))
    reason = _REASON.sub("", " / ".join(lines[at:]), count=1)
    before = " / ".join(lines[max(at - 3, 0) : at])[-LONGEST_REASON:]
    if result.state == "refused" and reason:
        return reason[:LONGEST_REASON]
    said = f"{reason} (before that: {before})" if reason and before else reason or before or result.state
    status = f" (exit status {result.exit_status})" if result.exit_status else ""
    return said[:LONGEST_REASON] + status
