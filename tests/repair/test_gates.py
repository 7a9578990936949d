"""Gates: each is open only when what it asks for was seen."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from auditor.facts import Facts, Guest, Job, Mismatch, Unseen, VmModel, WindowsSetup
from auditor.hosts import Shell
from auditor.model import Finding, Machine, Platform, Severity, Status, Verdict
from auditor.remedy import Identity, MachinePlan, Request, Risk, Stage, Step, Work
from auditor.repair.gates import Gate, Limits, Present, backup_gates, closed, gates
from auditor.repair.seams import BackupsNow, VmNow
from auditor.repair.window import parse_window
from tests.checks.estate import GUEST, GUID, HOST, MODEL, NOW, VIEW, VM, WINDOWS, ago

WORK = Work(Shell.SH, "true")
RESTART = Step("s-1", "restart", "why", "ssh", "runs", Risk.LOW, False, (), work=WORK)
INSTALL = replace(RESTART, risk=Risk.MEDIUM)
WRITE = Step(
    "s-2", "set", "why", "azure", "set", Risk.LOW, False, (), request=Request("PATCH", VM.machine.id)
)
IN_GUEST = replace(GUEST, vm_id=GUID.lower(), hostname="vm1")
IDENTITY = Identity(GUID.lower(), None, "vm1")
QUIET = BackupsNow((), None, NOW)
JOB = Job(
    "/subscriptions/s/resourceGroups/r/providers/p/vaults/old/backupJobs/j", "Backup", "InProgress", NOW
)
SPACE = Finding("guest-disk-space", "t", Status.PASS, Severity.BLOCKER, "2 GB are free")
FOUND: Mapping[str, Finding] = {"guest-disk-space": SPACE}


def planned(*steps: Step, facts: Facts = VM, identity: Identity = IDENTITY) -> MachinePlan:
    stage = Stage("agent-restart", ("agent-service",), steps or (RESTART,))
    return MachinePlan(facts.machine, Verdict.NOT_READY, {}, (stage,), identity=identity)


def now(machine: Machine = VM.machine, model: VmModel = MODEL, **view: Any) -> VmNow:
    return VmNow(machine, model, replace(VIEW, **view))


def present(**changes: Any) -> Present:
    facts = replace(VM, guest=changes.pop("guest", IN_GUEST))
    return replace(Present(facts, FOUND, now(), QUIET), **changes)


def outside(guest: Guest | Unseen = GUEST) -> Present:
    return Present(replace(HOST, guest=guest), FOUND)


def gate(name: str, plan: MachinePlan, seen: Present, limits: Limits | None = None) -> Gate:
    (only,) = (one for one in gates(plan, seen, limits or Limits()) if one.name == name)
    return only


def test_nothing_stands_in_the_way_of_a_healthy_vm() -> None:
    assert closed(gates(planned(), present(), Limits())) == ""


def test_nothing_stands_in_the_way_of_a_host_outside_azure() -> None:
    plan = planned(INSTALL, facts=HOST, identity=Identity())
    assert closed(gates(plan, outside(), Limits())) == ""


@pytest.mark.parametrize(
    ("tags", "name", "is_open"),
    [
        ({}, "lock", True),
        ({"auditor:skip": "true"}, "lock", False),
        ({"Auditor:Skip": ""}, "lock", False),
        ({"auditor:skip": "false"}, "lock", True),
        ({"auditor:waive": "agent-service"}, "waiver", False),
        ({"auditor:waive": "wire-server, agent-service"}, "waiver", False),
        ({"auditor:waive": "*"}, "waiver", False),
        ({"auditor:waive": "wire-server"}, "waiver", True),
    ],
)
def test_tags_of_this_moment_count(tags: dict[str, str], name: str, is_open: bool) -> None:
    seen = present(vm=now(replace(VM.machine, tags=tags)))
    assert gate(name, planned(), seen).is_open is is_open


@pytest.mark.parametrize(
    ("backups", "name", "words"),
    [
        (BackupsNow((JOB,), None, NOW), "backup-running", "Backup, InProgress) is at work in old"),
        (Unseen("403 on vault old"), "backup-running", "403 on vault old"),
        (Unseen("403 on vault old"), "backup-due", "403 on vault old"),
        (None, "backup-running", "not asked for"),
        (BackupsNow((), Unseen("zone Mars"), NOW), "backup-due", "zone Mars"),
        (BackupsNow((), NOW + timedelta(minutes=59), NOW), "backup-due", "due at"),
    ],
)
def test_a_backup_that_runs_is_due_or_is_not_known_closes(
    backups: BackupsNow | Unseen | None, name: str, words: str
) -> None:
    found = gate(name, planned(), present(backups=backups))
    assert not found.is_open
    assert words in found.said
    assert not all(one.is_open for one in backup_gates(VM.machine, backups, Limits()))


def test_a_backup_later_than_the_margin_does_not_close() -> None:
    seen = present(backups=BackupsNow((), NOW + timedelta(minutes=60), NOW))
    assert gate("backup-due", planned(), seen).is_open
    wide = Limits(backup_margin=timedelta(hours=3))
    assert not gate("backup-due", planned(), seen, wide).is_open


@pytest.mark.parametrize(
    ("vm", "words"),
    [
        (now(power_state="deallocated"), "the VM is deallocated"),
        (now(power_state=None), "unknown power state"),
        (Unseen("404"), "404"),
        (None, "not asked for"),
    ],
)
def test_only_a_running_vm_is_touched(vm: VmNow | Unseen | None, words: str) -> None:
    found = gate("power", planned(), present(vm=vm))
    assert not found.is_open
    assert words in found.said


@pytest.mark.parametrize(
    ("guest", "words"),
    [
        (Unseen("connection refused"), "connection refused"),
        (Mismatch("identity mismatch", shown="a", wanted="b"), "identity mismatch"),
        (replace(IN_GUEST, vm_id="00000000-0000-0000-0000-00000000beef"), "whose VM id is"),
        (replace(IN_GUEST, vm_id=Unseen("IMDS is silent")), "could not be seen (IMDS is silent)"),
        (replace(IN_GUEST, hostname="vm2"), "whose host name is vm1, and now it is vm2"),
    ],
)
def test_a_guest_that_is_not_the_planned_one_is_not_touched(guest: Guest | Unseen, words: str) -> None:
    found = gate("identity", planned(), present(guest=guest))
    assert not found.is_open
    assert words in found.said


@pytest.mark.parametrize(
    ("vm", "is_open"),
    [
        (now(), True),
        (now(model=replace(MODEL, vm_id="00000000-0000-0000-0000-00000000beef")), False),
        (now(model=replace(MODEL, vm_id=None)), False),
        (Unseen("403"), False),
    ],
)
@pytest.mark.parametrize("step", [RESTART, WRITE])
def test_the_vm_has_to_be_the_planned_one(vm: VmNow | Unseen, is_open: bool, step: Step) -> None:
    assert gate("identity", planned(step), present(vm=vm)).is_open is is_open


def test_a_guest_of_a_vm_that_shows_no_id_is_not_touched() -> None:
    anonymous = replace(IN_GUEST, vm_id=Unseen("IMDS is silent"), firmware_id=None)
    assert not gate(
        "identity", planned(identity=Identity(None, None, "vm1")), present(guest=anonymous)
    ).is_open


@pytest.mark.parametrize(
    ("step", "status", "is_open"),
    [
        (INSTALL, Status.PASS, True),
        (INSTALL, Status.WARN, True),
        (INSTALL, Status.FAIL, False),
        (INSTALL, Status.UNKNOWN, False),
        (RESTART, Status.FAIL, True),
    ],
)
def test_what_is_installed_needs_space(step: Step, status: Status, is_open: bool) -> None:
    found = {"guest-disk-space": replace(SPACE, status=status)}
    assert gate("disk", planned(step), present(findings=found)).is_open is is_open


def test_space_that_was_not_judged_is_no_space() -> None:
    assert not gate("disk", planned(INSTALL), present(findings={})).is_open


@pytest.mark.parametrize(
    ("pending", "is_open"),
    [
        ((), True), (("RebootPending",), False), (Unseen("no rights"), False),
        # those of any program: the work itself refuses where they are the agent's
        (("file renames",), True), (("file renames", "Windows Update"), False),
    ],
)  # fmt: skip
def test_windows_that_waits_for_a_reboot_gets_no_installation(
    pending: tuple[str, ...] | Unseen, is_open: bool
) -> None:
    setup = WindowsSetup(pending_reboot=pending)
    guest = replace(WINDOWS, vm_id=GUID.lower(), hostname="vm1", windows=setup)
    assert gate("pending-reboot", planned(INSTALL), present(guest=guest)).is_open is is_open
    assert gate("pending-reboot", planned(RESTART), present(guest=guest)).is_open


def test_what_the_guest_is_decides_where_the_inventory_does_not_know() -> None:
    setup = WindowsSetup(pending_reboot=("RebootPending",))
    guest = replace(WINDOWS, vm_id=GUID.lower(), hostname="vm1", windows=setup)
    seen = present(guest=guest)
    nameless = replace(seen.facts.machine, platform=Platform.UNKNOWN)
    seen = replace(seen, facts=replace(seen.facts, machine=nameless))
    assert not gate("pending-reboot", planned(INSTALL), seen).is_open


@pytest.mark.parametrize(("text", "is_open"), [("11:00-13:00", True), ("13:00-14:00", False)])
def test_the_maintenance_window_counts_by_the_clock_of_the_facts(text: str, is_open: bool) -> None:
    assert NOW.hour == 12
    assert gate("window", planned(), present(), Limits(parse_window(text))).is_open is is_open


def test_every_closed_gate_is_named() -> None:
    seen = present(vm=now(power_state="stopped"), backups=BackupsNow((JOB,), ago(days=-1), NOW))
    said = closed(gates(planned(), seen, Limits()))
    assert "power: " in said
    assert "backup-running: " in said
