"""One machine repaired while what is seen of it changes: a guest that is a folder, a VM that Azure hears."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditor.facts import Job, Unseen
from auditor.model import Finding, Machine, Severity, Status, Verdict
from auditor.remedy import MachineRecord, Plan, Result, StepResult
from auditor.repair.apply import Application, Pace, Patience
from auditor.repair.document import sealed
from auditor.repair.gates import Present
from auditor.repair.machine import HEARD
from auditor.repair.seams import BackupsNow, VmNow
from auditor.repair.send import Sender
from auditor.repair.waves import Share
from auditor.store.journal import SqliteJournal
from tests.checks.estate import GUID, MODEL, VIEW, VM_ID, agent
from tests.repair.workshop import (
    CHECK,
    MEND,
    REFUSE,
    UNDO,
    WORSEN,
    Doing,
    LocalEyes,
    LocalGuests,
    Workshop,
    plan_of,
)

NAME = "vm1"
JOB = Job("/p/backupJobs/j", "Backup", "InProgress", None)


@dataclass(slots=True)
class VmEyes(LocalEyes):
    """Sees the guest as a VM; Azure heard its agent when the file "reported" was written.

    While there is a file "alive", the agent reports again before every look. A backup job runs from the look
    number `job_at` on.
    """

    job_at: int = 1000
    looks: int = 0
    reports: int = 0

    async def present(self, machine: Machine) -> Present:
        """The guest, and what Azure says of it."""
        seen = await LocalEyes.present(self, machine)
        reported = self.workshop.guest(NAME) / "reported"
        at = datetime.fromtimestamp(reported.stat().st_mtime, UTC) if reported.exists() else None
        if at and (self.workshop.guest(NAME) / "alive").exists():
            self.reports += 1
            at += timedelta(milliseconds=self.reports)
        view = replace(VIEW, agent=agent(at=at))
        guest = replace(seen.facts.guest, vm_id=GUID) if not isinstance(seen.facts.guest, Unseen) else None
        assert guest is not None
        heard = Finding(HEARD, "It reports", Status.PASS, Severity.BLOCKER, "it reports")
        return Present(
            replace(seen.facts, guest=guest, model=MODEL, instance=view),
            {**seen.findings, HEARD: heard},
            VmNow(machine, MODEL, view),
        )

    async def backups(self, machine: Machine) -> BackupsNow | Unseen | None:
        """No backup, or one that has begun by now."""
        self.looks += 1
        return BackupsNow((JOB,) if self.looks >= self.job_at else (), None, datetime.now(UTC))


@dataclass(slots=True)
class Lookout(LocalEyes):
    """Sees what the work wrote: another host name in "name", "skipped" for CHECK, "gone" for the agent."""

    async def present(self, machine: Machine) -> Present:
        """The guest as it is now."""
        seen = await LocalEyes.present(self, machine)
        guest, folder = seen.facts.guest, self.workshop.guest(machine.name)
        assert not isinstance(guest, Unseen)
        if (folder / "name").exists():
            guest = replace(guest, hostname=(folder / "name").read_text().strip())
        installed = Finding("vm-agent-installed", "It is there", Status.PASS, Severity.BLOCKER, "there")
        found = {**seen.findings, "vm-agent-installed": installed}
        if (folder / "skipped").exists():
            found[CHECK] = replace(found[CHECK], status=Status.SKIP)
        if (folder / "gone").exists():
            found["vm-agent-installed"] = replace(installed, status=Status.FAIL)
        return Present(replace(seen.facts, guest=guest), found)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal.open(tmp_path / "auditor.db") as opened:
        yield opened


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "guests", (NAME,)).build()


def of_a_vm(plan: Plan) -> Plan:
    (only,) = plan.machines
    machine = replace(only.machine, id=VM_ID, source="azure")
    identity = replace(only.identity, vm_id=GUID)
    return sealed(replace(plan, machines=(replace(only, machine=machine, identity=identity),)))


def go_on(journal: SqliteJournal, plan: Plan, eyes: LocalEyes, run: str | None = None) -> MachineRecord:
    work = Application(
        plan=plan,
        look=eyes,
        sender=Sender(LocalGuests(eyes.workshop), None, lost=0.5, pause=0.05),
        journal=journal,
        pace=Pace(shares=(Share(100, True),), canary=0, max_failures=100),
        patience=Patience(settle=0.0, confirm=0.0, pause=0.05),
    )
    done = asyncio.run(work.run(run or journal.begin(plan, {})))
    (only,) = done.machines
    return only


def killed(journal: SqliteJournal, plan: Plan, done: Sequence[str], begun: str) -> str:
    """A run whose process died after it had noted these steps as done, and the intent of one more."""
    run, machine = journal.begin(plan, {}), plan.machines[0].machine.id
    assert journal.lease(run, machine) is None
    for step in done:
        journal.intend(run, machine, step)
        journal.record(run, machine, step, StepResult("done", 0))
    journal.intend(run, machine, begun)
    return run


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


SAY = 'touch "$1/reported"'
SAY_BY_AZURES_CLOCK = 'touch -d "2 minutes" "$1/reported"'
LIVE = 'touch "$1/alive"'


@pytest.mark.parametrize(
    ("more", "result"),
    [
        ([], Result.NOT_CONFIRMED),
        ([SAY], Result.NOT_CONFIRMED),
        ([SAY_BY_AZURES_CLOCK], Result.NOT_CONFIRMED),
        ([SAY, LIVE], Result.VERIFIED),
        ([SAY_BY_AZURES_CLOCK, LIVE], Result.VERIFIED),
    ],
    ids=["silent", "replaced", "replaced, our clock is slow", "alive", "alive, our clock is slow"],
)
def test_azure_has_to_hear_the_agent_again_after_the_last_touch(
    journal: SqliteJournal, workshop: Workshop, more: list[str], result: Result
) -> None:
    stages = [[Doing(f"sleep 0.1; {SAY}; sleep 0.1")], [Doing("; sleep 0.1; ".join([MEND, *more]))]]
    record = go_on(journal, of_a_vm(plan_of(workshop, stages)), VmEyes(workshop))
    assert record.result is result, record.reason


def test_a_step_that_may_never_have_been_sent_waits_for_a_backup_too(
    journal: SqliteJournal, workshop: Workshop
) -> None:
    plan = of_a_vm(plan_of(workshop, [[Doing("true")], [Doing()]]))
    first, second = ids(plan)
    record = go_on(journal, plan, VmEyes(workshop, job_at=2), killed(journal, plan, [first], second))
    assert workshop.runs(NAME) == {}
    assert record.result is None
    assert "half done, and now closed: backup-running" in record.reason


def test_taking_back_waits_for_a_backup_too(journal: SqliteJournal, workshop: Workshop) -> None:
    plan = of_a_vm(plan_of(workshop, [[Doing("true", undo=UNDO)]]))
    run = journal.begin(plan, {})
    record = go_on(journal, plan, VmEyes(workshop, job_at=2), run)
    assert record.result is None
    assert "half done, and now closed: backup-running" in record.reason
    assert not (workshop.guest(NAME) / "undone").exists()
    assert go_on(journal, plan, VmEyes(workshop), run).result is Result.ROLLED_BACK
    assert (workshop.guest(NAME) / "undone").read_text() == "undone\n"


@pytest.mark.parametrize(("stages", "looks"), [([[Doing()]], 1), ([[Doing("true"), Doing()]], 2)])
def test_backups_are_looked_at_once_before_every_step(
    journal: SqliteJournal, workshop: Workshop, stages: list[list[Doing]], looks: int
) -> None:
    eyes = VmEyes(workshop)
    go_on(journal, of_a_vm(plan_of(workshop, stages)), eyes)
    assert eyes.looks == looks


def test_a_record_tells_the_verdict_now(journal: SqliteJournal, workshop: Workshop) -> None:
    assert go_on(journal, plan_of(workshop), LocalEyes(workshop)).verdict is Verdict.READY


def test_what_was_being_taken_back_is_taken_back_to_the_end(
    journal: SqliteJournal, workshop: Workshop
) -> None:
    plan = plan_of(workshop, [[Doing("true", undo=UNDO)]])
    (step,) = ids(plan)
    (workshop.guest(NAME) / "broken").unlink()  # late, but well
    record = go_on(journal, plan, LocalEyes(workshop), killed(journal, plan, [step], f"{step}-undo"))
    assert [one.result.state if one.result else None for one in record.steps] == ["done", "done"]
    assert (workshop.guest(NAME) / "undone").exists()


@pytest.mark.parametrize(
    ("doing", "result"),
    [
        (Doing('touch "$1/changed"; exit 5', undo='rm "$1/changed"'), Result.ROLLED_BACK),
        (Doing("exit 5", undo="exit 11"), Result.FAILED),
        (Doing('touch "$1/changed"; exit 5', undo=f'rm "$1/changed"; {WORSEN}'), Result.FAILED),
    ],
)
def test_a_step_that_failed_half_way_is_taken_back(
    journal: SqliteJournal, workshop: Workshop, doing: Doing, result: Result
) -> None:
    record = go_on(journal, plan_of(workshop, [[doing]]), LocalEyes(workshop))
    assert record.result is result, record.reason
    assert not (workshop.guest(NAME) / "changed").exists()


def test_what_a_stage_did_before_a_guest_refused_the_rest_is_taken_back(
    journal: SqliteJournal, workshop: Workshop
) -> None:
    plan = plan_of(workshop, [[Doing("true", undo=UNDO), Doing(REFUSE)]])
    record = go_on(journal, plan, LocalEyes(workshop))
    assert record.result is Result.ROLLED_BACK
    assert "a gate of the guest is closed" in record.reason
    assert (workshop.guest(NAME) / "undone").exists()


def test_a_guest_that_is_another_one_by_now_is_sent_nothing_more(
    journal: SqliteJournal, workshop: Workshop
) -> None:
    plan = plan_of(workshop, [[Doing('echo stranger >"$1/name"')], [Doing()]])
    record = go_on(journal, plan, Lookout(workshop))
    assert workshop.is_broken(NAME)
    assert record.result is Result.NOT_CONFIRMED
    assert record.after[CHECK].status is Status.UNKNOWN
    assert "whose host name is vm1, and now it is stranger" in str(record.after[CHECK].reason)


def test_a_stranger_that_is_well_proves_nothing(journal: SqliteJournal, workshop: Workshop) -> None:
    plan = plan_of(workshop, [[Doing(f'{MEND}; echo stranger >"$1/name"')]])
    assert go_on(journal, plan, Lookout(workshop)).result is Result.NOT_CONFIRMED


@pytest.mark.parametrize(
    ("more", "result"), [("", Result.VERIFIED), ('; touch "$1/gone"', Result.NOT_CONFIRMED)]
)
def test_a_check_that_applies_no_longer_holds_only_where_nothing_else_became_bad(
    journal: SqliteJournal, workshop: Workshop, more: str, result: Result
) -> None:
    plan = plan_of(workshop, [[Doing(f'touch "$1/skipped"{more}')]])
    record = go_on(journal, plan, Lookout(workshop))
    assert record.result is result, record.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "echo Fetched 114 kB; echo 'REFUSED: apt would remove: network-manager'; exit 10",
            "mend-0: apt would remove: network-manager; the step was: mend",
        ),
        (
            r"printf 'AUDITOR-REFUSED the installer: its SHA-256 is 00\r\n'; exit 10",
            "mend-0: the installer: its SHA-256 is 00; the step was: mend",
        ),
        (
            r"printf 'a\nREFUSED: zypper will not do it: b\nc\n'; exit 10",
            "mend-0: zypper will not do it: b / c; the step was: mend",
        ),
        (
            r"printf '1\n2\n3\n4\nFAILED: the package manager failed\n'; exit 1",
            "mend-0: the package manager failed (before that: 2 / 3 / 4) (exit status 1); the step was: mend",
        ),
        ("echo FAILED: alone; exit 1", "mend-0: alone (exit status 1); the step was: mend"),
        (r"printf '1\n2\n3\n4\n'; exit 3", "mend-0: 2 / 3 / 4 (exit status 3); the step was: mend"),
        ("exit 5", "mend-0: failed (exit status 5); the step was: mend"),
        ("exit 10", "mend-0: refused (exit status 10); the step was: mend"),
    ],
)
def test_what_stopped_a_machine_is_said_first(
    journal: SqliteJournal, workshop: Workshop, text: str, reason: str
) -> None:
    assert go_on(journal, plan_of(workshop, [[Doing(text)]]), LocalEyes(workshop)).reason == reason
