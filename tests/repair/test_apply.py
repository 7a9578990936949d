"""Plans applied to guests that are folders here: real scripts, a real shell, the real journal."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import HostError, StoreError
from auditor.hosts import CommandResult, Script, Shell
from auditor.model import Machine, Platform, Status
from auditor.remedy import Command, MachineRecord, Payload, Plan, RepairRun, Result, Step, Work
from auditor.repair.apply import Application, Pace, Patience, Stop, options_of
from auditor.repair.document import sealed
from auditor.repair.gates import Limits
from auditor.repair.send import Sender
from auditor.repair.waves import Share
from auditor.repair.window import parse_window
from auditor.repair.work import command
from auditor.store.journal import SqliteJournal
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

QUICK = Patience(settle=0.0, confirm=0.0, pause=0.05)
ALL = (Share(100, True),)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal.open(tmp_path / "store" / "auditor.db") as opened:
        yield opened


def shop(tmp_path: Path, count: int = 3) -> Workshop:
    return Workshop(tmp_path / "guests", tuple(f"guest-{number:02}" for number in range(count))).build()


def application(workshop: Workshop, plan: Plan, journal: SqliteJournal, **changes: Any) -> Application:
    guests = changes.pop("guests", LocalGuests(workshop))
    work = Application(
        plan=plan,
        look=changes.pop("look", LocalEyes(workshop)),
        sender=Sender(guests, None, lost=0.5, pause=0.05),
        journal=journal,
        pace=Pace(shares=ALL, canary=0, max_failures=100),
        patience=QUICK,
    )
    return replace(work, **changes)


def apply(work: Application, run: str | None = None) -> RepairRun:
    noted = options_of(work.pace, work.limits, work.patience, backup_now=False)
    known = run or work.journal.begin(work.plan, noted)
    return asyncio.run(work.run(known))


def records(run: RepairRun) -> Mapping[str, MachineRecord]:
    return {record.machine.removeprefix("host/"): record for record in run.machines}


def results(run: RepairRun) -> list[Result | None]:
    return [record.result for _, record in sorted(records(run).items())]


def states(record: MachineRecord) -> list[str | None]:
    return [step.result.state if step.result else None for step in record.steps]


def test_every_guest_is_mended_once_and_checked_again(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path)
    run = apply(application(workshop, plan_of(workshop), journal))
    assert results(run) == [Result.VERIFIED] * 3
    for name, record in records(run).items():
        assert not workshop.is_broken(name)
        assert list(workshop.runs(name).values()) == [1]
        assert (record.before[CHECK].status, record.after[CHECK].status) == (Status.FAIL, Status.PASS)
        assert any(gate.startswith("identity: open") for gate in record.gates)
    assert run.finished_at is not None


def test_what_reaches_the_guests_is_what_the_plan_shows(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path)
    plan = plan_of(workshop, [[Doing(WORSEN)], [Doing()]])
    guests = LocalGuests(workshop)
    apply(application(workshop, plan, journal, guests=guests))
    shown = [
        (machine.machine.name, command.text)
        for machine in plan.machines
        for step in machine.steps
        for command in step.commands
    ]
    assert sorted((name, script.text) for name, script in guests.sent) == sorted(shown)


@pytest.mark.parametrize(
    ("stages", "result", "words"),
    [
        ([[Doing(WORSEN)]], Result.FAILED, "exit status 5"),
        ([[Doing(WORSEN)], [Doing()]], Result.VERIFIED, "checked again"),
        # done, and of no use
        ([[Doing("true")]], Result.FAILED, "still not well: agent-service"),
        ([[Doing("true", undo=UNDO)]], Result.ROLLED_BACK, "still not well"),
        ([[Doing("true", undo=UNDO), Doing(WORSEN)]], Result.ROLLED_BACK, "exit status 5"),
        ([[Doing("true", undo=UNDO)], [Doing()]], Result.VERIFIED, "checked again"),
        ([[Doing(MEND, guard=REFUSE)]], Result.REFUSED, "a gate of the guest is closed"),
        ([[Doing(REFUSE)]], Result.REFUSED, "a gate of the guest is closed"),
        ([[Doing("true"), Doing(REFUSE)]], Result.FAILED, "refused by the guest after earlier steps"),
        # the work says that a reboot is left to do
        ([[Doing(MEND + "; exit 12")]], Result.NOT_CONFIRMED, "reboot"),
        ([[Doing(MEND + "; exit 11")]], Result.VERIFIED, "checked again"),
    ],
)
def test_how_a_machine_ends(
    tmp_path: Path, journal: SqliteJournal, stages: Sequence[Sequence[Doing]], result: Result, words: str
) -> None:
    workshop = shop(tmp_path, 1)
    record = records(apply(application(workshop, plan_of(workshop, stages), journal)))["guest-00"]
    assert record.result is result, record
    assert words in record.reason


def test_what_was_taken_back_is_in_the_journal_and_in_the_guest(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 1)
    record = records(apply(application(workshop, plan_of(workshop, [[Doing("true", undo=UNDO)]]), journal)))
    assert [step.id.endswith("-undo") for step in record["guest-00"].steps] == [False, True]
    assert (workshop.guest("guest-00") / "undone").read_text() == "undone\n"


def test_a_later_stage_is_not_sent_once_its_checks_hold(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 1)
    run = apply(application(workshop, plan_of(workshop, [[Doing()], [Doing(WORSEN)]]), journal))
    assert results(run) == [Result.VERIFIED]
    assert len(workshop.runs("guest-00")) == 1


def test_a_machine_that_is_well_by_then_is_left_alone(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 1)
    (workshop.guest("guest-00") / "broken").unlink()
    run = apply(application(workshop, plan_of(workshop), journal))
    assert results(run) == [Result.SKIPPED]
    assert workshop.runs("guest-00") == {}


def test_a_stranger_and_an_unseen_guest_are_not_touched(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 3)
    eyes = LocalEyes(workshop, strangers={"guest-00"}, unseen={"guest-01"})
    guests = LocalGuests(workshop)
    run = apply(application(workshop, plan_of(workshop), journal, look=eyes, guests=guests))
    assert results(run) == [Result.REFUSED, Result.REFUSED, Result.VERIFIED]
    assert {name for name, _ in guests.sent} == {"guest-02"}
    assert "now it is stranger" in records(run)["guest-00"].reason


def test_a_finding_that_can_no_longer_be_judged_is_no_reason_to_touch(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 1)
    eyes = LocalEyes(workshop, doubtful={"guest-00"})
    run = apply(application(workshop, plan_of(workshop), journal, look=eyes))
    assert results(run) == [Result.REFUSED]
    assert "finding: it can no longer be judged" in records(run)["guest-00"].reason
    assert workshop.runs("guest-00") == {}


def test_a_guest_that_is_lost_stays_open_and_is_resumed(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 2)
    plan = plan_of(workshop)
    lost = application(workshop, plan, journal, guests=LocalGuests(workshop, dead={"guest-00"}))
    first = apply(lost)
    assert results(first) == [None, Result.VERIFIED]
    assert first.finished_at is None
    assert "resume looks again" in records(first)["guest-00"].reason
    again = apply(application(workshop, plan, journal), first.id)
    assert results(again) == [Result.VERIFIED, Result.VERIFIED]
    assert [sum(workshop.runs(name).values()) for name in workshop.names] == [1, 1]
    assert again.finished_at is not None


def test_the_canary_that_fails_stops_the_run(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 5)
    pace = Pace(shares=ALL, canary=1, max_failures=100)
    run = apply(application(workshop, plan_of(workshop, [[Doing(WORSEN)]]), journal, pace=pace))
    assert results(run) == [Result.FAILED] + [Result.SKIPPED] * 4
    assert "not begun: the canary guest-00 ended as failed" in records(run)["guest-01"].reason
    assert run.finished_at is not None


def test_a_canary_that_is_refused_proves_nothing(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 4)
    eyes = LocalEyes(workshop, strangers={"guest-00", "guest-01"})
    pace = Pace(shares=ALL, canary=1, max_failures=100)
    run = apply(application(workshop, plan_of(workshop), journal, look=eyes, pace=pace))
    assert results(run) == [Result.REFUSED, Result.REFUSED, Result.VERIFIED, Result.VERIFIED]


def test_too_many_failures_stop_the_run(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 10)
    pace = Pace(shares=(Share(2, False), Share(4, False)), canary=0, max_failures=1, at_once=1)
    run = apply(application(workshop, plan_of(workshop, [[Doing(WORSEN)]]), journal, pace=pace))
    assert results(run) == [Result.FAILED] * 2 + [Result.SKIPPED] * 8
    assert "2 machines failed, 1 are allowed" in records(run)["guest-09"].reason


def test_no_more_machines_than_allowed_are_touched(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 4)
    pace = Pace(shares=ALL, canary=0, max_machines=2)
    run = apply(application(workshop, plan_of(workshop), journal, pace=pace))
    assert sorted(results(run)) == [Result.SKIPPED] * 2 + [Result.VERIFIED] * 2
    assert run.finished_at is not None


def test_the_stop_switch_finishes_what_is_in_flight_and_resume_does_the_rest(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 4)
    plan, stop = plan_of(workshop), Stop()

    def told(_stage: str, done: int, _total: int | None) -> None:
        if done == 1:
            stop.interrupt()

    pace = Pace(shares=ALL, canary=0, at_once=1)
    run = apply(application(workshop, plan, journal, pace=pace, stop=stop, told=told))
    assert list(run.results().values()) == [1, 0, 0, 0, 0, 0]
    assert run.finished_at is None
    again = apply(application(workshop, plan, journal, pace=pace), run.id)
    assert results(again) == [Result.VERIFIED] * 4
    assert [sum(workshop.runs(name).values()) for name in workshop.names] == [1, 1, 1, 1]


@pytest.mark.parametrize("kind", ["availabilitySets", "virtualMachineScaleSets"])
def test_groups_bound_how_many_work_at_a_time(tmp_path: Path, journal: SqliteJournal, kind: str) -> None:
    workshop = shop(tmp_path, 4)
    order = '"$1/../order"'
    plan = plan_of(workshop, [[Doing(f"echo begin >>{order}; sleep 0.2; echo end >>{order}; {MEND}")]])
    group = (f"/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/{kind}/a",)
    plan = sealed(replace(plan, machines=tuple(replace(one, groups=group) for one in plan.machines)))
    apply(application(workshop, plan, journal))
    assert (workshop.folder / "order").read_text().split() == ["begin", "end"] * 4


def test_a_plan_is_applied_once(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 1)
    plan = plan_of(workshop)
    apply(application(workshop, plan, journal))
    with pytest.raises(StoreError, match="was applied already"):
        apply(application(workshop, plan, journal))


def test_another_run_on_the_same_machine_is_refused(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 2)
    other = journal.begin(sealed(replace(plan_of(workshop), id="other")), {})
    assert journal.lease(other, "host/guest-00") is None
    run = apply(application(workshop, plan_of(workshop), journal))
    assert results(run) == [Result.REFUSED, Result.VERIFIED]
    assert "another run works on it" in records(run)["guest-00"].reason


def test_limits_close_a_gate(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 1)
    never = Limits(window=parse_window("00:00-00:01"))
    run = apply(application(workshop, plan_of(workshop), journal, limits=never))
    assert results(run) == [Result.REFUSED]


# ---- files that steps bring ------------------------------------------------------------------------


def with_file(plan: Plan, payload: Payload) -> Plan:
    """The plan with a file for every step."""

    def changed(step: Step) -> Step:
        assert step.work is not None
        act = replace(step.work, payload=payload)
        return replace(step, work=act, commands=(Command(command(step.id, act).text, Shell.SH),))

    machines = [
        replace(
            machine,
            stages=tuple(replace(one, steps=tuple(map(changed, one.steps))) for one in machine.stages),
        )
        for machine in plan.machines
    ]
    return sealed(replace(plan, machines=tuple(machines)))


def file_for(tmp_path: Path) -> Payload:
    file = tmp_path / "agent.deb"
    file.write_bytes(b"x" * 100)
    return Payload(str(file), hashlib.sha256(file.read_bytes()).hexdigest(), 100)


class Full:
    """A guest without room for a file."""

    async def send(self, machine: Machine, script: Script, limit: float) -> CommandResult:
        """The answer of a guest to the first piece."""
        said = (
            b"\nAUDITOR-STEP-BEGIN refused 10\n|too little room in /var/lib for the file\nAUDITOR-STEP-END\n"
        )
        return CommandResult(0, said, b"")


class Slow:
    """A guest whose guard takes a while; the limits that it was given are kept."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.limits: list[float] = []

    async def send(self, machine: Machine, script: Script, limit: float) -> CommandResult:
        """An answer, where there was time for it."""
        self.limits.append(limit)
        if limit < self.takes:
            raise HostError(f"no answer within {limit:g} s")
        kind = b"running 0" if len(self.limits) == 1 else b"done 0"
        return CommandResult(0, b"\nAUDITOR-STEP-BEGIN " + kind + b"\nAUDITOR-STEP-END\n", b"")


