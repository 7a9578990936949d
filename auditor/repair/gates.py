"""What has to hold just before a machine is touched; a gate that cannot be judged is closed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from auditor.facts import Facts, Guest, Job, Unseen, same_id
from auditor.model import Finding, Machine, Platform, Status
from auditor.remedy import MachinePlan, Risk
from auditor.repair.seams import BackupsNow, VmNow
from auditor.repair.window import Window

SKIP_TAG = "auditor:skip"
WAIVE_TAG = "auditor:waive"
OUTSIDE = "the machine is not in Azure"
FILE_RENAMES = "file renames"
"""The mark of a restart that any program leaves; a work looks itself whether the agent's files are meant."""


@dataclass(frozen=True, slots=True)
class Present:
    """What was seen of a machine just now; `vm` and `backups` are None outside Azure."""

    facts: Facts
    findings: Mapping[str, Finding]
    vm: VmNow | Unseen | None = None
    backups: BackupsNow | Unseen | None = None

    @property
    def machine(self) -> Machine:
        """The machine with its present tags."""
        return self.vm.machine if isinstance(self.vm, VmNow) else self.facts.machine

    def bad(self, checks: tuple[str, ...]) -> tuple[str, ...]:
        """Which of these checks fail or warn."""
        return tuple(
            check
            for check in checks
            if (found := self.findings.get(check)) and found.status in (Status.FAIL, Status.WARN)
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user demands of gates: a maintenance window, and the time to keep free before a backup."""

    window: Window | None = None
    backup_margin: timedelta = field(default_factory=lambda: timedelta(minutes=60))


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: open or closed, and what was seen."""

    name: str
    is_open: bool
    said: str

    def __str__(self) -> str:
        return f"{self.name}: {'open' if self.is_open else 'closed'}, {self.said}"


Judge = Callable[[MachinePlan, Present, Limits], Gate]


def gates(planned: MachinePlan, present: Present, limits: Limits) -> tuple[Gate, ...]:
    """Every gate of a machine, judged by what was seen just now."""
    before = [judge(planned, present, limits) for judge in _BEFORE]
    after = [judge(planned, present, limits) for judge in _AFTER]
    return (*before, *backup_gates(present.facts.machine, present.backups, limits), *after)


def backup_gates(machine: Machine, backups: BackupsNow | Unseen | None, limits: Limits) -> tuple[Gate, ...]:
    """The gates that have to be looked at again before every step: a job may begin at any time."""
    return _running(machine, backups), _due(machine, backups, limits)


def stranger(planned: MachinePlan, present: Present) -> str:
    """How the guest shows that it is another than the planned one, empty where it does not."""
    guest = present.facts.guest
    if not isinstance(guest, Guest) or not any(step.work for step in planned.steps):
        return ""
    marks = ((what, then, now) for what, then, now in _marks(planned, guest) if then and isinstance(now, str))
    return next((_DIFFERS.format(what, then, f"is {now}") for what, then, now in marks if then != now), "")


def closed(found: tuple[Gate, ...]) -> str:
    """Why a machine may not be touched, empty where it may."""
    return "; ".join(f"{gate.name}: {gate.said}" for gate in found if not gate.is_open)


def _lock(_planned: MachinePlan, present: Present, _limits: Limits) -> Gate:
    if isinstance(present.vm, Unseen):
        return Gate("lock", False, f"the machine's tags could not be read: {present.vm.reason}")
    tags = {name.lower(): value for name, value in present.machine.tags.items()}
    locked = tags.get(SKIP_TAG)
    if locked is None or locked.strip().lower() in ("false", "no", "0"):
        return Gate("lock", True, f"no tag {SKIP_TAG}")
    return Gate("lock", False, f"the tag {SKIP_TAG} is set")


def _waived(planned: MachinePlan, present: Present, _limits: Limits) -> Gate:
    tags = {name.lower(): value for name, value in present.machine.tags.items()}
    waived = {word.strip() for word in tags.get(WAIVE_TAG, "").split(",")} - {""}
    wanted = {check for stage in planned.stages for check in stage.repairs}
    hit = sorted(wanted if "*" in waived else wanted & waived)
    if hit:
        return Gate("waiver", False, f"the tag {WAIVE_TAG} waives {', '.join(hit)}")
    return Gate("waiver", True, "nothing of this is waived")


def _window(_planned: MachinePlan, present: Present, limits: Limits) -> Gate:
    if limits.window is None:
        return Gate("window", True, "no maintenance window is demanded")
    now = present.facts.now
    return Gate(
        "window", limits.window.holds(now), f"it is {now:%a %H:%M} UTC, the window is {limits.window}"
    )


def _power(planned: MachinePlan, present: Present, _limits: Limits) -> Gate:
    if not planned.machine.in_azure:
        return Gate("power", True, OUTSIDE)
    if not isinstance(present.vm, VmNow):
        return Gate("power", False, f"the power state could not be read: {_reason(present.vm)}")
    state = present.vm.instance.power_state
    return Gate("power", state == "running", f"the VM is {state or 'in an unknown power state'}")


def _running(machine: Machine, backups: BackupsNow | Unseen | None) -> Gate:
    if not machine.in_azure:
        return Gate("backup-running", True, f"{OUTSIDE}: no backup of it runs")
    if not isinstance(backups, BackupsNow):
        return Gate("backup-running", False, f"the jobs could not be read: {_reason(backups)}")
    if backups.running:
        return Gate("backup-running", False, ", ".join(map(_job, backups.running)))
    return Gate("backup-running", True, "no backup or restore runs in any vault")


def _due(machine: Machine, backups: BackupsNow | Unseen | None, limits: Limits) -> Gate:
    if not machine.in_azure:
        return Gate("backup-due", True, f"{OUTSIDE}: no backup of it is due")
    if not isinstance(backups, BackupsNow):
        return Gate("backup-due", False, f"the schedule could not be read: {_reason(backups)}")
    due = backups.due_at
    if isinstance(due, Unseen):
        return Gate("backup-due", False, f"the schedule could not be read: {due.reason}")
    if due is None:
        return Gate("backup-due", True, "no backup is scheduled")
    left = due - backups.observed_at
    said = f"the next backup is due at {_minute(due)}"
    return Gate("backup-due", left >= limits.backup_margin, said)


def _identity(planned: MachinePlan, present: Present, _limits: Limits) -> Gate:
    guest = present.facts.guest
    if not any(step.work for step in planned.steps):
        return _same_vm(planned, present)
    if not isinstance(guest, Guest):
        return Gate("identity", False, f"the guest was not seen: {guest.reason}")
    if difference := next(_differences(planned, guest), None):
        return Gate("identity", False, difference)
    if not planned.machine.in_azure:
        return Gate("identity", True, f"the host is known by its key, and is still {guest.hostname}")
    return _proven(guest, present)


def _proven(guest: Guest, present: Present) -> Gate:
    """Whether the guest shows the very id that Azure has for the VM."""
    if not isinstance(present.vm, VmNow) or not present.vm.model.vm_id:
        return Gate("identity", False, f"Azure's id of the VM could not be read: {_reason(present.vm)}")
    wanted = present.vm.model.vm_id
    shown = [one for one in (guest.vm_id, guest.firmware_id) if isinstance(one, str)]
    if any(same_id(one, wanted) for one in shown):
        return Gate("identity", True, f"the guest shows the VM's id {wanted}")
    return Gate("identity", False, f"the guest does not show the VM's id {wanted}")


def _same_vm(planned: MachinePlan, present: Present) -> Gate:
    if not isinstance(present.vm, VmNow):
        return Gate("identity", False, f"the VM could not be read: {_reason(present.vm)}")
    planned_id, now_id = planned.identity.vm_id, present.vm.model.vm_id
    if planned_id and now_id and same_id(planned_id, now_id):
        return Gate("identity", True, f"Azure still has the VM {now_id}")
    return Gate("identity", False, f"the plan is for VM {planned_id}, Azure now has {now_id}")


def _differences(planned: MachinePlan, guest: Guest) -> Iterator[str]:
    """How the guest differs from the one that the plan was made for."""
    for what, then, now in _marks(planned, guest):
        if then is not None and then != now:
            shown = f"could not be seen ({now.reason})" if isinstance(now, Unseen) else f"is {now}"
            yield _DIFFERS.format(what, then, shown)


def _marks(planned: MachinePlan, guest: Guest) -> Iterator[tuple[str, str | None, str | Unseen | None]]:
    """What a guest is known by: then, and now."""
    known = planned.identity
    yield "VM id", known.vm_id, guest.vm_id
    yield "board id", known.firmware_id, guest.firmware_id
    yield "host name", known.hostname, guest.hostname


_DIFFERS = "the plan is for a guest whose {} is {}, and now it {}"


def _disk(planned: MachinePlan, present: Present, _limits: Limits) -> Gate:
    if not _installs(planned):
        return Gate("disk", True, "nothing is installed")
    found = present.findings.get("guest-disk-space")
    if found is None:
        return Gate("disk", False, "free space was not judged")
    said = found.reason or found.summary
    return Gate("disk", found.status in (Status.PASS, Status.WARN), said)


def _reboot(planned: MachinePlan, present: Present, _limits: Limits) -> Gate:
    windows = getattr(present.facts.guest, "windows", None)
    if not _installs(planned) or not _is_windows(present.facts):
        return Gate("pending-reboot", True, "it does not matter here")
    pending = getattr(windows, "pending_reboot", None)
    if not isinstance(pending, tuple):
        return Gate("pending-reboot", False, f"it could not be seen: {_reason(pending or windows)}")
    if due := [mark for mark in pending if mark != FILE_RENAMES]:
        return Gate("pending-reboot", False, f"Windows waits for a reboot ({', '.join(due)})")
    renames = f", only for {FILE_RENAMES}" if pending else ""
    return Gate("pending-reboot", True, f"Windows waits for none{renames}")


def _is_windows(facts: Facts) -> bool:
    """By what the guest says, and where it was not seen by what is known of the machine."""
    seen = facts.guest.platform if isinstance(facts.guest, Guest) else facts.machine.platform
    return seen.lower() == Platform.WINDOWS


def _installs(planned: MachinePlan) -> bool:
    return any(step.work and step.risk is not Risk.LOW for step in planned.steps)


_BEFORE: tuple[Judge, ...] = (_lock, _waived, _window, _power)
_AFTER: tuple[Judge, ...] = (_identity, _disk, _reboot)


def _job(job: Job) -> str:
    vault = job.id.split("/")[8] if job.id.count("/") > 8 else "a vault"
    since = f" since {_minute(job.started_at)}" if job.started_at else ""
    return f"a job ({job.operation}, {job.status}) is at work in {vault}{since}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _reason(fact: object) -> str:
    return fact.reason if isinstance(fact, Unseen) else "it was not asked for"
