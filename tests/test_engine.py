"""The engine: machines times checks, only the planes that are needed, and no collector that ends the run."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from auditor.engine import Audit, Inventory
from auditor.errors import PluginError
from auditor.facts import Backup, Facts, Guest, InstanceView, Jobs, Unseen, VmModel, known
from auditor.guests import NO_CONNECTION
from auditor.model import AuditRun, Connection, Limit, Lost, Machine, Outcome, Plane, Platform, Status
from auditor.plugin import Check, Explanation, check, passed
from auditor.rules import Rules, load_rules

NOW = datetime(2026, 11, 22, tzinfo=UTC)
EXPLANATION = Explanation("what", "why", "evidence", "repair", ("source",))
MODEL = VmModel("guid", "Succeeded", True, True, True, NOW, NOW)
VMS = tuple(
    Machine(f"/subscriptions/s/vms/vm{number}", f"vm{number}", Platform.LINUX, "azure") for number in range(3)
)
HOST = Machine("host/web", "web", Platform.LINUX, "hosts.yaml", connection=Connection("10.0.0.1"))
CLOSED = Machine("host/closed", "closed", Platform.LINUX, "hosts.yaml")


@dataclass
class Estate:
    """Both planes in memory: they note what they are asked, and break where they are told to."""

    breaks: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    limits: tuple[Limit, ...] = ()
    guest_id: str | None = None
    running: int = 0
    most: int = 0

    def _note(self, call: str) -> None:
        self.asked.append(call)
        if call.partition(" ")[0] in self.breaks:
            raise RuntimeError(f"{call} broke")

    async def instance_view(self, machine: Machine) -> InstanceView | Unseen:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self._note(f"instance {machine.name}")
        return InstanceView("running", None, (), (), NOW)

    async def read_vaults(self, machines: Sequence[Machine], *, jobs: bool) -> tuple[Limit, ...]:
        self._note(f"vaults {len(machines)} jobs={jobs}")
        return self.limits

    def backup(self, machine: Machine) -> Backup | Unseen:
        self._note(f"backup {machine.name}")
        return Backup((), (), (), NOW)

    def jobs(self, machine: Machine) -> Jobs | Unseen:
        self._note(f"jobs {machine.name}")
        return Jobs((), None, NOW)

    async def probe(self, machine: Machine, view: Awaitable[InstanceView | Unseen]) -> Guest | Unseen:
        if machine.connection is None:
            return NO_CONNECTION
        self._note(f"guest {machine.name}")
        return Guest("linux", NOW, "ssh", True, vm_id=self.guest_id)


def needing(*planes: Plane) -> Check:
    """A check that reads every plane that it names."""
    fields = {
        Plane.INVENTORY: "model",
        Plane.INSTANCE_VIEW: "instance",
        Plane.BACKUP: "backup",
        Plane.JOBS: "jobs",
        Plane.GUEST: "guest",
    }

    @check(f"needs-{'-'.join(planes)}", title="Needs", planes=planes, explanation=EXPLANATION)
    def run(facts: Facts, _rules: Rules) -> Outcome:
        for plane in planes:
            known(getattr(facts, fields[plane]))
        return passed("seen")

    return run


@check("crashing", title="Crashes", planes=(), explanation=EXPLANATION)
def crashing(_facts: Facts, _rules: Rules) -> Outcome:
    """A check that crashes."""
    raise ZeroDivisionError


def audit(
    estate: Estate | None, *checks: Check, machines: Sequence[Machine] = VMS, workers: int = 8
) -> AuditRun:
    work = Audit(checks, load_rules(), estate, estate, "public", {}, workers=workers)
    return asyncio.run(work.run(Inventory(tuple(machines), {machine.id: MODEL for machine in VMS})))


EVERY = tuple(needing(plane) for plane in Plane)


@pytest.mark.parametrize(
    ("planes", "asked"),
    [
        ((Plane.INVENTORY,), set()),
        ((Plane.INSTANCE_VIEW,), {"instance vm0"}),
        ((Plane.BACKUP,), {"vaults 1 jobs=False", "backup vm0"}),
        ((Plane.JOBS,), {"vaults 1 jobs=True", "jobs vm0"}),
        ((Plane.BACKUP, Plane.JOBS), {"vaults 1 jobs=True", "backup vm0", "jobs vm0"}),
        ((Plane.GUEST,), {"guest web"}),
    ],
)
def test_only_the_planes_that_checks_name_are_collected(planes: tuple[Plane, ...], asked: set[str]) -> None:
    estate = Estate()
    audit(estate, needing(*planes), machines=(VMS[0], HOST))
    assert set(estate.asked) == asked
    assert len(estate.asked) == len(asked)


def test_a_plane_that_nobody_names_is_said_not_to_be_collected() -> None:
    reads_guest = needing(Plane.GUEST)
    sly = Check("sly", "Sly", frozenset(), reads_guest.severity, EXPLANATION, reads_guest.run)
    (result,) = audit(Estate(), sly, machines=(HOST,)).machines
    assert result.findings[0].reason == "not collected: no chosen check needs it"


def test_findings_are_checks_times_machines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    run = audit(Estate(), *EVERY, crashing, machines=(*VMS, HOST, CLOSED))
    assert [result.machine.name for result in run.machines] == ["vm0", "vm1", "vm2", "web", "closed"]
    assert {len(result.findings) for result in run.machines} == {len(EVERY) + 1}
    assert sum(run.findings().values()) == 5 * (len(EVERY) + 1)


@pytest.mark.parametrize(
    ("breaks", "plane"),
    [
        ("instance", Plane.INSTANCE_VIEW),
        ("backup", Plane.BACKUP),
        ("jobs", Plane.JOBS),
        ("guest", Plane.GUEST),
    ],
)
def test_a_collector_that_breaks_costs_one_fact(
    breaks: str, plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    machine = HOST if plane is Plane.GUEST else VMS[0]
    run = audit(Estate(frozenset({breaks})), needing(plane), needing(), machines=(machine,))
    broken, other = run.machines[0].findings
    assert (broken.status, broken.reason) == (Status.UNKNOWN, "the collector broke: RuntimeError")
    assert other.status is Status.PASS


def test_the_order_of_results_is_that_of_the_inventory() -> None:
    many = tuple(Machine(f"/subscriptions/s/vms/{n}", str(n), Platform.LINUX, "azure") for n in range(200))
    run = audit(Estate(), needing(Plane.INSTANCE_VIEW), machines=many)
    assert [result.machine for result in run.machines] == list(many)


@dataclass
class Late(Estate):
    """Sees no VM, and says so of the last one first."""

    async def instance_view(self, machine: Machine) -> InstanceView | Unseen:
        for _ in range(len(VMS) - int(machine.name[-1])):
            await asyncio.sleep(0)
        return Unseen("404")


def test_what_was_not_seen_is_told_in_the_order_of_the_inventory() -> None:
    run = audit(Late(), needing(Plane.INSTANCE_VIEW))
    assert [limit.scope for limit in run.coverage.limits] == [machine.id for machine in VMS]


@pytest.mark.parametrize("workers", [1, 4])
def test_no_more_machines_at_once_than_workers(workers: int) -> None:
    many = tuple(Machine(f"/subscriptions/s/vms/{n}", str(n), Platform.LINUX, "azure") for n in range(50))
    estate = Estate()
    audit(estate, needing(Plane.INSTANCE_VIEW), machines=many, workers=workers)
    assert estate.most == workers


def test_without_checks_there_is_no_run() -> None:
    with pytest.raises(PluginError, match="auditor checks"):
        audit(Estate())


def test_without_azure_the_guests_are_still_asked() -> None:
    work = Audit(EVERY, load_rules(), None, Estate(), "none", {})
    run = asyncio.run(work.run(Inventory((HOST,))))
    statuses = {finding.check: finding.status for finding in run.machines[0].findings}
    assert statuses.pop("needs-guest") is Status.PASS
    assert set(statuses.values()) == {Status.UNKNOWN}


@pytest.mark.parametrize("machine", [VMS[0], CLOSED])
def test_a_machine_without_connection_is_no_gap(machine: Machine) -> None:
    run = audit(Estate(), needing(Plane.GUEST), machines=(machine,))
    (finding,) = run.machines[0].findings
    assert finding.reason == "no guest connection is configured for this machine"
    assert run.coverage.complete


def test_what_was_expected_and_not_seen_stands_in_the_coverage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    gap = Limit("vault b", Plane.BACKUP, "403")
    estate = Estate(frozenset({"instance"}), limits=(gap,))
    checks = (needing(Plane.INSTANCE_VIEW), needing(Plane.BACKUP))
    lost = Lost("/subscriptions/s/vms/gone", "404")
    work = Audit(checks, load_rules(), estate, estate, "public", {"vm": ("vm0",)})
    inventory = Inventory(VMS[:1], limits=(Limit("subscription b", Plane.INVENTORY, "403"),), lost=(lost,))
    run = asyncio.run(work.run(inventory))
    assert (run.coverage.expected, run.coverage.audited, run.coverage.lost) == (2, 1, (lost,))
    assert [limit.scope for limit in run.coverage.limits] == ["subscription b", "vault b", VMS[0].id]
    assert not run.coverage.complete


def test_progress_names_its_stage_and_counts_every_machine() -> None:
    seen: list[tuple[str, int, int | None]] = []
    work = Audit((needing(),), load_rules(), None, None, "none", {}, progress=lambda *told: seen.append(told))
    asyncio.run(work.run(Inventory(VMS)))
    assert seen == [("Reading vaults", 0, None), *(("Auditing", done, 3) for done in range(4))]


@pytest.mark.parametrize(
    ("guest_id", "status"),
    [("guid", Status.PASS), ("GUID", Status.PASS), (None, Status.PASS), ("another", Status.UNKNOWN)],
)
def test_a_guest_that_is_another_vm_counts_for_nothing(guest_id: str | None, status: Status) -> None:
    machine = replace(VMS[0], connection=Connection("10.0.0.1"))
    run = audit(Estate(guest_id=guest_id), needing(Plane.GUEST), machines=[machine])
    (finding,) = run.machines[0].findings
    assert finding.status is status
    said = [limit.reason for limit in run.coverage.limits if limit.plane is Plane.GUEST]
    wrong = ["identity mismatch: the guest says it is VM another, Azure says guid; nothing it said is used"]
    assert said == (wrong if status is Status.UNKNOWN else [])