@pytest.mark.parametrize(
    ("guard", "takes", "state", "limits"),
    [(":", 40, "done", [600, 45]), ("", 40, "done", [45, 45]), (":", 601, "unknown", [600])],
)
def test_a_guard_has_as_long_as_the_work(guard: str, takes: float, state: str, limits: list[float]) -> None:
    work, guest = Work(Shell.SH, "true", guard=guard, limit=600), Slow(takes)
    machine = Machine("host/a", "a", Platform.LINUX, "hosts")
    sender = Sender(guest, None, lost=-1, pause=0)
    said = asyncio.run(sender.work(machine, "plan0000-1", work, (Command("true", "sh"),)))
    assert (said.state, guest.limits) == (state, limits)


def test_a_file_that_finds_no_room_is_a_refusal_and_not_an_unknown_end(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 1)
    plan = with_file(plan_of(workshop), file_for(tmp_path))
    run = apply(application(workshop, plan, journal, guests=Full()))
    (record,) = run.machines
    assert (record.result, "too little room" in record.reason) == (Result.REFUSED, True)


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(b"y" * 100)])
def test_without_its_file_a_step_is_refused_and_nothing_is_sent(
    tmp_path: Path, journal: SqliteJournal, change: Callable[[Path], object]
) -> None:
    workshop, payload = shop(tmp_path, 1), file_for(tmp_path)
    change(Path(payload.path))
    guests = LocalGuests(workshop)
    run = apply(application(workshop, with_file(plan_of(workshop), payload), journal, guests=guests))
    assert (results(run), guests.sent) == ([Result.REFUSED], [])


def test_what_became_of_a_step_is_learnt_though_its_file_is_gone(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop, payload = shop(tmp_path, 1), file_for(tmp_path)
    plan = with_file(plan_of(workshop), payload)
    (step,) = plan.steps
    assert step.work is not None
    guests = LocalGuests(workshop)
    sender = Sender(guests, None, pause=0.05)
    machine = plan.machines[0].machine
    assert asyncio.run(sender.do(machine, step, None)).state == "done"
    pieces = len(guests.sent)
    Path(payload.path).unlink()
    assert asyncio.run(sender.do(machine, step, datetime.now(UTC))).state == "done"
    assert len(guests.sent) == pieces + 1
    assert workshop.runs("guest-00") == {step.id: 1}


def test_a_gate_of_the_guest_that_closes_after_a_failed_stage_is_no_refusal(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 1)
    run = apply(application(workshop, plan_of(workshop, [[Doing(WORSEN)], [Doing(REFUSE)]]), journal))
    assert results(run) == [Result.FAILED]
    assert "refused by the guest after earlier steps" in records(run)["guest-00"].reason


def test_a_resume_looks_at_what_is_unknown_however_many_others_failed(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 3)
    plan = plan_of(workshop, [[Doing(f'case "$1" in *-01) {WORSEN};; *) {MEND};; esac')]])
    pace = Pace(shares=ALL, canary=0, max_failures=0, at_once=1)
    dead = LocalGuests(workshop, dead={"guest-00"})
    # guest-00 is sent its step and is lost; meanwhile guest-01 fails
    lost = application(workshop, plan, journal, guests=dead, pace=replace(pace, at_once=2))
    first = apply(lost)
    assert results(first) == [None, Result.FAILED, Result.SKIPPED]
    again = apply(application(workshop, plan, journal, pace=pace), first.id)
    assert results(again) == [Result.VERIFIED, Result.FAILED, Result.SKIPPED]
    assert again.finished_at is not None


def test_the_stop_switch_also_stops_a_resume_that_begins_nothing_new(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop, stop = shop(tmp_path, 2), Stop()
    plan, pace = plan_of(workshop), Pace(shares=ALL, canary=0, max_failures=100, at_once=1)
    dead = LocalGuests(workshop, dead=set(workshop.names))
    first = apply(application(workshop, plan, journal, guests=dead, pace=pace))
    assert [bool(record.steps) for record in first.machines] == [True, True]

    def told(_stage: str, done: int, _total: int | None) -> None:
        if done == 1:
            stop.interrupt()

    stop.ask("the plan is old")
    again = apply(application(workshop, plan, journal, pace=pace, stop=stop, told=told), first.id)
    assert results(again) == [Result.VERIFIED, None]
    assert [len(workshop.runs(name)) for name in workshop.names] == [1, 0]


def test_a_half_done_machine_that_another_run_has_stays_open(tmp_path: Path, journal: SqliteJournal) -> None:
    workshop = shop(tmp_path, 1)
    plan = plan_of(workshop)
    first = apply(application(workshop, plan, journal, guests=LocalGuests(workshop, dead={"guest-00"})))
    other = journal.begin(sealed(replace(plan, id="other")), {})
    assert journal.lease(other, "host/guest-00") is None
    run = apply(application(workshop, plan, journal), first.id)
    assert results(run) == [None]
    assert "another run works on it" in records(run)["guest-00"].reason
    journal.release(other, "host/guest-00")
    assert results(apply(application(workshop, plan, journal), first.id)) == [Result.VERIFIED]


def test_nothing_is_begun_after_a_canary_whose_end_is_not_known(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    workshop = shop(tmp_path, 3)
    plan, pace = plan_of(workshop), Pace(shares=ALL, canary=1)
    dead = LocalGuests(workshop, dead={"guest-00"})
    first = apply(application(workshop, plan, journal, guests=dead, pace=pace))
    assert {name: record.result for name, record in records(first).items()} == {"guest-00": None}
    again = apply(application(workshop, plan, journal, pace=pace), first.id)
    assert results(again) == [Result.VERIFIED] * 3
